"""Maintenance: fewer files, nothing cited lost, nothing forgotten left in any file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import citations, differences, edits, files, forget, maintain, queries, repair, traces
from jobs.exports.folder import Request, export
from jobs.exports.selection import Filters
from jobs.page import tables as shown
from lakehouse import digests
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, UserError
from lakehouse.run import Run, execute
from lakehouse.settings import Settings, load
from lakehouse.stages import MAINTENANCE_CRON, next_maintenance
from lakehouse.tables import (
    CANDIDATES,
    COMPACTIONS,
    DOCUMENTS,
    LINEAGE,
    MAINTENANCE,
    PAIRS,
    PREFERENCES,
    RELEASED,
    SKETCHES,
    SNIPPETS,
    STAGED,
    TABLES,
    TAKEDOWNS,
    UNITS,
)
from tests.jobs import forgettable as lakes
from tests.jobs.forgettable import DAY, copied, names

__all__ = ["copied"]  # a fixture


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which a pair that a model was trained on has been superseded since."""
    root = tmp_path_factory.mktemp("maintained") / "lake"
    lake = Lake(str(root))
    lakes.filled(lake)
    stays = [{c: r[c] for c in PAIRS.content} | {"published_at": r["published_at"]}
             for r in lake.read(PAIRS).to_pylist()
             if r["pair_id"] != names("other/lib/c")["pair"]]  # fmt: skip
    lake.sync(PAIRS, stays, {"ds": DAY}, "publish again")
    lake.sync(PAIRS, stays[:1], {"ds": DAY}, "publish what nobody has read")
    return root


@pytest.fixture
def at_once(tmp_path: Path) -> Settings:
    return load("tiny", [f"lake.root={tmp_path / 'lake'}", "maintenance.retention_days=0",
                         "maintenance.min_files=2"])  # fmt: skip


def readable(lake: Lake, name: str, version: int) -> bool:
    try:
        lake.read(TABLES[name], version=version)
    except FileNotFoundError:
        return False
    return True


def test_what_something_cites_stays_and_the_rest_goes(lake: Lake, at_once: Settings) -> None:
    cited = citations.cited(lake)
    read = {PAIRS: {3}, SNIPPETS: {3}, CANDIDATES: {6}, DOCUMENTS: {1}}
    assert {t: cited[t.full_name] for t in read} == read
    before = traces.nested(traces.trace(lake, "tiny-first/human_eval"))
    then = {name: lake.digests(t) for name, t in TABLES.items()}
    rows = {t: lake.read(t).num_rows for t in TABLES.values()}
    assert execute(maintain.STAGE, DAY, at_once)["status"] == "done"
    assert all(readable(lake, name, v) for name, versions in cited.items() for v in versions)
    assert not readable(lake, PAIRS.full_name, 4)  # "publish again": nobody has read it
    after = traces.nested(traces.trace(lake, "tiny-first/human_eval"))
    assert after["missing"] == before["missing"]
    for level in ("pairs", "candidates", "snippets", "documents", "source_lines"):
        told = [[r["id"] for r in found["made_from"][level]["shown"]] for found in (before, after)]
        assert told[0] == told[1] and len(told[0]) == 2, level
    # a fingerprint does not move because files were put together
    assert {n: d for n, d in then.items() if TABLES[n] not in citations.BOOKS} == {
        n: lake.digests(t) for n, t in TABLES.items() if t not in citations.BOOKS}  # fmt: skip
    ours = {t: lake.read(t).num_rows for t in TABLES.values() if t not in citations.BOOKS}
    assert ours == {t: rows[t] for t in ours}
    held = {r["table_name"]: r for r in lake.read(MAINTENANCE).to_pylist()}
    candidates = held["silver.candidates"]
    assert (candidates["files_before"], candidates["files_after"]) == (6, 1)
    assert candidates["stored_files_after"] == 7  # the six are cited
    judgements = held["silver.judgements"]
    assert (judgements["stored_files_before"], judgements["stored_files_after"]) == (6, 1)
    assert judgements["stored_bytes_after"] < judgements["stored_bytes_before"]
    versions = [lake.version(t) for t in read]
    for table, pinned in read.items():
        maintain.compact(lake, table, at_once.maintenance, "again")
        assert maintain.vacuum(lake, table, at_once.maintenance, pinned, None, "again") == 0
    assert [lake.version(t) for t in read] == versions


def test_what_was_read_after_a_vacuum_cites_what_it_was_made_from(
    tmp_path: Path, at_once: Settings
) -> None:
    lake = Lake(at_once.lake.root)
    kept = [lakes.source(name) for name in ("acme/tool/a", "other/lib/c")]
    lakes.ingested(lake, kept)
    first = lake.version(DOCUMENTS)
    for document, name in zip(kept, ("acme/tool/a", "other/lib/c"), strict=True):
        lakes.extracted(lake, name, document)
        lakes.read_by(lake, "extract", SNIPPETS, DOCUMENTS)
    assert execute(maintain.STAGE, DAY, at_once)["status"] == "done"
    (vacuumed,) = [c["version"] for c in lake.history(SNIPPETS)[:1]]
    assert lake.history(SNIPPETS)[0]["operation"] == "VACUUM END"  # no run has made this version
    for document, name in zip(kept, ("acme/tool/a", "other/lib/c"), strict=True):
        lakes.written(lake, name, document)
        lakes.published(lake, name, document)
    lakes.read_by(lake, "choose", STAGED, SNIPPETS, CANDIDATES)
    lakes.read_by(lake, "publish", PAIRS, STAGED)
    lakes.trained(lake, "first", ["acme/tool/a", "other/lib/c"])
    lake.sync(DOCUMENTS, [lakes.source("other/lib/d")], {"ds": DAY}, "the day comes in anew")
    for table in (UNITS, SNIPPETS, STAGED, PAIRS, PREFERENCES):
        lake.sync(table, [], {"ds": DAY}, "and so does all that was made of it")
    cited = citations.cited(lake)
    assert vacuumed in cited[SNIPPETS.full_name]
    assert first in cited[DOCUMENTS.full_name]
    assert execute(maintain.STAGE, lakes.LATER, at_once)["status"] == "done"
    assert readable(lake, DOCUMENTS.full_name, first)


def test_after_a_repair_there_is_maintenance_as_before(lake: Lake, at_once: Settings) -> None:
    for table in (DOCUMENTS, SKETCHES):
        for file in Path(lake.uri(table)).glob("ds=*/*.parquet"):
            file.unlink()
        rows = lake.counts(table)
        _, gone = repair.repair(lake, table, "repair")
        assert sum(file.rows for file in gone) == sum(rows.values())
    let = {(r["table_name"], r["version"]): r["reason"] for r in lake.read(RELEASED).to_pylist()}
    assert let[DOCUMENTS.full_name, 1] == "damaged"
    assert execute(maintain.STAGE, DAY, at_once)["status"] == "done"


def test_what_a_repair_has_set_aside_goes_with_the_next_takedown(
    lake: Lake, at_once: Settings
) -> None:
    kept = lake.read(DOCUMENTS).select(DOCUMENTS.content).to_pylist()
    (file, *_) = Path(lake.uri(DOCUMENTS)).glob("ds=*/*.parquet")
    file.write_bytes(file.read_bytes()[:-8])
    repair.repair(lake, DOCUMENTS, "repair")
    aside = Path(lake.uri(DOCUMENTS)) / files.DAMAGED
    assert [f.name for f in aside.rglob("*.parquet")] == [file.name]
    lakes.ingested(lake, kept)
    forget.forget(lake, forget.request(lake, "repository", "acme/tool"), "DMCA", "counsel")
    maintain.main(Run(maintain.STAGE, "maintain", DAY, at_once, lake, "m"))
    assert not [*aside.rglob("*.parquet")]
    (request,) = lake.read(TAKEDOWNS).to_pylist()
    assert request["vacuumed"] is not None


def test_what_an_export_was_made_from_stays(lake: Lake, at_once: Settings, tmp_path: Path) -> None:
    export(lake, at_once, Request("messages", tmp_path / "sent", Filters(), 100))
    version = lake.version(PAIRS)
    left = lake.read(PAIRS).slice(1).select(PAIRS.content).to_pylist()
    lake.sync(PAIRS, left, {"ds": DAY}, "one less")
    maintain.main(Run(maintain.STAGE, "maintain", DAY, at_once, lake, "m"))
    assert readable(lake, PAIRS.full_name, version)


def test_files_that_left_lately_stay_and_a_killed_compaction_is_made_good(
    lake: Lake, at_once: Settings
) -> None:
    chosen = at_once.maintenance.model_copy(update={"retention_days": 7})
    before = lake.digests(CANDIDATES)
    stored = len(list(Path(lake.uri(PAIRS)).rglob("part-*.parquet")))
    for table in (CANDIDATES, PAIRS):
        maintain.compact(lake, table, chosen, "killed")
    assert lake.digests(CANDIDATES) != before
    digests.note_compactions(lake, CANDIDATES, "again")
    assert lake.digests(CANDIDATES) == before
    digests.note_compactions(lake, CANDIDATES, "and again")
    assert lake.read(COMPACTIONS)["run_id"].to_pylist() == ["again"]
    edits.trace(lake, CANDIDATES, "again")
    edits.trace(lake, CANDIDATES, "and again")
    (edge,) = lake.read(LINEAGE, {"output_table": CANDIDATES.full_name}).to_pylist()
    assert edge["run_id"] == "killed"
    assert edge["output_version"] == edge["input_version"] + 1 == lake.version(CANDIDATES)
    assert maintain.vacuum(lake, PAIRS, chosen, {3}, None, "m") == 0
    assert len(list(Path(lake.uri(PAIRS)).rglob("part-*.parquet"))) == stored
    assert readable(lake, PAIRS.full_name, 4)


def test_what_was_forgotten_is_in_no_file_whatever_cites_it(lake: Lake, at_once: Settings) -> None:
    words = [f"MARKER-{n}-END".encode() for n in ("acme/tool/a", "bad")]
    words += [i.encode() for i in names("acme/tool/a").values()]
    assert holding(lake, words)
    forget.forget(lake, forget.request(lake, "repository", "acme/tool"), "DMCA", "counsel")
    assert holding(lake, words)  # in files of older versions, and in the log's statistics
    maintain.main(Run(maintain.STAGE, "maintain", DAY, at_once, lake, "m"))
    assert holding(lake, words) == []
    released = {
        (r["table_name"], r["version"]): r["reason"] for r in lake.read(RELEASED).to_pylist()
    }
    assert released[PAIRS.full_name, 3] == "forgotten"
    (request,) = lake.read(TAKEDOWNS).to_pylist()
    assert request["vacuumed"]
    said = Path(lake.root, "takedowns", f"{request['request_id']}.md").read_text()
    assert "Files of older versions: gone since" in said
    for ask in (lambda: queries.rows(lake, f"FROM {PAIRS.full_name} VERSION AS OF 3"),
                lambda: differences.of_versions(lake, PAIRS, (3, 5), 9),
                lambda: shown.some(lake, PAIRS.full_name, version=3)):  # fmt: skip
        with pytest.raises(UserError, match=r"version 3 has been let go \(a takedown\): \d of its"):
            ask()
    # what else the model learnt from is superseded, and still found in what is left of then
    found = traces.trace(lake, "tiny-first/human_eval")
    pairs, lines = (next(level for level in found.made_from if level.name == name)
                    for name in ("pairs", "source_lines"))  # fmt: skip
    assert {r["id"] for r in pairs.shown} == {names("other/lib/c")["pair"]}
    assert (lines.rows, found.missing) == (1, {})


def test_what_lay_in_a_file_with_forgotten_rows_is_found_in_a_newer_version(
    lake: Lake, at_once: Settings
) -> None:
    pairs = [{c: r[c] for c in PAIRS.content} | {"published_at": r["published_at"]}
             for v in (3, 5) for r in lake.read(PAIRS, version=v).to_pylist()]  # fmt: skip
    lake.sync(PAIRS, {r["pair_id"]: r for r in pairs}.values(), {"ds": DAY}, "publish all again")
    model = lakes.trained(lake, "third", ["acme/tool/a", "other/lib/c"])
    forget.forget(lake, forget.request(lake, "repository", "acme/tool"), "DMCA", "counsel")
    maintain.main(Run(maintain.STAGE, "maintain", DAY, at_once, lake, "m"))
    stays = names("other/lib/c")["pair"]
    assert lake.read(PAIRS, {"pair_id": stays}).num_rows == 1
    up = traces.trace(lake, f"{model}/human_eval")
    reached = {level.name: [r["id"] for r in level.shown] for level in up.made_from}
    assert (reached["pairs"], len(reached["source_lines"]), up.missing) == ([stays], 1, {})
    down = {level.name: [r["id"] for r in level.shown]
            for level in traces.trace(lake, stays).went_into}  # fmt: skip
    assert model in down["models"]


def holding(lake: Lake, words: list[bytes]) -> list[str]:
    """Files of the lake in which one of these can be read."""
    return [str(p) for p in Path(lake.root).rglob("*")
            if p.is_file() and any(word in p.read_bytes() for word in words)]  # fmt: skip


def test_a_cited_version_that_lacks_a_file_is_said(lake: Lake, at_once: Settings) -> None:
    found = lake.open(CANDIDATES, 6)
    assert found is not None
    cited = citations.cited(lake)
    reached = maintain.reach(lake)
    maintain.prove(lake, cited, reached, exact=True)
    maintain.compact(lake, CANDIDATES, at_once.maintenance, "m")
    edits.trace(lake, CANDIDATES, "m")
    Path(found.file_uris()[0]).unlink()
    with pytest.raises(LakeError, match="candidates version 6 is cited and lacks 1 files"):
        maintain.prove(lake, cited, reached, exact=True)
    assert lake.read(LINEAGE, {"run_id": "m"})["input_version"].to_pylist() == [6]


def test_nothing_goes_that_a_trace_would_miss(
    lake: Lake, at_once: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with what is known to be cited, it is seen before a file is removed."""
    cited = citations.cited(lake)
    monkeypatch.setattr(citations, "cited", lambda _: {**cited, PAIRS.full_name: set()})
    run = Run(maintain.STAGE, "maintain", DAY, at_once, lake, "m")
    stored = {f for f in Path(lake.uri(PAIRS)).rglob("part-*.parquet")}
    with pytest.raises(LakeError, match=r"other source lines than before: .* No file was removed"):
        maintain.main(run)
    assert {f for f in Path(lake.uri(PAIRS)).rglob("part-*.parquet")} >= stored
    assert readable(lake, PAIRS.full_name, 3)
    assert not lake.read(MAINTENANCE).num_rows


def test_a_cited_version_whose_files_would_go_is_said(lake: Lake, at_once: Settings) -> None:
    cited, reached = citations.cited(lake), maintain.reach(lake)
    unneeded = {CANDIDATES.full_name: {life.path for life in files.lives(lake, CANDIDATES)[:1]}}
    with pytest.raises(LakeError, match=r"candidates version 6 is cited and lacks 1 files"):
        maintain.rehearse(lake, cited, reached, unneeded, exact=True)


def test_maintenance_is_due_on_the_day_that_cron_has_it() -> None:
    assert MAINTENANCE_CRON == "0 3 * * 0"
    sunday = dt.datetime(2026, 11, 29, 3, tzinfo=dt.UTC)
    assert next_maintenance(sunday - dt.timedelta(minutes=1)) == sunday
    assert next_maintenance(sunday) == sunday + dt.timedelta(7)
    assert next_maintenance(sunday - dt.timedelta(6)) == sunday


@given(
    spans=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6) | st.none()), max_size=12),
    cited=st.sets(st.integers(0, 14), max_size=6),
)
def test_few_versions_keep_all_files_of_the_cited(
    spans: list[tuple[int, int | None]], cited: set[int]
) -> None:
    lives = [files.Life(str(n), first, None if length is None else first + length)
             for n, (first, length) in enumerate(spans)]  # fmt: skip
    kept = files.keeping(lives, cited)
    assert set(kept) <= cited
    ended = [life for life in lives if life.removed is not None]
    assert {x.path for x in ended if any(map(x.is_of, kept))} == {
        x.path for x in ended if any(map(x.is_of, cited))}  # fmt: skip


def test_the_log_says_which_files_each_version_has(lake: Lake, at_once: Settings) -> None:
    maintain.compact(lake, CANDIDATES, at_once.maintenance, "m")
    lives = files.lives(lake, CANDIDATES)
    for version in range((lake.version(CANDIDATES) or 0) + 1):
        found = lake.open(CANDIDATES, version)
        assert found is not None
        named = {str(p) for p in found.get_add_actions()["path"].to_pylist()}
        assert {life.path for life in lives if life.is_of(version)} == named
    assert files.keeping(lives, {4, 5, 6}) == [6]
