"""The documentation's calls of benchmarks and stages: what they name is there, as they name it."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.in_small.small import SMALL
from tests.pages import commands

PROJECT = Path(__file__).resolve().parents[2]


def called() -> dict[str, set[str]]:
    """Script or module to the options that pages give it."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in commands(r"python (?:-m|benchmarks/)"):
        words = shlex.split(line.replace("python ", "", 1), comments=True)
        name = words[1] if words[0] == "-m" else words[0]
        if name.endswith(".py") or name.startswith(("jobs.", "training.")):
            found[name] |= {word.split("=")[0] for word in words if word.startswith("--")}
    return found


CALLED = called()
HELPERS = {"background", "material", "measure"}
"""Modules that benchmarks share."""


def test_pages_show_most_benchmarks_and_some_stages() -> None:
    assert len([name for name in CALLED if name.endswith(".py")]) > 10
    assert {"training.finetune", "training.evaluate"} & CALLED.keys()


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", sorted(CALLED))
def test_what_a_page_calls_knows_its_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        if name.endswith(".py"):
            runpy.run_path(str(PROJECT / name), run_name="__main__")
        else:
            runpy.run_module(name, run_name="__main__", alter_sys=False)
    shown = "".join(capsys.readouterr())  # the last line of a stage's stdout is its result
    assert ended.value.code in (None, 0), shown[-1000:]
    assert CALLED[name] <= set(re.findall(r"--[\w-]+", shown))


def test_every_benchmark_of_a_page_runs_in_small() -> None:
    """By `make benchmarks`, in CI beside `make test`."""
    shown = {Path(name).stem for name in CALLED if name.startswith("benchmarks/")}
    assert shown <= SMALL.keys()
    assert {p.stem for p in (PROJECT / "benchmarks").glob("*.py")} - SMALL.keys() == HELPERS
