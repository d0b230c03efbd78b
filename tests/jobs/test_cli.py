"""`lake`, as a person uses it: answers, and errors that say what is allowed."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import queries, report, verbs
from jobs.cli import answer, main, spread
from jobs.verbs.chain import chain
from lakehouse.delta import Lake
from lakehouse.settings import load
from lakehouse.tables import MODELS, PAIRS, SCORES, TABLES, VIEWS

DAY = dt.date(2026, 11, 1)
DAYS = ("--from", "2026-11-01", "--to", "2026-11-01")
README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def filled(lake: Lake) -> Lake:
    lake.append_missing(PAIRS, [
        {"pair_id": f"p{n}", "snippet_id": f"s{n}", "rank": 0, "candidate_id": f"c{n}",
         "document_id": "d",
         "ds": DAY, "source": "stdlib", "language": "python", "license": "PSF-2.0",
         "instruction": SCRIPT, "response": "x = 1", "score": n / 10, "scorer": "yes_no",
         "yes_no_score": n / 10, "n_candidates": 2, "model_id": "m", "prompt_version": "v"}
        for n in range(3)
    ], "run")  # fmt: skip
    return lake


def lake_command(lake: Lake, *argv: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *argv, "--set", f"lake.root={lake.root}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_tables_lists_all_of_them_with_rows(filled: Lake) -> None:
    code, out, _ = lake_command(filled, "tables")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert set(lines) == {*TABLES, *VIEWS}
    assert lines["gold.instruction_pairs"].split()[1] == "3"
    assert lines["silver.snippets"].endswith(TABLES["silver.snippets"].comment)  # uncut
    code, out, _ = lake_command(filled, "tables", "--json")
    listed = {row["table"]: row for row in json.loads(out)}
    assert (code, listed["gold.instruction_pairs"]["rows"]) == (0, 3)
    assert listed["silver.snippets"]["rows"] is None


def test_a_lake_that_is_not_there_is_said(tmp_path: Path) -> None:
    asked = Lake(str(tmp_path / "mistyped"))
    code, out, said = lake_command(asked, "sql", "SELECT count(*) FROM gold.instruction_pairs")
    assert (code, out.split()[-1]) == (0, "0")
    assert said.startswith(f"lake: there is no lake at {asked.root} yet")
    assert not Path(asked.root).exists()
    code, _, said = lake_command(Lake(str(tmp_path)), "tables")  # a folder that is no lake
    assert (code, said.split(" yet")[0]) == (0, f"lake: there is no lake at {tmp_path}")


def test_nothing_is_made_of_a_lake_that_is_not_there(tmp_path: Path) -> None:
    asked = Lake(str(tmp_path / "mistyped"))
    code, _, said = lake_command(asked, "repair", "gold.instruction_pairs")
    assert (code, "is not there" in said) == (2, True)
    assert not Path(asked.root).exists()


def test_the_version_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"lake \d+\.\d+\.\d+( [0-9a-f]{12})?\n", done.stdout)


def test_sql_answers_in_three_formats(filled: Lake) -> None:
    query = "SELECT pair_id, score FROM gold.instruction_pairs ORDER BY score DESC LIMIT 2"
    code, out, _ = lake_command(filled, "sql", query, "--format", "json")
    assert (code, json.loads(out)) == (
        0, [{"pair_id": "p2", "score": 0.2}, {"pair_id": "p1", "score": 0.1}])  # fmt: skip
    _, out, _ = lake_command(filled, "sql", query, "--format", "csv")
    assert list(csv.reader(io.StringIO(out)))[1] == ["p2", "0.2"]
    _, out, _ = lake_command(filled, "sql", query)
    assert out.split()[:3] == ["pair_id", "score", "p2"]


def test_a_tables_name_may_be_written_as_sql_allows(filled: Lake) -> None:
    names, found = queries.rows(filled, "SELECT count(*) AS n FROM Gold.INSTRUCTION_PAIRS")
    assert (names, found) == (["n"], [(3,)])


def test_a_number_is_one(filled: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["power", "--points", "nan"]) == 2
    assert "nan is no number" in capsys.readouterr().err


def test_a_refused_url_does_not_tell_its_password(
    filled: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = ("http://me:s3cret@h/v1", "http://h/v1?key=s3cret")
    assert [answer(["tables", "--set", f"engine.url={url}"]) for url in urls] == [2, 2]
    err = capsys.readouterr().err
    assert "s3cret" not in err and err.count("engine.url: give http://HOST") == 2, err


def test_a_query_of_bytes_that_are_no_text(
    filled: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT '\udcff'"))
    assert answer(["sql", "-", "--set", f"lake.root={filled.root}"]) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_a_lake_that_is_a_file_or_empty_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert answer(["tables", "--set", f"lake.root={file}"]) == 2
    assert "is a file" in capsys.readouterr().err
    assert answer(["stale", "--set", f"lake.root={tmp_path / 'new'}"]) == 0
    assert "holds no run yet" in capsys.readouterr().out


def test_set_takes_several_values_and_leaves_the_query_alone(filled: Lake) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "sql", "--set", "choose.min_score=0.5",
         f"lake.root={filled.root}", "SELECT count(*) AS n FROM gold.instruction_pairs",
         "--format", "csv"],
        capture_output=True, text=True, check=False, env={**os.environ, "LAKE_ROOT": "/nowhere"},
    )  # fmt: skip
    assert done.stdout.split() == ["n", "3"], done.stderr
    assert spread(["run", "--set", "a.b=1", "c.d=x=y", "--to", "x"]) == [
        "run", "--set", "a.b=1", "--set", "c.d=x=y", "--to", "x"]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("sql", "SELECT * FROM gold.pairs"), "gold.instruction_pairs"),
        (("sql", "SELEC 1"), "syntax error"),
        (("sql", "SELECT pair_ids FROM gold.instruction_pairs"), "pair_id"),
        (("tables", "--profile", "tinny"), "tiny"),
        (("tables", "--set", "choose.scorer=luck"), "yes_no"),
        (("run", "--from", "2026-11-02", "--to", "2026-11-01"), "before"),
        (("report", "--out", "/no/such/page.html"), "No such file or directory; name a file"),
        (("sql", "SELECT 1", "--out", "/no/such/a.parquet"), "No such file or directory; name a"),
        (("sql", "SELECT 1", "--format", "parquet"), "--out FILE.parquet"),
        (("forget", "--document", "abc", "--dry-run"), "give at least 6 characters of an id"),
        (("study", "tiny_world", "--out", ""), "'' is no file's name but a folder"),
        (("sql", "SELECT * FROM gold.instruction_pairs VERSION AS OF 9"), "has versions 0 ("),
        (("describe", "pairs"), "did you mean gold.current_pairs or gold.instruction_pairs or"),
        (("sq", "SELECT 1"), "did you mean sql?"),
        (("tables", "--formt", "csv"), "did you mean --format?"),
        (("tables", "--format", "jsn"), "did you mean json?"),
        (("run", "--from", "yesterday", "--to", "2026-11-01"), "YYYY-MM-DD"),
        (("run", "--from", "2026-11-01", "--to", "2026-11-01", "--stages", "ingst"), "ingest"),
        (("run", *DAYS, "--stages", "ingst", "--estimate"), "ingest"),
        (("run", *DAYS, "--stages", "gate", "--estimate"), "none of these stages has an estimate"),
        (("run", *DAYS, "--stages", ","), "',' names no stage"),
        (("run", *DAYS, "--stages", ""), "'' names no stage"),
        (("sql", "UPDATE silver.snippets SET name = 'x'"), "`lake sql` reads"),
        (("sql", "DROP TABLE silver.snippets"), "`lake sql` reads"),
        (("promotion", "nobody", "--promote", "--because", "x"), "allowed: none"),
        (("run", "--from", "20261101", "--to", "2026-11-01"), "'20261101' is not a day"),
        (("run", "--from", "2026-11-01", "--to", "2026-W45-1"), "'2026-W45-1' is not a day"),
        (("run", "--from", "0001-01-01", "--to", "9999-12-31"), "0001-01-01 to 9999-12-31 are 365"),
        (("replay", "--from", "2016-11-01", "--to", "2026-12-01"), "2016-11-01 to 2026-12-01 are"),
        (("tainted",), "lake run --from DAY --to DAY --stages corpus"),
        (("sql", "SELECT 1; SELECT 2"), "one query at a time"),
        (("sql", "SELECT 1", "--out", "a.xlsx"), ".xlsx names no format that is written here"),
        (("describe", "gold.current_pairs", "--limit", "x"), "'x' is no whole number of at least"),
        (("trace", "p1", "--limit", "1" + "0" * 30), "at most 15 digits"),
        (("sql", "-- all of them\nSHOW TABLES"), "`lake tables`"),
        (("sql", "SELECT 1 FROM information_schema.tables"), "ops.dictionary"),
        (("sql", "INSERT INTO gold.instruction_pairs VALUES (1)"), "`lake sql` reads"),
        (("sql", "VACUUM"), "`lake sql` reads"),
        (("restore", "gold.current_pairs", "--version", "1"), "is a view; restore the table that"),
    ],
    ids=[
        "table",
        "syntax",
        "column",
        "profile",
        "value",
        "order",
        "out",
        "file",
        "no file",
        "short id",
        "no name",
        "version",
        "nearest table",
        "verb",
        "option",
        "choice",
        "day",
        "stage",
        "estimated stage",
        "no estimate",
        "no stage",
        "empty stage",
        "update",
        "drop",
        "no model",
        "digits",
        "week",
        "all days",
        "ten years",
        "empty",
        "two queries",
        "ending",
        "no number",
        "huge limit",
        "catalog",
        "schema",
        "insert",
        "vacuum",
        "view",
    ],
)
def test_a_mistake_is_exit_code_2_and_names_what_is_allowed(
    filled: Lake, argv: tuple[str, ...], said: str
) -> None:
    code, _, err = lake_command(filled, *argv)
    assert code == 2
    assert said in err


def test_without_java_one_sentence_says_what_to_install(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    code, _, err = lake_command(lake, "run", "--from", "2026-11-01", "--to", "2026-11-01")
    assert code == 2
    assert err.splitlines()[-1].startswith("lake: ingest 2026-11-01: Java is missing (JAVA_HOME is")


def test_a_jvm_that_does_not_start_is_a_failed_service(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    code, _, err = lake_command(lake, "run", "--from", "2026-11-01", "--to", "2026-11-01")
    assert code == 4
    assert "Spark's JVM ended while it started: run it again" in err.splitlines()[-1]


def test_a_defect_is_exit_code_1_and_one_sentence(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("pair_id")

    ended: list[int] = []
    monkeypatch.setattr("jobs.verbs.tables.tables", broken)
    monkeypatch.setattr("os._exit", ended.append)
    main(["tables", "--set", f"lake.root={lake.root}"])
    err = capfd.readouterr().err
    assert ended == [1]
    assert "please report it" in err
    assert err.splitlines()[-1] == "lake: KeyError: 'pair_id'"


def test_the_report_is_one_page_that_loads_nothing_and_runs_nothing(
    filled: Lake, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    code, out, _ = lake_command(filled, "report", "--out", str(page))
    assert code == 0
    assert "Published pairs" in out
    text = page.read_text()
    assert SCRIPT not in text
    assert "&lt;script&gt;" in text
    assert not any(mark in text for mark in ('src="http', 'href="http', "@import", "url(http"))
    assert text.count("data:image/png;base64,") == 5


def scored(lake: Lake) -> None:
    """Two models and what a comparison said of them, as an older lake has it and as one of now."""
    lake.upsert(MODELS, [
        {"model_id": arm, "arm": arm, "base_model_id": "b", "training_run_id": arm, "spec": "",
         "path": "p", "sha256": "0", "promoted": False} for arm in ("inverse", "control")
    ], "r")  # fmt: skip
    gain = {
        "model_id": "inverse", "arm": "inverse", "control_model_id": "control",
        "benchmark_version": "v", "n": 164, "value": 0.1, "ci_low": 0.02, "ci_high": 0.18,
    }  # fmt: skip
    lake.upsert(SCORES, [
        {**gain, "benchmark": "old", "metric": "pass@1_gain_over_control"},
        {**gain, "benchmark": "new", "metric": "pass@1_gain_over_random_over_seeds",
         "control_arm": "random", "p_value": 0.01, "p_holm": 0.02, "seeds": 5},
        {**gain, "benchmark": "new", "metric": "pass@1", "control_model_id": ""},
    ], "r")  # fmt: skip


def test_the_report_names_each_gains_control_with_its_interval(lake: Lake) -> None:
    scored(lake)
    found = {s.title: s for s in report.sections(lake, load("tiny"))}
    names, rows = found["Gains over controls"].names, found["Gains over controls"].rows
    new, old = (dict(zip(names, row, strict=True)) for row in rows)
    assert (old["control"], old["benchmark"], old["seeds"]) == ("control", "old", None)
    assert (new["control"], new["points (95%)"], new["p_after_holm"], new["says"]) == (
        "random", "+10.0 (+2.0 to +18.0)", "0.0200", "higher")  # fmt: skip
    assert (new["tasks"], new["seeds"], new["control_model_id"]) == (164, 5, "control")
    assert [row[2] for row in found["Scores"].rows] == ["pass@1"]


def test_a_table_that_is_older_than_a_column_has_nulls_there(lake: Lake) -> None:
    past = replace(SCORES, columns=SCORES.columns[:10] + SCORES.columns[-2:])
    lake.upsert(past, [
        {"model_id": "m", "arm": "inverse", "control_model_id": "", "benchmark": "b",
         "benchmark_version": "v", "metric": "pass@1", "value": 0.5, "ci_low": 0.4,
         "ci_high": 0.6, "n": 10}], "r")  # fmt: skip
    assert queries.rows(lake, "SELECT n, seeds FROM gold.evaluation_scores")[1] == [(10, None)]


def test_a_person_decides_on_promotion_and_says_why(lake: Lake) -> None:
    scored(lake)
    code, _, err = lake_command(lake, "promotion", "inverse", "--promote")
    assert code == 2 and "--because" in err
    code, out, _ = lake_command(lake, "promotion", "inverse", "--promote", "--because", "read 50",
                                "--by", "ada", "--format", "json")  # fmt: skip
    assert code == 0
    (row,) = json.loads(out)
    assert (row["model_id"], row["promoted"], row["decided_by"], row["reason"]) == (
        "inverse", True, "ada", "read 50")  # fmt: skip
    assert lake.read(MODELS, {"promoted": True})["model_id"].to_pylist() == ["inverse"]
    code, _, err = lake_command(lake, "promotion", "invers", "--demote", "--because", "x")
    assert code == 2 and "allowed: control, inverse" in err


def test_power_says_what_a_difference_takes(lake: Lake) -> None:
    code, out, _ = lake_command(lake, "power", "--points", "10", "--format", "json")
    assert code == 0
    assert [(r["tasks"], r["tasks_for_80%"]) for r in json.loads(out)] == [(164, 155), (300, 155)]
    code, _, err = lake_command(lake, "power", "--points", "30")
    assert code == 2 and "points <= discordant" in err


def commands() -> list[tuple[str, list[str]]]:
    """The README's `lake` commands: (the lake's root, argv)."""
    found = re.findall(r"^(?:LAKE_ROOT=(\S+) )?\.venv/bin/lake (.+)$", README, re.MULTILINE)
    return [(root, shlex.split(line)) for root, line in found]


def test_the_readmes_commands_are_taken_and_spare_the_demos_lake() -> None:
    own = 0
    for root, argv in commands():
        args = verbs.parser().parse_args(spread(argv))
        settings = load(args.profile, args.set, environ={"LAKE_ROOT": root})
        if "local" in settings.corpus.sources:
            own += 1
            assert settings.lake.root not in {"", load("tiny", environ={}).lake.root}
    assert own == 1
    assert len(commands()) >= 6


def test_the_chain_publishes_day_by_day_and_trains_once() -> None:
    days = [DAY, DAY + dt.timedelta(1)]
    order = [(stage.name, day) for stage, day in chain(days, [])]
    assert order[0] == ("ingest", days[0])
    assert [d for name, d in order if name == "publish"] == days
    assert [d for name, d in order if name == "mix"] == days[1:]
    assert order[-1] == ("compare", days[1])
    assert [s.name for s, _ in chain(days[:1], ["choose", "gate"])] == ["choose", "gate"]
    parts = ["choose", "judge", "summarize"]
    assert [s.name for s, _ in chain(days[:1], parts)] == parts[::-1]
    assert [s.name for s, _ in chain(days[:1], ["judge", "generate"])] == ["generate"]


def test_who_asks_a_question_waits_for_no_engine(filled: Lake) -> None:
    heavy = ("numpy", "pandas", "scipy", "pyarrow", "pyspark", "structlog", "torch", "transformers")
    code = f"""if True:
        import os, sys
        os._exit = lambda code: sys.stderr.write(str([m for m in {heavy} if m in sys.modules]))
        from jobs.cli import main
        main(["sql", "SELECT count(*) AS n FROM gold.current_pairs", "--format", "csv"])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "LAKE_ROOT": filled.root})  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["n", "3"], "[]")
