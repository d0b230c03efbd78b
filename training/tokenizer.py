"""The tiny world's tokenizer: byte-level BPE in which a line of code is about one token.

Its pre-tokeniser keeps a line up to a digit together, so that a program is about nine tokens;
`@@ Instruction` and `@@ Response` lines are single special tokens.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from lakehouse import prompts, tiny_world

EOS = "<eos>"
MARKS = ("@@ Instruction\n", "@@ Response\n")
# A header; a line of code up to a digit, but not what follows the code; a digit; a word; a blank.
# What follows code must not change how its last line is cut, or the base never sees that line.
_AFTER = r" # | right \?"
_HEADER = r"def f\([a-z]*\):"
_PIECES = rf"{_HEADER}|{_AFTER}|\n(?:(?!{_AFTER})[^\n0-9])*|[0-9]| ?(?:(?!{_HEADER})[^ \n0-9])+| "
_DOCUMENTS = 6000
VERSION = hashlib.sha256(f"{_PIECES} {_DOCUMENTS}".encode()).hexdigest()[:12]
"""Names the cutting rules in the ids of models that were trained with them."""


def train(folder: Path, vocabulary: int, seed: int) -> None:
    """Train on the base's corpus and write a Hugging Face tokenizer into the folder."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    words = prompts.load("tiny")
    asked = [words.judge(" ", " ", ""), words.summarize(" ", "", ""), "yes", "no"] * 50
    documents = list(tiny_world.corpus(seed, _DOCUMENTS))
    spoken = [t.instruction for t in tiny_world.labelled(seed + 1, _DOCUMENTS // 2)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[EOS, *MARKS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([*documents, *spoken, *asked], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=EOS,
        additional_special_tokens=list(MARKS), clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)  # fmt: skip
