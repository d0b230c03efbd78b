"""Which tables a query names, and as of which version or time.

    SELECT count(*) FROM gold.instruction_pairs VERSION AS OF 3
    SELECT count(*) FROM gold.instruction_pairs TIMESTAMP AS OF '2026-11-01 06:00'

The words are Spark's and Databricks's; `FOR VERSION AS OF` is Trino's. Texts and comments of the
query name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from lakehouse.tables import TABLES, VIEWS

_NAMES = "|".join(sorted({name.partition(".")[0] for name in (*TABLES, *VIEWS)}))
_TOKEN = re.compile(
    rf"""\be'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' |
    \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | --[^\n]* | /\*.*?\*/ |
    (?P<q1>"?)\b(?P<layer>{_NAMES})\b(?P=q1) \s*\.\s* (?P<q2>"?)(?P<name>\w+)(?P=q2)
    (?P<column> \s*\.\s* (?=["\w*]) )?
    (?P<as_of> \s+ (?:FOR\s+)? (?P<by>VERSION|TIMESTAMP) \s+ AS \s+ OF \s+
        (?P<point> \d+(?![\w.:-]) | (?:TIMESTAMP\s*)? '[^']*' | \S+ ) )?""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_ALIAS = re.compile(r'\s+(?:AS\s|"|(?P<word>\w+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mention:
    """A table or view that a query names: `layer.name`, and as of when, if it says."""

    full_name: str
    by: str = ""
    """version, timestamp, or empty: as it is now."""
    point: str = ""
    """The version's number, or the time as it was written."""

    @property
    def relation(self) -> str:
        """Under which name the query is given it."""
        layer, _, name = self.full_name.partition(".")
        return f'{layer}."{name} {self.by} {self.point}"' if self.by else self.full_name


def bare(query: str) -> str:
    """The query without its texts and comments."""
    return _TOKEN.sub(lambda match: match[0] if match["layer"] else " ", query)


def read(query: str, keywords: Callable[[], Collection[str]]) -> tuple[str, set[Mention]]:
    """The query with every `… AS OF …` as a relation of its own, and all that it names.

    One that bears no alias keeps the table's name as one, and so do its columns that are written
    with their table's layer; `keywords` are the words that are no alias.
    """
    found: set[Mention] = set()
    past = {m["layer"].lower() + "." + m["name"].lower() for m in _TOKEN.finditer(query) if m["by"]}

    def put(match: re.Match[str]) -> str:
        if match["layer"] is None:
            return match[0]
        by, point = (match["by"] or "").lower(), match["point"] or ""
        point = point[max(point.find("'"), 0) :].strip("'")
        if match["column"] and f"{match['layer']}.{match['name']}".lower() in past:
            return f"{match['name']}{match['column']}"
        mention = Mention(f"{match['layer']}.{match['name']}".lower(), by, point)
        found.add(mention)
        if not by:
            return match[0]
        follows = _ALIAS.match(query, match.end())
        word = follows and follows["word"]
        named = follows and (word is None or word.lower() not in keywords())
        return mention.relation + ("" if named else f" AS {match['name']}")

    return _TOKEN.sub(put, query), found
