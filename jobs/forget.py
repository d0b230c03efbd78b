"""`lake forget`: a document, source, repository, owner or licence is gone from the lake.

    lake forget --repository acme/tool --because "DMCA 2026-11-20" [--dry-run]

First the request is entered (ops.takedowns), so that ingest keeps out what comes from then on; then
what is to go is entered as hashes (ops.forgotten_ids) and as the certificate's rows, then the rows
go, table by table, and last the certificate is closed. Killed anywhere and run again it goes on;
run once more it changes nothing. docs/takedown.md says what is removed and what stays.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs import certificates, denied
from jobs.denied import Denied
from jobs.forgotten import TABLES, Closure
from lakehouse import bulk
from lakehouse.books import history, owed
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import (
    CANDIDATES,
    CERTIFICATES,
    DOCUMENTS,
    DUPLICATES,
    FORGOTTEN,
    JOB_RUNS,
    LINEAGE,
    PAIRS,
    REJECTED,
    RELEASED,
    SNIPPETS,
    TAKEDOWNS,
    UNITS,
)

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
AMENDED = "takedown "
"""How the message of an entry in the books begins that a takedown has made."""
_INGEST = "ingest"
_REPLAYED = (DOCUMENTS, DUPLICATES, UNITS, SNIPPETS, CANDIDATES, PAIRS)
"""Tables whose days are to be run again where rows have gone."""
_MADE_BY = (_INGEST, "extract", "summarize", "choose", "publish")
"""The stages whose rows lead from a document to what stems from it."""
_SHORTEST = 6
"""Characters of the beginning of a document's id."""
_ID = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be forgotten: a name as `jobs.denied` compares it."""

    kind: denied.Kind
    value: str

    @property
    def request_id(self) -> str:
        """The same for the same request."""
        return denied.mark(f"{self.kind} {self.value}")[:16]

    @property
    def alone(self) -> Denied:
        """A denylist of this request."""
        return Denied({(self.kind, self.value): self.request_id})


@dataclass(frozen=True, slots=True)
class Found:
    """What a request is about: its records, the rows that keep them out, and what would go."""

    records: pa.Table
    """(source, document_id): documents of any version, and records that were none."""
    documents: int
    """How many documents of the newest version."""
    kept_out: list[Row]
    """Rows of ops.rejected_rows that stand for them from then on."""
    marks: list[Row]
    certificate: list[Row]
    days: list[str]
    """The days that are to be run again."""


def request(lake: Lake, kind: denied.Kind, given: str) -> Request:
    """The request that a person's word means; UserError where no document goes by it."""
    closure = Closure(lake)
    value = _whole_id(closure, given) if kind == "document" else given
    asked = Request(*denied.name(kind, value))
    if lake.read(TAKEDOWNS, {"request_id": asked.request_id}).num_rows:
        return asked
    _require_whole(lake)
    if not closure.matching(asked.alone).num_rows and not _unusable(lake, asked):
        near = ", ".join(map(repr, _nearest(lake, kind, given))) or f"no document has any {kind}"
        part = kind == "document" and len(given) < _ID
        whole = ". One that is gone is known by its whole id alone" if part else ""
        if part and len(given) < _SHORTEST:
            whole = f": give at least {_SHORTEST} characters of an id"
        raise UserError(f"nothing in {lake.root} comes from {kind} {given!r}, now or in a version "
                        f"that a run has read{whole}. Near it: {near}")  # fmt: skip
    return asked


def find(lake: Lake, asked: Request) -> tuple[Closure, Found]:
    """All that the request is about, as the lake is now."""
    import pyarrow as pa

    closure = Closure(lake)
    documents = closure.matching(asked.alone)
    now = [r for r in documents.to_pylist() if r["now"]]
    ours = {(r["source"], r["document_id"]) for r in now}
    unusable = _unusable(lake, asked, ours)
    records = pa.concat_tables([
        documents.select(["source", "document_id"]),
        pa.table({"source": [r["source"] for r in unusable],
                  "document_id": [r["row_id"] for r in unusable]},
                 documents.select(["source", "document_id"]).schema),
    ])  # fmt: skip
    marks = closure.add(records)
    out = [*now, *({**r, "document_id": r["row_id"]} for r in unusable)]
    kept_out = [
        {**denied.kept_out(r, asked.request_id), "ds": r["ds"], "stage": _INGEST,
         "rule_version": denied.RULES} for r in out
    ]  # fmt: skip
    days = {str(day) for table in _REPLAYED for day in closure.counts(table)}
    days |= {str(r["ds"]) for r in out}
    return closure, Found(records, len(now), kept_out,
                          [{**m, "request_id": asked.request_id} for m in marks],
                          certificates.plan(closure, asked.request_id), sorted(days))  # fmt: skip


def forget(lake: Lake, asked: Request, reason: str, by: str) -> str:
    """Remove all that the request is about; where its certificate lies."""
    run_id, now = uuid.uuid4().hex[:16], dt.datetime.now(dt.UTC)
    entered: Row = {
        "request_id": asked.request_id, "kind": asked.kind, "value": asked.value,
        "reason": reason, "asked_by": by, "asked": now, "documents": 0, "replay": "[]",
        "done": None, "vacuumed": None,
    }  # fmt: skip
    lake.append_missing(TAKEDOWNS, [entered], run_id)
    closure, found = find(lake, asked)
    (entered,) = lake.read(TAKEDOWNS, {"request_id": asked.request_id}).to_pylist()
    again = entered["done"] is not None
    if again and not found.kept_out and not found.certificate:
        return certificates.write(lake, asked.request_id)
    lake.append_missing(FORGOTTEN, found.marks, run_id)
    _certify(lake, found.certificate, run_id, again=again)
    lake.append_missing(REJECTED, found.kept_out, run_id)
    days = sorted({*json.loads(entered["replay"]), *found.days})
    count = max(entered["documents"], found.documents)
    entered = {**{n: entered[n] for n in TAKEDOWNS.content}, "documents": count,
               "replay": json.dumps(days), "done": None, "vacuumed": None}  # fmt: skip
    lake.upsert(TAKEDOWNS, [entered], run_id)
    remove(lake, closure, run_id)
    enter(lake, days, asked.request_id, run_id)
    held = lake.read(CERTIFICATES, {"request_id": asked.request_id, "kind": "table"}).to_pylist()
    versions = {t.full_name: lake.version(t) for t in TABLES}
    lake.upsert(CERTIFICATES, [
        {**{n: r[n] for n in CERTIFICATES.content}, "version_after": versions[r["name"]]}
        for r in held
    ], run_id)  # fmt: skip
    lake.upsert(TAKEDOWNS, [{**entered, "done": dt.datetime.now(dt.UTC)}], run_id)
    return certificates.write(lake, asked.request_id)


def _certify(lake: Lake, rows: list[Row], run_id: str, *, again: bool) -> None:
    """Enter what is to go; on top of what has gone, where the request had ended before.

    An export is told whole each time: nothing goes from it.
    """
    if not again:
        lake.append_missing(CERTIFICATES, rows, run_id)
        return
    held = {
        (r["kind"], r["name"]): r
        for r in lake.read(
            CERTIFICATES, {"request_id": [r["request_id"] for r in rows]}
        ).to_pylist()
    }
    summed = []
    for row in rows:
        before = held.get((row["kind"], row["name"]), {}) if "export" not in row["kind"] else {}
        sums = {n: row[n] + before.get(n, 0) for n in ("rows_removed", "rows_blanked")}
        first = before.get("version_before", row["version_before"])
        summed.append({**row, **sums, "version_before": first})
    lake.upsert(CERTIFICATES, summed, run_id)


def remove(lake: Lake, closure: Closure, run_id: str) -> None:
    """Take what the closure says out of the newest version of every table, one commit each.

    Documents last: while they are there a removal that was killed is asked for as it was before.
    """
    for table in sorted(TABLES, key=DOCUMENTS.__eq__):
        if parts := closure.counts(table):
            before = lake.version(table)
            bulk.edit(lake, table, partial(closure.edited, table), [*parts], run_id)
            lake.append_missing(LINEAGE, [{
                "output_table": table.full_name, "output_version": lake.version(table),
                "input_table": table.full_name, "input_version": before, "run_id": run_id,
            }], run_id)  # fmt: skip


def enter(lake: Lake, days: Collection[str], request_id: str, run_id: str) -> None:
    """Enter into ingest's books what its tables now say of these days.

    The removal did what reading the day again would have done, so its fingerprint stays.
    """
    past, kept = history(lake, _INGEST), lake.counts(DOCUMENTS)
    rows = []
    for day, last in past.newest.items():
        where = {"ds": day, "stage": _INGEST}
        n = kept.get(str(day), 0)
        lost = lake.read(REJECTED, where, ["row_id"]).num_rows
        same = (last["rows_kept"], last["rows_rejected"]) == (n, lost)
        if str(day) in days and last["status"] == "done" and not same:
            counts = {"rows_in": n + lost, "rows_kept": n, "rows_rejected": lost}
            rows.append(past.amended(day, run_id, **counts, message=f"{AMENDED}{request_id}"))
    lake.upsert(JOB_RUNS, rows, run_id)


def _unusable(lake: Lake, asked: Request, ours: Collection[tuple[str, str]] = ()) -> list[Row]:
    """Ingest's rejected rows that the request is about, or that repeat one of these documents."""
    columns = ["ds", "source", "row_id", "origin", "reason"]
    rows = lake.read(REJECTED, {"stage": _INGEST}, columns).to_pylist()
    return [
        r for r in rows if r["reason"] != denied.REASON and (
            (r["source"], r["row_id"]) in ours
            or asked.alone.request({**r, "document_id": r["row_id"], "license": ""}))
    ]  # fmt: skip


def _require_whole(lake: Lake) -> None:
    """UserError where a repair has dropped rows: what stems from them could not be found."""
    kept, lacking = lake.counts(DOCUMENTS), [f for f in owed(lake) if f[1] in _MADE_BY]
    if lake.read(RELEASED, {"table_name": DOCUMENTS.full_name, "reason": "damaged"},
                 ["version"]).num_rows:  # fmt: skip
        lacking += [
            (day, _INGEST) for day, last in history(lake, _INGEST).done.items()
            if kept.get(str(day), 0) < last["rows_kept"]
        ]  # fmt: skip
    if lacking:
        days, stages = zip(*sorted(lacking), strict=True)
        which = ", ".join(dict.fromkeys(map(str, days)))
        raise UserError(
            f"{lake.root} lacks rows of {which} since it was repaired (of "
            f"{', '.join(sorted({*stages}))}), and what was made from them would stay: make them "
            "anew first, "
            f"`lake run --from {days[0]} --to {days[-1]}`, then forget"
        )


def _whole_id(closure: Closure, given: str) -> str:
    """The document's id that begins so, now or then; the word itself where there is none."""
    if not _SHORTEST <= len(given) < _ID:
        return given
    ids = closure.ids(given)
    if len(ids) > 1:
        raise UserError(f"{given!r} is the beginning of {len(ids)} documents' ids: "
                        f"{', '.join(sorted(ids)[:5])}; give more of it")  # fmt: skip
    return next(iter(ids), given)


def _nearest(lake: Lake, kind: denied.Kind, given: str) -> list[str]:
    """Names of this kind that documents go by: those that resemble the word, or else some."""
    columns = ["source", "document_id", "license", "origin"]
    rows: Iterable[Row] = lake.read(DOCUMENTS, columns=columns).to_pylist()
    if kind == "document":
        known = {r["document_id"][: len(given)]: r["document_id"] for r in rows}
    else:
        known = {text: text for r in rows for k, text in denied.names(
            r["source"], r["document_id"], r["license"], r["origin"]) if k == kind}  # fmt: skip
    close = difflib.get_close_matches(given.casefold(), known, n=5, cutoff=0.4)
    return [known[c] for c in close or sorted(known)[:5]]
