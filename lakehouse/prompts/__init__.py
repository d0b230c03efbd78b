"""Prompt profiles as versioned data: one TOML a profile, hashed into every generated row.

What a profile holds and how to write one of one's own: docs/prompts.md. Text that goes into a slot
cannot leave it (`lakehouse.prompts.slots`); what an engine's cache shares of prompts about one
snippet is whole blocks (`lakehouse.prompts.blocks`).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lakehouse.errors import UserError, unknown
from lakehouse.prompts import blocks, slots
from lakehouse.settings import UNSET, Settings, data_file, explained, read_toml

FOLDER = Path(__file__).parent
CORRECT = "correct"
"""The question that every profile asks: does the code answer the instruction?"""
LONG_LINE = 40
"""Characters from which on a line of a prompt is nobody else's."""
_FENCE = re.compile(r"(?:\A|[\r\n]) {0,3}(`{3,})")


def _weighted(value: Any) -> Any:
    """A list of words as words that weigh the same."""
    is_list = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return Counter(value) if is_list else value


_Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Weights = Annotated[dict[str, _Weight], Field(min_length=1)]


class Profile(BaseModel):
    """One file of lakehouse/prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instruct: str
    summarize: str
    questions: dict[str, str]
    """By name what the judge is asked, to be answered by yes or no."""
    prefixes: Annotated[_Weights, BeforeValidator(_weighted)]
    """The words that an answer is started with, and how often one is drawn beside the others."""
    opening: str = ""
    """What every instruction begins with from when it is stored; the judge does not see it."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...]
    control: tuple[slots.Mark, ...]
    fenced: bool
    """Whether code is shown in a Markdown fence that names its language."""
    chat: bool = False
    """Whether the texts are a user's turns, which the teacher's chat template writes out."""
    system: str = ""
    """A chat's system turn; empty: what the template says of its own accord."""
    align: Annotated[int, Field(ge=1, le=256)] = 1
    """Tokens of a block of an engine's cache: a {rule} makes what prompts share whole blocks."""

    @model_validator(mode="after")
    def _texts_hold_their_slots(self) -> Self:
        asked = {f"questions.{name}": text for name, text in self.questions.items()}
        if f"questions.{CORRECT}" not in asked:
            raise ValueError(f"questions lacks {CORRECT}")
        for where, text in {
            "instruct": self.instruct,
            "summarize": self.summarize,
            **asked,
        }.items():
            wanted = {"instruct": {"instruction"}, "summarize": {"code", "prefix"}}
            names = wanted.get(where, {"instruction", "code"}) - (
                {"prefix"} if self.chat else set()
            )
            found = set(slots.SLOT.findall(text))
            early = "{rule}" in blocks.OWN.split(text)[0] and text.count("{rule}") == 1
            if where != "instruct" and early:
                found.remove("rule")  # it may be there, before what is a sample's own
            if found != names:
                raise ValueError(f"{where} must hold {_braced(names)}; it holds {_braced(found)}")
        if not (self.chat or self.summarize.endswith("{prefix}")):
            raise ValueError("summarize must end with {prefix}: the teacher goes on from there")
        return self


def _braced(names: set[str]) -> str:
    return " and ".join(f"{{{name}}}" for name in sorted(names)) or "no slot"


@dataclass(frozen=True)
class Prompts:
    """A profile under the name and version that the rows made with it bear."""

    name: str
    version: str
    """sha256 of the file, and of the chat template that writes it out; first 12 hex digits."""
    profile: Profile
    teacher: str = UNSET
    """As in the settings: whose chat template."""
    length: blocks.Length | None = None
    """In whose tokens a {rule} is measured; without it rules are as short as can be."""

    def measured(self, length: blocks.Length) -> Prompts:
        """The same, for a model whose tokens these are."""
        return replace(self, length=length)

    @cached_property
    def _written(self) -> Profile:
        """The profile with its turns written out; what that takes is imported when it is needed."""
        if not self.profile.chat:
            return self.profile
        from lakehouse.prompts import chat_template

        return chat_template.written_out(self.profile, self.teacher)

    @property
    def stop(self) -> tuple[str, ...]:
        """Where an answer ends."""
        return self.profile.stop

    @property
    def fenced(self) -> bool:
        """Whether code is shown in a fence."""
        return self.profile.fenced

    @property
    def opening(self) -> str:
        """What every stored instruction begins with."""
        return self.profile.opening

    @cached_property
    def request(self) -> tuple[str, ...]:
        """Its longer lines around the code: an answer that holds one repeats the prompt."""
        lines = (line.strip() for line in self.profile.summarize.splitlines())
        return tuple(n for n in lines if len(n) >= LONG_LINE and not slots.SLOT.search(n))

    @property
    def control(self) -> tuple[str, ...]:
        """What marks turns: no text in a slot can hold it."""
        return self._written.control

    def instruct(self, instruction: str) -> str:
        """The prompt a model is trained and evaluated with; its answer is the response."""
        return slots.fill(self._written.instruct, self.control, instruction=instruction)

    def begun(self, instruction: str, code: str, language: str) -> str:
        """The same with the answer begun: where the profile fences code, a fence and this code."""
        begin = f"```{language}\n{{code}}" if self.fenced else ""
        template = self._written.instruct + begin
        return slots.fill(template, self.control, instruction=instruction, code=code)

    def summarize(self, code: str, language: str, prefix: str) -> str:
        """The prompt for an instruction that `code` answers, begun with `prefix`."""
        shown = self._shown(code, language)
        return self._about(self._written.summarize, shown, prefix=prefix)

    def judge(self, instruction: str, code: str, language: str, question: str = CORRECT) -> str:
        """A yes/no question about an instruction and code; UserError if the profile has none such.

        The published judge saw instructions before their opening was put in front.
        """
        asked = self._written.questions
        if question not in asked:
            raise unknown(f"question of prompt profile {self.name}", question, asked)
        return self._about(
            asked[question], self._shown(code, language),
            instruction=instruction.removeprefix(self.opening),
        )  # fmt: skip

    def prefix(self, seed: int, language: str) -> str:
        """The words an answer is started with, drawn by `seed`."""
        weights = self.profile.prefixes
        [words] = random.Random(seed).choices(list(weights), list(weights.values()))
        return words.replace(" {language}", f" {language}" if language else "")

    def response(self, code: str, language: str) -> str:
        """Code as a training response: fenced where the profile fences code."""
        return f"```{language}\n{code}\n```" if self.fenced else code

    def _about(self, template: str, shown: str, **own: str) -> str:
        """A prompt about shown code, with what is one sample's own."""
        shared = blocks.OWN.split(template)[0]

        def head(rule: str) -> str:
            return slots.fill(shared, self.control, code=shown, rule=rule)

        rule = self._rules.within(head) if "{rule}" in shared else ""
        return slots.fill(template, self.control, code=shown, rule=rule, **own)

    @cached_property
    def _rules(self) -> blocks.Rules:
        return blocks.Rules(self.profile.align, self.length)

    def _shown(self, code: str, language: str) -> str:
        """The same in a prompt, where a fence inside the code must not end the one around it."""
        longest = max(map(len, _FENCE.findall(code)), default=2)
        more = "`" * (longest - 2) if self.fenced else ""
        return f"{more}{self.response(code, language)}{more}"


def load(name: str, teacher: str = UNSET) -> Prompts:
    """The profile of that name, or at that path, as asked of a teacher (as in the settings).

    UserError if there is none, it is malformed, or it is a chat and the teacher has no template.
    """
    profile, text = profile_of(name), data_file(FOLDER, "prompt profile", name).read_bytes()
    if profile.chat:
        from lakehouse.prompts import chat_template

        text += b"\0" + chat_template.text(teacher).encode()
    return Prompts(name, hashlib.sha256(text).hexdigest()[:12], profile, teacher)


def profile_of(name: str) -> Profile:
    """The file of that name, or at that path; UserError if there is none or it is malformed."""
    path = data_file(FOLDER, "prompt profile", name)
    try:
        return Profile.model_validate(read_toml(path, "prompt profile"))
    except ValidationError as error:
        raise UserError(f"prompt profile {name}: {explained(error)}") from None


def of(settings: Settings) -> Prompts:
    """The profile that the settings name, as asked of their teacher.

    A chat template comes with the tokenizer: of a teacher behind an endpoint with the one named.
    """
    return load(settings.model.prompts, settings.tokenizer)
