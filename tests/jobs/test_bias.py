"""What a judge's scores go by: measured on tables, with a stand-in engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs import bias
from lakehouse import engines, prompts
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import JUDGE_CHECKS, JUDGEMENTS
from tests.jobs.test_generation import DAY, StandIn, filled, generate, place, settings


def test_length_counts_within_a_snippet_too() -> None:
    """Long code has long instructions and, here, low scores; among one code's the long ones win."""
    rows = [
        {"snippet_id": f"s{s}", "completion_tokens": 10 * s + k, "score": 0.9 - s / 10 + k / 100}
        for s in range(6) for k in range(5)
    ]  # fmt: skip
    found = bias.length(rows)
    assert found["length"].high < 0 < found["length within a snippet"].low


def test_a_constant_has_no_correlation_and_is_null() -> None:
    rows = [{"snippet_id": "s", "completion_tokens": 3, "score": k / 9} for k in range(9)]
    kept = bias.check("length", "j", "correct", bias.length(rows)["length"])
    assert (kept["value"], kept["ci_low"], kept["n"]) == (None, None, 9)


def of_other_order(folder: Path) -> str:
    """The tiny profile's prompts, with the code first in the judge's."""
    text = (prompts.FOLDER / "tiny.toml").read_text()
    ordered = "problem : {instruction} answer :{code}"
    assert ordered in text
    path = folder / "code_first.toml"
    path.write_text(text.replace(ordered, "answer :{code} problem : {instruction}"))
    return str(path)


class CodeFirst(StandIn):
    """Says yes more readily where the code comes first, by 0.1 and a little by the text."""

    def next_words(self, texts: Sequence[str], words: Sequence[str]) -> list[engines.Next]:
        self.asked.extend(texts)
        shift = [0.1 * ("answer" in t.split("problem")[0]) + len(t) % 5 / 1e4 for t in texts]
        return [engines.Next(logp={"yes": math.log(0.5 + s), "no": math.log(0.5 - s)},
                             prompt_tokens=1) for s in shift]  # fmt: skip


def test_the_same_pairs_are_judged_in_the_other_order_once(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(engines, "shared", lambda _path, chosen: CodeFirst(chosen, asked))
    place(filled(lake), DAY, "a", "b", "c")
    generate(lake, DAY)
    other = of_other_order(tmp_path)
    asked.clear()
    found = {(r["check"], r["question"]): r for r in bias.measure(settings(lake), other, pairs=4)}
    assert len(asked) == 4 and all("answer" in t.split("problem")[0] for t in asked)
    shift = found[f"position against {other}", "correct"]
    assert shift["value"] == pytest.approx(-0.1, abs=1e-2)
    assert shift["ci_low"] <= shift["value"] <= shift["ci_high"] < 0
    assert ("length", "likelihood") in found  # whose order nobody can change
    assert (f"position against {other}", "likelihood") not in found
    assert found["length", "correct"]["n"] == 6
    asked.clear()
    again = bias.measure(settings(lake), other, pairs=4)
    assert (asked, lake.read(JUDGE_CHECKS).num_rows) == ([], len(again))
    assert len(set(lake.read(JUDGEMENTS)["judge_id"].to_pylist())) == 2


def test_what_nobody_has_judged_is_the_users_mistake(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(lake)
    with pytest.raises(UserError, match="run generate first"):
        bias.measure(settings(lake))
    for args, said in (
        (["--set", "model.teacher=train:smollm2"], "run generate first"),
        (
            ["--set", "model.teacher=train:smollm2", "--against", "chatty"],
            "prompt profile 'chatty'",
        ),
    ):
        with pytest.raises(SystemExit) as end:
            bias.main(["--profile", "tiny", *args])
        assert (end.value.code, said in capsys.readouterr().err) == (2, True)


def test_the_checks_are_printed_as_a_table(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engines, "shared", lambda _path, chosen: CodeFirst(chosen, []))
    place(filled(lake), DAY, "a", "b", "c")
    generate(lake, DAY)
    capsys.readouterr()
    bias.main(["--set", "model.teacher=train:smollm2", "summarize.samples=2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("length")] == [
        "length", "length within a snippet"] * 2  # fmt: skip
