"""A record of a file as a document, by the names that its source gives the columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jobs.records import Record, Unusable
from jobs.sources import Columns, Source

_DELIMITERS = ";\t|,"
"""What may stand between cells where a header was read as one."""
_ASKS, _ANSWERS = ("user", "human"), ("assistant", "gpt")


def document(origin: str, value: Any, source: Source) -> Record:
    """The document; `Unusable` if a column is missing or has the wrong type."""
    if not isinstance(value, dict):
        raise Unusable("record is not a JSON object", "make each record an object", value)
    columns = source.columns
    language = _text(value, columns.language).lower() or source.language
    known = (_text(value, columns.license), _text(value, columns.path))
    instruction, response = _exchange(value, columns.conversation)
    if not response:
        instruction, response = _text(value, columns.instruction), _text(value, columns.response)
        if extra := _text(value, columns.input):
            instruction = f"{instruction}\n\n{extra}"
    if instruction.strip() and response:
        return Record(origin, "instruction", language, instruction, response, *known)
    if code := _text(value, columns.code):
        return Record(origin, "code", language, "", code, *known)
    raise Unusable("columns missing or empty", _remedy(sorted(value), columns), sorted(value))


def _remedy(names: Sequence[str], columns: Columns) -> str:
    """What to do about a record with these names and nothing to learn from."""
    if len(names) == 1 and (between := next((c for c in _DELIMITERS if c in names[0]), "")):
        return f"write delimiter = {json.dumps(between)} in the source's TOML"
    known = {name.casefold() for name in columns.all}
    alike = [n for n in names if n not in columns.all and n.casefold() in known]
    if alike:
        return f"name {', '.join(alike)} in [columns] of the source's TOML: capitals count"
    return ("give an instruction and a response, or code; a source of your own can name its "
            "columns otherwise (docs/sources.md)")  # fmt: skip


def distinct(names: Sequence[str]) -> None:
    """`Unusable` where two columns of a table have one name; those without one are none."""
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise Unusable("a column twice", "rename one of them", names)


def _text(value: dict[str, Any], names: Sequence[str]) -> str:
    """The first of these columns that the record has; empty if it has none."""
    for name in names:
        found = value.get(name)
        if found is None:
            continue
        if isinstance(found, bytes):  # Parquet has strings that are not marked as such
            try:
                found = found.decode()
            except UnicodeDecodeError as error:
                raise Unusable("not UTF-8", f"make {name!r} text", error) from None
        if not isinstance(found, str):
            raise Unusable("wrong type", f"make {name!r} a string", repr(found))
        return found
    return ""


def _exchange(value: dict[str, Any], names: Sequence[str]) -> tuple[str, str]:
    """A conversation's first question, of one turn or several, and its first answer."""
    turns: Any = next((value[n] for n in names if value.get(n) is not None), [])
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unusable("wrong type", "make the conversation a list of turns", repr(turns))
    asked: list[str] = []
    for turn in turns:
        role = _text(turn, ("role", "from")).lower()
        content = _text(turn, ("content", "value"))
        if role in _ASKS:
            asked.append(content)
        elif role in _ANSWERS and asked:
            return "\n\n".join(asked), content
    if turns:
        remedy = "give a turn of the user, and then one of the assistant"
        raise Unusable("no answer in the conversation", remedy, repr(turns))
    return "", ""
