"""Where the answers of `lake` go: files, pipes, what is closed, full or open already; CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import answer
from lakehouse.delta import Lake
from lakehouse.tables import PAIRS
from tests.rows import row


@pytest.fixture
def made(lake: Lake) -> Lake:
    """A lake with one table."""
    lake.create(PAIRS)
    return lake


def test_out_is_a_file_and_nothing_else(made: Lake, tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link.csv", tmp_path / "file.csv"
    os.mkfifo(pipe)
    file.write_text("old")
    link.symlink_to(file)
    ask = ["sql", "SELECT 1 AS n", "--set", f"lake.root={made.root}", "--out"]
    assert [answer([*ask, str(out)]) for out in (pipe, tmp_path, "/", "", link)] == [2, 2, 2, 2, 0]
    assert pipe.is_fifo() and link.is_symlink()
    assert file.read_text() == "n\n1\n"
    assert {p.name for p in tmp_path.iterdir()} == {"pipe", "link.csv", "file.csv", "lake"}


@pytest.mark.parametrize("out", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_out_is_no_open_file(made: Lake, tmp_path: Path, out: str) -> None:
    (kept := tmp_path / "kept").write_text("keep\n")
    (tmp_path / "link").symlink_to("/dev/stdout")
    for words in (["sql", "SELECT 1 AS n"], ["report"], ["study", "tiny_world"]):
        with kept.open("a") as held:
            done = subprocess.run(
                [sys.executable, "-m", "jobs.cli", *words, "--set", f"lake.root={made.root}",
                 "--out", str(tmp_path / out)],
                stdout=held, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == 2
        assert "redirect the output" in done.stderr
    assert kept.read_text() == "keep\n"


def test_a_table_is_described_as_csv(made: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--set", f"lake.root={made.root}"]
    assert answer(["describe", PAIRS.full_name, "--format", "csv", *where]) == 0
    described = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [one["column"] for one in described] == [c.name for c in PAIRS.columns]


def test_output_may_be_closed_or_of_few_characters(made: Lake) -> None:
    for redirected, env in ((">&-", {}), ("", {"PYTHONIOENCODING": "ascii"})):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {redirected}', "-", sys.executable, "-m", "jobs.cli", "sql",
             "SELECT chr(233) AS c", "--format", "csv", "--set", f"lake.root={made.root}"],
            capture_output=True, text=True, check=False, env={**os.environ, **env},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == ("c\n\\xe9\n" if env else "")


def test_csv_ends_lines_as_a_shell_takes_them(
    made: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    query = ["sql", "SELECT 1 AS n", "--format", "csv", "--set", f"lake.root={made.root}"]
    assert answer(query) == 0
    assert capsys.readouterr().out == "n\n1\n"


@pytest.mark.parametrize("argv", [("sql", "SELECT 1"), ("sql", "FROM range(99999)"), ("--help",)])
def test_output_may_be_full(made: Lake, argv: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" >/dev/full', "-", sys.executable, "-m", "jobs.cli", *argv],
        capture_output=True, text=True, check=False, env={**os.environ, "LAKE_ROOT": made.root},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("lake: the answer cannot be written to where you sent it: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_diff_as_csv_says_what_it_leaves_out(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.create(PAIRS)
    rows = [row(PAIRS, ds=dt.date(2026, 11, 1), pair_id=f"p{n}", snippet_id=f"s{n}") for n in "abc"]
    lake.append_missing(PAIRS, rows, "r")
    ask = ["diff", PAIRS.full_name, "--format", "csv", "--set", f"lake.root={lake.root}"]
    for limit, left in ((2, "3 rows differ; of each kind the first 2 are here"), (3, "")):
        assert answer([*ask, "--limit", str(limit)]) == 0
        out, told = capsys.readouterr()
        assert len(out.splitlines()) == 1 + limit
        assert left in told and bool(told) == bool(left)
