"""Prompt profiles as versioned data: one TOML a profile, hashed into every generated row.

`fenced` profiles show code in a Markdown fence and end a prefix with the language's name, as the
published scripts do. Text that goes into a slot cannot leave it: a profile's `control` strings
found inside are broken up with a zero-width joiner, so that code cannot forge a turn.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lakehouse.errors import UserError
from lakehouse.settings import data_file, explained, read_toml

FOLDER = Path(__file__).parent
_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Prompts:
    """One profile: three templates, the prefixes that start an answer, where an answer stops."""

    name: str
    version: str
    """sha256 of the file, first 12 hex digits."""
    instruct_template: str
    summarize_template: str
    judge_template: str
    prefixes: tuple[str, ...]
    stop: tuple[str, ...]
    control: tuple[str, ...]
    fenced: bool

    def instruct(self, instruction: str) -> str:
        """The prompt a model is trained and evaluated with; its answer is the response."""
        return self._fill(self.instruct_template, instruction=instruction)

    def summarize(self, code: str, language: str, prefix: str) -> str:
        """The prompt for an instruction that `code` answers, begun with `prefix`."""
        return self._fill(self.summarize_template, code=self._shown(code, language), prefix=prefix)

    def judge(self, instruction: str, code: str, language: str) -> str:
        """The yes/no question whether `code` answers `instruction`."""
        return self._fill(
            self.judge_template, instruction=instruction, code=self._shown(code, language)
        )

    def prefix(self, seed: int, language: str) -> str:
        """The words an answer is started with, drawn by `seed` (paper: uniform, a sample)."""
        words = random.Random(seed).choice(self.prefixes)
        return f"{words} {language}" if self.fenced and language else words

    def response(self, code: str, language: str) -> str:
        """Code as a training response: fenced where the profile fences code."""
        return self._shown(code, language)

    def _shown(self, code: str, language: str) -> str:
        return f"```{language}\n{code}\n```" if self.fenced else code

    def _fill(self, template: str, **slots: str) -> str:
        for name, text in slots.items():
            for mark in self.control:
                text = text.replace(mark, mark[0] + _JOINER + mark[1:])
            template = template.replace("{" + name + "}", "\0" + name + "\0")
            slots[name] = text
        for name, text in slots.items():
            template = template.replace("\0" + name + "\0", text)
        return template


def _holding(*slots: str) -> AfterValidator:
    """A template that shows all of these slots."""

    def check(template: str) -> str:
        if lacking := [s for s in slots if "{" + s + "}" not in template]:
            raise ValueError(f"lacks {{{'}, {'.join(lacking)}}}")
        return template

    return AfterValidator(check)


class _File(BaseModel):
    """One file of lakehouse/prompts."""

    model_config = ConfigDict(extra="forbid")

    instruct: Annotated[str, _holding("instruction")]
    summarize: Annotated[str, _holding("code", "prefix")]
    judge: Annotated[str, _holding("instruction", "code")]
    prefixes: Annotated[tuple[str, ...], Field(min_length=1)]
    stop: tuple[str, ...]
    control: tuple[Annotated[str, Field(min_length=1)], ...]
    fenced: bool


def load(name: str) -> Prompts:
    """The profile of that name, or at that path; UserError if there is none or it is malformed."""
    path = data_file(FOLDER, "prompt profile", name)
    try:
        data = _File.model_validate(read_toml(path, "prompt profile"))
    except ValidationError as error:
        raise UserError(f"prompt profile {name}: {explained(error)}") from None
    return Prompts(
        name=name,
        version=hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        instruct_template=data.instruct,
        summarize_template=data.summarize,
        judge_template=data.judge,
        prefixes=data.prefixes,
        stop=data.stop,
        control=data.control,
        fenced=data.fenced,
    )
