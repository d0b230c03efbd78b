"""Every verb: its examples are taken, its page is complete, wrong words end in one sentence."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import verbs
from jobs.cli import answer, spread
from jobs.doctor import installation
from jobs.verbs import __main__ as reference
from lakehouse.delta import Lake
from lakehouse.errors import ServiceError
from lakehouse.tables import PAIRS, TABLES, VIEWS
from tests.pages import DOCS, commands, in_sentences
from tests.rows import row

VERBS = reference.verbs(verbs.parser())
EXAMPLES = [line.strip() for v in VERBS.values() for line in (v.epilog or "").splitlines()[1:]]
CODES = {0, 1, 2, 3, 4}


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_taken(line: str) -> None:
    args = verbs.parser().parse_args(spread(shlex.split(line)[1:]))
    assert args.name == line.split()[1]


def test_every_documented_command_is_taken() -> None:
    taken = 0
    named = {"DAY": "2026-11-01", "D": "2026-11-01", "FIRST": "2026-11-01", "LAST": "2026-11-02",
             "ds|stage|language|model": "ds"}  # fmt: skip
    told = [" ".join(named.get(word, word) for word in line.split(" "))
            for line in in_sentences("lake ") if not line.startswith("lake run …")]  # fmt: skip
    assert len(told) > 20
    for line in [*commands("lake "), *told]:
        with suppress(ValueError):  # a query of several lines: test_queries runs those
            words = shlex.split(line, comments=True)[1:]
            end = next((n for n, word in enumerate(words) if word in {"|", ">", "&&"}), None)
            taken += verbs.parser().parse_args(spread(words[:end])).name in VERBS
    assert taken > 60
    targets = re.findall(r"^([a-z-]+):", (DOCS.parent / "Makefile").read_text(), re.MULTILINE)
    assert {line.split()[1] for line in commands("make ")} <= {*targets}


def test_every_verb_has_examples_and_says_what_every_argument_means() -> None:
    assert {line.split()[1] for line in EXAMPLES} == set(VERBS)
    for name, verb in VERBS.items():
        for action in verb._actions:
            assert action.help, (name, action.dest)
        assert "--json" in verb._option_string_actions, name
    page = reference.as_markdown()
    assert re.findall(r"^## lake (\w+)", page, re.MULTILINE) == list(VERBS)


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["sql", "--help"]) == 0
    assert "  lake sql \"SELECT count(*) FROM gold.instruction_pairs VERSION AS OF 2\"" in (
        capsys.readouterr().out)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("lake desc", {"describe"}),
        ("lake describe gold.i", {"gold.instruction_pairs"}),
        ("lake run --profile t", {"tiny"}),
        ("lake run --stages ing", {"ingest"}),
        ("lake sql --fo", {"--format"}),
    ],
)
def test_a_shell_completes_words(line: str, completed: set[str], tmp_path: Path) -> None:
    found = tmp_path / "completed"
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli"], check=False, capture_output=True, text=True,
        env={**os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
             "_ARGCOMPLETE_STDOUT_FILENAME": str(found), "COMP_POINT": str(len(line)),
             "_ARGCOMPLETE_COMP_WORDBREAKS": " "},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {word.strip() for word in found.read_text().split("\n")} == completed


def test_a_shell_is_told_how_to_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["completion", "bash"]) == 0
    assert "complete " in capsys.readouterr().out


def test_an_interrupted_command_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.verbs.tables.tables", interrupted)
    assert answer(["tables"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_json_has_no_numbers_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        answer(["sql", "SELECT 'nan'::DOUBLE AS x, 1 AS a, 2 AS a, '\\xC3'::BLOB AS b", "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out) == [{"x": None, "a": 1, "a_1": 2, "b": "c3"}]


WORDS = sorted(
    {*VERBS, *TABLES, *VIEWS, *(o for v in VERBS.values() for o in v._option_string_actions),
     "json", "csv", "table", "parquet", "tiny", "2026-11-01", "2026-11-02", "choose.min_score=0.5",
     "lake.root=other", "1", "0", "-1", "x", "", "out.csv", "a/b.parquet", "bash", "ingest", "é",
     "gate,choose", "VERSION", "\x00", "\udcff", "-", "--", "--set=x", "1e9", "2026-13-01"}
    - {"-h", "--help"}
)  # fmt: skip
SQL = ["SELECT", "FROM", "gold.current_pairs", "gold.instruction_pairs", "ops.dictionary", "*", "(",
       ")", "VERSION AS OF", "TIMESTAMP AS OF", "0", "9", "'2026-11-01'", "'", '"', "--", "/*", "a",
       ",", "WHERE", "JOIN", "USING", "pair_id", "gold.", ".", "silver.nothing", "count(*)", "x'",
       ";", "WITH t AS", "UNION", "ORDER BY ALL", "LIMIT", "$$", "é", "\x00", "\udcff", "e'\\'",
       "1/0", "CAST('x' AS INT)", "error('no')", "DESCRIBE", "EXPLAIN", "::DATE"]  # fmt: skip
EXAMPLES_EACH = int(os.environ.get("LAKE_FUZZ", "60"))
often = hypothesis_settings(
    max_examples=EXAMPLES_EACH, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture
def harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a command may do is done in a folder of its own, and no stage or jail is started."""

    def down(*_: object, **__: object) -> None:
        raise ServiceError("nothing is run here")

    pairs = [row(PAIRS, snippet_id=f"s{n}", ds=dt.date(2026, 11, n)) for n in (1, 2)]
    Lake(str(tmp_path / "lake")).append_missing(PAIRS, pairs, "r")
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jobs.verbs.carrying.execute", down)
    monkeypatch.setattr("jobs.tainted.execute", down)
    monkeypatch.setattr("jobs.verbs.carrying.Carrier._apart", down)
    monkeypatch.setattr("jobs.studies.work.Undertaking.carry_out", down)
    monkeypatch.setattr("jobs.report.figures", lambda _lake: [])
    monkeypatch.setattr(installation, "CHECKS", {})


def ended(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = answer(argv)
    err = capsys.readouterr().err
    assert code in CODES and "Traceback" not in err and "a defect of ours" not in err, (argv, err)
    if code > 1:
        assert err.startswith("lake: "), (argv, err)


@often
@given(st.sampled_from(sorted(VERBS)), st.lists(st.sampled_from(WORDS), max_size=6))
def test_no_words_end_in_a_traceback(
    harmless: None, capsys: pytest.CaptureFixture[str], verb: str, words: list[str]
) -> None:
    ended([verb, *words], capsys)


@often
@given(st.lists(st.sampled_from(SQL), max_size=10), st.sampled_from(["table", "csv", "json"]))
def test_no_sql_ends_in_a_traceback(
    harmless: None, capsys: pytest.CaptureFixture[str], words: list[str], form: str
) -> None:
    ended(["sql", " ".join(words), "--format", form], capsys)


@often
@given(st.sampled_from(EXAMPLES), st.data())
def test_no_example_with_a_slip_ends_in_a_traceback(
    harmless: None, capsys: pytest.CaptureFixture[str], line: str, data: st.DataObject
) -> None:
    words = shlex.split(line)[1:]
    place = data.draw(st.integers(0, len(words) - 1))
    word = words[place]
    cut = data.draw(st.integers(0, len(word)))
    words[place] = (
        word[:cut] + data.draw(st.sampled_from(["", "x", "-", "'", " "])) + word[cut + 1 :]
    )
    if data.draw(st.booleans()):
        words.append(data.draw(st.sampled_from(WORDS)))
    ended(words, capsys)
