"""A table that somebody has damaged by hand is made what it was; a lake works wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs import forget
from jobs.restore import restore
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import Counts, Run, Stage, execute
from lakehouse.settings import Settings, load
from lakehouse.tables import DOCUMENTS, LINEAGE, SNIPPETS
from tests.jobs.forgettable import DAY, copied, place

__all__ = ["copied", "place"]  # fixtures


def counted(run: Run) -> Counts:
    n = run.lake.read(SNIPPETS, {"ds": run.partition}).num_rows
    return Counts(n, n, 0)


READER = Stage("reader", counted, reads=(SNIPPETS,))


def test_what_was_damaged_by_hand_is_as_it_was_and_nothing_runs_again(
    lake: Lake, settings: Settings
) -> None:
    rows, version = lake.read(SNIPPETS).num_rows, lake.version(SNIPPETS)
    assert version is not None
    execute(READER, DAY, settings)
    DeltaTable(lake.rs_uri(SNIPPETS)).delete(f"ds = '{DAY}'")  # past all that is ours
    made = restore(lake, SNIPPETS, version, "undo")
    assert lake.read(SNIPPETS).num_rows == rows
    assert execute(READER, DAY, settings)["status"] == "unchanged"
    (edge,) = lake.read(LINEAGE, {"run_id": "undo"}).to_pylist()
    assert (edge["output_version"], edge["input_version"]) == (made, version)
    assert lake.commits(SNIPPETS, {"undo"}) == {made: "undo"}


def test_what_was_forgotten_since_does_not_come_back(lake: Lake) -> None:
    version = lake.version(DOCUMENTS)
    assert version is not None
    forget.forget(lake, forget.request(lake, "repository", "acme/tool"), "DMCA", "counsel")
    left = lake.read(DOCUMENTS, columns=["document_id"]).to_pylist()
    restore(lake, DOCUMENTS, version, "undo")
    assert lake.read(DOCUMENTS, columns=["document_id"]).to_pylist() == left


def test_a_version_that_cannot_be_had_is_the_users_mistake(lake: Lake) -> None:
    newest = lake.version(SNIPPETS)
    assert newest
    with pytest.raises(UserError, match=rf"no older version {newest}; it has 0 to {newest - 1}"):
        restore(lake, SNIPPETS, newest, "undo")
    held = {Path(lake.uri(SNIPPETS)) / path for path in DeltaTable(lake.uri(SNIPPETS)).file_uris()}
    lake.sync(SNIPPETS, [], {}, "empty")
    for path in held:
        path.unlink()
    with pytest.raises(UserError, match="force the stage that writes the table"):
        restore(lake, SNIPPETS, newest, "undo")


def test_a_lake_that_was_moved_is_up_to_date_where_it_lies(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    done = execute(READER, DAY, settings)
    Path(lake.root).rename(tmp_path / "elsewhere")
    moved = load("tiny", [f"lake.root={tmp_path / 'elsewhere'}"])
    assert execute(READER, DAY, moved) == {**done, "status": "unchanged"} | {
        name: type(done[name])() for name in ("versions_read", "seconds", "cost")
    }
    assert not Path(lake.root).exists()
