"""A benchmark that is added later finds what came in before, and says what it reaches."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs import choose, decontaminate, mix, tainted
from jobs.judge import judge_id
from jobs.scope import Scope
from jobs.verbs import tracing
from lakehouse import prompts
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import execute
from lakehouse.settings import Settings, load
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    JUDGEMENTS,
    MODELS,
    PAIRS,
    REJECTED,
    SCORES,
    SKETCHES,
    SNIPPETS,
    STAGED,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
)  # fmt: skip
from tests.rows import document, row, sketch

DAYS = [dt.date(2026, 11, 1), dt.date(2026, 11, 2)]
STEPS = {"inverse": {"self_generated": 1, "original": 2}, "control": {"original": 3}}
ASKED = "Count how many of the given words have an odd number of vowels in them."
SOLUTION = """def tally(words):
    total = 0
    for word in words:
        vowels = sum(letter in 'aeiou' for letter in word)
        if vowels % 2 == 1:
            total += 1
    return total
"""
CLONE = SOLUTION.replace("tally", "g").replace("total", "n").replace("word", "w")
CLEAN = "def f(x):\n    return x + 1\n"


@pytest.fixture
def ours(tmp_path: Path) -> str:
    """A benchmark of one item, as a user writes it."""
    item = {"id": "ours/1", "ask": ASKED, "code": SOLUTION}
    (tmp_path / "ours.jsonl").write_text(json.dumps(item))
    path = tmp_path / "ours.toml"
    path.write_text(
        'reader = "jsonl"\nwhere = "ours.jsonl"\nlicense = "MIT"\nid = "{id}"\n'
        '[fields]\nprompt = "{ask}"\nstatement = "{ask}"\ncode = "{code}"\n'
    )
    return str(path)


def settings(lake: Lake, *benchmarks: str, more: tuple[str, ...] = ()) -> Settings:
    return load("tiny", [
        f"lake.root={lake.root}", "model.teacher=train:smollm2", "summarize.sources=local",
        "choose.scorer=yes_no", f"decontaminate.benchmarks={','.join(benchmarks)}", *more,
    ])  # fmt: skip


def snippet(name: str, day: dt.date, code: str) -> dict[str, Any]:
    return row(SNIPPETS, snippet_id=name, document_id=name, ds=day, source="local",
               language="python", code=code, n_tokens=1, license="MIT")  # fmt: skip


def pair(name: str, day: dt.date, instruction: str, code: str) -> dict[str, Any]:
    return {
        "pair_id": name, "snippet_id": name, "rank": 0, "candidate_id": name,
        "document_id": name, "ds": day, "source": "local", "language": "python", "license": "MIT",
        "instruction": instruction, "response": code, "score": 0.5, "scorer": "yes_no",
        "yes_no_score": 0.5, "n_candidates": 1, "model_id": "t",
        "prompt_version": prompts.load("tiny").version,
    }  # fmt: skip


def original(name: str, instruction: str, code: str) -> dict[str, Any]:
    return document(ds=DAYS[0], source="local", document_id=name, kind="instruction",
                    instruction=instruction, content=code, origin=name)  # fmt: skip


def example(set_id: str, phase: str, position: int, name: str, instruction: str,
            code: str) -> dict[str, Any]:  # fmt: skip
    return {"training_set_id": set_id, "phase": phase, "position": position, "pair_id": name,
            "instruction": instruction, "response": code}  # fmt: skip


def model(name: str, arm: str, run: str, spec: str = "") -> dict[str, Any]:
    return {"model_id": name, "arm": arm, "base_model_id": "b", "training_run_id": run,
            "spec": spec, "path": name, "sha256": "0", "promoted": False}  # fmt: skip


def trained(run: str, arm: str, set_id: str) -> dict[str, Any]:
    return {"training_run_id": run, "arm": arm, "training_set_id": set_id, "recipe": "tiny",
            "seed": 1, "steps": 1, "tokens": 1, "seconds": 1.0, "final_loss": 1.0,
            "config": json.dumps({"steps": STEPS[arm]}), "git_sha": ""}  # fmt: skip


def score(name: str, arm: str, benchmark: str, control: str = "") -> dict[str, Any]:
    return {"model_id": name, "arm": arm, "control_model_id": control, "benchmark": benchmark,
            "benchmark_version": "v", "metric": "gain" if control else "pass@1", "value": 0.5,
            "ci_low": 0.4, "ci_high": 0.6, "n": 10}  # fmt: skip


def fill(lake: Lake) -> None:
    """Two days; one old pair whose instruction is the item's, one example that gold lost."""
    run = "filled"
    lake.append_missing(SNIPPETS, [snippet("s1", DAYS[0], CLONE), snippet("s2", DAYS[0], CLEAN),
                                   snippet("s3", DAYS[1], CLEAN + "\n")], run)  # fmt: skip
    lake.append_missing(PAIRS, [pair("p-ask", DAYS[0], f"Please. {ASKED}", CLEAN),
                                pair("p-clean", DAYS[1], "Add one.", CLEAN)], run)  # fmt: skip
    originals = [original("o-clone", "Count them.", CLONE),
                 original("o-clean", "Add two.", "x = x + 2")]  # fmt: skip
    lake.append_missing(DOCUMENTS, originals, run)
    lake.append_missing(SKETCHES, [sketch(o) for o in originals], run)
    lake.append_missing(TRAINING_EXAMPLES, [
        example("dirty", "self_generated", 0, "p-lost", "Count.", f"```python\n{CLONE}```"),
        example("dirty", "self_generated", 1, "p-ask", f"Please. {ASKED}", CLEAN),
        example("dirty", "original", 0, "o-clean", "Add two.", "x = x + 2"),
        example("clean", "self_generated", 0, "p-clean", "Add one.", CLEAN),
    ], run)  # fmt: skip
    lake.append_missing(MODELS, [model("t", "teacher", "", "train:smollm2"),
                                 model("m1", "inverse", "r1"), model("m2", "control", "r2"),
                                 model("m3", "inverse", "r3")], run)  # fmt: skip
    lake.append_missing(TRAINING_RUNS, [trained("r1", "inverse", "dirty"),
                                        trained("r2", "control", "dirty"),
                                        trained("r3", "inverse", "clean")], run)  # fmt: skip
    lake.append_missing(SCORES, [
        score("m1", "inverse", "ours"), score("m1", "inverse", "ours", "m2"),
        score("m1", "inverse", "human_eval"), score("m2", "control", "ours"),
        score("m3", "inverse", "ours"),
    ], run)  # fmt: skip


def asked(capsys: pytest.CaptureFixture[str], chosen: Settings) -> dict[str, list[dict[str, Any]]]:
    capsys.readouterr()
    tracing.tainted(argparse.Namespace(format="json"), chosen)
    out = "\n" + capsys.readouterr().out  # an unconfigured log goes to stdout, too
    found: dict[str, list[dict[str, Any]]] = json.loads(out[out.rindex("\n{\n") :])
    return found


@pytest.mark.spark
def test_an_added_benchmark_finds_what_is_published_trained_on_and_scored(
    spark: Any, lake: Lake, ours: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(lake)
    before = settings(lake, "human_eval")
    for day in DAYS:
        execute(decontaminate.STAGE, day, before)
    assert asked(capsys, before) == {"published pairs": [], "training sets": [], "scores": []}
    held = {t: lake.version(t) for t in (PAIRS, TRAINING_EXAMPLES, SCORES, SNIPPETS)}

    found = asked(capsys, settings(lake, "human_eval", ours))
    (published,) = found["published pairs"]
    assert (published["pair_id"], published["item_id"]) == ("p-ask", "ours/1")
    assert (published["ds"], published["methods"]) == (str(DAYS[0]), "ngram, substring")
    (training,) = found["training sets"]
    assert (training["training_set_id"], training["examples"]) == ("dirty", 2)
    assert {(s["model_id"], s["metric"]) for s in found["scores"]} == {
        ("m1", "pass@1"), ("m1", "gain")}  # fmt: skip
    assert all(s["benchmark"] == "ours" for s in found["scores"])  # not human_eval, not the control
    hits = {(h["row_kind"], h["row_id"], h["method"]) for h in lake.read(CONTAMINATION).to_pylist()}
    assert hits == {
        ("snippet", "s1", "ast"), ("document", "o-clone", "ast"), ("example", "p-lost", "ast"),
        ("published", "p-ask", "substring"), ("published", "p-ask", "ngram"),
    }  # fmt: skip
    assert {t: lake.version(t) for t in held} == held  # nothing was made again or taken back
    (rejected,) = lake.read(REJECTED, {"stage": "decontaminate"}).to_pylist()
    assert (rejected["row_id"], rejected["ds"]) == ("s1", DAYS[0])
    assert json.loads(rejected["evidence"])["item"] == "ours/1"
    version = lake.version(CONTAMINATION)
    asked(capsys, settings(lake, "human_eval", ours))
    assert lake.version(CONTAMINATION) == version

    verdicts = tmp_path / "verdicts.toml"
    verdicts.write_text("".join(
        f'[[verdict]]\nrow_id = "{row}"\nbenchmark = "ours"\nitem = "*"\nmethod = "*"\n'
        'verdict = "clean"\nwho = "A. Person"\ndate = 2026-11-25\nreason = "common words"\n'
        for row in ("p-ask", "s1")
    ))  # fmt: skip
    judged = settings(lake, "human_eval", ours, more=(f"decontaminate.adjudications={verdicts}",))
    found = asked(capsys, judged)
    assert found["published pairs"] == []
    assert [t["examples"] for t in found["training sets"]] == [1]  # the one that gold lost
    (kept,) = lake.read(CONTAMINATION, {"row_id": "s1"}).to_pylist()
    assert (kept["verdict"], json.loads(kept["adjudication"])["who"]) == ("clean", "A. Person")
    assert lake.read(REJECTED, {"stage": "decontaminate"}).num_rows == 0
    assert "s1" in {s["snippet_id"] for s in Scope(judged, lake, DAYS[0]).snippets}


@pytest.mark.spark
def test_the_next_training_set_leaves_out_what_is_found_now(
    spark: Any, lake: Lake, ours: str
) -> None:
    fill(lake)
    lake.create(DUPLICATES)
    done = execute(mix.STAGE, DAYS[1], settings(lake, ours))
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (4, 2, 2)
    made = lake.read(TRAINING_EXAMPLES).to_pylist()
    fresh = {r["pair_id"] for r in made if r["training_set_id"] not in {"dirty", "clean"}}
    assert fresh == {"p-clean", "o-clean"}
    rejected = {r["row_id"]: r for r in lake.read(REJECTED, {"stage": "mix"}).to_pylist()}
    assert {k: r["source"] for k, r in rejected.items()} == {
        "p-ask": "self_generated", "o-clone": "original"}  # fmt: skip
    assert "decontaminate.adjudications" in rejected["o-clone"]["remedy"]


@pytest.mark.spark
def test_a_generated_instruction_that_is_the_benchmarks_is_not_staged(
    spark: Any, lake: Lake, ours: str
) -> None:
    fill(lake)
    chosen = settings(lake, ours, more=("summarize.samples=1",))
    execute(decontaminate.STAGE, DAYS[0], chosen)
    scope = Scope(chosen, lake, DAYS[0])
    (s2,) = scope.snippets  # s1 is code of the benchmark: nothing is written for it
    assert s2["snippet_id"] == "s2"
    identity = scope.candidate_id("s2", 0)
    lake.append_missing(CANDIDATES, [row(
        CANDIDATES, ds=DAYS[0], candidate_id=identity, snippet_id="s2", model_id="t",
        prompt_version=scope.prompts.version, sampling=scope.sampling, seed=1,
        instruction=ASKED.upper(), status="ok", finish_reason="stop",
    )], "r")  # fmt: skip
    lake.append_missing(JUDGEMENTS, [{
        "ds": DAYS[0], "candidate_id": identity, "judge_id": judge_id(scope), "question": "correct",
        "logp_yes": -0.1, "logp_no": -3.0, "yes_no_mass": 1.0, "score": 0.9, "prompt_tokens": 1,
    }], "r")  # fmt: skip
    done = execute(choose.STAGE, DAYS[0], chosen)
    assert (done["rows_in"], done["rows_rejected"]) == (1, 1)
    assert lake.read(STAGED).num_rows == 0
    (rejected,) = lake.read(REJECTED, {"stage": "choose"}).to_pylist()
    assert rejected["reason"] == "benchmark material in the pair"
    hits = lake.read(CONTAMINATION, {"row_kind": "pair"}).to_pylist()
    assert {json.loads(h["evidence"])["field"] for h in hits} == {"instruction"}
    before = settings(lake, "human_eval", more=("summarize.samples=1",))
    execute(choose.STAGE, DAYS[0], before)  # without that benchmark the same pair is staged
    assert lake.read(STAGED).num_rows == 1


def test_a_hit_frees_no_place_in_the_days_budget(lake: Lake) -> None:
    """Else an added benchmark would let in a snippet that something is generated for."""
    fill(lake)
    chosen = settings(lake, "human_eval", more=("summarize.snippets_per_day=1",))
    assert [s["snippet_id"] for s in Scope(chosen, lake, DAYS[0]).snippets] == ["s1"]
    hit = {"ds": DAYS[0], "row_id": "s1", "row_kind": "snippet", "benchmark": "ours",
           "benchmark_version": "v", "item_id": "ours/1", "method": "ast", "score": 1.0,
           "evidence": "{}", "verdict": "", "adjudication": ""}  # fmt: skip
    lake.append_missing(CONTAMINATION, [hit], "r")
    assert Scope(chosen, lake, DAYS[0]).snippets == []
    lake.sync(CONTAMINATION, [{**hit, "verdict": "clean"}], {"ds": DAYS[0]}, "r")
    assert [s["snippet_id"] for s in Scope(chosen, lake, DAYS[0]).snippets] == ["s1"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("decontaminate.benchmarks=mbpp", "mbpp:FILE"),
        ("decontaminate.adjudications=absent.toml", "absent.toml"),
        ("decontaminate.methods=guess", "substring"),
    ],
)
def test_a_mistake_in_the_settings_is_exit_code_2(lake: Lake, setting: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.decontaminate", "--partition", str(DAYS[0]), "--set",
         f"lake.root={lake.root}", setting],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in json.loads(done.stdout.splitlines()[-1])["error"]


def test_an_empty_lake_says_what_to_do(lake: Lake) -> None:
    with pytest.raises(UserError, match="--stages corpus"):
        tainted.newest_day(lake)
