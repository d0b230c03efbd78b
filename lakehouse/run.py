"""How a stage runs: argv, settings, the no-op check, the books, the JSON line, the exit code.

A stage is a `Stage` value and a `main(run)`; everything that all stages share happens here, once.
Its grain says what one run covers:

- `partition`: one day. A run also refreshes the days it has already done whose inputs have moved
  since (an older day may become the original of a newer one's documents).
- `corpus`: a function of the whole corpus; one run brings every day up to date.
- `key`: the partition only names the run (training and evaluation).

Nothing is done, and no engine is started, where the newest successful run had an equal
fingerprint: the inputs' data files, the settings the stage reads, and its source code.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import structlog

from lakehouse import settings as settings_module
from lakehouse.delta import Lake
from lakehouse.errors import GateError, LakeError, ServiceError, UserError
from lakehouse.settings import Settings
from lakehouse.tables import JOB_RUNS, LINEAGE, REJECTED, Table

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
    note: str = ""
    """What the run made, where later stages look it up by this run (a training set's id)."""


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
    depends: Callable[[Settings], str] = lambda _settings: ""
    """Anything else that changes the result, as text: prompt, benchmark and model versions."""
    option: tuple[str, tuple[str, ...]] | None = None
    """An extra required argument and its choices, such as ("arm", ("inverse", "control"))."""


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

    @cached_property
    def log(self) -> Any:
        """Structured log, to stderr."""
        return structlog.get_logger().bind(stage=self.label, partition=str(self.partition))

    @cached_property
    def spark(self) -> SparkSession:
        """The Spark session; starting it is what a no-op run avoids."""
        from lakehouse.spark import session

        return session(self.settings, name=f"{self.label}/{self.partition}/{self.lake.root}")

    def lost_spark(self) -> bool:
        """Whether this run had a Spark session whose Spark is no longer there."""
        from lakehouse.spark import lost

        return "spark" in vars(self) and lost(self.spark)

    def table(self, table: Table) -> DataFrame:
        """An input table in Spark, at the pinned version."""
        from lakehouse import spark

        return spark.read(self.spark, self.lake, table, self.versions.get(table.full_name))

    def write(self, table: Table, rows: DataFrame, scope: str | None = None) -> list[dt.date]:
        """Make the table's rows (within a SQL scope) exactly these; the days that changed."""
        from lakehouse import spark

        return spark.sync(self.spark, self.lake, table, rows, self.run_id, scope)

    def reject(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make this stage's rejected rows of this partition exactly these."""
        stamped = [{"ds": self.partition, "stage": self.label, **row} for row in rows]
        self.lake.sync(REJECTED, stamped, {"ds": self.partition, "stage": self.label}, self.run_id)

    def reject_all(self, rows: DataFrame, day: dt.date | None = None) -> None:
        """The same from Spark, for every day in `rows` (which bears `ds`), or for one day only."""
        from pyspark.sql import functions as F

        scope = f"stage = '{self.label}'" + (f" AND ds = '{day}'" if day else "")
        self.write(REJECTED, rows.withColumn("stage", F.lit(self.label)), scope)


def execute(
    stage: Stage,
    partition: dt.date,
    settings: Settings,
    *,
    option: str = "",
    force: bool = False,
) -> dict[str, Any]:
    """Run a stage for a partition, and for those it must refresh; the contract's JSON object."""
    lake = Lake(settings.lake.root)
    label = f"{stage.name}_{option}" if option else stage.name
    history = _history(lake, label)
    prints = _Fingerprints(stage, settings, lake, option)
    if not force and _unchanged(stage, partition, history, prints):
        last = history[partition]
        counts = Counts(last["rows_in"], last["rows_kept"], last["rows_rejected"])
        return _report(label, partition, last["run_id"], "unchanged", counts, {}, {}, 0.0, 0.0)
    result: dict[str, Any] = {}
    for day in (*_stale(stage, partition, history, prints), partition):
        result = _run_one(stage, label, day, settings, lake, option, history, prints)
    return result


def _run_one(
    stage: Stage, label: str, day: dt.date, settings: Settings, lake: Lake, option: str,
    history: Mapping[dt.date, Mapping[str, Any]], prints: _Fingerprints,
) -> dict[str, Any]:  # fmt: skip
    """One partition, with its job_runs row whatever happens short of a kill."""
    run = Run(stage, label, day, settings, lake, uuid.uuid4().hex[:16], option)
    for table in (*stage.reads, *stage.writes):
        lake.create(table)
    run.versions = {t.full_name: v for t in stage.reads if (v := lake.version(t)) is not None}
    before = {t.full_name: lake.version(t) for t in stage.writes}
    fingerprint = prints.of(day)
    started, clock = dt.datetime.now(dt.UTC), time.monotonic()
    run.log.info("start", run_id=run.run_id, reads=run.versions)
    book = _Book(run, fingerprint, started, clock)
    try:
        counted = stage.main(run)
        by_day = dict(counted) if isinstance(counted, Mapping) else {day: counted}
        by_day.setdefault(day, Counts(0, 0, 0))
        _balance(lake, label, by_day)
    except BaseException as error:
        status = "gate_failed" if isinstance(error, GateError) else "failed"
        book.enter({day: Counts(0, 0, 0)}, status, f"{type(error).__name__}: {error}"[:2000])
        if isinstance(error, Exception) and run.lost_spark():
            raise ServiceError(
                f"{label} {day}: Spark ended in the middle of the work. Run it again, nothing is "
                f"lost; if it happens again, see the log above for the reason ({error})"[:2000]
            ) from error
        raise
    written = {
        t.full_name: v for t in stage.writes
        if (v := lake.version(t)) is not None and v != before[t.full_name]
    }  # fmt: skip
    book.trace(written)
    changed = {d: c for d, c in by_day.items() if d == day or _moved(history.get(d), c)}
    seconds = book.enter(changed, "done", "")
    counts = by_day[day]
    run.log.info("done", rows_in=counts.rows_in, kept=counts.rows_kept,
                 rejected=counts.rows_rejected, seconds=round(seconds, 1))  # fmt: skip
    return _report(label, day, run.run_id, "done", counts, run.versions, written, seconds,
                   seconds / 3600 * settings.cost.usd_per_hour)  # fmt: skip


@dataclass
class _Book:
    """Writes a run's rows of ops.job_runs and ops.lineage_edges."""

    run: Run
    fingerprint: str
    started: dt.datetime
    clock: float

    def enter(self, by_day: Mapping[dt.date, Counts], status: str, message: str) -> float:
        seconds = time.monotonic() - self.clock
        price = self.run.settings.cost.usd_per_hour
        rows = []
        for day, counts in by_day.items():
            share = seconds if day == self.run.partition else 0.0
            rows.append({
                "stage": self.run.label, "ds": day, "status": status,
                "fingerprint": self.fingerprint, "rows_in": counts.rows_in,
                "rows_kept": counts.rows_kept, "rows_rejected": counts.rows_rejected,
                "prompt_tokens": counts.prompt_tokens,
                "completion_tokens": counts.completion_tokens, "seconds": share,
                "cost": share / 3600 * price, "message": message or counts.note,
                "git_sha": git_sha(), "started_at": self.started,
                "finished_at": dt.datetime.now(dt.UTC), "run_id": self.run.run_id,
            })  # fmt: skip
        self.run.lake.append_missing(JOB_RUNS, rows, self.run.run_id)
        return seconds

    def trace(self, written: Mapping[str, int]) -> None:
        edges = [
            {"output_table": out, "output_version": v, "input_table": source,
             "input_version": at, "run_id": self.run.run_id}
            for out, v in written.items() for source, at in self.run.versions.items()
        ]  # fmt: skip
        if edges:
            self.run.lake.append_missing(LINEAGE, edges, self.run.run_id)


class _Fingerprints:
    """What a stage's result depends on, by day: `inputs-rules`, two hashes."""

    def __init__(self, stage: Stage, settings: Settings, lake: Lake, option: str) -> None:
        self._digests = {t: lake.digests(t) for t in stage.reads}
        self._stage = stage
        chosen = settings.model_dump(mode="json", include=set(stage.settings))
        source = Path(sys.modules[stage.main.__module__].__file__ or "").read_bytes()
        self.rules = _short(json.dumps(chosen, sort_keys=True), hashlib.sha256(source).hexdigest(),
                            stage.depends(settings), option)  # fmt: skip

    def of(self, day: dt.date) -> str:
        whole = self._stage.grain != "partition"
        parts = [
            d.get(
                "*" if whole or t in self._stage.whole or not t.partition else str(day),
                "",
            )
            for t, d in self._digests.items()
        ]
        return f"{_short(*parts)}-{self.rules}"


def _history(lake: Lake, label: str) -> dict[dt.date, dict[str, Any]]:
    """The newest row of ops.job_runs by day, successful or not."""
    newest: dict[dt.date, dict[str, Any]] = {}
    for row in lake.read(JOB_RUNS, {"stage": label}).to_pylist():
        held = newest.get(row["ds"])
        if held is None or row["finished_at"] > held["finished_at"]:
            newest[row["ds"]] = row
    return newest


def _unchanged(
    stage: Stage,
    day: dt.date,
    history: Mapping[dt.date, Mapping[str, Any]],
    prints: _Fingerprints,
) -> bool:
    last = history.get(day)
    if last is None or last["status"] != "done":
        return False
    if stage.grain == "corpus":  # the newest run of any day brought this one up to date
        last = max(history.values(), key=lambda row: row["finished_at"])
    return bool(last["status"] == "done" and last["fingerprint"] == prints.of(day))


def _stale(
    stage: Stage,
    day: dt.date,
    history: Mapping[dt.date, Mapping[str, Any]],
    prints: _Fingerprints,
) -> list[dt.date]:
    """Other days, done under the same rules, whose inputs have moved since."""
    if stage.grain != "partition":
        return []
    return sorted(
        other for other, last in history.items()
        if other != day and last["status"] == "done" and last["fingerprint"] != prints.of(other)
        and last["fingerprint"].endswith(f"-{prints.rules}")
    )  # fmt: skip


def _moved(last: Mapping[str, Any] | None, counts: Counts) -> bool:
    return last is None or (last["rows_in"], last["rows_kept"], last["rows_rejected"]) != (
        counts.rows_in, counts.rows_kept, counts.rows_rejected)  # fmt: skip


def _balance(lake: Lake, label: str, by_day: Mapping[dt.date, Counts]) -> None:
    """rows in = kept + rejected, and every rejected row is there."""
    held: dict[dt.date, int] = {}
    for day in lake.read(REJECTED, {"stage": label}, ["ds"])["ds"].to_pylist():
        held[day] = held.get(day, 0) + 1
    for day, c in by_day.items():
        if c.rows_in != c.rows_kept + c.rows_rejected or c.rows_rejected != held.get(day, 0):
            raise LakeError(
                f"{label} {day}: the books do not balance: {c.rows_in} in, {c.rows_kept} kept, "
                f"{c.rows_rejected} rejected, {held.get(day, 0)} rows in {REJECTED.full_name}"
            )


def _report(
    label: str, day: dt.date, run_id: str, status: str, counts: Counts,
    read: Mapping[str, int], written: Mapping[str, int], seconds: float, cost: float,
) -> dict[str, Any]:  # fmt: skip
    return {
        "stage": label, "partition": str(day), "run_id": run_id, "status": status,
        "rows_in": counts.rows_in, "rows_kept": counts.rows_kept,
        "rows_rejected": counts.rows_rejected, "versions_read": dict(read),
        "versions_written": dict(written), "seconds": round(seconds, 3),
        "prompt_tokens": counts.prompt_tokens, "completion_tokens": counts.completion_tokens,
        "tokens": counts.prompt_tokens + counts.completion_tokens, "cost": round(cost, 6),
    }  # fmt: skip


def entry(stage: Stage, *more: Stage, argv: Sequence[str] | None = None) -> NoReturn:
    """The command line of a stage: the contract's argv, JSON line and exit codes.

    Several stages run one after the other in one process, where they share a model's engine; the
    JSON object is then the last one's, with all of them under `stages`.
    """
    configure_logging()
    out = os.dup(1)
    os.dup2(2, 1)  # libraries print to stdout; its last line must be ours
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result: dict[str, Any] = {"stage": stage.name}
    code = 0
    try:
        args = _parse(stage, argv)
        result["partition"] = str(args.partition)
        chosen = settings_module.load(args.profile, args.set)
        done = [
            execute(each, args.partition, chosen, option=args.option, force=args.force)
            for each in (stage, *more)
        ]
        result = {**done[-1], "stages": done} if more else done[0]
    except LakeError as error:
        structlog.get_logger().error(str(error), stage=stage.name)
        code, result = (
            error.exit_code,
            {**result, "status": "failed", "error": str(error)},
        )
    except Exception as error:
        structlog.get_logger().exception("a defect of ours; please report it", stage=stage.name)
        code, result = (
            1,
            {**result, "status": "failed", "error": f"{type(error).__name__}: {error}"},
        )
    os.write(out, (json.dumps(result) + "\n").encode())
    # Engines leave threads and servers' clients behind whose exit handlers can hang a finished job.
    sys.stderr.flush()
    os._exit(code)


class _Parser(argparse.ArgumentParser):
    """Wrong usage is a user's mistake like any other: one sentence, a JSON line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {' '.join(self.format_usage().split())}")


def _parse(stage: Stage, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog=f"python -m {_module(stage)}", description=stage.main.__doc__)
    parser.add_argument("--partition", required=True, type=parse_day, metavar="YYYY-MM-DD")
    parser.add_argument("--profile", default="tiny")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="section.key=value"
    )
    parser.add_argument("--force", action="store_true", help="run even where nothing has changed")
    if stage.option:
        name, choices = stage.option
        parser.add_argument(f"--{name}", dest="option", required=True, choices=choices)
    else:
        parser.set_defaults(option="")
    return parser.parse_args(argv)


def _module(stage: Stage) -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec.name if spec else stage.main.__module__


def parse_day(text: str) -> dt.date:
    """A partition's key; UserError unless YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--partition {text!r} is not a day; write YYYY-MM-DD") from None


def configure_logging() -> None:
    """Structured lines on stderr, one event a step."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "stage", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


@cache
def git_sha() -> str:
    """Commit of the code; empty outside a checkout."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout.strip()


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
