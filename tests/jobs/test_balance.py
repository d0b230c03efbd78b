"""The corpus's gate holds the books of its stages against the tables."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs import gate_corpus
from lakehouse.delta import Lake
from lakehouse.errors import GateError, ServiceError
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import DOCUMENTS, JOB_RUNS, REJECTED, SNIPPETS, UNITS
from tests.jobs.test_gate_corpus import DAY, document, rejection, snippet, unit
from tests.rows import enter, finished

BOOKS = {"ingest": (2, 2, 0), "deduplicate": (2, 2, 0), "extract": (2, 1, 1),
         "decontaminate": (1, 1, 0)}  # fmt: skip
"""What the stages say of the day in `place` if nothing was lost."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a lake of one day lies: two documents, of which one has a snippet; it has no books."""
    lake = Lake(str(tmp_path_factory.mktemp("balanced") / "lake"))
    lake.sync(DOCUMENTS, [document(1), document(2)], {"ds": DAY}, "r")
    lake.sync(UNITS, [unit(1), {**unit(2), "reason": "too short", "remedy": "none", "code": ""}],
              {"ds": DAY}, "r")  # fmt: skip
    lake.sync(SNIPPETS, [snippet(1)], {"ds": DAY}, "r")
    lake.sync(
        REJECTED, [{**rejection(2), "stage": "extract"}], {"ds": DAY, "stage": "extract"}, "r"
    )
    return Path(lake.root)


def test_books_that_say_what_is_there_pass(lake: Lake, place: Path) -> None:
    assert gated(lake, place, BOOKS) == ""


@pytest.mark.parametrize(
    ("stage", "counts", "failed", "seen"),
    [
        ("ingest", (3, 3, 0), "what a stage kept is there", '"rows_kept": 3, "kept_there": 2'),
        ("deduplicate", (1, 1, 0), "a stage has read all that is there",
         '"rows_in": 1, "there_to_read": 2'),
        ("extract", (1, 1, 0), "a stage has read all that is there", '"there_to_read": 2'),
        ("extract", (2, 2, 0), "what a stage kept is there", '"rows_kept": 2, "kept_there": 1'),
        ("decontaminate", (0, 0, 0), "a stage has read all that is there", '"there_to_read": 1'),
        ("decontaminate", None, "every stage has finished", '"stage": "decontaminate"'),
    ],
)  # fmt: skip
def test_what_is_lost_between_two_stages_stops_the_day(
    lake: Lake, place: Path, stage: str, counts: tuple[int, int, int] | None, failed: str, seen: str
) -> None:
    found = gated(lake, place, {**BOOKS, stage: counts})
    assert failed in found
    assert seen in found


def gated(lake: Lake, place: Path, books: Mapping[str, tuple[int, int, int] | None]) -> str:
    """What the gate says against that day with these books; a stage of None has none."""
    shutil.copytree(place, lake.root)
    lake.upsert(JOB_RUNS, [finished(s, DAY, told) for s, told in books.items() if told], "r")
    try:
        execute(gate_corpus.STAGE, DAY, load("tiny", [f"lake.root={lake.root}"]))
    except GateError as error:
        return str(error)
    return ""


def test_rows_that_are_younger_than_the_books_are_waited_for(lake: Lake) -> None:
    """A later day's extraction has moved this day's snippets; it is yet to be decontaminated."""
    settings = load("tiny", [f"lake.root={lake.root}"])
    lake.sync(DOCUMENTS, [document(1)], {"ds": DAY}, "r")
    lake.sync(UNITS, [unit(1), unit(2)], {"ds": DAY}, "r")
    lake.sync(SNIPPETS, [snippet(1), snippet(2)], {"ds": DAY}, "r")
    enter(lake, DAY)
    lake.sync(SNIPPETS, [snippet(2)], {"ds": DAY}, "r")
    lake.upsert(JOB_RUNS, [finished("extract", DAY, (2, 1, 1))], "r")
    lake.sync(
        REJECTED, [{**rejection(1), "stage": "extract"}], {"ds": DAY, "stage": "extract"}, "r"
    )
    with pytest.raises(ServiceError, match=r"decontaminate .* has not finished"):
        execute(gate_corpus.STAGE, DAY, settings)
    lake.upsert(JOB_RUNS, [finished("decontaminate", DAY, (1, 1, 0))], "r")
    assert execute(gate_corpus.STAGE, DAY, settings)["status"] == "done"
