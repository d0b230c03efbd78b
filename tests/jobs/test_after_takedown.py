"""What is asked about rows that a takedown has taken is never told as the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs import forget, traces
from jobs.cli import answer
from jobs.exports.folder import Request, export
from jobs.exports.selection import Filters
from lakehouse.delta import Lake
from lakehouse.settings import Settings
from lakehouse.tables import LINEAGE, TRAINING_EXAMPLES
from tests.jobs.forgettable import copied, names, place

__all__ = ["copied", "place"]  # fixtures


def taken(lake: Lake) -> None:
    forget.forget(lake, forget.request(lake, "repository", "acme/tool"), "DMCA", "counsel")


def test_a_trace_says_what_is_missing_of_a_training_set(lake: Lake) -> None:
    assert traces.nested(traces.trace(lake, "first"))["forgotten"] == {}
    taken(lake)
    for what in ("first", "tiny-first"):
        found = traces.trace(lake, what)
        assert found.forgotten["training_sets"] == 1
        told = [s.remark for s in traces.sections(found)]
        assert any("has removed 1 of their examples" in remark for remark in told)
    assert "training_sets" not in traces.trace(lake, "second").forgotten


def test_a_trace_of_what_was_taken_says_so_while_older_files_hold_it(lake: Lake) -> None:
    taken(lake)
    found = traces.trace(lake, names("acme/tool/a")["document"])
    assert found.asked.rows == found.forgotten["documents"] == 1
    asked = next(traces.sections(found))
    assert "the next maintenance takes the files" in asked.remark


def test_an_export_of_a_set_says_how_much_of_it_is_gone(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    taken(lake)
    reason = "removed from the whole set by a takedown"
    for name, told in (("first", [[reason, "", 1]]), ("second", [])):
        asked = Request("messages", tmp_path / name, Filters(training_set=name), 100)
        manifest, _ = export(lake, settings, asked)
        assert [list(row) for row in manifest["left_out"]] == told
        card = (tmp_path / name / "README.md").read_text()
        assert (f"| {reason} | - | 1 |" in card) == bool(told)


def test_a_restored_table_lacks_it_still_and_says_so(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lake.version(TRAINING_EXAMPLES)
    taken(lake)
    held = lake.read(TRAINING_EXAMPLES).num_rows
    root = ["--set", f"lake.root={lake.root}"]
    words = ["restore", TRAINING_EXAMPLES.full_name, "--version", str(before), *root]
    assert answer([*words, "--json"]) == 0
    newest = lake.version(TRAINING_EXAMPLES)
    assert json.loads(capsys.readouterr().out)["version"] == newest
    assert lake.read(TRAINING_EXAMPLES).num_rows == held
    assert answer(words) == 0
    assert "less what takedowns have removed since" in capsys.readouterr().out
    assert answer(["restore", LINEAGE.full_name, "--version", "1", *root]) == 0
    assert "takedowns" not in capsys.readouterr().out  # of it none removes anything


def test_its_versions_are_told_as_the_takedowns(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    taken(lake)
    described = ["describe", TRAINING_EXAMPLES.full_name, "--json"]
    assert answer([*described, "--set", f"lake.root={lake.root}"]) == 0
    newest = json.loads(capsys.readouterr().out)["Versions"][0]
    assert newest["stage"] == "lake forget"
