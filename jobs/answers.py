"""What is wrong with a teacher's answer: the status of a candidate, and what helps.

How a refusal begins is in answers.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lakehouse.engines import UNSENT
from lakehouse.sections import Summarize

REMEDY = {
    "empty": "raise summarize.max_tokens or look at the prompt",
    "truncated": "raise summarize.max_tokens",
    "too_long_prompt": "raise engine.max_model_len or lower extract.max_tokens",
    "echo": "the teacher repeats the code or the prompt; look at the prompt",
    "refusal": "the teacher declines; look at the snippet, then at the prompt",
    "short": "lower summarize.min_words if such instructions are wanted",
}
_BEGINS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["refusals"]
CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"
REFUSAL = re.compile(rf"\W*(?:{'|'.join(_BEGINS)})\b", re.IGNORECASE)


def status(row: Mapping[str, Any], code: str, request: Collection[str], chosen: Summarize) -> str:
    """ok, or the first reason why a candidate's instruction cannot be used.

    `request` are lines of the prompt that no instruction for the code would hold.
    """
    if row["finish_reason"] == UNSENT:
        return "too_long_prompt"
    instruction: str = row["instruction"]
    written = instruction.removeprefix(row["prefix"])
    if not written.strip():
        return "empty"
    if REFUSAL.match(written.replace(CURLY, "'")):
        return "refusal"
    if row["finish_reason"] == "length" or row["completion_tokens"] > chosen.max_tokens:
        return "truncated"
    if _holds(instruction, code) or any(_holds(written, line) for line in request):
        return "echo"
    if len(written.split()) < chosen.min_words:
        return "short"
    return "ok"


def _holds(said: str, text: str) -> bool:
    """Whether it is in what was said, white space aside."""
    return " ".join(text.split()) in " ".join(said.split())
