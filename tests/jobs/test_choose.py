"""The choice of pairs: scorers, ranks, repeats, a day's budget; and the stage on real tables."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from typing import Any

import pytest

from jobs import choose, judge
from jobs.choose import agreeing, distinct, pair_id, pairs, ranked, scored
from jobs.diversity import diverse, grams, normalised
from jobs.scope import Scope
from lakehouse.delta import Lake
from lakehouse.run import execute
from lakehouse.tables import CANDIDATES, JUDGEMENTS, REJECTED, SNIPPETS, STAGED
from tests.jobs.test_generation import DAY, contents, filled, place, settings
from tests.rows import row

Row = dict[str, Any]


def answer(name: str, question: str, score: float | None, odds: float = 0.0) -> Row:
    return row(JUDGEMENTS, candidate_id=name, question=question, score=score, logp_yes=odds,
               logp_no=0.0)  # fmt: skip


def one(scorer: str, questions: list[str], *answers: Row) -> float | None:
    found = scored([{"candidate_id": "c"}], answers, scorer, questions)
    return found[0]["score"] if found else None


def test_the_best_wins_ties_go_to_the_first_and_no_score_is_no_score() -> None:
    draw = random.Random(11)
    candidates, judgements = [], []
    expected: dict[str, tuple[str, int]] = {}
    for s in range(40):
        of_snippet = []
        for k in range(5):
            name = f"c{draw.randrange(10**9)}"
            candidates.append({"candidate_id": name, "snippet_id": f"s{s}", "sample_index": k})
            score = draw.choice([None, 0.25, 0.5, 0.75])  # ties and absent scores are common
            judgements.append(answer(name, "correct", score))
            judgements.append(answer(name, "likelihood", 0.9))
            if score is not None:
                of_snippet.append((-score, k, name))
        if of_snippet:
            expected[f"s{s}"] = (min(of_snippet)[2], len(of_snippet))
    for _ in range(2):
        draw.shuffle(candidates)
        draw.shuffle(judgements)
        found = ranked(scored(candidates, judgements, "yes_no", ["correct", "likelihood"]))
        best = {r["snippet_id"]: (r["candidate_id"], r["n_candidates"])
                for r in found if r["rank"] == 0}  # fmt: skip
        assert best == expected


def test_execution_decides_between_equal_scores_and_shuts_out_what_disagrees() -> None:
    said = {"correct": (0.5, 0.5, 0.9, 0.4), "execution": (0.25, 0.75, 0.0, None)}
    candidates = [{"candidate_id": c, "snippet_id": "s", "sample_index": k}
                  for k, c in enumerate("abcd")]  # fmt: skip
    judgements = [answer(c, question, score) for question, scores in said.items()
                  for c, score in zip("abcd", scores, strict=True)]  # fmt: skip

    def wins(scorer: str, least: float) -> tuple[str, int]:
        found = agreeing(scored(candidates, judgements, scorer, ["correct"]), least)
        best = ranked(found)[0]
        return best["candidate_id"], best["n_candidates"]

    assert wins("yes_no", 0.0) == ("c", 4)
    assert wins("yes_no", 0.2) == ("b", 3)  # a tie, decided by execution
    assert wins("yes_no", 0.8) == ("d", 1)  # it could not be run: nothing speaks against it
    assert wins("execution", 0.0) == ("b", 3)


def test_each_scorer_goes_by_its_question() -> None:
    answers = [answer("c", "correct", 0.6), answer("c", "likelihood", 0.2),
               answer("c", "execution", 0.9)]  # fmt: skip
    asked = ["correct", "likelihood"]
    found = {name: one(name, asked, *answers)
             for name in ("yes_no", "conditional_likelihood", "execution")}  # fmt: skip
    assert found == {"yes_no": 0.6, "conditional_likelihood": 0.2, "execution": 0.9}
    assert one("execution", asked, *answers[:2]) is None
    (kept,) = scored([{"candidate_id": "c"}], answers, "execution", asked)
    assert kept["yes_no_score"] == 0.6


def test_several_questions_count_by_their_mean_log_odds() -> None:
    answers = [answer("c", "correct", 0.88, 2.0), answer("c", "sufficient", 0.27, -1.0),
               answer("c", "likelihood", 0.2, 9.0)]  # fmt: skip
    asked = ["correct", "sufficient", "likelihood"]
    assert one("yes_no_mean", asked, *answers) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert one("yes_no_mean", ["correct"], *answers) == pytest.approx(1 / (1 + math.exp(-2.0)))
    silent = [answers[0], answer("c", "sufficient", None)]
    assert one("yes_no_mean", asked, *silent) is None  # half an answer is none
    sure = [answer("c", "correct", 1.0, 900.0), answer("c", "sufficient", 1.0, 1000.0)]
    assert one("yes_no_mean", asked, *sure) == 1.0


def test_of_each_snippet_the_best_few_are_taken_and_no_instruction_twice() -> None:
    texts = ["add", "add", "sum up", "plus"]
    compared = ranked(
        {"candidate_id": f"c{k}", "snippet_id": "s", "sample_index": k, "instruction": text,
         "model_id": "m", "prompt_version": "v", "score": 0.9 - k / 10, "yes_no_score": None,
             "agreement": None}
        for k, text in enumerate(texts)
    )  # fmt: skip
    snippets = {"s": row(SNIPPETS, snippet_id="s", code="x = 1")}
    taken = [[(p["rank"], p["candidate_id"]) for p in pairs(compared, snippets, "yes_no", k)]
             for k in (1, 3, 9)]  # fmt: skip
    assert taken == [[(0, "c0")], *[[(0, "c0"), (2, "c2"), (3, "c3")]] * 2]


def pair(name: str, instruction: str, score: float) -> Row:
    return {"pair_id": name, "snippet_id": name, "rank": 0, "source": "s", "score": score,
            "instruction": instruction}  # fmt: skip


def test_of_equal_instructions_the_best_scored_is_kept() -> None:
    found = [pair("b", "Add one.", 0.5), pair("a", "add  ONE", 0.5), pair("c", "add one", 0.4),
             pair("d", "Add two.", 0.1)]  # fmt: skip
    kept, dropped = distinct(found)
    assert {p["pair_id"] for p in kept} == {"a", "d"}
    assert {(r["row_id"], json.loads(r["evidence"])["better"]) for r in dropped} == {
        ("b", "a"), ("c", "a")}  # fmt: skip


def jaccard(a: str, b: str) -> float:
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def slow(texts: list[str], scores: list[float], budget: int, weight: float) -> list[int]:
    """Maximal marginal relevance as it is written down."""
    taken: list[int] = []
    for _ in range(budget):
        values = {
            i: (1 - weight) * scores[i]
            - weight * max((jaccard(texts[i], texts[j]) for j in taken), default=0.0)
            for i in range(len(texts)) if i not in taken
        }  # fmt: skip
        taken.append(max(values, key=lambda i: (values[i], -i)))
    return taken


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
def test_the_choice_is_by_marginal_relevance(weight: float) -> None:
    draw = random.Random(5)
    words = ["write", "a", "function", "that", "adds", "sorts", "two", "numbers", "lists"]
    for size in (1, 2, 30):
        texts = [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(size)]
        scores = [draw.choice([0.25, 0.5, 0.75]) for _ in texts]
        budget = (size + 1) // 2
        assert diverse(texts, scores, budget, weight) == slow(texts, scores, budget, weight)


def test_a_weight_lets_the_unlike_in() -> None:
    texts = ["sort a list of numbers", "sort a list of numbers now", "open a file and read it"]
    scores = [0.9, 0.8, 0.7]
    assert diverse(texts, scores, 2, 0.0) == [0, 1]
    assert diverse(texts, scores, 2, 0.5) == [0, 2]


def test_case_white_space_and_a_full_stop_make_no_other_instruction() -> None:
    assert normalised(" Add\n one . ") == normalised("add ONE")
    assert normalised("x + 1") != normalised("x - 1")
    assert grams("add one") == {"add one"}


def judged(lake: Lake, written: dict[str, list[tuple[str, float | None]]], *more: str) -> Any:
    """The settings of a day on which these instructions were written, with their P(yes)."""
    place(filled(lake), DAY, *written)
    chosen = settings(lake, "choose.scorer=yes_no", "summarize.samples=3", *more)
    scope = Scope(chosen, lake, DAY)
    candidates, answers = [], []
    for name, of_snippet in written.items():
        for k, (instruction, score) in enumerate(of_snippet):
            candidates.append(row(
                CANDIDATES, ds=DAY, candidate_id=scope.candidate_id(name, k), snippet_id=name,
                sample_index=k, model_id="t", prompt_version=scope.prompts.version,
                sampling=scope.sampling, instruction=instruction, status="ok"))  # fmt: skip
            answers.append(row(
                JUDGEMENTS, ds=DAY, candidate_id=scope.candidate_id(name, k),
                judge_id=judge.judge_id(scope), question="correct", score=score))  # fmt: skip
    lake.append_missing(CANDIDATES, candidates, "run")
    lake.append_missing(JUDGEMENTS, answers, "run")
    return chosen


WRITTEN: dict[str, list[tuple[str, float | None]]] = {
    "a": [("sort a list of numbers", 0.8), ("order numbers", 0.7), ("do it", 0.2)],
    "b": [("Sort a list of numbers.", 0.9)],
    "c": [("open a file", None)],
    "d": [],
}


def reasons(lake: Lake) -> Counter[str]:
    return Counter(lake.read(REJECTED, {"ds": DAY, "stage": "choose"})["reason"].to_pylist())


@pytest.mark.parametrize(
    ("more", "kept", "dropped"),
    [
        ((), {("a", 0), ("b", 0)}, {}),
        (("choose.top_k=2",), {("a", 0), ("a", 1), ("b", 0)}, {}),
        (("choose.top_k=3", "choose.min_score=0.5"), {("a", 0), ("a", 1), ("b", 0)},
         {"score below choose.min_score": 1}),
        (("choose.top_k=2", "choose.distinct=true"), {("a", 1), ("b", 0)},
         {"instruction of a better pair of the day": 1}),
        (("choose.pairs_per_day=2", "choose.top_k=2"), {("a", 0), ("b", 0)},
         {"beyond choose.pairs_per_day": 1}),
        (("choose.pairs_per_day=2", "choose.top_k=2", "choose.diversity=0.5"),
         {("a", 1), ("b", 0)}, {"beyond choose.pairs_per_day": 1}),
    ],
)  # fmt: skip
def test_what_is_not_staged_is_in_the_books(
    lake: Lake, more: tuple[str, ...], kept: set[tuple[str, int]], dropped: dict[str, int]
) -> None:
    done = execute(choose.STAGE, DAY, judged(lake, WRITTEN, *more))
    assert {(r["snippet_id"], r["rank"]) for r in lake.read(STAGED).to_pylist()} == kept
    assert done["rows_kept"] == len(kept)
    assert reasons(lake) == {
        "no candidate with a score": 1, "no usable candidate": 1, **dropped}  # fmt: skip


def test_fewer_pairs_a_snippet_take_the_others_away_and_twice_is_once(lake: Lake) -> None:
    chosen = judged(lake, WRITTEN, "choose.top_k=2")
    execute(choose.STAGE, DAY, chosen)
    first, version = contents(lake, STAGED), lake.version(STAGED)
    execute(choose.STAGE, DAY, chosen, force=True)
    assert lake.version(STAGED) == version
    execute(choose.STAGE, DAY, settings(lake, "choose.scorer=yes_no", "summarize.samples=3"))
    assert len(lake.read(STAGED).to_pylist()) == len(first) - 1
    (best,) = lake.read(STAGED, {"snippet_id": "b"}).to_pylist()
    assert best["pair_id"] == pair_id(best["instruction"], best["response"])


def test_execution_is_read_where_a_job_has_written_it(lake: Lake) -> None:
    judged(lake, WRITTEN)
    chosen = settings(lake, "choose.scorer=execution", "summarize.samples=3")
    execute(choose.STAGE, DAY, chosen)
    assert reasons(lake) == {"no candidate with a score": 3, "no usable candidate": 1}
    scope = Scope(chosen, lake, DAY)
    lake.append_missing(JUDGEMENTS, [
        row(JUDGEMENTS, ds=DAY, candidate_id=scope.candidate_id("a", k), question="execution",
            judge_id=judge.judge_id(scope), score=k / 2)
        for k in range(3)
    ], "run")  # fmt: skip
    execute(choose.STAGE, DAY, chosen)
    (staged,) = lake.read(STAGED).to_pylist()
    assert (staged["scorer"], staged["score"], staged["yes_no_score"]) == ("execution", 1.0, 0.2)
