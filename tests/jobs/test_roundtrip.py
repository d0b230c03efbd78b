"""The round trip with a stand-in engine and the real sandbox: what is written, run and redone."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs import calibrate, choose, costs, judge, roundtrip, summarize
from lakehouse import engines, prompts
from lakehouse.delta import Lake, _content
from lakehouse.errors import UserError
from lakehouse.execution import agreement
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import (
    JUDGE_CHECKS,
    JUDGEMENTS,
    MODELS,
    REGENERATIONS,
    REJECTED,
    SNIPPETS,
    STAGED,
)
from tests.jobs.test_generation import StandIn as Teacher
from tests.rows import row

DAY, LATER = dt.date(2026, 11, 1), dt.date(2026, 11, 2)
CODE = {
    "double": "def double(x: int) -> int:\n    return x * 2",
    "up": "def up(s: str) -> str:\n    return s.upper()",
    "odd": "def odd(x):\n    return missing(x)",
}
RUNNABLE = ("double", "up")
TEACHER = {"model_id": "t", "arm": "teacher", "base_model_id": "t", "spec": "train:smollm2",
           "training_run_id": "", "path": "p", "sha256": "0", "promoted": False}  # fmt: skip


class StandIn(Teacher):
    """A teacher that says of a snippet what it is called, and writes by the instruction's number.

    Of even ones the code is right, of odd ones wrong.
    """

    fails_after: int | None = None

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        if any("summarize" in text for text in texts):
            return [self._say(t, s) for t, s in zip(texts, sampling, strict=True)]
        if StandIn.fails_after is not None and len(self.asked) >= StandIn.fails_after:
            raise KeyboardInterrupt
        self.asked.extend(texts)
        assert {(s.temperature, s.stop) for s in sampling} <= {(0.0, ())}
        return [self._write(t, s.max_tokens) for t, s in zip(texts, sampling, strict=True)]

    def _say(self, text: str, sampling: engines.Sampling) -> engines.Output:
        name = next(n for n in CODE if f"def {n}" in text)
        assert sampling.seed is not None
        said = f"please write {name} number {sampling.seed}"
        return engines.Output(text=said, finish_reason="stop", prompt_tokens=9, completion_tokens=5)

    def _write(self, text: str, most: int) -> engines.Output:
        name = next(n for n in CODE if f"write {n} number" in text)
        number = int(text.split("number ")[1].split()[0].removesuffix("@@"))
        code = CODE[name] if number % 2 == 0 else CODE[name].replace("return", "return 3 or")
        if most < 7:
            code = code.partition("return")[0]
        return engines.Output(text=code, finish_reason="length" if most < 7 else "stop",
                              prompt_tokens=8, completion_tokens=min(most, 7))  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every prompt for code that the engine gets."""
    seen: list[str] = []
    monkeypatch.setattr(engines, "shared", lambda _path, settings: StandIn(settings, seen))
    monkeypatch.setattr(StandIn, "fails_after", None)
    return seen


def settings(lake: Lake, *more: str) -> Any:
    return load("tiny", [f"lake.root={lake.root}", "model.teacher=train:smollm2",
                         "summarize.samples=4", "summarize.max_tokens=10", "roundtrip.batch=2",
                         "roundtrip.enabled=true", "judge.questions=correct",
                         "choose.scorer=yes_no", *more])  # fmt: skip


def place(lake: Lake, day: dt.date, *names: str, ids: Mapping[str, str] = {}) -> None:
    lake.sync(SNIPPETS, [
        row(SNIPPETS, snippet_id=ids.get(name, name), document_id=name, ds=day,
            source="tiny_world", language="python", code=CODE[name], n_tokens=9, license="MIT")
        for name in names
    ], {"ds": day}, "run")  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a lake lies with a day of snippets and their candidates, judged."""
    lake = Lake(str(tmp_path_factory.mktemp("judged") / "lake"))
    lake.upsert(MODELS, [TEACHER], "run")
    place(lake, DAY, *CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "shared", lambda _path, settings: StandIn(settings, []))
        for stage in (summarize.STAGE, judge.STAGE):
            execute(stage, DAY, settings(lake))
    return Path(lake.root)


@pytest.fixture(scope="module")
def travelled(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the same lies after the round trip."""
    root = tmp_path_factory.mktemp("travelled") / "lake"
    shutil.copytree(judged, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "shared", lambda _path, settings: StandIn(settings, []))
        trip(Lake(str(root)))
    return root


@pytest.fixture
def filled(judged: Path, lake: Lake, asked: list[str]) -> Lake:
    """A copy of the judged day."""
    shutil.copytree(judged, lake.root)
    return lake


@pytest.fixture
def tripped(travelled: Path, lake: Lake, asked: list[str]) -> Lake:
    """A copy of the day after its round trip."""
    shutil.copytree(travelled, lake.root)
    return lake


def trip(lake: Lake, *more: str, day: dt.date = DAY, force: bool = False) -> dict[str, Any]:
    return execute(roundtrip.STAGE, day, settings(lake, *more), force=force)


def rows(lake: Lake) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.read(REGENERATIONS).to_pylist()
    return found


def test_code_is_written_run_and_its_agreement_is_a_judgement(
    filled: Lake, asked: list[str]
) -> None:
    done = trip(filled)
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (12, 8, 4)
    held = rows(filled)
    assert {r["snippet_id"] for r in held} == set(RUNNABLE)
    for r in held:
        right = "3 or" not in r["code"]
        assert (r["agreement"], r["verdict"]) == ((1.0, "agrees") if right else (0.0, "differs"))
        assert (r["n_inputs"], r["isolation"]) == (16, "namespaces+seccomp")
        mine = [o for o in held if o["snippet_id"] == r["snippet_id"]]
        assert r["difficulty"] == sum(o["agreement"] < 1 for o in mine) / 4
    said = filled.read(JUDGEMENTS, {"question": "execution"}).to_pylist()
    assert {r["candidate_id"]: r["score"] for r in said} == {
        r["candidate_id"]: r["agreement"] for r in held}  # fmt: skip
    assert {r["judge_id"] for r in said} == set(filled.read(JUDGEMENTS)["judge_id"].to_pylist())
    (why,) = set(filled.read(REJECTED, {"stage": "roundtrip"})["reason"].to_pylist())
    assert why == "not run: names that it does not define"


def test_its_bill_is_dealt_over_models_and_languages(filled: Lake, asked: list[str]) -> None:
    done = trip(filled)
    spent = done["prompt_tokens"] + done["completion_tokens"]
    for by in ("model", "language"):
        names, found = costs.cost(filled, by)
        bill = [dict(zip(names, r, strict=True)) for r in found]
        assert all(r[by] for r in bill)
        assert sum(r["prompt_tokens"] + r["completion_tokens"] for r in bill) > spent > 0


def test_shares_write_and_run_what_one_run_does(tmp_path: Path, asked: list[str]) -> None:
    ids = {name: f"{n:015x}" for n, name in enumerate(CODE)}
    lakes = [Lake(str(tmp_path / name)) for name in ("alone", "shared")]
    for lake in lakes:
        lake.upsert(MODELS, [TEACHER], "run")
        place(lake, DAY, *CODE, ids=ids)
        for stage in (summarize.STAGE, judge.STAGE):
            execute(stage, DAY, settings(lake))
    asked.clear()
    trip(lakes[0])
    alone = sorted(asked)
    asked.clear()
    for share in ("1-of-2", "0-of-2"):
        execute(roundtrip.STAGE, DAY, settings(lakes[1]), option=share)
    assert (sorted(asked), lakes[1].read(REJECTED).num_rows) == (alone, 0)
    trip(lakes[1])
    assert len(asked) == len(alone)
    for table in (REGENERATIONS, JUDGEMENTS, REJECTED):
        held = [_content(lake.read(table).to_pylist(), table) for lake in lakes]
        assert held[0] == held[1]


def test_nothing_is_written_twice(tripped: Lake, asked: list[str]) -> None:
    assert trip(tripped)["status"] == "unchanged"
    before = rows(tripped)
    assert trip(tripped, force=True)["tokens"] == 0
    assert (asked, rows(tripped)) == ([], before)


def test_a_killed_run_goes_on_where_it_was(filled: Lake, asked: list[str], tmp_path: Any) -> None:
    StandIn.fails_after = 3
    with pytest.raises(KeyboardInterrupt):
        trip(filled)
    assert len(rows(filled)) == len(asked) == 4  # two micro-batches of two
    StandIn.fails_after = None
    done = trip(filled)
    assert done["rows_kept"] == 8
    assert len(asked) == len(set(asked)) == 8
    assert None not in [r["difficulty"] for r in rows(filled)]


def test_another_harness_runs_again_what_was_written(
    tripped: Lake, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = trip(tripped, "roundtrip.inputs=5")
    assert (done["status"], asked, {r["n_inputs"] for r in rows(tripped)}) == ("done", [], {5})
    assert len({r["harness"] for r in rows(tripped)}) == 1


def test_code_that_was_cut_is_written_anew_once_it_may_be_longer(
    filled: Lake, asked: list[str]
) -> None:
    trip(filled, "roundtrip.max_tokens=5")
    assert {(r["verdict"], r["agreement"]) for r in rows(filled)} == {("does not parse", 0.0)}
    asked.clear()
    trip(filled, "roundtrip.max_tokens=4")
    assert asked == []
    trip(filled, "roundtrip.max_tokens=7")
    assert len(asked) == 8
    assert {r["max_tokens"] for r in rows(filled)} == {7}
    assert "does not parse" not in {r["verdict"] for r in rows(filled)}


def test_a_prompt_that_was_too_long_is_sent_once_it_fits(filled: Lake, asked: list[str]) -> None:
    brief = ["engine.max_model_len=20", "evaluation.max_tokens=4", "roundtrip.max_tokens=17"]
    done = trip(filled, *brief)
    assert (done["rows_kept"], asked) == (0, [])
    assert {r["verdict"] for r in rows(filled)} == {"too_long_prompt"}
    assert {r["agreement"] for r in rows(filled)} == {None}
    assert "raise engine.max_model_len" in " ".join(filled.read(REJECTED)["remedy"].to_pylist())
    assert trip(filled)["rows_kept"] == 8  # the printed remedy
    assert len(asked) == 8


def test_a_snippet_that_moves_takes_its_regenerations_along(
    tripped: Lake, asked: list[str]
) -> None:
    place(tripped, DAY)
    place(tripped, LATER, "double")
    execute(summarize.STAGE, LATER, settings(tripped))
    assert trip(tripped, day=LATER)["rows_kept"] == 4
    assert asked == []
    assert {r["ds"] for r in rows(tripped) if r["snippet_id"] == "double"} == {LATER}


def test_without_isolation_nothing_is_written(
    filled: Lake, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any) -> Any:
        raise UserError("the sandbox does not isolate")

    monkeypatch.setattr(agreement.Sandbox, "__enter__", refuse)
    with pytest.raises(UserError):
        trip(filled)
    assert (asked, rows(filled)) == ([], [])


def test_the_checks_of_the_judge_are_rows(tripped: Lake, asked: list[str]) -> None:
    done = execute(calibrate.STAGE, DAY, settings(tripped))
    assert done["rows_in"] == 8
    checked = {r["check"]: r for r in tripped.read(JUDGE_CHECKS).to_pylist()}
    assert {r["question"] for r in checked.values()} == {"correct"}
    # the stand-in's judge says the same of all: its score is worth nothing
    for name, value in (("execution_auc", 0.5), ("execution_gain_solved", 0.0)):
        assert (checked[name]["value"], checked[name]["ci_low"]) == (value, None)
    assert execute(calibrate.STAGE, DAY, settings(tripped))["status"] == "unchanged"


def test_a_fenced_profile_begins_the_answer_with_the_signature() -> None:
    words = prompts.load("smollm2")
    prompt, begun = roundtrip.asked(words, "Write f.", "def f(x):")
    assert prompt == words.instruct("Write f.") + "```python\ndef f(x):"
    assert begun == "def f(x):"
    marked, _ = roundtrip.asked(words, "Write f.", "def f(x='<|im_end|>'):")
    assert marked.count("<|im_end|>") == prompt.count("<|im_end|>")  # it is no end of a turn
    tiny = prompts.load("tiny")
    assert roundtrip.asked(tiny, "a", "def f(x):") == (tiny.instruct("a"), "")


def test_a_gate_by_execution_needs_it_to_be_run() -> None:
    with pytest.raises(UserError, match=r"set roundtrip\.enabled"):
        load("tiny", ["choose.min_agreement=0.5"])
    assert load("tiny", ["choose.min_agreement=0.5", "roundtrip.enabled=true"])


@pytest.mark.parametrize(
    ("more", "right"),
    [(["choose.scorer=execution"], 2), (["choose.scorer=yes_no", "choose.min_agreement=0.9"], 3)],
)
def test_execution_chooses_and_gates_and_the_response_stays_the_original(
    tripped: Lake, asked: list[str], more: list[str], right: int
) -> None:
    execute(choose.STAGE, DAY, settings(tripped, *more))
    solved = {r["candidate_id"] for r in rows(tripped) if r["agreement"] == 1}
    pairs = tripped.read(STAGED).to_pylist()
    assert len(pairs) == right  # what cannot be run has no agreement, and nothing against it
    for pair in pairs:
        assert pair["response"] == CODE[pair["snippet_id"]]
        assert pair["snippet_id"] not in RUNNABLE or pair["candidate_id"] in solved
