"""How a stage runs: settings, the no-op check, the work, the books, the report.

A stage is a `Stage` value and a `main(run)`; everything that all stages share happens here, once.
Its grain says what one run covers:

- `partition`: one day. A run also refreshes the days it has already done whose inputs have moved
  since (an older day may become the original of a newer one's documents); one that fails is
  recorded as failed and does not stop the run's own day.
- `corpus`: a function of the whole corpus; one run brings every day up to date.
- `key`: the partition only names the run (training and evaluation).

Nothing is done, and no engine is started, where the newest successful run had an equal
fingerprint: the inputs' data files, the settings the stage reads, and its source code.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import structlog
from structlog.contextvars import bound_contextvars

from lakehouse import dictionary, openlineage
from lakehouse.bill import price
from lakehouse.books import Book, History, balance, history, moved
from lakehouse.damage import missing, of_file
from lakehouse.delta import Lake, Scope, predicate
from lakehouse.errors import GateError, ServiceError, UserError, masked, translated
from lakehouse.fingerprints import Fingerprints
from lakehouse.settings import Settings
from lakehouse.tables import REJECTED, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one day: read, kept, rejected; and what models read and wrote."""

    rows_in: int
    rows_kept: int
    rows_rejected: int
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Those of `prompt_tokens` that the engine had in its cache."""
    model_seconds: float = 0.0
    """Wall seconds in which a model was at work, its start aside."""
    note: str = ""
    """What the run made, where later stages look it up by this run (a training set's id), or, in
    words, what it decided."""


Narrow = Callable[[Lake, Settings, dt.date], Mapping[str, str]]
"""Digests by partition, and of the whole under `*`, as of `Lake.digests`; for a run of that day."""


NOTHING = Counts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One job: what it is called, reads, writes, depends on, and does."""

    name: str
    main: Callable[[Run], Counts | Mapping[dt.date, Counts]]
    reads: tuple[Table, ...] = ()
    writes: tuple[Table, ...] = ()
    settings: tuple[str, ...] = ()
    """Sections of the settings that change its result."""
    grain: Literal["partition", "corpus", "key"] = "partition"
    whole: tuple[Table, ...] = ()
    """Those of `reads` that are read whole, not just the day's partition."""
    narrowed: Mapping[Table, Narrow] = field(default_factory=dict)
    """Those of `reads` of which only a part counts, and the digests of that part."""
    depends: Callable[[Settings], str] = lambda _settings: ""
    """Anything else that changes the result, as text: prompt, benchmark and model versions."""
    is_there: Callable[[Lake, Settings, dt.date, str], bool] = lambda *_: True
    """Whether what a day's run wrote beside its tables, such as a model's files, is still there."""
    refreshes_all: bool = False
    """Whether changed settings, versions or code, too, make days stale that are done already."""
    enabled: Callable[[Settings], bool] = lambda _settings: True
    """Whether a process of several stages runs it; run by itself it is whatever this says."""
    option: tuple[str, tuple[str, ...]] | None = None
    """An extra required argument and its choices, such as ("arm", ("inverse", "control"))."""
    shares: bool = False
    """Whether several processes can divide a day's work (`--share 0-of-4`), which a run without a
    share then closes: only that one rejects."""


@dataclass
class Run:
    """One execution of a stage for one partition."""

    stage: Stage
    label: str
    partition: dt.date
    settings: Settings
    lake: Lake
    run_id: str
    option: str = ""
    versions: dict[str, int] = field(default_factory=dict)
    """Delta version of each input, pinned at the start."""
    rules: str = ""
    """Hash of the settings, versions and code that decide the stage's result."""
    settled: bool = False
    """Whether the run before this one has finished: then the tables it wrote are in step."""
    force: bool = False
    """Whether all of it is asked for again: by a person, or because rows of it were lost."""
    progress: Callable[[Counts], None] = lambda _counts: None
    """Enters how far a long run has come; what it says of tokens stands if the run then fails."""

    @cached_property
    def log(self) -> Any:
        """Structured log, to stderr."""
        return structlog.get_logger().bind(stage=self.label, partition=str(self.partition))

    @cached_property
    def spark(self) -> SparkSession:
        """The Spark session; starting it is what a no-op run avoids.

        What a killed run left at work on a server is ended by the next of its name: of any day,
        where a run is about all of them.
        """
        from lakehouse.spark import session

        day = "" if self.stage.grain == "corpus" else str(self.partition)
        return session(self.settings, name=f"{self.label}/{day}/{self.lake.root}")

    def lost_spark(self) -> bool:
        """Whether this run had a Spark session whose Spark is no longer there."""
        from lakehouse.spark import lost

        return "spark" in vars(self) and lost(self.spark)

    def table(self, table: Table) -> DataFrame:
        """An input table in Spark, at the pinned version."""
        from lakehouse import spark

        return spark.read(self.spark, self.lake, table, self.versions.get(table.full_name))

    def write(self, table: Table, rows: DataFrame, scope: Scope | None = None) -> None:
        """Make the table's rows within a scope exactly these; rows that are dear to make should be
        checkpointed, as they are read more than once. A few are written by this process.
        """
        from lakehouse import bulk, spark

        few = spark.few(rows, table, self.settings.spark.writes_from)
        if few is not None:
            bulk.sync(self.lake, table, few, scope or {}, self.run_id)
        else:
            spark.sync(self.spark, self.lake, table, rows, self.run_id, predicate(scope or {}))

    def reject(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make this stage's rejected rows of this partition exactly these."""
        stamped = [{"ds": self.partition, "stage": self.label, **row} for row in rows]
        self.lake.sync(REJECTED, stamped, {"ds": self.partition, "stage": self.label}, self.run_id)

    def current(self, table: Table, version: int | None = None) -> DataFrame:
        """A table that the stage itself writes, in Spark: as it is now, or at a version."""
        from lakehouse import spark

        return spark.read(self.spark, self.lake, table, version)

    def replace(
        self, table: Table, rows: DataFrame, scope: Scope | None = None, note: str = "",
        few: bool = False,
    ) -> None:  # fmt: skip
        """Put these rows in the place of those within a scope, in one commit with a note; `few` of
        them are written by this process.
        """
        from lakehouse import bulk, spark

        scope = scope or {}
        if few:
            found = spark.typed(rows, table).toArrow().to_batches()
            bulk.replace(self.lake, table, found, self.run_id, scope, note)
        else:
            where = predicate(scope)
            spark.replace(self.spark, self.lake, table, rows, self.run_id, where, note)

    def append(self, table: Table, rows: DataFrame) -> None:
        """Append the rows whose key is not there yet."""
        from lakehouse import spark

        spark.append(self.spark, self.lake, table, rows, self.run_id)

    def reject_all(self, rows: DataFrame, days: Collection[dt.date] | None = None) -> None:
        """The same from Spark (rows bear `ds`), for these days; None: for all days."""
        from pyspark.sql import functions as F

        scope: dict[str, Any] = {"stage": self.label}
        if days is not None:
            scope["ds"] = [*days]
        self.write(REJECTED, rows.withColumn("stage", F.lit(self.label)), scope)


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a stage's partition before anything is done."""

    stage: Stage
    label: str
    day: dt.date
    settings: Settings
    lake: Lake
    option: str
    past: History
    prints: Fingerprints

    @classmethod
    @translated()
    def at(cls, stage: Stage, day: dt.date, settings: Settings, option: str = "") -> Look:
        """Read the books, and what decides the result."""
        lake, label = Lake(settings.lake.root), labelled(stage, option)
        past = history(lake, label)
        prints = Fingerprints(stage, settings, lake, day, option)
        return cls(stage, label, day, settings, lake, option, past, prints)

    def unchanged(self) -> dict[str, Any] | None:
        """The report of a day that stays as it is; None where there is work."""
        last = self.past.newest.get(self.day)
        if last is None or last["status"] != "done":
            return None
        made = last
        if self.stage.grain == "corpus":  # the newest run of any day brought this one up to date
            made = max(self.past.newest.values(), key=lambda row: row["started_at"])
        if made["status"] != "done" or made["fingerprint"] != self.prints.of(self.day):
            return None
        if not self._is_there():
            return None
        counts = Counts(last["rows_in"], last["rows_kept"], last["rows_rejected"],
                        note=last["message"])  # fmt: skip
        return _report(self.label, self.day, last["run_id"], "unchanged", counts)

    def at_hand(self) -> bool:
        """Whether another day's run has made all that this one would: only the books lack it.

        True of stages alone that read no table, as what they make does not depend on the day, and
        where it is still there.
        """
        if self.stage.grain != "key" or self.stage.reads:
            return False
        wanted = self.prints.of(self.day)
        alike = any(row["fingerprint"] == wanted for row in self.past.done.values())
        return alike and self._is_there()

    def lost(self) -> UserError | None:
        """What is to be said where files are gone of what the day's run wrote."""
        for table in self.stage.writes:
            for part, files in missing(self.lake, table).items():
                if part in ("", str(self.day)) or self.stage.grain != "partition":
                    return of_file(table.full_name, files[0].name)
        return None

    def _is_there(self) -> bool:
        return self.stage.is_there(self.lake, self.settings, self.day, self.option)

    def stale(self) -> list[dt.date]:
        """Other days, once done under the same rules, whose inputs have moved since.

        A stage that refreshes all takes up those done under other rules, too. One that a gate has
        refused is not tried again before its inputs move.
        """
        if self.stage.grain != "partition":
            return []
        found = []
        for other, done in sorted(self.past.done.items()):
            alike = done["fingerprint"].endswith(f"-{self.prints.rules}")
            if other != self.day and (alike or self.stage.refreshes_all):
                last = self.past.newest[other]
                settled = last["status"] in ("done", "gate_failed")
                if not settled or last["fingerprint"] != self.prints.of(other):
                    found.append(other)
        return found


def labelled(stage: Stage, option: str) -> str:
    """The stage's name in the books."""
    return f"{stage.name}_{option}" if option else stage.name


@translated()
def execute(
    stage: Stage,
    partition: dt.date,
    settings: Settings,
    *,
    option: str = "",
    force: bool = False,
    report: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run a stage for a partition, and for those it must refresh; the contract's JSON object.

    A `report` that is given is filled in as the run goes on, so that it also tells of a failure.
    """
    report = {} if report is None else report
    label = labelled(stage, option)
    report.update(_report(label, partition, "", "failed", NOTHING))
    look = Look.at(stage, partition, settings, option)
    lake, past, prints = look.lake, look.past, look.prints
    if lost := look.lost():
        raise lost

    def begin(day: dt.date) -> Run:
        owed = past.owes(None if stage.grain == "corpus" else day)
        return Run(stage, label, day, settings, lake, uuid.uuid4().hex[:16], option,
                   rules=prints.rules, settled=past.settled, force=force or owed)  # fmt: skip

    for day in look.stale():
        try:
            _run_one(begin(day), past, prints, {})
        except Exception as error:  # that day's own task is for that; this one goes on
            structlog.get_logger().warning(
                "a day that had to be refreshed failed; run it by itself", stage=label,
                partition=str(day), reason=masked(f"{type(error).__name__}: {error}"),
            )  # fmt: skip
    if found := None if force else look.unchanged():
        report.update(found)
    else:
        _run_one(begin(partition), past, prints, report)
    return report


def _run_one(run: Run, past: History, prints: Fingerprints, report: dict[str, Any]) -> None:
    """One partition, with its entry in the books and its report whatever happens."""
    stage, label, day, lake = run.stage, run.label, run.partition, run.lake
    for table in (*stage.reads, *stage.writes, REJECTED):
        lake.create(table)
    dictionary.write(lake)
    run.versions = {t.full_name: v for t in stage.reads if (v := lake.version(t)) is not None}
    run.log.info("start", run_id=run.run_id, reads=run.versions)
    book = Book(run, prints.of(day), past)
    book.enter({day: NOTHING}, "running")
    openlineage.started(run)
    counts = spent = NOTHING

    def progress(so_far: Counts) -> None:
        nonlocal spent
        spent = replace(so_far, rows_in=0, rows_kept=0, rows_rejected=0)
        book.enter({day: so_far}, "running")

    run.progress = progress

    def close(status: str, error: str = "") -> None:
        written = book.trace()
        openlineage.ended(run, written, error)
        cost = price(run.settings.cost, book.seconds, counts.prompt_tokens,
                     counts.completion_tokens)  # fmt: skip
        report.update(_report(label, day, run.run_id, status, counts, run.versions, written,
                              book.seconds, cost))  # fmt: skip

    try:
        with bound_contextvars(stage=label, partition=str(day)):  # of every line of the log
            counted = stage.main(run)
        by_day = dict(counted) if isinstance(counted, Mapping) else {day: counted}
        counts = by_day.setdefault(day, NOTHING)
        balance(lake, label, by_day)
    except BaseException as error:
        counts = spent if counts == NOTHING else counts
        said = masked(f"{type(error).__name__}: {error}")[:2000]
        close("failed", said)
        status = "gate_failed" if isinstance(error, GateError) else "failed"
        book.enter({day: spent}, status, said)
        if isinstance(error, Exception) and run.lost_spark():
            raise ServiceError(
                f"{label} {day}: Spark ended in the middle of the work. Run it again, nothing is "
                f"lost; if it happens again, see the log above for the reason ({said})"[:2000]
            ) from error
        raise
    close("done")
    moved_too = {d: c for d, c in by_day.items() if d == day or moved(past.newest.get(d), c)}
    book.enter(moved_too, "done")
    run.log.info("done", rows_in=counts.rows_in, kept=counts.rows_kept,
                 rejected=counts.rows_rejected, seconds=round(book.seconds, 1))  # fmt: skip


def _report(
    label: str, day: dt.date, run_id: str, status: str, counts: Counts,
    read: Mapping[str, int] | None = None, written: Mapping[str, int] | None = None,
    seconds: float = 0.0, cost: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    return {
        "stage": label, "partition": str(day), "run_id": run_id, "status": status,
        "rows_in": counts.rows_in, "rows_kept": counts.rows_kept,
        "rows_rejected": counts.rows_rejected, "versions_read": dict(read or {}),
        "versions_written": dict(written or {}), "seconds": round(seconds, 3),
        "prompt_tokens": counts.prompt_tokens, "completion_tokens": counts.completion_tokens,
        "cached_tokens": counts.cached_tokens,
        "tokens": counts.prompt_tokens + counts.completion_tokens, "cost": round(cost, 6),
        "note": counts.note,
    }  # fmt: skip
