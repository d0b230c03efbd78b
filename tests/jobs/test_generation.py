"""Summarize and judge with a stand-in engine: what is asked, what is kept, what is asked again."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs import choose, judge, summarize
from lakehouse import engines, prompts
from lakehouse.delta import Lake, _content
from lakehouse.errors import BudgetError
from lakehouse.run import execute
from lakehouse.sections import Engine
from lakehouse.settings import load
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    JOB_RUNS,
    JUDGEMENTS,
    MODELS,
    REJECTED,
    SNIPPETS,
    STAGED,
)
from tests.rows import row

DAY = dt.date(2026, 11, 1)
LATER = dt.date(2026, 11, 2)


class StandIn:
    """Writes four words, or as many as it may; a token is a word. Counts what it is asked."""

    def __init__(self, settings: Engine, asked: list[str]) -> None:
        self.limit, self.asked = settings.max_model_len, asked

    def length(self, text: str) -> int:
        return len(text.split())

    def fits(self, prompt: str, room: int) -> bool:
        return self.length(prompt) <= self.limit - room

    name, repeatable = "stand-in", True

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        self.asked.extend(texts)
        return [self._output(t, s) for t, s in zip(texts, sampling, strict=True)]

    def _output(self, text: str, sampling: engines.Sampling) -> engines.Output:
        assert sampling.seed is not None
        words = f"that adds {sampling.seed % 97} up".split()
        kept = words[: sampling.max_tokens]
        return engines.Output(
            text=" " + " ".join(kept), finish_reason="stop" if kept == words else "length",
            prompt_tokens=self.length(text), completion_tokens=len(kept), cached_tokens=1,
        )  # fmt: skip

    def next_words(self, texts: Sequence[str], words: Sequence[str]) -> list[engines.Next]:
        self.asked.extend(texts)
        logp = {"yes": math.log(0.3), "no": math.log(0.1)}
        return [engines.Next(logp=logp, prompt_tokens=self.length(t)) for t in texts]

    def likelihood(self, texts: Sequence[str], codes: Sequence[str]) -> list[engines.Continuation]:
        self.asked.extend(texts)
        return [
            engines.Continuation(logp=-1.0, tokens=2, prompt_tokens=self.length(t + c))
            for t, c in zip(texts, codes, strict=True)
        ]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every prompt that the engine gets."""
    seen: list[str] = []
    monkeypatch.setattr(engines, "shared", lambda _path, settings: StandIn(settings, seen))
    return seen


def filled(lake: Lake) -> Lake:
    """A lake with a teacher, and a snippet on each of two days."""
    lake.upsert(MODELS, [{"model_id": "t", "arm": "teacher", "base_model_id": "t", "spec":
                          "train:smollm2", "training_run_id": "", "path": "p", "sha256": "0",
                          "promoted": False}], "run")  # fmt: skip
    place(lake, DAY, "old")
    place(lake, LATER, "new", "moving")
    return lake


BRIEF = ("summarize.max_tokens=8", "evaluation.max_tokens=8")
"""Answers so short that a context of a few tokens is no contradiction."""


def place(lake: Lake, day: dt.date, *names: str) -> None:
    """Make these the day's snippets."""
    lake.sync(SNIPPETS, [
        row(SNIPPETS, snippet_id=name, document_id=name, ds=day, source="tiny_world",
            language="python", code=f"def {name}(x):\n    return x + 1", n_tokens=9, license="MIT")
        for name in names
    ], {"ds": day}, "run")  # fmt: skip


def settings(lake: Lake, *more: str) -> Any:
    return load("tiny", [f"lake.root={lake.root}", "model.teacher=train:smollm2",
                         "summarize.samples=2", "summarize.max_tokens=10", *more])  # fmt: skip


def generate(lake: Lake, day: dt.date, *more: str) -> list[dict[str, Any]]:
    """Both model stages for a day; their results."""
    return [execute(stage, day, settings(lake, *more)) for stage in (summarize.STAGE, judge.STAGE)]


def statuses(lake: Lake, day: dt.date) -> list[str]:
    found: list[str] = lake.read(CANDIDATES, {"ds": day})["status"].to_pylist()
    return found


def reasons(lake: Lake, day: dt.date) -> set[str]:
    return set(lake.read(REJECTED, {"ds": day})["reason"].to_pylist())


def test_nothing_is_asked_twice(lake: Lake, asked: list[str]) -> None:
    first = generate(filled(lake), DAY)
    assert (first[0]["rows_kept"], first[1]["rows_kept"]) == (2, 2)
    asked.clear()
    for table in (CANDIDATES, JUDGEMENTS):
        assert lake.read(table).num_rows > 0
    assert [r["status"] for r in generate(lake, DAY)] == ["unchanged", "unchanged"]
    done = [execute(s.STAGE, DAY, settings(lake), force=True) for s in (summarize, judge)]
    assert ([r["tokens"] for r in done], asked) == ([0, 0], [])


def test_the_least_number_of_words_works_both_ways_without_the_model(
    lake: Lake, asked: list[str]
) -> None:
    generate(filled(lake), DAY)
    asked.clear()
    (done, judged) = generate(lake, DAY, "summarize.min_words=9")
    assert (done["rows_kept"], judged["rows_in"]) == (0, 0)
    assert statuses(lake, DAY) == ["short", "short"]
    assert reasons(lake, DAY) == {"instruction short"}
    (done, judged) = generate(lake, DAY, "summarize.min_words=2")  # the printed remedy
    assert (done["rows_kept"], judged["rows_kept"]) == (2, 2)
    assert statuses(lake, DAY) == ["ok", "ok"]
    assert reasons(lake, DAY) == set()
    assert asked == []


def test_a_prompt_that_was_too_long_is_sent_once_it_fits(lake: Lake, asked: list[str]) -> None:
    (done, _) = generate(filled(lake), DAY, "engine.max_model_len=12", *BRIEF)
    assert (statuses(lake, DAY), done["tokens"], asked) == (["too_long_prompt"] * 2, 0, [])
    (done, _) = generate(lake, DAY, "engine.max_model_len=13", *BRIEF)  # the model is not loaded
    assert (done["rows_rejected"], asked) == (2, [])
    (done, judged) = generate(lake, DAY, "engine.max_model_len=2000", *BRIEF)  # the printed remedy
    assert (done["rows_kept"], judged["rows_kept"]) == (2, 2)
    assert statuses(lake, DAY) == ["ok", "ok"]
    assert reasons(lake, DAY) == set()


def test_a_pair_too_long_for_the_judge_is_judged_once_it_fits(lake: Lake, asked: list[str]) -> None:
    filled(lake)
    limit = f"engine.max_model_len={10 + longest_prompt(lake)}"
    (done, judged) = generate(lake, DAY, limit, *BRIEF)
    assert (done["rows_kept"], judged["rows_kept"], judged["rows_rejected"]) == (2, 0, 2)
    assert reasons(lake, DAY) == {"no score"}
    (_, judged) = generate(lake, DAY, "engine.max_model_len=2000", *BRIEF)  # the printed remedy
    assert (judged["rows_kept"], judged["rows_rejected"]) == (2, 0)
    assert None not in lake.read(JUDGEMENTS)["score"].to_pylist()


def test_an_engine_that_tells_no_probabilities_is_named_and_asked_again_once_it_does(
    lake: Lake, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_self: StandIn, texts: Sequence[str], _words: Sequence[str]) -> list[engines.Next]:
        return [engines.Next(logp=None, prompt_tokens=7) for _ in texts]

    def unlikely(
        _self: StandIn, texts: Sequence[str], _codes: Sequence[str]
    ) -> list[engines.Continuation]:
        return [engines.Continuation(logp=None, tokens=0, prompt_tokens=0) for _ in texts]

    with monkeypatch.context() as patch:
        patch.setattr(StandIn, "next_words", silent)
        patch.setattr(StandIn, "likelihood", unlikely)
        (_, judged) = generate(filled(lake), DAY)
    assert (judged["rows_kept"], judged["rows_rejected"]) == (0, 2)
    assert lake.read(JUDGEMENTS)["score"].to_pylist() == [None] * 4
    assert reasons(lake, DAY) == {"no score told by the engine"}
    (_, judged) = generate(lake, DAY, "engine.concurrency=7")  # another engine
    assert (judged["rows_kept"], reasons(lake, DAY)) == (2, set())


def test_only_answers_that_were_cut_are_written_anew(lake: Lake, asked: list[str]) -> None:
    place(filled(lake), DAY, "old", "older")
    (done, judged) = generate(lake, DAY, "summarize.max_tokens=3", "summarize.min_words=1")
    assert (done["rows_rejected"], judged["rows_in"]) == (4, 0)
    assert reasons(lake, DAY) == {"instruction truncated"}
    asked.clear()
    (done, judged) = generate(lake, DAY, "summarize.max_tokens=20")  # the printed remedy
    assert (done["rows_kept"], judged["rows_kept"]) == (4, 4)
    held = {r["max_tokens"] for r in lake.read(CANDIDATES).to_pylist()}
    assert (lake.read(CANDIDATES).num_rows, held, len(asked)) == (4, {20}, 4 + 8)
    asked.clear()
    generate(lake, DAY, "summarize.max_tokens=30")
    (done, _) = generate(lake, DAY, "summarize.max_tokens=3")
    assert (statuses(lake, DAY), asked) == (["truncated"] * 4, [])
    (done, judged) = generate(lake, DAY, "summarize.max_tokens=4")
    assert (done["rows_kept"], judged["rows_kept"], asked) == (4, 4, [])


def test_a_budget_stops_after_a_micro_batch_and_the_next_run_goes_on(
    lake: Lake, asked: list[str]
) -> None:
    place(filled(lake), DAY, "a", "b", "c")
    dear = ["summarize.batch=2", "cost.usd_per_million_completion_tokens=1e6", "cost.budget_usd=8"]
    seen = []
    for _ in range(3):
        report: dict[str, Any] = {}
        try:
            execute(summarize.STAGE, DAY, settings(lake, *dear), report=report)
        except BudgetError as error:
            assert "cost.budget_usd" in str(error)
        seen.append((report["status"], report["completion_tokens"], report["cost"] >= 8))
    # a batch is two answers of four tokens: the budget; the last one needs no permission to end
    assert seen == [("failed", 8, True), ("failed", 8, True), ("done", 8, True)]
    spent = lake.read(JOB_RUNS, {"stage": "summarize"}).to_pylist()
    assert sorted((r["status"], r["completion_tokens"]) for r in spent) == [
        ("done", 8), ("failed", 8), ("failed", 8)]  # fmt: skip
    assert len(asked) == 6


def test_the_budget_counts_an_engines_start_as_the_bill_does(
    lake: Lake, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place(filled(lake), DAY, "a", "b")
    quick, started = engines.shared, list[str]()

    def slow(path: str, chosen: Any) -> Any:
        if not started:
            time.sleep(1)
        started.append(path)
        return quick(path, chosen)

    monkeypatch.setattr(engines, "shared", slow)
    dear = ["summarize.batch=1", "cost.usd_per_hour=3600", "cost.budget_usd=0.9"]
    report: dict[str, Any] = {}
    with pytest.raises(BudgetError, match=r"1 of 4 rows are kept"):
        execute(summarize.STAGE, DAY, settings(lake, *dear), report=report)
    assert report["cost"] >= 0.9


def test_the_books_know_what_the_cache_saved(lake: Lake, asked: list[str]) -> None:
    (done, _) = generate(filled(lake), DAY)
    (row,) = lake.read(JOB_RUNS, {"stage": "summarize", "status": "done"}).to_pylist()
    assert (done["cached_tokens"], row["cached_tokens"]) == (2, 2)


def longest_prompt(lake: Lake) -> int:
    """Tokens of the longest prompt that the teacher gets on the first day."""
    from jobs.scope import Scope

    scope = Scope(settings(lake), lake, DAY)
    asked = (summarize.prompt(scope.prompts, r) for r in summarize.requests(scope))
    return max(len(text.split()) for text in asked)


def move(lake: Lake) -> None:
    """An older document turns up with the code: its snippet now lies on the first day."""
    place(lake, LATER, "new")
    place(lake, DAY, "old", "moving")


def test_a_snippet_that_moves_to_an_older_day_takes_its_rows_along(
    lake: Lake, asked: list[str], tmp_path: Any
) -> None:
    generate(filled(lake), LATER)
    asked.clear()
    move(lake)
    late = [generate(lake, day) for day in (DAY, LATER)]
    assert len(asked) == 2 * 3  # two samples of the one new snippet: written, and two questions
    assert [r["rows_kept"] for r in late[0]] == [4, 4]

    other = filled(Lake(str(tmp_path / "other")))
    move(other)
    asked.clear()
    for day in (DAY, LATER):
        generate(other, day)
    for table in (CANDIDATES, JUDGEMENTS, REJECTED):
        assert contents(lake, table) == contents(other, table)
    ids = lake.read(CANDIDATES)["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 6


def contents(lake: Lake, table: Any) -> Any:
    return _content(lake.read(table).to_pylist(), table)


def test_a_new_question_is_asked_of_old_candidates_alone(lake: Lake, asked: list[str]) -> None:
    generate(filled(lake), DAY, "judge.questions=correct", "choose.scorer=yes_no")
    asked.clear()
    (done, judged) = generate(lake, DAY, "judge.questions=correct,likelihood")
    assert (done["tokens"], judged["rows_kept"], len(asked)) == (0, 2, 2)


def test_each_yes_no_question_is_asked_in_its_own_words(
    lake: Lake, asked: list[str], tmp_path: Path
) -> None:
    profile = tmp_path / "two.toml"
    profile.write_text((prompts.FOLDER / "tiny.toml").read_text().replace(
        "[questions]\n", '[questions]\nsufficient = "enough to write {code} : {instruction} ?"\n', 1
    ))  # fmt: skip
    both = (f"model.prompts={profile}", "judge.questions=correct,sufficient",
            "choose.scorer=yes_no_mean")  # fmt: skip
    (_, judged) = generate(filled(lake), DAY, *both)
    answers = lake.read(JUDGEMENTS).to_pylist()
    held = [r["question"] for r in answers]
    assert (judged["rows_kept"], sorted(held)) == (2, ["correct"] * 2 + ["sufficient"] * 2)
    assert sum(text.startswith("enough to write def old") for text in asked) == 2
    assert [r["score"] for r in answers] == [pytest.approx(0.75)] * 4
    execute(choose.STAGE, DAY, settings(lake, *both))
    (staged,) = lake.read(STAGED).to_pylist()
    assert (staged["scorer"], staged["score"]) == ("yes_no_mean", pytest.approx(0.75))


def hit(row_id: str, kind: str) -> dict[str, Any]:
    return row(CONTAMINATION, ds=DAY, row_id=row_id, row_kind=kind, benchmark="b", item_id="1")


def test_hits_of_pairs_and_other_models_wake_nothing_hits_of_snippets_do(
    lake: Lake, asked: list[str]
) -> None:
    generate(filled(lake), DAY)
    lake.append_missing(CONTAMINATION, [hit("p1", "pair")], "choose")
    (teacher,) = lake.read(MODELS).to_pylist()
    lake.upsert(MODELS, [{**{c: teacher[c] for c in MODELS.content}, "model_id": "inverse",
                          "arm": "inverse", "spec": "", "promoted": True}], "compare")  # fmt: skip
    assert [r["status"] for r in generate(lake, DAY)] == ["unchanged", "unchanged"]
    lake.append_missing(CONTAMINATION, [hit("old", "snippet")], "decontaminate")
    assert [(r["status"], r["rows_in"]) for r in generate(lake, DAY)] == [("done", 0)] * 2


def test_snippets_that_are_not_written_for_are_in_the_books(lake: Lake, asked: list[str]) -> None:
    place(filled(lake), DAY, "a", "b", "c")
    (done, judged) = generate(lake, DAY, "summarize.snippets_per_day=1")
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (4, 2, 2)
    assert judged["rows_in"] == 2
    left = lake.read(REJECTED, {"ds": DAY, "stage": "summarize"}).to_pylist()
    assert {r["row_id"] for r in left} == {"b", "c"}  # lowest id first
    assert reasons(lake, DAY) == {"beyond summarize.snippets_per_day"}
    (done, _) = generate(lake, DAY, "summarize.sources=local")
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (3, 0, 3)
    assert reasons(lake, DAY) == {"source not chosen"}


def test_two_teachers_pairs_are_staged_side_by_side(lake: Lake, asked: list[str]) -> None:
    filled(lake)
    (teacher,) = lake.read(MODELS).to_pylist()
    lake.upsert(MODELS, [{**{c: teacher[c] for c in MODELS.content}, "model_id": "u",
                          "spec": "train:paper"}], "run")  # fmt: skip
    for more in ((), ("model.teacher=train:paper",)):
        generate(lake, DAY, *more)
        execute(choose.STAGE, DAY, settings(lake, *more))
    staged = lake.read(STAGED).to_pylist()
    assert {(r["snippet_id"], r["model_id"]) for r in staged} == {("old", "t"), ("old", "u")}
