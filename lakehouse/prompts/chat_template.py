"""Chat profiles: a user's turns, written out by a model's own chat template.

A template is rendered once a text, with the slots' names in their places: what comes into a slot
later cannot reach it. Its text is read without the libraries that render it, so that a profile's
version costs next to nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from lakehouse import tokenizer
from lakehouse.errors import UserError
from lakehouse.prompts import Profile, slots
from lakehouse.settings import PACKED

_TODAY = dt.datetime(2024, 7, 26, tzinfo=dt.UTC)
"""What a template is told that asks for the date: equal versions must mean equal prompts."""


def text(spec: str) -> str:
    """The chat template (Jinja) of a model named as in the settings; UserError if it has none."""
    found = _packed() if spec == PACKED else _of_folder(Path(spec))
    if not found:
        raise UserError(
            f"model.teacher = {spec!r} has no chat template (chat_template.jinja, or chat_template "
            "in tokenizer_config.json), and a chat prompt profile needs one; choose another with "
            "--set model.prompts=default, or give an instruction-tuned model's folder"
        )
    return found


def _packed() -> str:
    return str(tokenizer.gguf_fields(tokenizer.packed())["tokenizer.chat_template"].contents())


def _of_folder(folder: Path) -> str:
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    if not config.is_file():
        return ""
    try:
        held = json.loads(config.read_text(encoding="utf-8")).get("chat_template", "")
    except ValueError as error:
        raise UserError(f"{config} is not JSON: {error}") from None
    if isinstance(held, list):  # several, by name
        held = {each["name"]: each["template"] for each in held}.get("default", "")
    return str(held)


def written_out(profile: Profile, spec: str) -> Profile:
    """The profile with its turns written out, and the special tokens among its control strings.

    UserError if the template refuses these turns, or marks them with words that anyone may write.
    """
    words = tokenizer.of_transformers(spec)
    special = [t.content for t in words.added_tokens_decoder.values() if t.special]
    control = tuple(dict.fromkeys([*profile.control, *(s for s in special if len(s) > 1)]))

    def turn(said: str) -> str:
        rendered = _rendered(words, spec, profile.system, said)
        _, found, end = rendered.rpartition(said.strip())
        if not found or not slots.marks(end, control):
            raise UserError(
                f"{spec}: its chat template ends a user's turn by {end!r}, in which there is no "
                "special token; name what marks turns in the prompt profile's `control`"
            )
        return rendered

    return profile.model_copy(update={
        "instruct": turn(profile.instruct), "summarize": turn(profile.summarize) + "{prefix}",
        "questions": {name: turn(asked) for name, asked in profile.questions.items()},
        "control": control,
    })  # fmt: skip


def _rendered(words: Any, spec: str, system: str, said: str) -> str:
    from jinja2 import TemplateError

    turns = [{"role": "system", "content": system}] if system else []
    try:
        rendered: str = words.apply_chat_template(
            [*turns, {"role": "user", "content": said}], chat_template=text(spec),
            tokenize=False, add_generation_prompt=True, strftime_now=_TODAY.strftime,
            enable_thinking=False,  # a prompt's prefix begins the answer itself
        )  # fmt: skip
    except TemplateError as error:
        raise UserError(f"{spec}: its chat template refuses the prompt profile: {error}") from None
    return rendered
