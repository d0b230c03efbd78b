"""Extraction day by day on real Spark: what is moved is parsed, code finds its owner, crashes."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from jobs import extract
from lakehouse.delta import Lake, _content
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import DOCUMENTS, DUPLICATES, REJECTED, SKETCHES, SNIPPETS, UNITS
from tests.rows import document, row, sketch

pytestmark = pytest.mark.spark
DAYS = [dt.date(2026, 11, d) for d in (1, 2, 3, 4)]
SETS = ("extract.min_tokens=1",)
Held = dict[dt.date, list[str]]
"""Files of functions by day: "f g" is a file with two."""


def function(name: str) -> str:
    return f"def {name}(x):\n    return x, {name!r}"


def put(root: Path, held: Held, repeated: str = "") -> None:
    """Make the days' documents these; the file named `repeated` is a duplicate."""
    lake = Lake(str(root))
    for day in DAYS:
        files = [
            document(ds=day, source="s", document_id=f"{day}-{names}", kind="code",
                     language="python", license="MIT",
                     content="\n\n".join(map(function, names.split())))
            for names in held.get(day, [])
        ]  # fmt: skip
        twice = [
            row(DUPLICATES, ds=day, source="s", document_id=f["document_id"], original_ds=day)
            for f in files if f["document_id"].endswith(f"-{repeated}")
        ]  # fmt: skip
        for table, rows in ((DOCUMENTS, files), (SKETCHES, [sketch(f) for f in files]),
                            (DUPLICATES, twice)):  # fmt: skip
            lake.sync(table, rows, {"ds": day}, "put")


def run(root: Path, day: dt.date = DAYS[0]) -> dict[str, Any]:
    return execute(extract.STAGE, day, load("tiny", [f"lake.root={root}", *SETS]))


def contents(root: Path) -> list[Any]:
    lake = Lake(str(root))
    return [_content(lake.read(t).to_pylist(), t) for t in (SNIPPETS, REJECTED)]


def owners(root: Path) -> dict[str, str]:
    found = Lake(str(root)).read(SNIPPETS).to_pylist()
    return {r["name"]: r["document_id"][-1:] + str(r["ds"].day) for r in found}


def test_days_that_come_go_and_break_off_give_the_tables_of_one_rebuild(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, made = Lake(str(tmp_path / "lake")), tmp_path / "lake"
    first, second, third, _ = DAYS
    put(made, {third: ["f g", "h"]})
    run(made, third)
    assert owners(made) == {"f": "g3", "g": "g3", "h": "h3"}
    steps: list[tuple[Held, str, dict[str, str], set[dt.date]]] = [
        # an older day comes late and owns what it shares
        ({second: ["f i"], third: ["f g", "h"]}, "", {"f": "i2", "g": "g3", "h": "h3", "i": "i2"},
         {second}),
        # a document turns out to be a duplicate: what it held finds the next that has it
        ({first: ["h"], second: ["f i"], third: ["f g", "h"]}, "f i", {"f": "g3", "g": "g3",
         "h": "h1"}, {first, second}),
        # a day is cleared
        ({second: ["f i"], third: ["f g", "h"]}, "", {"f": "i2", "g": "g3", "h": "h3", "i": "i2"},
         {first, second}),
    ]  # fmt: skip
    for held, repeated, owned, parsed in steps:
        before = lake.digests(UNITS)
        put(made, held, repeated)
        run(made)
        assert owners(made) == owned
        now = lake.digests(UNITS)
        moved = {d for d in before.keys() | now.keys() if before.get(d) != now.get(d)} - {"*"}
        assert moved == {str(d) for d in parsed}
    held, *_ = steps[-1]
    put(tmp_path / "rebuilt", held)
    run(tmp_path / "rebuilt")
    assert contents(made) == contents(tmp_path / "rebuilt")
    # a day comes that owns no snippet, one that owns another's, and both go again: each time the
    # run ends between units and snippets
    for came in ({first: ["h"], DAYS[3]: ["f"]}, {}):
        put(made, {**held, **came})
        with monkeypatch.context() as patch:
            patch.setattr(extract, "_write", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run(made)
    run(made, DAYS[3])
    assert contents(made) == contents(tmp_path / "rebuilt")
