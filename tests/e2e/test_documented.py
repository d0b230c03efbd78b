"""Every `lake` command that a page shows is carried out, on the lake that the tutorial left behind.

But for queries, studies and what the tutorial shows, which `tests/jobs/test_queries.py`,
`test_study.py` and `test_chain.py` carry out.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from jobs.cli import answer
from lakehouse.delta import Lake
from lakehouse.tables import DOCUMENTS, MODELS, PREFERENCES, SNIPPETS, TRAINING_EXAMPLES
from tests.e2e.tutorial import PAGE, ByHand, in_shell
from tests.pages import blocks, commands, missing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CHANGING = ("replay", "run", "tainted", "promotion", "restore", "repair", "forget", "stale")
"""Verbs that come last, each before what takes away what it is about."""


def shown(instead: dict[str, str]) -> list[list[str]]:
    """The words of each command, in the order in which they are carried out."""
    found, tutorial = set(), {tuple(line.split()) for line in commands("lake ", only=PAGE)}
    for line in commands(r"lake (?!sql |study )"):
        for named, there in instead.items():
            line = line.replace(named, there)
        if tuple(line.split()) not in tutorial:
            found.add(tuple(shlex.split(line, comments=True)[1:]))
    return [list(words) for words in sorted(found, key=place)]


def place(words: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
    turn = CHANGING.index(words[0]) + 1 if words[0] in CHANGING else 0
    late = 2 if {"--verify", "--withdraw"} & {*words} else 0 if "--dry-run" in words else 1
    return turn, late, words


def stand_ins(done: ByHand) -> dict[str, str]:
    """What the pages' examples name, and what there is in its place."""
    lake, folder = Lake(str(done.lake)), done.profile.parent
    documents = lake.read(DOCUMENTS, {"source": "ours"}).to_pylist()
    [model] = lake.read(MODELS, {"arm": "inverse"}).to_pylist()
    examples = lake.read(TRAINING_EXAMPLES, columns=["training_set_id"])
    return {
        "25308e46f1f1": next(r["document_id"] for r in documents if "shop.py" in r["origin"]),
        "25308e46": documents[0]["document_id"][:8],
        "acme/tool": "shop", "stdlib:json/": "ours:json/",
        "tiny-inverse-f3c6d9ca6f74": model["model_id"], " MODEL ": f" {model['model_id']} ",
        "5e1f0c2b8a7d9e34": examples["training_set_id"][0].as_py(),
        " --profile tiny": "", "/tmp/": "", "--to 2026-11-03": "--to 2026-11-02",
        "--version 7": "--version 1", "--versions 1 3": "--versions 1 2",
        "mbpp:data/mbpp.jsonl": "tiny_world", "mine/ours.toml": str(folder / "ours.toml"),
        "local.path=FILE": f"local.path={folder / 'corpus' / 'pairs.jsonl'}",
    }  # fmt: skip


def test_a_source_in_five_minutes_comes_out_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKE_ROOT", "my-lake")
    data, reading = blocks("sources.md", "sh")
    in_shell(data.code, tmp_path)
    for line in reading.code.splitlines():
        assert answer(shlex.split(line)[2:]) == 0, capsys.readouterr().err[-2000:]
    said = capsys.readouterr().out
    assert missing(reading.shown, said) == [], said


def test_every_documented_command_does_what_it_is_shown_for(
    by_hand: ByHand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copytree(by_hand.lake, "lake")
    asked = shown(stand_ins(by_hand))
    assert len(asked) > 50
    for words in asked:
        own = not any(word.startswith("corpus.sources=") for word in words)
        monkeypatch.setenv("LAKE_ROOT", str(tmp_path / ("lake" if own else "my-lake")))
        monkeypatch.setenv("LAKE_PROFILE", str(by_hand.profile) if own else "tiny")
        if words[0] == "export" and "--out" in words:  # a folder holds one export
            shutil.rmtree("my-data", ignore_errors=True)
        assert answer(words) == 0, (words, capsys.readouterr().err[-2000:])


def test_after_a_takedown_and_its_maintenance_the_days_are_made_anew(
    by_hand: ByHand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LAKE_ROOT", str(shutil.copytree(by_hand.lake, tmp_path / "lake")))
    monkeypatch.setenv("LAKE_PROFILE", str(by_hand.profile))
    for line in (
        'forget --repository shop --because "asked for"',
        "run --stages maintain --from 2026-11-29 --to 2026-11-29",
        "run --stages corpus --from 2026-11-01 --to 2026-11-02",
        "forget --repository shop --because again",
    ):
        assert answer(shlex.split(line)) == 0, (line, capsys.readouterr().err[-2000:])
    lake = Lake(str(tmp_path / "lake"))
    assert not [r for r in lake.read(DOCUMENTS).to_pylist() if "shop/" in r["origin"]]
    assert lake.read(SNIPPETS, {"source": "ours"}).num_rows > 0


def test_rows_that_a_repair_has_dropped_are_listed_and_made_anew_by_what_it_prints(
    by_hand: ByHand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lake = Lake(str(shutil.copytree(by_hand.lake, tmp_path / "lake")))
    monkeypatch.setenv("LAKE_ROOT", lake.root)
    profile = str(by_hand.profile)
    held = lake.read(PREFERENCES).select(PREFERENCES.content).sort_by("chosen_id")
    for file in Path(lake.uri(PREFERENCES)).glob("ds=2026-11-01/*.parquet"):
        file.unlink()
    assert answer(["repair", PREFERENCES.full_name, "--profile", profile, "--json"]) == 0
    (command,) = json.loads(capsys.readouterr().out)["commands"]
    assert lake.read(PREFERENCES).num_rows < held.num_rows
    assert answer(["stale", "--profile", profile]) == 0
    assert "damaged: gold.preference_pairs has lost rows" in capsys.readouterr().out
    assert answer(shlex.split(command)[1:]) == 0, capsys.readouterr().err[-2000:]
    again = lake.read(PREFERENCES).select(PREFERENCES.content).sort_by("chosen_id")
    assert again.equals(held)
