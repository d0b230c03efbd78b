"""The one use of Great Expectations: run a suite over rows, get findings back.

Suites are JSON beside this file, one a table; structural ones come from `structural`. Rows go
through a table of SQLite (`scratch`), in whose SQL queries are written. A limit that is a setting
stands there as GX's `{"$PARAMETER": NAME}`, within a query as `{NAME}`. An expectation that raises
(a missing column, say) is a failure with its error as what was observed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations import scratch
from expectations.structural import Expectation
from lakehouse.imports import importing

SUITES = Path(__file__).parent
_NAMES_ROWS = {"column", "column_list", "unexpected_rows_query"}
"""Arguments of the expectations that look at rows, and so can name those that fail."""

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Finding:
    """What one expectation saw. `observed` and `threshold` are JSON."""

    expectation: str
    column: str
    success: bool
    severity: str
    observed: str
    threshold: str
    words: str = ""
    """What a failed one says, where that is more than what was observed."""


def suite(name: str) -> list[Expectation]:
    """The hand-written suite of that name: a table's `layer.name`, or what it is about."""
    found: list[Expectation] = json.loads((SUITES / f"{name}.json").read_text())
    return found


def check(
    rows: pa.RecordBatchReader, expectations: Sequence[Expectation], row_id: str,
    parameters: Mapping[str, Any] | None = None,
) -> list[Finding]:  # fmt: skip
    """Validate rows against expectations; a failing one names up to 20 rows by `row_id`.

    Findings come in the order of the expectations. Rows are read once, batch by batch.
    """
    given = dict(parameters or {})
    with scratch.filled(rows) as database, _opened(database) as batch:
        results = _validate(batch, expectations, {"result_format": "SUMMARY"}, given)
        failing = [
            e for e, r in zip(expectations, results, strict=True)
            if not r["success"] and e["kwargs"].keys() & _NAMES_ROWS
        ]  # fmt: skip
        if failing:  # only now is the costly look-up of the failing rows worth its price
            # not by `unexpected_index_column_names`: over SQL GX has none for several columns
            named = {"result_format": "COMPLETE", "include_unexpected_rows": True}
            again = iter(_validate(batch, failing, named, given))
            results = [next(again) if e in failing else r
                       for e, r in zip(expectations, results, strict=True)]  # fmt: skip
    return [_finding(e, r, row_id) for e, r in zip(expectations, results, strict=True)]


@contextmanager
def _opened(database: Path) -> Iterator[Any]:
    """The database's rows as GX's batch; its connections end with the block, and so the file."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with importing("great_expectations"):
        import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sqlite("lake", connection_string=f"sqlite:///{database}")
    try:
        asset = source.add_table_asset("rows", table_name=scratch.TABLE)
        # a batch definition would be kept, and GX writes down all that it keeps each time
        yield asset.get_batch(asset.build_batch_request())
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _validate(
    batch: Any, expectations: Sequence[Expectation], result_format: dict[str, Any],
    parameters: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """Results in the order of the expectations (GX itself regroups them by column)."""
    from great_expectations import ExpectationSuite

    stated = [
        {"type": e["type"], "kwargs": _limited(e["kwargs"], parameters), "severity": e["severity"],
         "meta": {"place": place}}
        for place, e in enumerate(expectations)
    ]  # fmt: skip
    outcome = batch.validate(
        ExpectationSuite(name="suite", expectations=stated), result_format=result_format,
        expectation_parameters=parameters,
    )  # fmt: skip
    results: list[dict[str, Any]] = outcome.to_json_dict()["results"]
    return sorted(results, key=lambda r: int(r["expectation_config"]["meta"]["place"]))


def _limited(kwargs: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the parameters' values in their query: GX has none within a text."""
    query = kwargs.get("unexpected_rows_query", "").format(batch="{batch}", **parameters)
    return {**kwargs, "unexpected_rows_query": query} if query else kwargs


def _finding(expectation: Expectation, result: dict[str, Any], row_id: str) -> Finding:
    kwargs = expectation["kwargs"]
    column = expectation.get("name") or kwargs.get("column") or ",".join(
        kwargs.get("column_list", ())
    )  # fmt: skip
    used = result["expectation_config"]["kwargs"]  # with the parameters' values
    seen = result.get("result") or {}
    raised = [e.get("exception_message") for e in _exceptions(result.get("exception_info") or {})]
    observed = {
        "observed_value": seen.get("observed_value"),
        "unexpected_count": seen.get("unexpected_count"),
        "rows": [r.get(row_id) for r in (seen.get("unexpected_rows") or [])[:20]],
        "examples": (seen.get("details") or {}).get("unexpected_rows", [])[:20],
        "error": [m for m in raised if m],
    }
    return Finding(
        expectation=expectation["type"],
        column=column,
        success=bool(result["success"]),
        severity=expectation["severity"],
        observed=json.dumps(
            {k: v for k, v in observed.items() if v not in (None, [])}, default=str
        ),
        threshold=json.dumps({k: v for k, v in used.items() if k not in {"column", "batch_id"}}),
    )


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    """GX gives one exception, or a dict of them by metric."""
    if "raised_exception" in info:
        return [info]
    return [e for e in info.values() if isinstance(e, dict)]
