"""The keys from a score to its sources and back, followed one level at a time in DuckDB.

The chain, from its source to its end: documents, snippets, candidates, pairs, training_sets,
training_runs, models, scores. A walk starts from rows of one of them; no row leaves DuckDB,
and no text is read but where pairs were drawn by chance.

Which pairs a training set was made from is asked of the very version that its `mix` run read
(ops.lineage_edges). The other ids are hashes of what their rows hold, so any version's row will do:
the newest's, else that of one that a run has read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import past, queries
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import (
    CANDIDATES,
    DOCUMENTS,
    JOB_RUNS,
    LINEAGE,
    MODELS,
    PAIRS,
    REJECTED,
    RELEASED,
    SCORES,
    SNIPPETS,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
    Table,
)  # fmt: skip

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Kind:
    """A level of the chain: its table, the key that a person names, and what is told of a row."""

    table: Table
    id: str
    told: str
    """SQL: the columns that are shown, and those by which neighbours are found."""


KINDS: Mapping[str, Kind] = {
    "documents": Kind(DOCUMENTS, "document_id", "source, ds, origin, license, kind"),
    "snippets": Kind(SNIPPETS, "snippet_id", "source, ds, document_id, start_line, end_line, "
                     "language, kind, name, license"),
    "candidates": Kind(CANDIDATES, "candidate_id", "ds, snippet_id, model_id, prompt_version, "
                       "status"),
    "pairs": Kind(PAIRS, "pair_id", "source, ds, snippet_id, candidate_id, document_id, language, "
                  "license, score"),
    "training_sets": Kind(TRAINING_EXAMPLES, "training_set_id", ""),
    "training_runs": Kind(TRAINING_RUNS, "training_run_id", "arm, training_set_id, recipe, seed, "
                          "steps, git_sha, config"),
    "models": Kind(MODELS, "model_id", "arm, base_model_id, training_run_id, promoted"),
    "scores": Kind(SCORES, "model_id || '/' || benchmark || '/' || metric", "value, ci_low, "
                   "ci_high, n, model_id, control_model_id, benchmark_version"),
}  # fmt: skip
"""From the source to the end. A training set is no row; `_SETS` tells of it."""
_SETS = """
    INSERT INTO training_sets
    SELECT s.id, s.parent, coalesce(e.pairs, 0), coalesce(e.originals, 0), e.run_id
    FROM entered s LEFT JOIN (
        SELECT training_set_id, min(run_id) AS run_id,
            count(DISTINCT pair_id) FILTER (phase <> 'original') AS pairs,
            count(*) FILTER (phase = 'original') AS originals
        FROM examples WHERE training_set_id IN (SELECT id FROM entered) GROUP BY ALL
    ) e ON e.training_set_id = s.id"""
_READ = """
    CREATE TABLE read_by AS SELECT DISTINCT e.training_set_id,
        coalesce(l.input_version, $newest) AS version
    FROM (SELECT DISTINCT training_set_id, run_id FROM examples {where}) e
    LEFT JOIN ops.lineage_edges l
        ON l.run_id = e.run_id AND l.input_table = 'gold.instruction_pairs'"""
_DRAWN = f"""
    FROM {past.ROWS} t JOIN silver.candidates c ON c.snippet_id = t.snippet_id
    JOIN {{sought}} w ON w.pair_id = sha256(c.instruction || chr(0) || t.response)"""
"""SQL: pairs that `mix` drew by chance, which are never published: another candidate `c` of the
snippet of a published pair `t`. Their ids are what `jobs.choose.pair_id` makes of them."""
_DRAWN_TOLD = ", ".join({"candidate_id": "c.candidate_id", "score": "NULL"}.get(n, f"t.{n}")
                        for n in KINDS["pairs"].told.split(", "))  # fmt: skip
"""Whatever the published pair's score was, it was not that of the one drawn."""
_THEN, _ANY = "list_contains($versions, w.version)", "w.version IN (FROM let_go)"
"""SQL: a pair as it was when it was read; or in any version, where that one was let go: a takedown
takes whole files, and what they held besides is in a newer version only. A pair's id is a hash of
its texts."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a trace starts: a level, and SQL about its table's rows."""

    level: str
    where: str


class Walk:
    """One direction of a trace: a table a level (`id`, `parent`, what is told, `run_id`).

    The tables are in a schema of their own, which the connection is then at.
    """

    def __init__(
        self, sql: duckdb.DuckDBPyConnection, lake: Lake, start: Start, schema: str
    ) -> None:
        self.sql, self.lake, self.start = sql, lake, start
        sql.execute(f"CREATE SCHEMA {schema}; USE {schema}")
        self.missing: dict[str, int] = {}
        self._newest = lake.version(PAIRS) or 0
        for name, kind in KINDS.items():
            told = "0 AS pairs, 0 AS originals" if name == "training_sets" else kind.told
            self.sql.execute(
                f"CREATE TABLE {name} AS SELECT {kind.id} AS id, '' AS parent, {told}, run_id "
                f"FROM {kind.table.full_name} LIMIT 0"
            )
        self.sql.execute("ALTER TABLE pairs ADD COLUMN versions BIGINT[]")
        gone = lake.read(RELEASED, {"table_name": PAIRS.full_name}, ["version"])
        self.sql.register("_let_go", gone)
        self.sql.execute("CREATE TABLE let_go AS FROM _let_go")
        self.sql.execute("CREATE TABLE entered (id VARCHAR, parent VARCHAR, phases VARCHAR[])")
        self._examples()

    # -- towards the sources ----------------------------------------------------------------------

    def made_from(self) -> None:
        """Fill the levels from the start's towards the sources."""
        place = self._begin(all_sets=False)
        of_pairs = place >= _place("pairs")
        if place >= _place("scores"):
            self._add("models", "m.model_id IN (f.model_id, f.control_model_id)", "scores f")
        if place >= _place("models"):
            self._related("m.model_id = f.base_model_id")
            self._add("training_runs", "m.training_run_id = f.training_run_id", "models f")
        if place >= _place("training_runs"):
            self.sql.execute("INSERT INTO entered SELECT training_set_id, id, "
                             f"{queries.LEARNT.format('r')} FROM training_runs r")  # fmt: skip
        if place >= _place("training_sets"):
            self.sql.execute(_SETS)
            self._pairs_of_sets()
        if of_pairs:
            self._find("candidates", "SELECT DISTINCT candidate_id AS id, id AS parent FROM pairs")
        if place >= _place("candidates"):
            self._find("snippets", "SELECT DISTINCT snippet_id AS id, "
                       + ("candidate_id AS parent, document_id FROM pairs" if of_pairs else
                          "id AS parent FROM candidates"))  # fmt: skip
        if place >= _place("snippets"):
            self._find("documents", "SELECT DISTINCT document_id AS id, source, ds, "
                       + ("snippet_id AS parent FROM pairs" if of_pairs else
                          "id AS parent FROM snippets"))  # fmt: skip
        if place >= _place("training_sets"):
            self._originals()

    def _pairs_of_sets(self) -> None:
        """The pairs of the sets, each at the version that its set was made from."""
        within = f"WHERE training_set_id IN {listed(self._ids('entered'))}"
        self.sql.execute(_READ.format(where=within), {"newest": self._newest})
        self.sql.execute(
            "CREATE TABLE wanted AS SELECT DISTINCT e.pair_id, e.training_set_id, r.version "
            f"FROM (FROM examples {within} AND phase <> 'original') e JOIN read_by r "
            "USING (training_set_id) JOIN entered s ON s.id = e.training_set_id "
            "AND coalesce(list_contains(s.phases, e.phase), true)"
        )
        found = "EXISTS (FROM pairs p WHERE p.id = w.pair_id AND p.parent = w.training_set_id)"
        lacking = f"SELECT DISTINCT version, training_set_id FROM wanted w WHERE NOT {found}"
        published = (
            f"SELECT t.pair_id, w.training_set_id, {KINDS['pairs'].told}, t.run_id, $versions "
            f"FROM {past.ROWS} t JOIN wanted w ON w.pair_id = t.pair_id"
        )
        drawn = (f"SELECT DISTINCT w.pair_id, w.training_set_id, {_DRAWN_TOLD}, t.run_id, "
                 f"$versions {_DRAWN.format(sought='wanted')}")  # fmt: skip
        for at in (_THEN, _ANY):
            for select in (published, drawn):
                if self.sql.execute("FROM wanted LIMIT 1").fetchall():
                    self._pairs(f"{select} AND {at} AND NOT {found}", lacking)
                    self.sql.execute(f"DELETE FROM wanted w WHERE {found}")
        (lost,) = self.sql.execute("SELECT count(*) FROM wanted").fetchone() or (0,)
        self.missing["pairs"] = lost

    def _originals(self) -> None:
        """The original documents of the sets: the first that bear the id and repeat no other."""
        self.sql.execute(
            "CREATE TABLE originals AS SELECT DISTINCT e.pair_id AS id, s.id AS parent FROM (FROM "
            f"examples WHERE training_set_id IN {listed(self._ids('entered'))} "
            "AND phase = 'original') e JOIN entered s ON s.id = e.training_set_id "
            "AND coalesce(list_contains(s.phases, 'original'), true)"
        )
        self._find("documents", "SELECT * FROM originals")
        self.sql.execute(
            "DELETE FROM documents d WHERE parent IN (SELECT id FROM entered) AND EXISTS (FROM "
            "documents o WHERE o.id = d.id AND o.parent = d.parent "
            "AND (o.ds, o.source) < (d.ds, d.source))"
        )

    # -- towards the scores -----------------------------------------------------------------------

    def went_into(self) -> None:
        """Fill the levels from the start's towards the scores."""
        place = self._begin(all_sets=True)
        if place <= _place("documents"):
            self._add("snippets", "m.document_id = f.id", "documents f")
        if place <= _place("snippets"):
            self._add("candidates", "m.snippet_id = f.id", "snippets f")
        if place <= _place("candidates"):
            name = self.start.level
            self._pairs(
                f"SELECT DISTINCT t.pair_id, f.id, {_told('pairs', 't')}, t.run_id, $versions "
                f"FROM {past.ROWS} t JOIN {name} f ON f.id = t.{KINDS[name].id}"
            )
            self._drawn(name)
        if place <= _place("pairs"):
            self._sets_of_pairs(originals=place == _place("documents"))
        if place <= _place("training_sets"):
            self._add("training_runs", "m.training_set_id = f.id AND coalesce(list_has_any("
                      f"f.phases, {queries.LEARNT.format('m')}), true)", "entered f")  # fmt: skip
        if place <= _place("training_runs"):
            self._add("models", "m.training_run_id = f.id", "training_runs f")
        if place <= _place("models"):
            self._related("m.base_model_id = f.id")
            self._add("scores", "f.id IN (m.model_id, m.control_model_id)", "models f")

    def _drawn(self, name: str) -> None:
        """The pairs drawn by chance whose candidate, snippet or document is in this level."""
        self.sql.execute("CREATE TABLE drawn AS SELECT DISTINCT pair_id FROM examples WHERE "
                         "phase = 'random' AND pair_id NOT IN (SELECT id FROM pairs)")  # fmt: skip
        if self.sql.execute("FROM drawn LIMIT 1").fetchall():
            near = "c" if name == "candidates" else "t"
            self._pairs(
                f"SELECT DISTINCT w.pair_id, f.id, {_DRAWN_TOLD}, t.run_id, $versions "
                f"{_DRAWN.format(sought='drawn')} JOIN {name} f ON f.id = {near}.{KINDS[name].id}"
            )

    def _sets_of_pairs(self, *, originals: bool) -> None:
        found = (
            "INSERT INTO entered SELECT e.training_set_id, f.id, list(DISTINCT e.phase) "
            "FROM examples e JOIN {} GROUP BY ALL"
        )
        self.sql.execute(found.format(
            "pairs f ON f.id = e.pair_id AND e.phase <> 'original' JOIN read_by r ON "
            "r.training_set_id = e.training_set_id AND (list_contains(f.versions, r.version) "
            "OR r.version IN (FROM let_go))"
        ))  # fmt: skip
        if originals:
            self.sql.execute(found.format(
                "documents f ON f.id = e.pair_id AND e.phase = 'original'"
            ))  # fmt: skip
        self.sql.execute(_SETS)

    # -- both --------------------------------------------------------------------------------------

    def _examples(self) -> None:
        """The view `examples`: those of the newest version, and of sets that are no more."""
        self.sql.execute("CREATE TABLE lost AS SELECT training_set_id, phase, pair_id, run_id "
                         "FROM gold.training_examples LIMIT 0")  # fmt: skip
        named = self.sql.execute("SELECT DISTINCT training_set_id FROM ops.training_runs "
                                 "WHERE arm NOT IN ('base', 'teacher')").fetchall()  # fmt: skip
        if gone := {s for (s,) in named} - self.lake.counts(TRAINING_EXAMPLES).keys():
            self._superseded(TRAINING_EXAMPLES, "INSERT INTO lost SELECT training_set_id, phase, "
                             f"pair_id, run_id FROM {past.ROWS} WHERE training_set_id IN "
                             f"{listed(gone)}")  # fmt: skip
        self.sql.execute("CREATE VIEW examples AS SELECT training_set_id, phase, pair_id, run_id "
                         "FROM gold.training_examples UNION ALL FROM lost")  # fmt: skip

    def _begin(self, *, all_sets: bool) -> int:
        """Enter the start's rows; the place of its level in the chain."""
        name, kind = self.start.level, KINDS[self.start.level]
        place = _place(name)
        if place <= _place("pairs") and (all_sets or name == "pairs"):
            self.sql.execute(_READ.format(where=""), {"newest": self._newest})
        if name == "pairs":
            self._pairs(f"SELECT pair_id, '', {kind.told}, run_id, $versions FROM {past.ROWS} "
                        f"WHERE {self.start.where}")  # fmt: skip
        elif name == "training_sets":
            self.sql.execute(
                "INSERT INTO entered SELECT DISTINCT training_set_id, '', NULL FROM (SELECT "
                "training_set_id FROM examples UNION SELECT training_set_id "
                f"FROM ops.training_runs) WHERE {self.start.where}"
            )
            if all_sets:
                self.sql.execute(_SETS)
        else:
            insert = (f"INSERT INTO {name} SELECT {kind.id}, '', {kind.told}, run_id "
                      f"FROM {{}} WHERE {self.start.where}")  # fmt: skip
            self.sql.execute(insert.format(kind.table.full_name))
            if not self._ids(name):
                self._superseded(kind.table, insert.format(past.ROWS))
        return place

    def _pairs(
        self, select: str, lacking: str = "SELECT version, training_set_id FROM read_by"
    ) -> None:
        """Rows of pairs at the newest version and at all that training sets were made from.

        UserError where a version that is `lacking` (version, training set) is gone.
        """
        versions = {v for (v,) in self.sql.execute("SELECT version FROM read_by").fetchall()}
        gone = past.each(self.sql, self.lake, PAIRS, {*versions, self._newest},
                         f"INSERT INTO pairs {select}")  # fmt: skip
        if not gone:
            return
        for version, set_id in sorted(self.sql.execute(lacking).fetchall()):
            if version in gone:
                raise UserError(
                    f"{PAIRS.full_name} version {version}, which training set {set_id} was made "
                    "from, cannot be read any more: its log or files have been vacuumed. What was "
                    "superseded since is lost; restore them from a backup"
                )

    def _add(self, name: str, on: str, near: str) -> None:
        """Rows of a level's newest version `m` that match the rows `f` of a neighbour."""
        self.sql.execute(
            f"INSERT INTO {name} SELECT DISTINCT {_key(name, 'm')}, f.id, {_told(name, 'm')}, "
            f"m.run_id FROM {KINDS[name].table.full_name} m JOIN {near} ON {on}"
        )

    def _related(self, on: str) -> None:
        """Models that the models reached were trained from, or that were trained from them."""
        before = -1
        while before != (before := len(self._ids("models"))):
            self.sql.execute(
                f"INSERT INTO models SELECT DISTINCT m.model_id, f.id, {_told('models', 'm')}, "
                f"m.run_id FROM ops.models m JOIN models f ON {on} "
                "WHERE m.model_id NOT IN (SELECT id FROM models)"
            )

    def _find(self, name: str, wanted: str) -> None:
        """Rows of a level by SQL of their `id`, `parent` and what else must agree."""
        self.sql.execute(f"CREATE OR REPLACE TABLE sought AS {wanted}")
        names = [d[0] for d in self.sql.execute("FROM sought LIMIT 0").description or []]
        agree = " AND ".join(f"m.{n} = w.{n}" for n in names if n not in ("id", "parent"))
        on = f"{_key(name, 'm')} = w.id" + (f" AND {agree}" if agree else "")
        insert = (f"INSERT INTO {name} SELECT DISTINCT w.id, w.parent, {_told(name, 'm')}, "
                  f"m.run_id FROM {{}} m JOIN sought w ON {on}")  # fmt: skip
        self.sql.execute(insert.format(KINDS[name].table.full_name))
        if self._lacking(name):
            self._superseded(KINDS[name].table, insert.format(past.ROWS))
            self.missing[name] = self.missing.get(name, 0) + self._lacking(name)

    def _lacking(self, name: str) -> int:
        """How many of the rows sought have not been found; only those are sought from then on."""
        self.sql.execute(f"DELETE FROM sought w WHERE EXISTS (FROM {name} m WHERE m.id = w.id "
                         f"AND m.parent = w.parent)")  # fmt: skip
        return len(self._ids("sought"))

    def _superseded(self, table: Table, statement: str) -> None:
        """Execute a statement on the rows that some run has read and that are no more."""
        gone = past.each(self.sql, self.lake, table, past.cited(self.sql, table), statement,
                         besides=self.lake.version(table))  # fmt: skip
        if gone:
            raise UserError(
                f"{table.full_name}: what was superseded cannot be read any more at version "
                f"{', '.join(map(str, sorted(gone)))}: its log or files have been vacuumed; "
                "restore them from a backup"
            )

    def _ids(self, name: str) -> list[str]:
        return [i for (i,) in self.sql.execute(f"SELECT DISTINCT id FROM {name}").fetchall()]


def connect(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection with the tables that a trace goes through."""
    tables = [*(k.table for k in KINDS.values()), JOB_RUNS, LINEAGE, REJECTED]
    return queries.connect(lake, tables)


def _place(name: str) -> int:
    return list(KINDS).index(name)


def _told(name: str, alias: str) -> str:
    return ", ".join(f"{alias}.{column}" for column in KINDS[name].told.split(", "))


def _key(name: str, alias: str) -> str:
    return " || ".join(p if "'" in p else f"{alias}.{p}" for p in KINDS[name].id.split(" || "))


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def listed(ids: Iterable[str]) -> str:
    """Ids as SQL has them after IN; of none, what nothing equals."""
    return f"({', '.join(map(quoted, ids)) or 'NULL'})"
