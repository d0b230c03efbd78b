"""Sources as data: one TOML a source. See docs/sources.md for how to add one."""

from __future__ import annotations

import codecs
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jobs.signals.licence import UNKNOWN
from lakehouse.errors import UserError
from lakehouse.settings import Settings, data_file
from lakehouse.urls import Place, shown

FOLDER = Path(__file__).parent
PRESETS = FOLDER / "presets"

_NO_TEXTS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Python's codecs that are no encoding of a file: of names of hosts, of its own literals."""
Format = Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "source"]
Names = tuple[str, ...]


@cache
def preset(name: str) -> dict[str, Any]:
    """A table of `presets/`."""
    return tomllib.loads((PRESETS / f"{name}.toml").read_text())


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Columns(_Data):
    """For each field the names it may have; the first that a record bears is taken."""

    conversation: Names = ()
    """A list of turns: the first question and its answer become instruction and response."""
    instruction: Names = ()
    input: Names = ()
    """Set below the instruction."""
    response: Names = ()
    code: Names = ()
    """Taken where a record has no instruction with a response."""
    language: Names = ()
    license: Names = ()
    path: Names = ()

    @property
    def all(self) -> Names:
        """Every name that may be looked for."""
        return tuple(n for field in type(self).model_fields for n in getattr(self, field))


class Source(_Data):
    """Where documents come from and how their fields are named."""

    name: str = Field(min_length=1)
    """The TOML's name without its ending; the column `source` of every row."""
    owner: str = Field(min_length=1)
    """Who answers for it."""
    reader: Literal["files", "stdlib", "docstrings", "tiny_world"] = "files"
    """Who reads it (jobs/readers.py); `files` is the one for all that lies in files."""
    where: Place = ""
    """A file, a folder, a glob or a URI; relative to the TOML's folder."""
    format: Format = "auto"
    """auto: by each file's ending."""
    encoding: str = "utf-8"
    """Of text; a byte-order mark in a file wins."""
    delimiter: str = Field(default="", max_length=1)
    """Between two cells of CSV; a comma, of TSV a tab."""
    quotes: bool = True
    """Whether in CSV and TSV quotes enclose a cell; else they are characters, and a line a row."""
    columns: Columns = Field(default="usual", validate_default=True)
    """A preset's name, or a table."""
    language: str = ""
    """Of what no column and no ending tells the language of."""
    languages: dict[str, str] = Field(default_factory=dict)
    """Ending to language, for source files: its word, beside the endings of the preset."""
    license: str = UNKNOWN
    """SPDX identifier, for records that do not bear their own."""
    ignore: Names = (".git", ".hg", ".svn", "__pycache__")
    """Names of folders and files that are not part of the source; `*` and `?` as in a shell."""
    deal: bool = False
    """Whether records are dealt over `corpus.days` by a hash; else all come in on every day run."""

    @property
    def is_licensed(self) -> bool:
        """Whether it says a licence: then no LICENSE file is asked."""
        return self.license not in ("", UNKNOWN)

    @property
    def holds_code(self) -> bool:
        """Whether some of its files may be source files, which LICENSE files cover."""
        return self.format in ("auto", "source")

    def language_of(self, ending: str) -> str:
        """Its word on source files with that ending; empty where only the ending itself speaks."""
        otherwise = "" if ending in preset("languages") else self.language
        return self.languages.get(ending, otherwise)

    @property
    def endings(self) -> dict[str, str]:
        """Every ending that makes a source file, and its language."""
        return preset("languages") | self.languages

    @field_validator("languages")
    @classmethod
    def _lowered(cls, value: dict[str, str]) -> dict[str, str]:
        """Endings in lower case; the empty one is of files without any."""
        if no_endings := [ending for ending in value if ending and not ending.startswith(".")]:
            raise ValueError(f"an ending begins with a dot: write {'.' + no_endings[0]!r}")
        return {ending.lower(): language for ending, language in value.items()}

    @field_validator("delimiter")
    @classmethod
    def _between_cells(cls, value: str) -> str:
        if value and value in '"\r\n\0':
            raise ValueError("it ends no cell; write one such as ';' or '|'")
        return value

    @field_validator("columns", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        known = preset("columns")
        if isinstance(value, str) and value not in known:
            raise ValueError(f"no such preset; allowed: {', '.join(known)}, or a table")
        return known[value] if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            if name in _NO_TEXTS:
                raise LookupError(f"unknown encoding: {value}")
            "".encode(value)  # a codec of bytes to bytes is refused too
        except LookupError as error:
            raise ValueError(f"{error}; write a Python codec's name, such as latin-1") from None
        return name


def load(name: str, settings: Settings) -> Source:
    """The source of that name in jobs/sources, or of that TOML; UserError for what is not one."""
    path = data_file(FOLDER, "source", name)
    base = path.parent.resolve()
    try:
        told = tomllib.loads(path.read_text())
        if path == FOLDER / "local.toml":  # the one source that is set on the command line
            chosen = settings.local
            told |= {"where": chosen.path, "license": chosen.license, "language": chosen.language}
            base = Path.cwd()
        source = Source.model_validate({"name": path.stem, **told})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"source {path}: not TOML: {error}") from None
    except ValidationError as error:
        raise UserError(f"source {path}: {_explain(error)}") from None
    if source.where and "://" not in source.where:
        source = source.model_copy(update={"where": str(base / source.where)})
    return source


def chosen(settings: Settings) -> list[Source]:
    """The profile's sources; UserError where two would bear one name in the tables."""
    if not settings.corpus.sources:
        raise UserError("corpus.sources names no source, so that nothing would come in: name one "
                        "of those in docs/sources.md, or a TOML of your own")  # fmt: skip
    found = [load(name, settings) for name in settings.corpus.sources]
    names = [source.name for source in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise UserError(f"corpus.sources: two sources are named {twice[0]!r}; rename one TOML")
    return found


def _explain(error: ValidationError) -> str:
    """Every fault: the key, what was given, what is allowed."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            model = Columns if fault["loc"][0] == "columns" else Source
            lines.append(f"unknown key {key}; allowed: {', '.join(sorted(model.model_fields))}")
        elif fault["type"] == "missing":
            lines.append(f"{key} is missing")
        else:
            lines.append(f"{key}{shown(fault['input'])}: {fault['msg']}")
    return " | ".join(lines)
