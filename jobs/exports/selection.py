"""Which rows an export holds: DuckDB over the tables at the versions that they had when it began.

Whatever its kind, a row has `FIELDS`. The order is that of the table's key (of a training set that
of training), so equal versions and filters give equal rows in an equal order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jobs import past
from jobs.exports import PHASES, TRAINED_ON, Format, Kind
from jobs.filters import licensed
from lakehouse.delta import Lake
from lakehouse.errors import UserError, unknown
from lakehouse.schemas import arrow_schema, lacking
from lakehouse.stages import STAGES
from lakehouse.tables import (
    CONTAMINATION,
    DOCUMENTS,
    LINEAGE,
    PAIRS,
    PREFERENCES,
    TRAINING_EXAMPLES,
    Table,
)

FIELDS = {
    "pair_id": "VARCHAR", "snippet_id": "VARCHAR", "candidate_id": "VARCHAR",
    "document_id": "VARCHAR", "phase": "VARCHAR", "ds": "DATE", "source": "VARCHAR",
    "language": "VARCHAR", "license": "VARCHAR", "instruction": "VARCHAR", "response": "VARCHAR",
    "score": "DOUBLE", "scorer": "VARCHAR", "model_id": "VARCHAR", "prompt_version": "VARCHAR",
    "raw_index": "BIGINT", "prompt": "VARCHAR", "chosen": "VARCHAR", "rejected": "VARCHAR",
    "chosen_id": "VARCHAR", "rejected_id": "VARCHAR", "score_rejected": "DOUBLE",
    "reason": "VARCHAR",
}  # fmt: skip
"""DuckDB's types; null where a kind of rows has no such field. `raw_index` counts unfiltered."""
IDS = tuple(name for name in FIELDS if name.endswith("_id") and name != "model_id")
"""By which a row is found again."""
TABLES: Mapping[Kind, tuple[Table, ...]] = {
    "pairs": (PAIRS, CONTAMINATION),
    "examples": (TRAINING_EXAMPLES, PAIRS, DOCUMENTS, LINEAGE, CONTAMINATION),
    "preferences": (PREFERENCES, CONTAMINATION),
}
"""What each kind is read from, its own table first."""
_PLACE = "row_number() OVER (ORDER BY {}) - 1 AS raw_index"
_ROWS: Mapping[Kind, str] = {
    "pairs": f"""
        SELECT *, 'self_generated' AS phase, {_PLACE.format(", ".join(("ds", *PAIRS.key)))}
        FROM gold.instruction_pairs""",
    "preferences": f"""
        SELECT *, score_chosen AS score, {_PLACE.format(", ".join(("ds", *PREFERENCES.key)))}
        FROM gold.preference_pairs""",
    "examples": f"""
        SELECT e.pair_id, e.phase, e.instruction, e.response, o.* EXCLUDE id,
            {_PLACE.format("list_position(getvariable('phases'), e.phase), e.position")}
        FROM gold.training_examples e LEFT JOIN origins o ON o.id = e.pair_id
        WHERE training_set_id = getvariable('training_set')
            AND e.phase IN getvariable('phases')""",
}
_ORIGIN = ("document_id", "ds", "source", "language", "license", "snippet_id", "candidate_id",
           "score", "scorer", "model_id", "prompt_version")  # fmt: skip
"""What an example has from its pair; an original has the first five, from its document."""
_ORIGINS = """
    CREATE TABLE origins AS SELECT id, unnest(min_by(origin, place)) FROM (
        SELECT pair_id AS id, {pair} AS origin, ('', ds, snippet_id) AS place
        FROM gold.instruction_pairs WHERE pair_id IN (SELECT pair_id FROM gold.training_examples)
        UNION ALL
        SELECT document_id, {document}, (source, ds, '') FROM bronze.documents
        WHERE kind = 'instruction'
    ) GROUP BY id"""
"""Of equal ids, which are hashes of the text, the first."""
_OLDER = f"""
    INSERT INTO origins SELECT pair_id, unnest(min_by({{pair}}, (ds, snippet_id)))
    FROM {past.ROWS} WHERE pair_id IN (SELECT pair_id FROM gold.training_examples)
        AND pair_id NOT IN (SELECT id FROM origins) GROUP BY pair_id"""
_MIXED_FROM = """
    SELECT max(input_version) FROM ops.lineage_edges
    WHERE input_table = 'gold.instruction_pairs' AND run_id IN (SELECT run_id
        FROM gold.training_examples WHERE training_set_id = getvariable('training_set'))"""
_RULES = {
    # a preference has no pair's id, an original no snippet's
    "benchmark material": "coalesce(pair_id NOT IN (FROM dirty), true) AND "
                          "coalesce(snippet_id NOT IN (FROM dirty), true)",
    "origin not known": "license IS NOT NULL",
    "day": "ds BETWEEN getvariable('first') AND getvariable('last')",
    "language": "language IN getvariable('languages')",
    "source": "source IN getvariable('sources')",
    "license": "license IN getvariable('licenses')",
    "score": "score >= getvariable('min_score')",
}  # fmt: skip
"""SQL by what a row is left out for, in this order; those of filters only where they are set."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are wanted; empty or None: all."""

    first: dt.date | None = None
    last: dt.date | None = None
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    """SPDX identifiers; of a licence with alternatives one must consist of these."""
    min_score: float | None = None
    training_set: str = ""
    phases: tuple[str, ...] = ()
    """Of the training set, in this order."""

    def told(self) -> dict[str, Any]:
        """Those that are set, as JSON has them."""
        plain = {
            name: str(value) if isinstance(value, dt.date) else value
            for name, value in asdict(self).items()
        }
        return {n: [*v] if isinstance(v, tuple) else v
                for n, v in plain.items() if v not in (None, (), "")}  # fmt: skip

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Filters:
        """From what `told` said of them."""
        days = {n: dt.date.fromisoformat(told[n]) for n in ("first", "last") if n in told}
        lists = {n: tuple(v) for n, v in told.items() if isinstance(v, list)}
        return cls(**{**told, **lists, **days})


class Selection:
    """The rows of an export, in order; how many were left out and why; the versions read.

    Of `versions`, where they are given, else of the newest.
    """

    def __init__(
        self, lake: Lake, shape: Format, filters: Filters, versions: Mapping[str, int] | None = None
    ) -> None:
        import duckdb

        self.kind, self.filters = _kind(shape, filters), filters
        self.table = TABLES[self.kind][0]
        self.versions: dict[str, int] = {}
        """By table; those that are not there yet are left out."""
        self.sql = duckdb.connect()
        self._show(lake, versions)
        self._state()
        if self.kind == "examples":
            self._find_origins(lake)
        self._choose()

    def rows(self, batch: int) -> Iterator[list[dict[str, Any]]]:
        """The chosen rows in order, in lists of so many."""
        answer = self.sql.execute(
            f"SELECT {', '.join(FIELDS)} FROM judged WHERE why IS NULL ORDER BY raw_index"
        )
        while found := answer.fetchmany(batch):
            yield [dict(zip(FIELDS, row, strict=True)) for row in found]

    def counted(self, *by: str, why: str = "why IS NULL") -> list[tuple[Any, ...]]:
        """Rows by these columns, the most first: (..., rows); of those chosen, or as `why` says."""
        names = ", ".join(by)
        return self.sql.execute(
            f"SELECT {names}, count(*) AS n FROM judged WHERE {why} GROUP BY ALL "
            f"ORDER BY n DESC, {names}"
        ).fetchall()

    def counted_by_source(self) -> list[tuple[Any, ...]]:
        """The chosen rows by (source, language, first day, last day, rows), the most first."""
        return self.sql.execute(
            "SELECT source, language, min(ds), max(ds), count(*) AS n FROM judged "
            "WHERE why IS NULL GROUP BY ALL ORDER BY n DESC, source, language"
        ).fetchall()

    def holding(self, marks: list[str]) -> int:
        """How many of the chosen rows bear an id, or are of a record, with one of these marks."""
        marked = ("source || '/' || document_id", *IDS)
        named = " OR ".join(f"sha256({text}) IN getvariable('marks')" for text in marked)
        self.sql.execute("SET VARIABLE marks = $1", [marks])
        ((n,),) = self.sql.execute(
            f"SELECT count(*) FROM judged WHERE why IS NULL AND ({named})"
        ).fetchall()  # fmt: skip
        return int(n)

    def _show(self, lake: Lake, versions: Mapping[str, int] | None) -> None:
        """The tables as views, with nulls in columns that they are older than."""
        for layer in {t.layer for t in TABLES[self.kind]}:
            self.sql.execute(f"CREATE SCHEMA {layer}")
        for table in TABLES[self.kind]:
            found = None
            if table is LINEAGE or versions is None:  # append-only: it says what it said
                found = lake.open(table)
            elif table.full_name in versions:
                found = lake.open(table, versions[table.full_name])
            if found is None and table is self.table:
                makers = ",".join(s.name for s in STAGES if table in s.writes)
                raise UserError(f"{table.full_name} has no rows yet in {lake.root}: run what comes "
                                f"before, and `lake run … --stages {makers}`")  # fmt: skip
            if found and table is not LINEAGE:
                self.versions[table.full_name] = found.version()
            rows: Any = found.to_pyarrow_dataset() if found else arrow_schema(table).empty_table()
            self.sql.register(f"_{table.name}", rows)
            later = [c.name for c in lacking(found, table)] if found else []
            nulls = "".join(f", NULL::{FIELDS.get(n, 'VARCHAR')} AS {n}" for n in later)
            self.sql.execute(f"CREATE VIEW {table.full_name} AS SELECT *{nulls} FROM _{table.name}")

    def _state(self) -> None:
        """The filters as variables of the connection; UserError where one can match nothing."""
        asked = self.filters
        values = {
            "first": asked.first or dt.date.min, "last": asked.last or dt.date.max,
            "languages": list(asked.languages), "sources": list(asked.sources),
            "min_score": asked.min_score, "training_set": asked.training_set,
            "phases": list(asked.phases or TRAINED_ON),
        }  # fmt: skip
        for name, value in values.items():
            self.sql.execute(f"SET VARIABLE {name} = $1", [value])
        self._require("phase", asked.phases, PHASES)
        if asked.training_set:
            self._require("training set", (asked.training_set,), self._values("training_set_id"))

    def _find_origins(self, lake: Lake) -> None:
        """Where examples come from: the newest pairs, else those that the set was mixed from."""
        pair = f"struct_pack({', '.join(f'{n} := {n}' for n in _ORIGIN)})"
        given = [n if k < 5 else f"NULL::{FIELDS[n]}" for k, n in enumerate(_ORIGIN)]
        parts = (f"{n} := {value}" for n, value in zip(_ORIGIN, given, strict=True))
        self.sql.execute(_ORIGINS.format(pair=pair, document=f"struct_pack({', '.join(parts)})"))
        ((mixed,),) = self.sql.execute(_MIXED_FROM).fetchall()
        if mixed is not None:
            newest = self.versions.get(PAIRS.full_name)
            past.each(self.sql, lake, PAIRS, {mixed}, _OLDER.format(pair=pair), newest)

    def _choose(self) -> None:
        """The view `judged`: every row with `why` it is left out, null where it is not."""
        self.sql.execute("CREATE TABLE dirty AS SELECT DISTINCT row_id FROM "
                         "ops.contamination_hits WHERE verdict <> 'clean'")  # fmt: skip
        self.sql.execute(f"CREATE VIEW found AS {_ROWS[self.kind]}")
        held = self.sql.sql("FROM found").columns
        fields = [n if n in held else f"NULL::{kind} AS {n}" for n, kind in FIELDS.items()]
        self.sql.execute(f"CREATE VIEW rows_of AS SELECT {', '.join(fields)} FROM found")
        self._require("language", self.filters.languages, self._values("language", "rows_of"))
        self._require("source", self.filters.sources, self._values("source", "rows_of"))
        self.sql.execute("SET VARIABLE licenses = $1", [self._licenses()])
        asked = {"day": self.filters.first or self.filters.last, "language": self.filters.languages,
                 "source": self.filters.sources, "license": self.filters.licenses,
                 "score": self.filters.min_score is not None}  # fmt: skip
        cases = " ".join(
            f"WHEN NOT coalesce({rule}, false) THEN '{why}'"
            for why, rule in _RULES.items() if asked.get(why, True)
        )  # fmt: skip
        self.sql.execute(f"CREATE VIEW judged AS SELECT *, CASE {cases} END AS why FROM rows_of")

    def _licenses(self) -> list[str]:
        """The licences of rows that the asked ones allow, in whatever case those are written.

        Names that no row has are no mistake: they may be a list of all that somebody may use.
        """
        held = self._values("license", "rows_of")
        asked = {name.casefold() for name in self.filters.licenses}
        names = {word.strip("()") for expression in held for word in expression.split()}
        allowed = tuple(name for name in {*names, *held} if name.casefold() in asked)
        return [expression for expression in held if licensed(expression, allowed)]

    def _values(self, column: str, of: str = "") -> list[str]:
        rows = self.sql.execute(
            f"SELECT DISTINCT {column} FROM {of or self.table.full_name} "
            f"WHERE {column} IS NOT NULL ORDER BY 1"
        ).fetchall()
        return [value for (value,) in rows]

    @staticmethod
    def _require(what: str, asked: Any, held: Any) -> None:
        for name in asked:
            if name not in held:
                raise unknown(what, name, held)


def _kind(shape: Format, filters: Filters) -> Kind:
    """Which rows are meant; UserError where the format has no such rows."""
    if filters.phases and not filters.training_set:
        raise UserError("--phase is of a training set: give --training-set ID, too")
    if not filters.training_set:
        return shape.rows[0]
    if "examples" not in shape.rows:
        raise UserError("--training-set has no such rows: its examples are instructions and "
                        "responses; take --format messages or prompt-completion")  # fmt: skip
    return "examples"
