"""Deduplication by both of its engines: days in any order, late originals, crashes, skew.

Fifty orders are run in one process, and by real Spark and by it in turn: equal tables. The rest is
run on both where the engines differ in how they do it.

Fifty orders cost the time of one: each *world* is a source with words of its own, so that no
document of one is like any of another. All worlds are in one lake on the same three days, and at
each step every world brings in the next of its days, in its own random order.
"""

import datetime as dt
import os
import random
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs import deduplicate, forget, ingest, maintain, minhash
from lakehouse.delta import Lake, _content
from lakehouse.run import execute
from lakehouse.schemas import arrow_schema
from lakehouse.settings import load
from lakehouse.tables import DOCUMENTS, DUPLICATES, REJECTED, SIMILAR, SKETCHES, TAKEOVERS
from tests.rows import document

pytestmark = pytest.mark.spark
START = dt.date(2026, 1, 1)
WORLDS, DAYS = 52, 3
Document = tuple[dt.date, str, str]
"""Day, source, text."""


def write(root: Path, documents: Iterable[Document]) -> None:
    """Make bronze.documents exactly these."""
    rows = []
    for ds, source, text in documents:
        name = ingest.document_id("code", "", text)
        rows.append({**document(ds=ds, source=source, content=text, document_id=name),
                     "run_id": "", "ingested_at": dt.datetime.now(dt.UTC)})  # fmt: skip
    lake = Lake(str(root))
    lake.create(DOCUMENTS)
    schema = pa.schema([f.with_nullable(True) for f in arrow_schema(DOCUMENTS)])

    def by_day(found: Iterable[dict[str, Any]]) -> dict[dt.date, list[str]]:
        days: dict[dt.date, list[str]] = {}
        for r in found:
            days.setdefault(r["ds"], []).append(f"{r['source']} {r['document_id']}")
        return {d: sorted(names) for d, names in days.items()}

    held = by_day(lake.read(DOCUMENTS, columns=["ds", "source", "document_id"]).to_pylist())
    now = by_day(rows)
    moved = {d for d in held.keys() | now.keys() if held.get(d) != now.get(d)}
    write_deltalake(
        lake.uri(DOCUMENTS),
        pa.Table.from_pylist([r for r in rows if r["ds"] in moved], schema=schema),
        mode="overwrite", predicate=f"ds IN ({', '.join(repr(str(d)) for d in moved)})",
    )  # fmt: skip


ON_SPARK, IN_PROCESS = "spark.deduplicates_from=0", "spark.deduplicates_from=1000000"


@pytest.fixture(params=[ON_SPARK, IN_PROCESS], ids=["spark", "process"])
def engine(request: pytest.FixtureRequest) -> str:
    """The setting that chooses an engine; Spark is started where it is needed."""
    if request.param == ON_SPARK:
        request.getfixturevalue("spark")
    return str(request.param)


def run(root: Path, *sets: str, day: dt.date = START) -> dict[str, Any]:
    settings = load("smollm2", [f"lake.root={root}", *sets])
    return execute(deduplicate.STAGE, day, settings)


def contents(root: Path) -> list[list[tuple[str, ...]]]:
    lake = Lake(str(root))
    tables = (DUPLICATES, SIMILAR, REJECTED)
    return [_content(lake.read(t).to_pylist(), t) for t in tables]


def worlds(draw: random.Random) -> list[list[list[Document]]]:
    """Each world's documents by day: originals, near and exact copies on random days."""
    found = []
    for w in range(WORLDS):
        base = [f"w{w}x{draw.randrange(10**6)}" for _ in range(60)]
        days: list[list[Document]] = [[] for _ in range(DAYS)]
        for _ in range(7):
            words = list(base)
            for place in draw.sample(range(60), draw.choice((0, 0, 1, 2, 3, 30))):
                words[place] = f"w{w}y{draw.randrange(10**6)}"
            d = draw.randrange(DAYS)
            words_of_day = draw.choice((" ", "\n")).join(words)
            days[d].append((START + dt.timedelta(d), f"world{w}", words_of_day))
        found.append([list({text: doc for doc in day for text in [doc[2]]}.values())
                      for day in days])  # fmt: skip
    return found


@pytest.mark.timeout(1200)
def test_fifty_random_orders_give_the_tables_of_one_rebuild(spark: Any, tmp_path: Path) -> None:
    draw = random.Random(5)
    every = worlds(draw)
    orders = [draw.sample(range(DAYS), DAYS) for _ in every]
    # two pivots, so that even buckets this small displace theirs
    sets = ("deduplicate.pivots=2",)
    at_step: list[list[Document]] = [
        [doc for w, o in zip(every, orders, strict=True) for d in o[: step + 1] for doc in w[d]]
        for step in range(DAYS)
    ]
    # on the way some documents are cleared and come back with the last days, others go then
    at_step[1] = [doc for doc in at_step[1] if hash_of(doc) % 3]
    at_step[2] = [doc for doc in at_step[2] if hash_of(doc) % 5]
    # by one engine, and by both in turn: they take up each other's tables
    lakes = {"process": [IN_PROCESS] * 3, "both": [ON_SPARK, IN_PROCESS, ON_SPARK]}
    for place, step in enumerate(at_step):
        for name, engines in lakes.items():
            write(tmp_path / name, step)
            run(tmp_path / name, engines[place], *sets)
    write(tmp_path / "rebuilt", at_step[-1])
    run(tmp_path / "rebuilt", IN_PROCESS, *sets)
    rebuilt = contents(tmp_path / "rebuilt")
    assert [name for name in lakes if contents(tmp_path / name) != rebuilt] == []
    found = Lake(str(tmp_path / "rebuilt")).read(DUPLICATES).to_pylist()
    assert {r["method"] for r in found} == {"exact", "minhash"}
    assert Lake(str(tmp_path / "rebuilt")).read(TAKEOVERS).num_rows == 0
    taken = {name: _content(Lake(str(tmp_path / name)).read(TAKEOVERS).to_pylist(), TAKEOVERS)
             for name in lakes}  # fmt: skip
    assert taken["process"] == taken["both"]
    held = Lake(str(tmp_path / "process")).read(TAKEOVERS).to_pylist()
    assert held
    assert all(r["taken_over_ds"] <= r["ds"] for r in held)


def hash_of(one: Document) -> int:
    return int(ingest.document_id("code", "", one[2])[:8], 16)


def text(name: str, *, n: int = 80, changed: int = 0) -> str:
    return " ".join([*(f"{name}{i}" for i in range(n - changed)),
                     *(f"{name}other{i}" for i in range(changed))])  # fmt: skip


def test_a_late_older_day_takes_over_visibly(tmp_path: Path) -> None:
    first, second, third = (START + dt.timedelta(d) for d in range(3))
    later = [(second, "s", text("a")), (third, "s", text("a", changed=4))]
    write(tmp_path, later)
    run(tmp_path, IN_PROCESS)
    lake = Lake(str(tmp_path))
    (row,) = lake.read(DUPLICATES).to_pylist()
    assert (row["ds"], row["original_ds"], row["method"]) == (third, second, "minhash")
    older = (first, "s", text("a", changed=2))
    write(tmp_path, [*later, older])
    done = run(tmp_path, IN_PROCESS, day=first)
    assert (done["rows_in"], done["rows_kept"]) == (1, 1)
    rows = {r["ds"]: r for r in lake.read(DUPLICATES).to_pylist()}
    assert {r["original_ds"] for r in rows.values()} == {first}
    assert rows.keys() == {second, third}
    name = {d: ingest.document_id("code", "", t) for d, _, t in [*later, older]}
    assert {r["similar_to"] for r in rows.values()} == {name[first]}
    (taken,) = lake.read(TAKEOVERS).to_pylist()
    assert (taken["ds"], taken["taken_over_by"]) == (second, name[first])


def test_without_a_similar_pair_too(tmp_path: Path) -> None:
    write(tmp_path, [(START, "s", text("a"))])
    run(tmp_path, IN_PROCESS)
    write(tmp_path, [(START, "s", text("a")), (START - dt.timedelta(1), "s", text("a"))])
    run(tmp_path, IN_PROCESS)
    (taken,) = Lake(str(tmp_path)).read(TAKEOVERS).to_pylist()
    assert (taken["ds"], taken["taken_over_ds"]) == (START, START - dt.timedelta(1))
    write(tmp_path, [])  # nothing is left
    run(tmp_path, IN_PROCESS)
    assert contents(tmp_path) == [[], [], []]


def test_a_crash_before_the_pairs_are_committed_loses_nothing(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "on_spark" if engine == ON_SPARK else "in_process"
    day = [(START, "s", t) for t in (text("a"), text("pair"), text("pair", changed=3))]
    write(tmp_path / "a", day)
    run(tmp_path / "a", IN_PROCESS)
    # an older day takes over; a run ends before that is known, the next one between two tables
    both = [*day, (START + dt.timedelta(1), "s", text("a", changed=3)),
            (START - dt.timedelta(1), "s", text("a", changed=1))]  # fmt: skip
    write(tmp_path / "a", both)
    for broken in ("update", "_reject" if engine == ON_SPARK else "_rejections"):
        with monkeypatch.context() as patch:
            patch.setattr(f"jobs.compare_{module}.{broken}", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run(tmp_path / "a", engine)
    run(tmp_path / "a", engine)
    assert Lake(str(tmp_path / "a")).read(TAKEOVERS).num_rows == 1
    write(tmp_path / "b", both)
    run(tmp_path / "b", IN_PROCESS)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert Lake(str(tmp_path / "a")).read(DUPLICATES).num_rows == 3


def test_few_large_documents_are_sparks_work_too(tmp_path: Path, monkeypatch: Any) -> None:
    chosen: list[str] = []
    for module in ("in_process", "on_spark"):
        monkeypatch.setattr(
            f"jobs.compare_{module}.sketch", lambda *_, m=module: chosen.append(m) or 1 / 0
        )
    for size in (1, 40):
        write(tmp_path / str(size), [(START, "s", os.urandom(500 * size).hex())] * 2)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / str(size), "spark.deduplicates_from=20")
    assert chosen == ["in_process", "on_spark"]


def test_only_what_moved_is_written(tmp_path: Path) -> None:
    days = [START + dt.timedelta(d) for d in range(3)]
    write(tmp_path, [(d, "s", text(f"d{i}")) for i, d in enumerate(days[:2])])
    run(tmp_path, IN_PROCESS)
    lake = Lake(str(tmp_path))
    before = lake.digests(SKETCHES)
    write(tmp_path, [(d, "s", text(f"d{i}")) for i, d in enumerate(days)])
    version = lake.version(DUPLICATES)
    run(tmp_path, IN_PROCESS, day=days[2])
    after = lake.digests(SKETCHES)
    assert {d for d in after if before.get(d) != after[d]} == {"*", str(days[2])}
    assert lake.version(DUPLICATES) == version


def test_a_pivot_that_goes_gives_its_place_to_the_next(engine: str, tmp_path: Path) -> None:
    """Texts so alike that they share all bands, each compared with the lowest content alone."""
    texts = [f"{text('long', n=4000)} tail{i}" for i in range(5)]
    order = np.argsort(minhash.sketch(pa.array(texts), 80, 20).contents)
    day = [(START, "s", texts[i]) for i in order]
    steps = (("lake", day, IN_PROCESS), ("lake", day[1:], engine), ("rebuilt", day[1:], IN_PROCESS))
    for root, held, chosen in steps:
        write(tmp_path / root, held)
        run(tmp_path / root, chosen, "deduplicate.pivots=1")
    assert contents(tmp_path / "lake") == contents(tmp_path / "rebuilt")
    assert Lake(str(tmp_path / "lake")).read(SIMILAR).num_rows == 3


def test_skew_leaves_the_rest_as_it_is(engine: str, tmp_path: Path) -> None:
    """A boilerplate file, a crowded bucket, a huge document, tiny ones: and one honest pair."""
    alike = [f"{text('crowd')} tail{i}a tail{i}b" for i in range(3000)]
    huge = " ".join(f"word{i}" for i in range(600_000))
    pair = [text("pair"), text("pair", changed=4)]
    tiny = [f"x{i}" for i in range(5000)]
    day = [(START, "s", t) for t in (*alike, huge, *pair, *tiny)]
    boilerplate = [(START, f"copy{i}", text("licence")) for i in range(3000)]
    write(tmp_path, [*day, *boilerplate])
    done = run(tmp_path, engine)
    assert done["rows_in"] == len(day) + len(boilerplate)
    found = Lake(str(tmp_path)).read(DUPLICATES).to_pylist()
    by_source = [r for r in found if r["source"] != "s"]
    assert len(by_source) == 2999
    assert {r["method"] for r in by_source} == {"exact"}
    near = [r for r in found if r["source"] == "s"]
    assert len(near) == 2999 + 1
    assert {r["method"] for r in near} == {"minhash"}


def test_a_day_that_filters_hold_back_whole_has_its_rows(engine: str, tmp_path: Path) -> None:
    """It has no sketches, by which days that moved are known."""
    lake, second = Lake(str(tmp_path)), START + dt.timedelta(1)

    def put(*held_back: str) -> None:
        write(tmp_path, [(START, "s", text("a")), *((second, "s", text(t)) for t in held_back)])
        rows = lake.read(DOCUMENTS).drop(["run_id"]).to_pylist()
        lake.sync(DOCUMENTS, [r | {"license": "GPL-3.0-only" if r["ds"] == second else "MIT"}
                              for r in rows], {}, "r")  # fmt: skip

    def rejected() -> list[str]:
        return sorted(lake.read(REJECTED, {"ds": second})["row_id"].to_pylist())

    put()
    run(tmp_path, IN_PROCESS)
    for held_back, chosen in ((["b"], engine), (["c"], IN_PROCESS), ([], engine)):
        put(*held_back)
        day = second if held_back == ["b"] else START
        done = run(tmp_path, chosen, day=day)
        assert done["rows_rejected"] == (len(held_back) if day == second else 0)
        assert rejected() == sorted(ingest.document_id("code", "", text(t)) for t in held_back)


def test_what_filters_hold_back_is_no_original(tmp_path: Path) -> None:
    write(tmp_path, [(START, "s", text("a")), (START, "t", text("a", changed=2))])
    lake = Lake(str(tmp_path))
    rows = lake.read(DOCUMENTS).drop(["run_id"]).to_pylist()
    lake.sync(DOCUMENTS, [r | {"license": "MIT" if r["source"] == "t" else "GPL-3.0-only"}
                          for r in rows], {}, "r")  # fmt: skip
    done = run(tmp_path, IN_PROCESS)
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (2, 1, 1)
    assert lake.read(DUPLICATES).num_rows == 0
    (rejected,) = lake.read(REJECTED).to_pylist()
    assert (rejected["reason"], rejected["source"]) == ("licence not allowed", "s")
    done = run(tmp_path, IN_PROCESS, "filters.licenses=MIT,GPL-3.0-only")
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (2, 1, 1)
    assert lake.read(DUPLICATES)["source"].to_pylist() == ["t"]


def test_what_filters_hold_back_stays_where_the_same_text_is_taken_over(tmp_path: Path) -> None:
    """The held back document and the one that is compared have one id, on different days."""
    days = [START + dt.timedelta(d) for d in (-1, 0, 1)]
    known = [(days[1], "s", text("a")), (days[2], "t", text("a"))]
    every = [(days[0], "s", text("a", changed=2)), *known]

    def put(root: Path, documents: list[Document]) -> None:
        write(root, documents)
        lake = Lake(str(root))
        rows = lake.read(DOCUMENTS).drop(["run_id"]).to_pylist()
        lake.sync(DOCUMENTS, [r | {"license": "GPL-3.0-only" if r["source"] == "t" else "MIT"}
                              for r in rows], {}, "r")  # fmt: skip

    for root, steps in ((tmp_path / "late", (known, every)), (tmp_path / "whole", (every,))):
        for documents in steps:
            put(root, documents)
            run(root, IN_PROCESS)
    assert contents(tmp_path / "late") == contents(tmp_path / "whole")
    held = Lake(str(tmp_path / "late")).read(REJECTED).to_pylist()
    assert {(r["ds"], r["reason"]) for r in held} == {
        (days[1], "near duplicate"), (days[2], "licence not allowed")}  # fmt: skip


def test_after_a_takedown_and_maintenance_days_are_compared_from_nothing(
    engine: str, tmp_path: Path
) -> None:
    """The sketches that it would go on from held what is forgotten."""
    alike = [text("pair", changed=n) for n in range(4)]
    days = [[(START, "s", alike[0]), (START, "hub", alike[1])],
            [(START + dt.timedelta(1), "s", alike[2])]]  # fmt: skip
    lake = Lake(str(tmp_path / "lake"))
    for n in (1, 2):
        write(tmp_path / "lake", chain(*days[:n]))
        run(tmp_path / "lake", engine)
    forget.forget(lake, forget.request(lake, "source", "hub"), "DMCA", "counsel")
    chosen = load("tiny", [f"lake.root={lake.root}", "maintenance.retention_days=0"])
    execute(maintain.STAGE, START, chosen)
    days[0] = [days[0][0], (START, "s", alike[3])]
    for root, chosen_engine in (("lake", engine), ("rebuilt", IN_PROCESS)):
        write(tmp_path / root, chain(*days))
        assert run(tmp_path / root, chosen_engine)["status"] == "done"
    duplicates, pairs, _ = contents(tmp_path / "lake")  # a denied row was rejected besides
    assert [duplicates, pairs] == contents(tmp_path / "rebuilt")[:2]


def test_duplicates_that_were_restored_or_edited_are_made_again(
    engine: str, tmp_path: Path
) -> None:
    days = [START + dt.timedelta(d) for d in range(3)]
    known = [(days[0], "s", text("a")), (days[1], "s", text("a", changed=1))]
    write(tmp_path, known)
    run(tmp_path, IN_PROCESS)
    lake = Lake(str(tmp_path))
    before = lake.read(DUPLICATES).num_rows
    lake.sync(DUPLICATES, [], {}, "somebody")
    write(tmp_path, [*known, (days[2], "s", text("b"))])
    run(tmp_path, engine, day=days[2])
    assert lake.read(DUPLICATES).num_rows == before == 1


def test_bands_must_divide_permutations(tmp_path: Path) -> None:
    from lakehouse.errors import UserError

    with pytest.raises(UserError, match="must divide"):
        load("tiny", ["deduplicate.bands=7"])
