"""The tiny world's tokenizer as a Hugging Face model folder holds it."""

from __future__ import annotations

from pathlib import Path

from lakehouse import tiny_tokenizer


def save(folder: Path) -> None:
    """Train it and write it into the folder."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer.train(), eos_token=tiny_tokenizer.EOS,
        pad_token=tiny_tokenizer.EOS, additional_special_tokens=list(tiny_tokenizer.MARKS),
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)  # fmt: skip
