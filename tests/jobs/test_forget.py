"""A takedown: all that stems from a document is gone, and nothing else, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import certificates, deduplicate, denied, forget, gate_corpus, repair
from jobs.cli import main
from jobs.denied import Denied
from jobs.doctor import lake as doctor
from jobs.exports.folder import Request, export
from jobs.exports.selection import Filters
from jobs.forgotten import BLANKED, REMOVED
from lakehouse import bulk, training_sets
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.fingerprints import Fingerprints
from lakehouse.run import execute
from lakehouse.settings import Settings, load
from lakehouse.tables import (
    CERTIFICATES,
    DOCUMENTS,
    DUPLICATES,
    EXPORTS,
    JOB_RUNS,
    PAIRS,
    REJECTED,
    SIMILAR,
    SNIPPETS,
    TABLES,
    TAKEDOWNS,
    TAKEOVERS,
    Table,
)  # fmt: skip
from tests.jobs import forgettable as lakes
from tests.jobs.forgettable import DAY, LATER, copied, names, place
from tests.rows import document, finished

__all__ = ["copied", "place"]  # fixtures


@pytest.fixture(scope="module")
def forgotten(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The same without `acme/tool`."""
    root = tmp_path_factory.mktemp("forgotten") / "lake"
    shutil.copytree(filled, root)
    lake = Lake(str(root))
    forget.forget(lake, forget.request(lake, "repository", "acme/tool"), "DMCA", "counsel")
    return lake


def told(lake: Lake) -> dict[str, str]:
    """All rows of the newest version of each table, as text."""
    return {name: json.dumps(lake.read(t).to_pylist(), default=str) for name, t in TABLES.items()}


def content(lake: Lake, *without: Table) -> dict[str, Any]:
    """The rows that two equal lakes share; not who wrote them when."""
    return {
        name: sorted(str([r[c] for c in table.content]) for r in lake.read(table).to_pylist())
        for name, table in TABLES.items() if table not in without
    }  # fmt: skip


def test_nothing_of_it_is_in_any_table(forgotten: Lake) -> None:
    for name in ("acme/tool/a", "acme/tool/b"):
        ids = names(name)
        # the code of b is in a document of another source, too, which nobody asked about
        gone = {ids["document"], ids["pair"], "hub/acme"}
        gone |= {*ids.values(), f"MARKER-{name}-END"} if name.endswith("a") else set()
        for table, text in told(forgotten).items():
            assert not [word for word in gone if word in text], table
    assert "MARKER-bad-END" not in "".join(told(forgotten).values())


def test_every_table_that_could_hold_something_is_looked_at(filled: Path) -> None:
    held = told(Lake(str(filled)))
    words = [*names("acme/tool/a").values(), "MARKER-acme/tool/a-END"]
    named = {table for table, text in held.items() if any(word in text for word in words)}
    looked_at = {t.full_name for t in (*REMOVED, *BLANKED)}
    assert named <= looked_at
    # the rest has no ids in this lake
    assert looked_at - named == {t.full_name for t in (SIMILAR, TAKEOVERS, JOB_RUNS)}


def test_what_nobody_asked_about_stays(forgotten: Lake) -> None:
    kept = {r["document_id"] for r in forgotten.read(DOCUMENTS).to_pylist()}
    assert kept == {names(n)["document"] for n in ("other/lib/c", "copy/of/a", "copy/of/b")}
    (pair,) = forgotten.read(PAIRS).to_pylist()
    assert (pair["pair_id"], pair["run_id"]) == (names("other/lib/c")["pair"], "publish")
    shared = forgotten.read(TABLES["silver.candidates"], {
        "candidate_id": names("acme/tool/b")["best"]})  # fmt: skip
    assert shared.num_rows == 1  # made of code that another document has: it was paid for


def test_the_certificate_says_what_went_and_whom_it_reaches(forgotten: Lake) -> None:
    (request,) = forgotten.read(TAKEDOWNS).to_pylist()
    told = json.loads(Path(forgotten.root, "takedowns", f"{request['request_id']}.json")
                      .read_text())  # fmt: skip
    removed = {r["name"]: r["rows_removed"] for r in told["tables"]}
    assert (removed["bronze.documents"], removed["gold.instruction_pairs"]) == (2, 2)
    for row in told["tables"]:
        assert row["version_after"] > row["version_before"]
    assert [r["name"] for r in told["training_sets"]] == ["first"]
    assert [r["name"] for r in told["models"]] == ["tiny-first"]
    assert {r["name"]: r["rows_removed"] for r in told["copies"]} == {"mirror": 2}
    assert told["replay"] == [str(DAY), str(LATER)]
    assert "maintenance" in told["older_files"] and request["done"] and not request["vacuumed"]


def test_the_certificate_lists_exports_that_hold_what_went(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    made, _ = export(lake, settings, Request("messages", tmp_path / "sent", Filters(), 100))
    export(lake, settings, Request("messages", tmp_path / "old", Filters(last=DAY), 100))
    (older,) = (r for r in lake.read(EXPORTS).to_pylist() if r["folder"].endswith("old"))
    told = {**json.loads(older["versions"]), PAIRS.full_name: 99}  # no version that is there
    lake.upsert(EXPORTS, [{**{n: older[n] for n in EXPORTS.content},
                           "versions": json.dumps(told)}], "test")  # fmt: skip
    asked = forget.request(lake, "repository", "acme/tool")
    for _ in ("once", "and again"):
        forget.forget(lake, asked, "DMCA", "counsel")
        found = certificates.read(lake, asked.request_id)
        assert found["exports"] == [{"name": f"{made['export_id']} {tmp_path / 'sent'}",
                                     "rows_removed": 2, "rows_blanked": 0}]  # fmt: skip
        assert [(r["name"].split()[1], r["rows_removed"]) for r in found["possible_exports"]] == [
            (older["folder"], older["n_rows"])]  # fmt: skip
    other = forget.request(lake, "document", names("other/lib/c")["document"])
    forget.forget(lake, other, "its author", "counsel")  # of the first request's it says nothing
    held = certificates.read(lake, other.request_id)["exports"]
    assert [r["rows_removed"] for r in held] == [1]


def test_ingests_books_are_those_of_a_day_read_again(forgotten: Lake) -> None:
    rows = forgotten.read(JOB_RUNS, {"stage": "ingest", "ds": DAY}).sort_by("started_at")
    last = rows.to_pylist()[-1]
    assert (last["rows_in"], last["rows_kept"], last["rows_rejected"]) == (4, 1, 3)
    held = forgotten.read(REJECTED, {"stage": "ingest", "ds": DAY}).to_pylist()
    assert {r["reason"] for r in held} == {denied.REASON} and len(held) == 3
    known = Denied.of(forgotten)  # what a run of ingest would make of the same record
    record = lakes.source("acme/tool/a")
    again = denied.kept_out(record, known.request(record))
    assert again["row_id"] in {r["row_id"] for r in held}


def test_a_set_that_lost_examples_is_not_trained_on(forgotten: Lake, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(forgotten.root, root)
    lake = Lake(str(root))
    for day, made in ((DAY, "first"), (LATER, "second")):
        lake.append_missing(JOB_RUNS, [{**finished("mix", day, (1, 1, 0)), "message": made}], "m")
    with pytest.raises(UserError, match="has lost examples to a takedown"):
        training_sets.of_partition(lake, DAY)
    assert training_sets.of_partition(lake, LATER) == "second"


def test_what_a_repair_has_dropped_is_read_in_again_first(lake: Lake) -> None:
    held = lake.read(DOCUMENTS).select(DOCUMENTS.content).to_pylist()
    for file in Path(lake.uri(DOCUMENTS)).glob(f"ds={DAY}/*.parquet"):
        file.unlink()
    repair.repair(lake, DOCUMENTS, "repair")
    with pytest.raises(UserError, match=rf"lacks rows of {DAY} since it was repaired"):
        forget.request(lake, "repository", "acme/tool")
    lake.append_missing(DOCUMENTS, held, "ingest")
    lake.append_missing(JOB_RUNS, [finished("ingest", DAY, (4, 3, 1))], "again")
    assert forget.request(lake, "repository", "acme/tool").value == "acme/tool"


@pytest.mark.parametrize("module", [bulk, forget], ids=["early", "late"])
def test_a_killed_removal_goes_on_by_the_beginning_of_an_id(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def asked() -> None:
        request = forget.request(lake, "document", document[:12])
        forget.forget(lake, request, "DMCA", "counsel")

    document = lakes.names("other/lib/c")["document"]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "edit" if module is bulk else "enter", killed)
        asked()
    found = doctor.takedowns(load("tiny", [f"lake.root={lake.root}"]))
    assert (found.state, found.seen[:10]) == ("fail", "broken off")
    asked()
    assert lake.read(PAIRS, {"document_id": document}).num_rows == 0
    assert doctor.takedowns(load("tiny", [f"lake.root={lake.root}"])).state == "ok"


def test_killed_anywhere_and_run_again_it_comes_to_the_same(
    lake: Lake, forgotten: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = 0

    def edit(*args: Any, **kwargs: Any) -> None:
        nonlocal edits
        edits += 1
        if edits == 3:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    real, asked = bulk.edit, forget.request(lake, "repository", "acme/tool")
    for module, name, broken in ((bulk, "edit", edit), (forget, "enter", killed)):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, broken)
            with pytest.raises(KeyboardInterrupt):
                forget.forget(lake, asked, "DMCA", "counsel")
        assert lake.read(TAKEDOWNS)["done"].to_pylist() == [None]
    forget.forget(lake, asked, "DMCA", "counsel")
    volatile = (TAKEDOWNS, JOB_RUNS, CERTIFICATES, TABLES["ops.lineage_edges"])
    assert content(lake, *volatile) == content(forgotten, *volatile)
    (request,) = lake.read(TAKEDOWNS).to_pylist()
    assert request["done"] and request["documents"] == 2
    removed = [
        {(r["kind"], r["name"]): (r["rows_removed"], r["rows_blanked"])
         for r in each.read(CERTIFICATES).to_pylist()} for each in (lake, forgotten)
    ]  # fmt: skip
    assert removed[0] == removed[1]
    versions = {name: lake.version(t) for name, t in TABLES.items()}
    forget.forget(lake, asked, "DMCA", "counsel")
    assert {name: lake.version(t) for name, t in TABLES.items()} == versions


def test_a_dry_run_and_a_name_that_nothing_bears_change_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    versions = {name: lake.version(t) for name, t in TABLES.items()}
    for words in (["--owner", "acme", "--dry-run", "--format", "json"],
                  ["--repository", "acme/tol", "--because", "x"], ["--owner", "acme"]):  # fmt: skip
        main(["forget", *words, "--set", f"lake.root={lake.root}"])
    told = capsys.readouterr()
    assert codes == [0, 2, 2]
    found = json.loads(told.out)
    removed = {r["name"]: r["rows_removed"] for r in found["would_go"]}
    assert (found["documents"], removed["silver.snippets"]) == (2, 2)
    assert "Near it: 'acme/tool'" in told.err and "say why" in told.err
    assert {name: lake.version(t) for name, t in TABLES.items()} == versions


def test_a_duplicate_of_what_is_forgotten_is_eligible_again(
    settings: Settings, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    asked = document(ds=DAY, source="hub", document_id="a" * 64, content="def f():\n  return 1",
                     origin="hub/acme/tool/a.py")  # fmt: skip
    copy = {**asked, "ds": LATER, "source": "mirror", "document_id": "b" * 64,
            "content": "def f():\n    return 1", "origin": "mirror/a.py"}  # fmt: skip
    lake.append_missing(DOCUMENTS, [asked, copy], "ingest")
    execute(deduplicate.STAGE, LATER, settings)
    (repeated,) = lake.read(DUPLICATES).to_pylist()
    assert (repeated["document_id"], repeated["duplicate_of"]) == ("b" * 64, "a" * 64)
    before = Fingerprints(gate_corpus.STAGE, settings, lake, LATER, "").of(LATER)
    forget.forget(lake, forget.request(lake, "source", "hub"), "DMCA", "counsel")
    (request,) = lake.read(TAKEDOWNS).to_pylist()
    assert json.loads(request["replay"]) == [str(DAY), str(LATER)]
    # `lake stale` goes by this: the copy's day is to be run again
    assert Fingerprints(gate_corpus.STAGE, settings, lake, LATER, "").of(LATER) != before
    assert lake.read(DUPLICATES)["duplicate_of"].to_pylist() == [denied.REASON]
    done = execute(deduplicate.STAGE, LATER, settings)
    assert done["status"] == "done" and lake.read(DUPLICATES).num_rows == 0
    assert lake.read(REJECTED, {"stage": "deduplicate"}).num_rows == 0
    books = lake.read(JOB_RUNS, {"stage": "deduplicate", "ds": LATER}).sort_by("started_at")
    assert books.to_pylist()[-1]["rows_kept"] == 1


def corpora() -> st.SearchStrategy[list[tuple[str, str, str, bool]]]:
    """Documents: (owner, source, licence, whether it repeats the one before)."""
    one = st.tuples(st.sampled_from(["acme", "other"]), st.sampled_from(["hub", "mirror"]),
                    st.sampled_from(["MIT", "GPL-3.0-only"]), st.booleans())  # fmt: skip
    return st.lists(one, min_size=2, max_size=4)


@hypothesis_settings(max_examples=2)
@given(corpus=corpora(), asked=st.sampled_from(["owner", "source", "license"]))
def test_no_row_of_any_table_names_it_and_all_others_stay(
    corpus: list[tuple[str, str, str, bool]], asked: Any
) -> None:
    value = {"owner": "acme", "source": "hub", "license": "GPL-3.0-only"}[asked]
    with TemporaryDirectory() as root:
        lake = Lake(root)
        documents = [lakes.source(f"{owner}/r{n}/d", DAY, source, license_)
                     for n, (owner, source, license_, _) in enumerate(corpus)]  # fmt: skip
        lakes.ingested(lake, documents)
        for n, ((owner, _, _, repeats), of) in enumerate(zip(corpus, documents, strict=True)):
            if n and repeats:
                lakes.repeats(lake, of, documents[n - 1])
            else:
                lakes.chain(lake, f"{owner}/r{n}/d", of)
        known = Denied({denied.name(asked, value): "r"})
        gone = [bool(known.request(d)) for d in documents]
        if not any(gone):
            with pytest.raises(UserError, match="Near it"):
                forget.request(lake, asked, value)
            return
        forget.forget(lake, forget.request(lake, asked, value), "DMCA", "counsel")
        held = "".join(told(lake).values())
        for n, (of, is_gone) in enumerate(zip(documents, gone, strict=True)):
            name = f"{corpus[n][0]}/r{n}/d"
            assert (f"MARKER-{name}-END" in held) is not is_gone
            if is_gone:
                assert not [i for i in names(name).values() if i in held]
            elif not (n and corpus[n][3]):
                (snippet,) = lake.read(SNIPPETS, {"document_id": of["document_id"]}).to_pylist()
                assert snippet["run_id"] == "extract"
                assert lake.read(PAIRS, {"snippet_id": snippet["snippet_id"]}).num_rows == 1
