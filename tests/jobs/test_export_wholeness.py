"""An export is whole, and its manifest speaks of nothing else than it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from jobs.exports.folder import Request, export, verify
from jobs.exports.selection import Filters
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.settings import Settings
from lakehouse.tables import JOB_RUNS
from tests.jobs.exporting import DAY, filled
from tests.rows import finished


def test_a_part_of_a_day_is_not_exported_as_the_whole(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    filled(lake)
    lost = {**finished("publish", DAY, (1, 1, 0)), "status": "damaged"}
    lake.append_missing(JOB_RUNS, [lost], "repair")
    with pytest.raises(UserError, match=rf"gold.instruction_pairs lacks rows of {DAY}"):
        export(lake, settings, Request("messages", tmp_path / "x", Filters()))
    later = Filters(first=DAY + dt.timedelta(1))
    export(lake, settings, Request("messages", tmp_path / "later", later))


@pytest.mark.parametrize("path", ["../x.parquet", "data/../../x.parquet", "/etc/hostname"])
def test_a_manifest_leads_nowhere_else(
    lake: Lake, settings: Settings, tmp_path: Path, path: str
) -> None:
    filled(lake)
    out = tmp_path / "x"
    export(lake, settings, Request("messages", out, Filters()))
    held = json.loads((out / "manifest.json").read_text())
    held["shards"][0]["path"] = path
    (out / "manifest.json").write_text(json.dumps(held))
    with pytest.raises(UserError, match="lies elsewhere than in data/"):
        verify(out)
