"""Which exports hold a row: what a takedown must tell those who have them (docs/export.md)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from jobs.exports import formats
from jobs.exports.selection import Filters, Selection
from lakehouse.delta import Lake
from lakehouse.tables import EXPORTS


@dataclass(frozen=True, slots=True)
class Holder:
    """An export that holds such rows, or may hold some."""

    export_id: str
    folder: str
    rows: int
    """How many such rows; all of its rows where it is not known."""
    known: bool
    """False where a version that it was made from can no more be read."""


def holding(lake: Lake, marks: Collection[str]) -> Iterator[Holder]:
    """The exports that hold rows of these pairs, candidates, snippets, documents or records.

    Marks are `jobs.denied.mark` of ids, of a record of `source/document_id`. Each export is chosen
    again at the versions that it was made from, so it need not be there any more.
    """
    import duckdb
    from deltalake.exceptions import DeltaError

    for row in lake.read(EXPORTS).sort_by([("exported_at", "ascending")]).to_pylist():
        filters = Filters.of(json.loads(row["filters"]))
        rows, known = row["n_rows"], True
        try:
            held = Selection(lake, formats()[row["format"]], filters, json.loads(row["versions"]))
            rows = held.holding([*marks])
        except (duckdb.Error, DeltaError, FileNotFoundError):  # vacuumed, or out of the log's reach
            known = False
        if rows:
            yield Holder(row["export_id"], row["folder"], rows, known)
