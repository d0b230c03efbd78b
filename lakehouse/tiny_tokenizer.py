"""The tiny world's tokenizer: byte-level BPE in which a line of code is about one token.

Its pre-tokeniser keeps a line up to a digit together, so that a program is about nine tokens;
`@@ Instruction` and `@@ Response` lines are single special tokens. A function of the tiny world
alone, trained in a third of a second: whoever needs it makes it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lakehouse import prompts, tiny_world

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EOS = "<eos>"
MARKS = ("@@ Instruction\n", "@@ Response\n")
# A header; a line of code up to a digit, but not what follows the code; a digit; a word; a blank.
# What follows code must not change how its last line is cut, or the base never sees that line.
_AFTER = r" # | right \?"
_HEADER = r"def f\([a-z]*\):"
_PIECES = rf"{_HEADER}|{_AFTER}|\n(?:(?!{_AFTER})[^\n0-9])*|[0-9]| ?(?:(?!{_HEADER})[^ \n0-9])+| "
_DOCUMENTS = 6000
_VOCABULARY, _SEED = 1280, 777


def version() -> str:
    """Names the tokens in the ids of models that were trained with them."""
    rules = f"{_PIECES} {_DOCUMENTS} {_VOCABULARY} {_SEED} {tiny_world.VERSION}"
    return hashlib.sha256(f"{rules} {prompts.load('tiny').version}".encode()).hexdigest()[:12]


def train() -> Tokenizer:
    """Train on the corpus that the base model reads, and on what it is asked."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

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
    documents = list(tiny_world.corpus(_SEED, _DOCUMENTS))
    spoken = [t.instruction for t in tiny_world.labelled(_SEED + 1, _DOCUMENTS // 2)]
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, special_tokens=[EOS, *MARKS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([*documents, *spoken, *asked], trainer)
    return tokenizer
