"""Ours beside the published scripts, row by row: equal, but for the defects that each row names.

The rows are tests/jobs/paper/*.json; docs/paper-compat.md has a line for every defect.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs import answers, extract, jsons, paper_compat, summarize
from jobs.choose import ranked, scored
from jobs.judge import yes_no
from jobs.records import Unusable
from jobs.scope import Scope
from lakehouse import prompts, tokenizer
from lakehouse.delta import Lake
from lakehouse.engines import together
from lakehouse.settings import PROJECT, load
from tests.jobs.test_generation import DAY, filled, place, settings

FOLDER = Path(__file__).parent / "paper"
FIXTURE: dict[str, list[dict[str, Any]]] = {
    p.stem: json.loads(p.read_text()) for p in sorted(FOLDER.glob("*.json"))
}
SETTINGS = load("paper", ["extract.tokenizer=train:tiny"], environ={})
Code = list[str] | None


def rows(kind: str) -> Any:
    found = FIXTURE[kind]
    return pytest.mark.parametrize("row", found, ids=[r["name"] for r in found])


def differs_only_by_a_defect(row: dict[str, Any], published: Any, ours: Any) -> None:
    assert (published == ours) == ("defect" not in row)


@rows("records")
def test_records(row: dict[str, Any]) -> None:
    try:
        published: Any = paper_compat.record(row["line"])
    except ValueError:
        published = "stops"
    try:
        ours: Any = jsons.strict(row["line"])
    except Unusable:
        ours = "refused"
    assert (published, ours) == (row["published"], row["ours"])
    differs_only_by_a_defect(row, published, ours)


def published_code(answer: str) -> Code:
    block = paper_compat.first_block(answer)
    if block is None:
        return None
    body = block.removesuffix("```").split("\n", 1)[1:]  # none, where the block is but a fence
    return [paper_compat.language(block), "".join(body).strip("\n")]


@pytest.fixture(scope="module")
def words() -> str:
    """The tokenizer: it is trained once for all answers."""
    return tokenizer.text("train:tiny")


def our_code(answer: str, words: str) -> Code:
    """By the job's own path from a document to its snippets."""
    document = {
        "ds": dt.date(2026, 11, 1), "source": "s", "document_id": "d", "license": "MIT",
        "kind": "instruction", "language": "", "content": answer,
    }  # fmt: skip
    count = partial(tokenizer.lengths, words)
    found = extract.rows_of([document], SETTINGS.extract, SETTINGS.filters, count)
    taken = [[r["language"], r["code"]] for r in found if not r["reason"]]
    return taken[0] if taken else None


@rows("answers")
def test_answers(row: dict[str, Any], words: str) -> None:
    published, ours = published_code(row["answer"]), our_code(row["answer"], words)
    assert (published, ours) == (row["published"], row["ours"])
    differs_only_by_a_defect(row, published, ours)


def test_what_is_equal_is_so_to_the_byte_in_a_prompt() -> None:
    """The published block, fence and tag included, is what our prompt shows."""
    fenced = [r for r in FIXTURE["answers"] if "defect" not in r and "```" in r["answer"]]
    assert len(fenced) >= 3
    for row in fenced:
        language, code = row["ours"]
        shown = prompts.load("paper").response(code, language)
        assert shown == paper_compat.first_block(row["answer"])


def our_judgement(logps: dict[str, float]) -> dict[str, Any]:
    """From the probabilities that an engine tells exactly: of all tokens that read yes or no."""
    told = {word: [v for t, v in logps.items() if t.strip().casefold() == word]
            for word in ("yes", "no")}  # fmt: skip
    return yes_no({word: together(found) for word, found in told.items()})


@rows("judgements")
def test_judgements(row: dict[str, Any]) -> None:
    published, ours = paper_compat.score(row["logps"]), our_judgement(row["logps"])
    assert published == pytest.approx(row["published"], abs=1e-4)
    score = None if ours["score"] is None else pytest.approx(ours["score"], abs=1e-4)
    assert score == row["ours"]
    assert ours["yes_no_mass"] == pytest.approx(row["mass"], abs=1e-4)
    differs_only_by_a_defect(row, published, score)


def published_picks(case: dict[str, Any]) -> dict[str, str]:
    """No score was 0.5; a row that was lost leaves no gap."""
    held = [c for s in case["snippets"] for c in s["candidates"] if c]
    scored = [(c["instruction"], 0.5 if c["score"] is None else c["score"]) for c in held]
    codes = [s["code"] for s in case["snippets"]]
    found = paper_compat.pairs(codes, scored, case["samples"])
    assert [p.score for p in found] == sorted(p.score for p in found)
    return {p.code: p.instruction for p in found}


@pytest.mark.parametrize("case", FIXTURE["picks"], ids=[c["name"] for c in FIXTURE["picks"]])
def test_published_picks(case: dict[str, Any]) -> None:
    assert published_picks(case) == case["published"]
    differs_only_by_a_defect(case, case["published"], case["ours"])


def test_our_picks() -> None:
    """All cases at once, by the rule of `choose` and the statuses of `summarize`."""
    candidates, judgements = [], []
    for n, case in enumerate(FIXTURE["picks"]):
        for s, snippet in enumerate(case["snippets"]):
            for k, c in enumerate(snippet["candidates"]):
                if c is None or status(c, snippet["code"]) != "ok":
                    continue
                name = f"{n}/{s}/{k}"
                candidates.append({"candidate_id": name, "snippet_id": f"{n}/{s}",
                                   "sample_index": k, "instruction": c["instruction"]})  # fmt: skip
                judgements.append({"candidate_id": name, "question": "correct",
                                   "score": c["score"]})  # fmt: skip
    choice = SETTINGS.choose.scorer
    order = ranked(scored(candidates, judgements, choice, SETTINGS.judge.questions))
    found = {c["snippet_id"]: c["instruction"] for c in order if c["rank"] == 0}
    assert found == {
        f"{n}/{s}": case["ours"][snippet["code"]]
        for n, case in enumerate(FIXTURE["picks"])
        for s, snippet in enumerate(case["snippets"])
    }


def status(candidate: dict[str, Any], code: str) -> str:
    row = {**candidate, "finish_reason": candidate.get("finish", "stop"), "completion_tokens": 9}
    return answers.status(row, code, (), SETTINGS.summarize)


def test_prefixes_hang_on_the_place_of_a_row_and_ours_on_the_candidate(lake: Lake) -> None:
    words = list(prompts.load("paper").profile.prefixes)
    many = paper_compat.prefixes(words, 60)
    assert set(many) == set(words)
    # with the first snippet gone, every other one's samples begin otherwise
    assert many[10:] != paper_compat.prefixes(words, 50) == many[:50]
    filled(lake)

    def ours(*names: str) -> dict[str, str]:
        place(lake, DAY, *names)
        scope = Scope(settings(lake, "model.prompts=paper", "summarize.samples=10"), lake, DAY)
        return {r["candidate_id"]: r["prefix"] for r in summarize.requests(scope)}

    both, one = ours("a", "b"), ours("b")
    assert len(set(one.values())) > 1
    assert one.items() < both.items()


@pytest.mark.parametrize(
    ("rows_", "gpus", "published"),
    [(9, 8, [2, 2, 2, 2, 1, 0, 0, 0]), (16, 8, [2] * 8), (3, 2, [2, 1])],
)
def test_shards_leave_gpus_idle_and_ours_are_micro_batches(
    rows_: int, gpus: int, published: list[int]
) -> None:
    assert paper_compat.shards(rows_, gpus) == published
    batches = summarize.batched_list([{}] * rows_, SETTINGS.summarize.batch)
    assert [len(b) for b in batches] == [rows_]


def test_a_score_is_a_probability_whatever_is_told() -> None:
    assert paper_compat.score({}) == 0.5
    assert math.isclose(paper_compat.score({"Yes": 0.0}), 1.0)


def test_every_defect_has_its_line_on_the_page() -> None:
    page = (PROJECT / "docs" / "paper-compat.md").read_text()
    named = {r["defect"] for found in FIXTURE.values() for r in found if "defect" in r}
    assert {d for d in named if f"| {d} |" not in page} == set()
