"""Exports: which rows, in which order, whole or not at all, and found again by a takedown."""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.denied import mark
from jobs.exports import folder, formats, shards
from jobs.exports.card import page
from jobs.exports.folder import Request, export, verify
from jobs.exports.holders import holding
from jobs.exports.selection import FIELDS, Filters
from jobs.verbs import exporting, parser
from lakehouse import prompts
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.settings import Settings, load
from lakehouse.tables import CONTAMINATION, EXPORTS, PAIRS, PREFERENCES
from tests.jobs.exporting import DAY, SET, filled, pairs, sha
from tests.rows import row

RESERVED = {
    "text", "messages", "conversations", "prompt", "completion", "chosen", "rejected", "label",
    "labels", "tools", "images", "image", "input_ids", "seq_lengths", "chat_template_kwargs",
}  # fmt: skip
"""Names that trainers of TRL 1.16 read."""
READ = {"messages": {"messages"}, "prompt-completion": {"prompt", "completion"},
        "preference": {"prompt", "chosen", "rejected"}, "magicoder": set()}  # fmt: skip
WRITTEN = """
import sys
from pathlib import Path
from jobs.exports import folder, shards
from jobs.exports.folder import Filters, Request
from lakehouse.delta import Lake
from lakehouse.settings import load
made = shards._write_one
def once(rows, columns, place, name):
    if "00001" in name.split("-of-")[0]:
        import os; os.kill(os.getpid(), 9)
    return made(rows, columns, place, name)
shards._write_one = once
folder.export(Lake(sys.argv[1]), load("tiny"), Request("messages", Path(sys.argv[2]), Filters(), 5))
"""


def written(lake: Lake, settings: Settings, out: Path, shape: str = "messages",
            shard_rows: int = 100, **filters: Any) -> list[dict[str, Any]]:  # fmt: skip
    manifest, is_new = export(lake, settings, Request(shape, out, Filters(**filters), shard_rows))
    assert is_new
    tables = [pq.read_table(out / s["path"]) for s in manifest["shards"]]
    assert sum(t.num_rows for t in tables) == manifest["rows"]
    return [r for t in tables for r in t.to_pylist()]


def test_columns_bear_the_published_names_and_provenance_none_of_them() -> None:
    for name, shape in formats().items():
        assert set(shape.columns) & RESERVED == READ[name]
        assert {"license", "source", "scorer", "prompt_version"} <= set(shape.columns)
    magicoder = ("lang", "raw_index", "index", "seed", "openai_fingerprint", "problem", "solution")
    assert tuple(formats()["magicoder"].columns)[:7] == magicoder


def test_each_format_holds_the_published_rows(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    held = {p["pair_id"]: p for p in filled(lake)}
    for said in written(lake, settings, tmp_path / "m"):
        pair = held[said["pair_id"]]
        assert said["messages"] == [{"role": "user", "content": pair["instruction"]},
                                    {"role": "assistant", "content": pair["response"]}]  # fmt: skip
        assert [said[n] for n in ("license", "source", "language", "score")] == [
            pair[n] for n in ("license", "source", "language", "score")]  # fmt: skip
    words = prompts.load("tiny")
    for said in written(lake, settings, tmp_path / "p", "prompt-completion"):
        pair = held[said["pair_id"]]
        assert said["prompt"] == words.instruct(pair["instruction"])
        assert said["completion"] == pair["response"]
    rows = written(lake, settings, tmp_path / "o", "magicoder", sources=("world",))
    assert [r["index"] for r in rows] == [0, 1, 2, 3]
    assert len({r["raw_index"] for r in rows}) == 4
    for said in rows:
        pair = held[said["pair_id"]]
        assert said["solution"] == f"```{pair['language']}\n{pair['response']}\n```"
        assert (said["seed"], said["problem"]) == (pair["response"], pair["instruction"])
    losers = written(lake, settings, tmp_path / "d", "preference")
    assert {r["rejected"] for r in losers} == {"write a function"}
    assert [r["score_rejected"] for r in losers].count(None) == 1


def test_no_export_is_put_among_the_lakes_tables(lake: Lake, settings: Settings) -> None:
    filled(lake)
    out = Path(lake.root) / "gold" / "mine"
    with pytest.raises(UserError, match="lies in the lake"):
        written(lake, settings, out)
    assert not out.exists()


def test_answers_are_fenced_where_the_profile_fences(lake: Lake, tmp_path: Path) -> None:
    filled(lake)
    chosen = load("tiny", [f"lake.root={lake.root}", "model.prompts=default"])
    said = written(lake, chosen, tmp_path / "m")[0]
    assert said["messages"][1]["content"].startswith(f"```{said['language']}\n")


def test_filters_choose_and_the_card_counts_what_they_leave_out(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    held = filled(lake)
    rows = written(lake, settings, tmp_path / "x", licenses=("mit", "Apache-2.0", "ISC"))
    assert {r["license"] for r in rows} == {"MIT", "Apache-2.0 OR GPL-2.0-only"}
    manifest = folder.read(tmp_path / "x")
    assert manifest["left_out"] == [["license", "GPL-3.0-only", 3],
                                    ["license", "LicenseRef-odd", 3]]  # fmt: skip
    card = (tmp_path / "x" / "README.md").read_text()
    assert "| license | GPL-3.0-only | 3 |" in card
    rows = written(lake, settings, tmp_path / "y", first=DAY, last=DAY, languages=("python",),
                   min_score=0.4)  # fmt: skip
    expected = {p["pair_id"] for p in held
                if p["ds"] == DAY and p["language"] == "python" and p["score"] >= 0.4}  # fmt: skip
    assert {r["pair_id"] for r in rows} == expected != set()


def test_rows_with_benchmark_material_are_left_out_unless_a_person_says_clean(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    held = filled(lake)
    for n, verdict in enumerate(("", "clean", "contaminated")):
        lake.upsert(CONTAMINATION, [row(CONTAMINATION, row_id=held[n]["pair_id"], ds=DAY,
                                        row_kind="published", verdict=verdict)], "r")  # fmt: skip
    rows = written(lake, settings, tmp_path / "x")
    assert {p["pair_id"] for p in held} - {r["pair_id"] for r in rows} == {
        held[0]["pair_id"], held[2]["pair_id"]}  # fmt: skip
    preferences = written(lake, settings, tmp_path / "y", "preference")
    assert len(preferences) == lake.read(PREFERENCES).num_rows
    dirty = preferences[0]["snippet_id"]
    lake.upsert(CONTAMINATION, [row(CONTAMINATION, row_id=dirty, ds=DAY, row_kind="snippet")], "r")
    left = written(lake, settings, tmp_path / "z", "preference")
    assert {r["snippet_id"] for r in preferences} - {r["snippet_id"] for r in left} == {dirty}


def test_a_training_set_keeps_its_order_and_says_where_each_example_is_from(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    held = filled(lake)
    gone = held[3]
    lake.sync(PAIRS, [p for p in held if p is not gone], {}, "publish again")
    rows = written(lake, settings, tmp_path / "x", training_set=SET)
    assert [r["pair_id"] for r in rows] == [
        *(p["pair_id"] for p in reversed(held)), *(sha(f"o{n}") for n in range(3))]  # fmt: skip
    by_id = {r["pair_id"]: r for r in rows}
    assert by_id[gone["pair_id"]]["license"] == gone["license"]  # of the version it was mixed from
    assert {r["phase"]: (r["score"] is None) for r in rows} == {
        "self_generated": False, "original": True}  # fmt: skip
    assert by_id[sha("o0")]["license"] == "CC0-1.0"
    only = written(lake, settings, tmp_path / "y", training_set=SET, phases=("original",))
    assert [r["pair_id"] for r in only] == [sha(f"o{n}") for n in range(3)]


def test_equal_rows_are_equal_bytes_in_whatever_order_they_came(
    settings: Settings, tmp_path: Path
) -> None:
    held = pairs(23)
    found = []
    for seed in range(3):
        lake = Lake(str(tmp_path / f"lake{seed}"))
        order = random.Random(seed).sample(held, len(held))
        for part in (order[: 7 + seed], order[7 + seed :]):
            lake.append_missing(PAIRS, part, f"run {seed}")
        out = tmp_path / f"out{seed}"
        rows = written(lake, settings, out, shard_rows=6)
        found.append([s["sha256"] for s in verify(out)["shards"]])
        assert [len(pq.read_table(p)) for p in sorted((out / "data").iterdir())] == [6, 6, 6, 5]
        assert len({r["pair_id"] for r in rows}) == 23
    assert found[0] == found[1] == found[2]


def test_the_same_again_is_nothing_to_do_and_another_is_refused(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    filled(lake)
    asked = Request("messages", tmp_path / "x", Filters(), 5)
    first, _ = export(lake, settings, asked)
    inodes = {p: p.stat().st_ino for p in asked.out.rglob("*")}
    assert export(lake, settings, asked) == (first, False)
    assert {p: p.stat().st_ino for p in asked.out.rglob("*")} == inodes
    assert lake.read(EXPORTS).num_rows == 1
    with pytest.raises(UserError, match=r"holds another export .*shard_rows 5 there, 6 now"):
        export(lake, settings, replace(asked, shard_rows=6))
    lake.append_missing(PAIRS, pairs(14)[13:], "more")
    with pytest.raises(UserError, match=r"versions .* there"):
        export(lake, settings, asked)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    with pytest.raises(UserError, match="is no export"):
        export(lake, settings, replace(asked, out=tmp_path / "mine"))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes"]


def test_a_killed_export_leaves_nothing_and_the_next_one_is_whole(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    filled(lake)
    out = tmp_path / "x"
    done = subprocess.run([sys.executable, "-c", WRITTEN, lake.root, str(out)], check=False,
                          capture_output=True, cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.returncode == -9, done.stderr
    assert not out.exists()
    assert len(written(lake, settings, out, shard_rows=5)) == 12
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_what_fails_is_no_export(
    lake: Lake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(lake)
    with pytest.raises(UserError, match=r"no row is left .*score \(3, licence MIT\)"):
        written(lake, settings, tmp_path / "x", min_score=2.0)
    monkeypatch.setattr(folder.card, "page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(lake, settings, tmp_path / "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake"]


def test_verify_names_what_was_changed(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    filled(lake)
    out = tmp_path / "x"
    written(lake, settings, out, shard_rows=5)
    assert verify(out)["rows"] == 12
    first, second, third = sorted((out / "data").iterdir())
    first.write_bytes(second.read_bytes())
    third.unlink()
    (out / "data" / "train-more.parquet").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        verify(out)
    for said in ("00000-of-00003.parquet has another sha256", "00002-of-00003.parquet is missing",
                 "train-more.parquet is none of its files"):  # fmt: skip
        assert said in str(caught.value)


SHARD = {"path": "data/x.parquet", "sha256": "", "rows": 1}
GOOD = {"export_id": "1", "shards": [SHARD], "rows": 1, "left_out": [["score", "MIT", 1]]}


@pytest.mark.parametrize(
    "manifest",
    [[], {**GOOD, "shards": 5}, {**GOOD, "shards": [{}]}, {**GOOD, "shards": [5]},
     {**GOOD, "shards": [{**SHARD, "path": 5}]}, {**GOOD, "rows": "1"}, {**GOOD, "left_out": 5},
     {**GOOD, "left_out": [[]]}, {n: v for n, v in GOOD.items() if n != "left_out"}],
)  # fmt: skip
def test_a_manifest_of_something_else_is_none(manifest: Any, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(GOOD))
    with pytest.raises(UserError, match=r"x\.parquet is missing"):
        verify(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"no manifest\.json that"):
        verify(tmp_path)


def test_a_takedown_finds_the_exports_that_hold_a_row(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    held = filled(lake)
    written(lake, settings, tmp_path / "all")
    written(lake, settings, tmp_path / "few", min_score=0.5, first=DAY)
    written(lake, settings, tmp_path / "set", training_set=SET)
    written(lake, settings, tmp_path / "dpo", "preference")
    lake.sync(PAIRS, held[1:], {}, "forgotten")

    def found(*ids: str) -> dict[str, int | None]:
        return {Path(h.folder).name: h.rows if h.known else None
                for h in holding(lake, [*map(mark, ids)])}  # fmt: skip

    assert found(held[0]["pair_id"]) == {"all": 1, "set": 1}
    assert found(held[0]["snippet_id"]) == {"all": 1, "set": 1, "dpo": 1}
    assert found(held[8]["document_id"], held[9]["document_id"], sha("r3")) == {
        "all": 2, "few": 2, "set": 2, "dpo": 1}  # fmt: skip
    for file in (Path(lake.root) / "gold" / "instruction_pairs").rglob("*.parquet"):
        file.unlink()
    assert found("nobody's") == {"all": None, "few": None, "set": None}  # nobody can say


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"shape": "mesages"}, "unknown format 'mesages'; allowed: magicoder, messages"),
    ({"languages": ("pyton",)}, "allowed: go, python"),
    ({"sources": ("libs",)}, "allowed: lib, world"),
    ({"licenses": ("Apache",)}, "licence Apache-2.0 OR GPL-2.0-only"),
    ({"training_set": "none"}, f"allowed: {SET}"),
    ({"shape": "magicoder", "training_set": SET}, "--format messages"),
    ({"phases": ("original",)}, "--training-set ID"),
    ({"phases": ("random",), "training_set": SET}, "allowed: labelled, original"),
]


def test_a_mistake_says_what_is_allowed(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    filled(lake)
    for asked, said in MISTAKES:
        with pytest.raises(UserError, match=said):
            written(lake, settings, tmp_path / "x", **asked)


def test_a_lake_without_rows_and_a_place_that_cannot_be_written_are_mistakes(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"has no rows yet .* --stages publish"):
        written(lake, settings, tmp_path / "x")
    filled(lake)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out .*Not a directory; name a folder"):
        written(lake, settings, tmp_path / "file" / "x")


def test_the_command_exports_and_verifies(
    lake: Lake, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(lake)

    def said(*argv: str) -> str:
        exporting.export(parser().parse_args(["export", *argv]), settings)
        return capsys.readouterr().out

    out = str(tmp_path / "x")
    asked = ("--format", "messages", "--out", out, "--license", "MIT", "Apache-2.0")
    assert said(*asked).startswith(f"{out} is written: 6 rows in 1 file, 6 left out (export ")
    assert said(*asked, "--shard-rows", "100000").startswith(f"{out} holds the same already")
    assert json.loads(said("--verify", out, "--json"))["rows"] == 6
    for wrong, told in (
        (("--format", "messages"), "--out FOLDER"),
        (("--out", out), r"--format messages\|prompt-completion"),
        ((*asked, "--shard-rows", "0"), "at least 1"),
        ((*asked, "--from", "2026-11-02", "--to", "2026-11-01"), "is before --from"),
        ((*asked, "--min-score=-inf"), "no number from 0 to 1"),
        ((*asked, "--min-score", "nan"), "no number from 0 to 1"),
        ((*asked, "--min-score", "2"), "no number from 0 to 1"),
        (("--verify", str(tmp_path)), "is no export"),
        (("--verify", out, "--out", f"{out}-2", "--format", "messages"), "--verify goes with no"),
        (("--verify", out, "--min-score", "0"), "--verify goes with no"),
    ):
        with pytest.raises(UserError, match=told):
            said(*wrong)


ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


WORDING = shards.Wording(load("tiny"), "examples")


@hypothesis.settings(max_examples=30)
@given(texts=st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=9), size=st.integers(1, 4))
def test_any_text_comes_back_as_it_was(texts: list[tuple[str, str, str]], size: int) -> None:
    blank = dict.fromkeys(FIELDS)
    rows = [blank | {"instruction": i, "response": r, "pair_id": p} for i, r, p in texts]
    columns = shards.Columns(formats()["messages"].columns, WORDING)
    with TemporaryDirectory() as place:
        made = shards.write(rows, columns, len(rows), size, Path(place))
        read = [r for s in made for r in pq.read_table(Path(place) / s.path).to_pylist()]
    assert [(r["messages"][0]["content"], r["messages"][1]["content"], r["pair_id"])
            for r in read] == texts  # fmt: skip


@given(name=ANY, reason=ANY)
def test_no_text_leaves_its_cell_of_the_card(name: str, reason: str) -> None:
    told = {"licenses": [(name, 1)], "sources": [(name, name, DAY, DAY, 1)], "teachers": [],
            "gates": [], "benchmarks": []}  # fmt: skip
    made = page(formats()["messages"], {
        "format": "messages", "rows": 1, "provenance": told, "left_out": [(reason, name, 1)],
        "versions": {},
    })  # fmt: skip
    plain = page(formats()["messages"], {
        "format": "messages", "rows": 1, "provenance": told | {
            "licenses": [("x", 1)], "sources": [("x", "x", DAY, DAY, 1)]},
        "left_out": [("x", "x", 1)], "versions": {},
    })  # fmt: skip
    assert "<" not in made.partition("# 1 rows")[2]
    assert [line.count("|") for line in made.split("\n")] == [
        line.count("|") for line in plain.split("\n")]  # fmt: skip


def test_filters_are_read_back_as_they_were_told() -> None:
    asked = Filters(DAY, DAY + dt.timedelta(3), ("go",), (), ("MIT",), 0.0, SET, ("original",))
    assert Filters.of(json.loads(json.dumps(asked.told()))) == asked
    assert Filters().told() == {}
