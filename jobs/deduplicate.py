"""bronze.documents -> silver.duplicates: documents that repeat an earlier one.

    python -m jobs.deduplicate --partition 2026-11-01 --profile tiny

Grain: one row a repeating document. What the profile's filters hold back (`filters`) is left out
first, so that an original may always be used. Exact duplicates are equal but for white space; near
ones meet in a MinHash band and have a true Jaccard similarity of token 5-grams at or above the
threshold. Clusters chain; the original is the first of the cluster by (day, source, id). So
the table is a function of the set of documents alone: days may come in any order, and a late older
day that becomes an original changes the newer days' rows, visibly: in this table's history and in
ops.takeovers.

Only what moved is computed. silver.minhash_bands holds what was kept of every document,
silver.similar_contents the pairs found; the commit of the pairs, which comes last, names the
version of the sketches that they were made from, and the duplicates that go with them. A run
sketches the days whose documents moved, compares the contents that came or went with all history,
and rewrites the clusters that this touches, on the days that differ; all of them, where somebody
has edited or restored the duplicates since. A crash in between leaves the pairs' note as it was,
and the next run does it again. Of fewer than `spark.deduplicates_from` documents it is this process
that compares them (`jobs.compare_in_process`), else Spark (`jobs.compare_on_spark`).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Collection, Iterable

from jobs.days import Change, made_from, moved, noted, weight
from lakehouse import stores
from lakehouse.books import rejected_by
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import DOCUMENTS, DUPLICATES, REJECTED, SIMILAR, SKETCHES, TAKEOVERS, Table

_FROM_NOTHING = -1
"""The version of the sketches where no pairs have been made yet under these rules."""


def main(run: Run) -> dict[dt.date, Counts]:
    """Bring sketches, pairs and duplicates up to date with the documents of all days."""
    if _in_process(run):
        from jobs import compare_in_process as engine
    else:
        from jobs import compare_on_spark as engine  # type: ignore[no-redef]
    last = run.lake.version(SKETCHES)
    wanted = made_from(run, DOCUMENTS)
    stale = moved(run, SKETCHES, wanted)
    if stale:
        engine.sketch(run, stale, wanted)
    change = _change(run, last, stale)
    if not (change.whole or change.days or change.silent):
        return _counts(run, {run.partition})
    return _counts(run, {*engine.update(run, change), run.partition})


def _in_process(run: Run) -> bool:
    """Whether this process compares, or Spark does."""
    fits = weight(run, DOCUMENTS) < run.settings.spark.deduplicates_from
    if fits and not run.settled and os.environ.get("SPARK_REMOTE"):
        _ = run.spark  # ends what a killed run may have left at work on the server
    return fits and stores.is_simple(run.lake.root)


def _change(run: Run, last: int | None, stale: Collection[dt.date]) -> Change:
    """What differs from what was compared; `last` is the sketches' version before this run."""
    version = run.lake.version(SKETCHES) or 0
    rules, made, duplicates = noted(run.lake)
    alike = rules == run.rules and not run.force
    base = made if alike and made is not None else _FROM_NOTHING
    days = _moved(run, base, version)
    sketched = {dt.date.fromisoformat(d) for d in run.lake.counts(SKETCHES, version)}
    came, left = ({dt.date.fromisoformat(d) for d in run.lake.counts(table)}
                  for table in (DOCUMENTS, REJECTED))  # fmt: skip
    gone = rejected_by(run.lake, "ds", {"stage": run.label, "ds": left - came})
    silent = ({*stale, *gone} - sketched) - {*days}
    return Change(
        sketches=version, base=base, days=tuple(days), silent=tuple(sorted(silent)),
        known=_known(run, last, base) if rules in ("", run.rules) else None,
        # what somebody has edited or restored since is no ground to build on
        whole=base < 0 or not run.settled or duplicates != run.lake.digest(DUPLICATES),
        note=f"{run.rules}/{version}",
    )  # fmt: skip


def _known(run: Run, last: int | None, base: int) -> int | None:
    """The version of the sketches that were compared before this run, if any."""
    version = last if run.settled else base
    if version is None or version < 0:
        return None
    return version if _documents(run, SKETCHES, version) else None


def _moved(run: Run, base: int, version: int) -> list[dt.date]:
    """The days whose sketches differ between what the pairs were made from and now.

    Spark makes no commit of no pairs: until there are some, each of its runs is one from nothing.
    """
    now = run.lake.digests(SKETCHES, version)
    then = run.lake.digests(SKETCHES, base) if base >= 0 else {}
    days = {day for day in now.keys() | then.keys() if now.get(day) != then.get(day)} - {"*"}
    return sorted(map(dt.date.fromisoformat, days))


def _documents(run: Run, table: Table, version: int | None = None) -> int:
    """How many documents a table has, now or at a version."""
    return sum(run.lake.counts(table, version).values())


def _counts(run: Run, days: Iterable[dt.date]) -> dict[dt.date, Counts]:
    """The books of these days: documents, and of those compared the ones that repeat none."""
    total, compared, repeated = (
        run.lake.counts(table, version) for table, version in (
            (DOCUMENTS, run.versions[DOCUMENTS.full_name]), (SKETCHES, None), (DUPLICATES, None))
    )  # fmt: skip
    counts = {}
    for day in days:
        n = total.get(str(day), 0)
        kept = compared.get(str(day), 0) - repeated.get(str(day), 0)
        counts[day] = Counts(n, kept, n - kept)
    return counts


STAGE = Stage(
    "deduplicate", main, reads=(DOCUMENTS,),
    writes=(SKETCHES, DUPLICATES, SIMILAR, TAKEOVERS), settings=("deduplicate", "filters"),
    grain="corpus",
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
