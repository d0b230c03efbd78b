"""OpenLineage events of every run of a stage: which versions it read, which it wrote, how it ended.

One setting turns it on: OPENLINEAGE_URL in the environment (or whatever else the OpenLineage client
is configured by there; a key belongs into OPENLINEAGE_API_KEY). The lake's own books do not need
it: an event that cannot be delivered is a warning in the log, the last that this process tries.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import uuid
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from lakehouse.tables import TABLES, Table

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunState

    from lakehouse.run import Run

NAMESPACE = "inverselake"
PRODUCER = "https://openlineage.io/spec"
SWITCHES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
_given_up = threading.Event()
"""Set once an event could not be delivered: waiting for a dead server would hold up every stage."""


def started(run: Run) -> None:
    """Say that a run has begun, and what it reads."""
    if wanted():
        from openlineage.client.event_v2 import RunState

        _send(run, RunState.START, {}, {})


def ended(run: Run, written: Mapping[str, int], error: str = "") -> None:
    """Say how a run has ended, and which versions it has written by table."""
    if wanted():
        from openlineage.client.event_v2 import RunState
        from openlineage.client.facet_v2 import error_message_run

        facets: dict[str, Any] = {}
        if error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(error, "python")
        _send(run, RunState.FAIL if error else RunState.COMPLETE, written, facets)


def wanted() -> bool:
    """Whether the environment says where events go."""
    off = os.environ.get("OPENLINEAGE_DISABLED", "").lower() == "true"
    return not (off or _given_up.is_set()) and any(
        name.startswith(SWITCHES) and os.environ[name] for name in os.environ
    )


def _send(run: Run, state: RunState, written: Mapping[str, int], facets: dict[str, Any]) -> None:
    from openlineage.client import event_v2 as events
    from openlineage.client.facet_v2 import job_type_job, nominal_time_run

    day = dt.datetime.combine(run.partition, dt.time(), dt.UTC)
    nominal = nominal_time_run.NominalTimeRunFacet(day.isoformat())
    kind = job_type_job.JobTypeJobFacet("BATCH", "INVERSELAKE", "TASK")
    try:
        _client().emit(events.RunEvent(
            eventTime=dt.datetime.now(dt.UTC).isoformat(), eventType=state, producer=PRODUCER,
            # the specification wants a UUID
            run=events.Run(str(uuid.uuid5(uuid.NAMESPACE_OID, run.run_id)),
                           {"nominalTime": nominal, **facets}),
            job=events.Job(NAMESPACE, run.label, {"jobType": kind}),
            inputs=[events.InputDataset(*_place(run, t), facets=_about(TABLES[t], v))
                    for t, v in run.versions.items()],
            outputs=[events.OutputDataset(*_place(run, t), facets=_about(TABLES[t], v))
                     for t, v in written.items()],
        ))  # fmt: skip
    except Exception as error:  # a transport's: lineage elsewhere is no part of the work
        _given_up.set()
        status = getattr(getattr(error, "response", None), "status_code", "")
        structlog.get_logger().warning(
            "an OpenLineage event was not delivered; see OPENLINEAGE_URL", stage=run.label,
            reason=f"{type(error).__name__} {status}".strip(),  # its words quote the address
        )  # fmt: skip


@cache
def _client() -> OpenLineageClient:
    from openlineage.client import OpenLineageClient

    return OpenLineageClient()


def _place(run: Run, table: str) -> tuple[str, str]:
    """(namespace, name) by OpenLineage's rules: store, and path in it."""
    place = urlsplit(run.lake.uri(TABLES[table]))
    if not place.scheme:
        return "file", place.path
    return f"{place.scheme}://{place.netloc}", place.path.lstrip("/")


def _about(table: Table, version: int) -> dict[str, Any]:
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        documentation_dataset,
        schema_dataset,
        symlinks_dataset,
    )

    fields = [schema_dataset.SchemaDatasetFacetFields(c.name, c.type, c.comment)
              for c in table.columns]  # fmt: skip
    known_as = symlinks_dataset.Identifier(NAMESPACE, table.full_name, "TABLE")
    return {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(version)),
        "schema": schema_dataset.SchemaDatasetFacet(fields),
        "documentation": documentation_dataset.DocumentationDatasetFacet(table.comment),
        "symlinks": symlinks_dataset.SymlinksDatasetFacet([known_as]),
    }
