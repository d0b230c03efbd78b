"""From a score to the source lines and back, through rows that have been superseded since."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import report, trace_start, trace_walk, traces
from jobs.choose import pair_id
from jobs.cli import main
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import (
    CANDIDATES,
    DOCUMENTS,
    JOB_RUNS,
    LINEAGE,
    MODELS,
    PAIRS,
    REJECTED,
    SCORES,
    SNIPPETS,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
    Table,
)  # fmt: skip
from tests.rows import document, row

DAY = dt.date(2026, 11, 1)
NAMES = ("old", "new", "both", "fresh")


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def source(name: str, kind: str = "code") -> dict[str, Any]:
    return document(ds=DAY, source="lib", document_id=sha(f"document {name}"), kind=kind,
                    origin=f"lib/{name}.py")  # fmt: skip


def pair(name: str, of: str = "") -> dict[str, Any]:
    return row(PAIRS, pair_id=sha(f"pair {name}"), snippet_id=sha(f"snippet {name}"), rank=0,
               candidate_id=sha(f"candidate {name}"), document_id=sha(f"document {of or name}"),
               ds=DAY, source="lib", license="MIT")  # fmt: skip


def written(lake: Lake, name: str, *, of: str = "", lines: tuple[int, int] = (1, 9)) -> None:
    """A snippet of a document and a candidate for it."""
    lake.append_missing(SNIPPETS, [row(
        SNIPPETS, snippet_id=sha(f"snippet {name}"), document_id=sha(f"document {of or name}"),
        ds=DAY, source="lib", start_line=lines[0], end_line=lines[1], license="MIT",
    )], f"extract {name}")  # fmt: skip
    lake.append_missing(CANDIDATES, [row(
        CANDIDATES, ds=DAY, candidate_id=sha(f"candidate {name}"),
        snippet_id=sha(f"snippet {name}"), status="ok",
    )], f"summarize {name}")  # fmt: skip


def mixed(lake: Lake, set_id: str, pairs: Sequence[str], originals: Sequence[str] = ()) -> None:
    """A training set of these, made from the pairs as they are now, and the run that says so."""
    lake.append_missing(TRAINING_EXAMPLES, [
        {"training_set_id": set_id, "phase": phase, "position": n, "instruction": "",
         "response": "", "pair_id": sha(f"{kind} {name}")}
        for phase, kind, names in (("self_generated", "pair", pairs),
                                   ("original", "document", originals))
        for n, name in enumerate(names)
    ], f"mix {set_id}")  # fmt: skip
    read(lake, f"mix {set_id}", TRAINING_EXAMPLES, PAIRS)


def read(lake: Lake, run_id: str, output: Table, *inputs: Table) -> None:
    lake.append_missing(LINEAGE, [
        {"output_table": output.full_name, "output_version": lake.version(output) or 0,
         "input_table": t.full_name, "input_version": lake.version(t), "run_id": run_id}
        for t in inputs
    ], run_id)  # fmt: skip


def trained(lake: Lake, arm: str, set_id: str, *phases: str) -> str:
    """A model, its training run (of the same name) and its score."""
    name = f"tiny-{arm}-{set_id}"
    lake.append_missing(TRAINING_RUNS, [row(
        TRAINING_RUNS, training_run_id=name, arm=arm, training_set_id=set_id,
        config=json.dumps({"steps": dict.fromkeys(phases, 1)}),
    )], f"finetune {name}")  # fmt: skip
    lake.append_missing(MODELS, [row(MODELS, model_id=name, arm=arm, base_model_id="tiny-base",
                                     training_run_id=name)], f"finetune {name}")  # fmt: skip
    lake.append_missing(SCORES, [row(SCORES, model_id=name, arm=arm, benchmark="human_eval",
                                     metric="pass@1", value=0.5)], f"evaluate {name}")  # fmt: skip
    return name


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two training sets; what only the first was made from is in no newest version any more."""
    lake = Lake(str(tmp_path_factory.mktemp("traced")))
    lake.append_missing(DOCUMENTS, [*(source(n) for n in NAMES), source("asked", "instruction")],
                        "ingest")  # fmt: skip
    for name in NAMES:
        written(lake, name)
    written(lake, "unused", of="both", lines=(20, 29))
    lake.append_missing(PAIRS, [pair("old"), pair("both")], "publish 1")
    mixed(lake, "first-set", ["old", "both"], ["asked"])
    read(lake, "choose 1", PAIRS, DOCUMENTS, SNIPPETS, CANDIDATES)
    for table in (DOCUMENTS, SNIPPETS, CANDIDATES):
        held = [{n: r[n] for n in table.content} for r in lake.read(table).to_pylist()]
        gone = {sha(f"{k} old") for k in ("document", "snippet", "candidate")}
        lake.sync(table, [r for r in held if r[table.key[-1]] not in gone], {"ds": DAY}, "again")
    lake.sync(PAIRS, [pair("new"), pair("both")], {"ds": DAY}, "publish 2")
    mixed(lake, "second-set", ["new", "both"])
    lake.append_missing(MODELS, [row(MODELS, model_id="tiny-base", arm="base",
                                     base_model_id="tiny-base")], "prepare")  # fmt: skip
    for set_id in ("first-set", "second-set"):
        trained(lake, "inverse", set_id, "self_generated", "original")
    trained(lake, "control", "first-set", "original")
    lake.append_missing(SCORES, [row(
        SCORES, model_id="tiny-inverse-second-set", control_model_id="tiny-control-first-set",
        benchmark="mbpp", metric="gain")], "compare")  # fmt: skip
    lake.append_missing(JOB_RUNS, [row(JOB_RUNS, run_id=f"mix {s}", stage="mix", ds=DAY,
                                       started_at=dt.datetime.now(dt.UTC))
                                   for s in ("first-set", "second-set")], "r")  # fmt: skip
    return lake


@pytest.fixture(scope="module")
def asked(traced: Lake) -> Any:
    return trace_walk.connect(traced)


def ids(levels: Sequence[traces.Level]) -> dict[str, set[str]]:
    return {level.name: {r["id"] for r in level.shown} for level in levels}


def test_a_score_leads_to_the_lines_that_its_model_learnt_from(traced: Lake) -> None:
    found = traces.trace(traced, "tiny-inverse-first-set/human_eval")
    up = ids(found.made_from)
    assert list(up) == ["models", "training_runs", "training_sets", "pairs", "candidates",
                        "snippets", "documents", "source_lines"]  # fmt: skip
    assert up["models"] == {"tiny-inverse-first-set", "tiny-base"}
    assert up["pairs"] == {sha("pair old"), sha("pair both")}  # `old` is in no newest version
    assert up["documents"] == {sha(f"document {n}") for n in ("old", "both", "asked")}
    assert up["source_lines"] == {"lib:lib/old.py:1-9", "lib:lib/both.py:1-9", "lib:lib/asked.py"}
    assert not found.missing and not found.went_into
    sets = found.made_from[2]
    assert (sets.shown[0]["pairs"], sets.shown[0]["originals"]) == (2, 1)
    assert [(r["run_id"], r["stage"], r["made_from"]) for r in sets.runs] == [
        ("mix first-set", "mix", "gold.instruction_pairs@1")]  # fmt: skip
    (lines,) = [level for level in found.made_from if level.name == "source_lines"]
    assert {r["license"] for r in lines.shown} == {"MIT"}
    assert lines.by == [{"source": "lib", "ds": DAY, "rows": 3}]


@pytest.mark.parametrize(
    ("what", "models"),
    [
        ("lib:old.py", {"inverse-first-set"}),  # of superseded rows alone
        ("lib:lib/both.py:5", {"inverse-first-set", "inverse-second-set"}),
        ("lib:lib/both.py:20-29", set()),
        ("lib:asked.py", {"inverse-first-set", "control-first-set"}),  # an original
        (sha("snippet old")[:9], {"inverse-first-set"}),
        (sha("candidate new")[:9], {"inverse-second-set"}),
        ("lib:", {"inverse-first-set", "inverse-second-set", "control-first-set"}),
    ],
)
def test_what_a_model_learnt_from_leads_to_its_scores(
    traced: Lake, what: str, models: set[str]
) -> None:
    found = ids(traces.trace(traced, what).went_into)
    assert found.get("models", set()) == {f"tiny-{m}" for m in models}
    assert {s.split("/")[0] for s in found.get("scores", set())} >= {f"tiny-{m}" for m in models}


def test_a_gain_is_made_from_both_of_its_models(traced: Lake) -> None:
    up = ids(traces.trace(traced, "tiny-inverse-second-set/mbpp/gain").made_from)
    assert up["training_sets"] == {"first-set", "second-set"}
    # the control has learnt from the first set's originals, not from its pairs
    assert up["pairs"] == {sha("pair new"), sha("pair both")}
    assert sha("document asked") in up["documents"]


def test_a_base_leads_to_the_models_that_were_trained_from_it(traced: Lake) -> None:
    found = ids(traces.trace(traced, "tiny-base").went_into)
    assert len(found["models"]) == 3 and len(found["scores"]) == 4


def test_a_run_leads_to_the_versions_that_it_read(traced: Lake) -> None:
    found = traces.trace(traced, "mix second-set")
    assert (found.asked.name, ids(found.made_from)) == (
        "job_runs", {"read": {"gold.instruction_pairs@2"}})  # fmt: skip
    assert ids(found.went_into) == {"written": {"gold.training_examples@2"}}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("tiny-inverz", "Near it: tiny-inverse-"),
        ("lib:olf.py", "Near it: lib:lib/"),
        ("tiny-inverse-first-set/humaneval", "tiny-inverse-first-set/human_eval"),
        (sha("pair both")[:8] + "x", sha("pair both")),
        (
            "tiny-inverse",
            "more than one id: tiny-inverse-first-set (models), tiny-inverse-second",
        ),
        ("tiny-i/human_eval", "more than one model: tiny-inverse-first-set, tiny-inverse-second"),
        (
            "lib:both.py:12",
            "no snippet of lib:both.py holds line 12; its snippets lie at 1-9, 20-29",
        ),
        ("'x", "at least 6 characters"),
    ],
)
def test_a_word_that_means_nothing_or_too_much(
    traced: Lake, asked: Any, what: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        trace_start.start(asked, traced, what)
    assert said in str(caught.value)


def drawn_by_chance(lake: Lake) -> str:
    """A set whose only example of chance is the candidate that was not published; its model."""
    code, told = "def f(): ...", {"best": "write f", "other": "f, please"}
    lake.append_missing(DOCUMENTS, [source("one")], "ingest")
    written(lake, "one")
    lake.append_missing(CANDIDATES, [
        row(CANDIDATES, ds=DAY, candidate_id=sha(name), snippet_id=sha("snippet one"),
            status="ok", instruction=text) for name, text in told.items()
    ], "summarize")  # fmt: skip
    ids = {name: pair_id(text, code) for name, text in told.items()}
    lake.append_missing(PAIRS, [pair("one") | {
        "pair_id": ids["best"], "candidate_id": sha("best"), "instruction": told["best"],
        "response": code, "score": 0.9}], "publish")  # fmt: skip
    lake.append_missing(TRAINING_EXAMPLES, [
        {"training_set_id": "a-set", "phase": phase, "position": 0, "instruction": told[name],
         "response": code, "pair_id": ids[name]}
        for phase, name in (("self_generated", "best"), ("random", "other"))
    ], "mix a-set")  # fmt: skip
    read(lake, "mix a-set", TRAINING_EXAMPLES, PAIRS)
    trained(lake, "inverse", "a-set", "self_generated")
    return trained(lake, "random", "a-set", "random")


def test_what_was_drawn_by_chance_has_its_source_and_its_scores(lake: Lake) -> None:
    model = drawn_by_chance(lake)
    found = traces.trace(lake, model)
    assert found.missing == {}
    held = {level.name: level.shown for level in found.made_from}
    assert [(r["candidate_id"], r["score"]) for r in held["pairs"]] == [(sha("other"), None)]
    assert ids(found.made_from)["documents"] == {sha("document one")}
    for start, reached in ((sha("document one"), {"inverse", "random"}),
                           (sha("snippet one"), {"inverse", "random"}),
                           (sha("best"), {"inverse"}), (sha("other"), {"random"})):  # fmt: skip
        models = ids(traces.trace(lake, start).went_into)["models"]
        assert models == {f"tiny-{arm}-a-set" for arm in reached}, start


def dropped(stage: str, row_id: str, origin: str, reason: str) -> dict[str, Any]:
    return row(REJECTED, ds=DAY, stage=stage, row_id=sha(row_id), source="lib", origin=origin,
               reason=reason, remedy="mend it")  # fmt: skip


def test_what_was_dropped_is_told_with_what_it_would_have_been_part_of(lake: Lake) -> None:
    lake.append_missing(DOCUMENTS, [source(n) for n in ("kept", "copy")], "ingest")
    written(lake, "kept")
    kept, copy = sha("document kept"), sha("document copy")
    lake.append_missing(REJECTED, [
        dropped("ingest", "bad", "pairs.jsonl:2", "invalid JSON"),
        dropped("deduplicate", "document copy", kept, "near duplicate"),
        dropped("extract", "snippet short", f"{kept}#7", "too short"),
        dropped("judge", "candidate kept", sha("snippet kept"), "no score"),
    ], "r")  # fmt: skip

    def told(what: str) -> tuple[str, set[str]]:
        found = traces.trace(lake, what)
        return found.asked.name, {r["reason"] for r in found.rejected.shown}

    assert told(kept) == ("documents", {"too short", "no score"})
    assert told("lib:kept.py:3") == ("snippets", {"no score"})
    assert told(copy) == ("documents", {"near duplicate"})
    assert told("lib:copy.py:9") == ("documents", {"near duplicate"})  # it has no snippet
    record = traces.trace(lake, "lib:pairs.jsonl:2").asked
    assert [(r["id"], r["stage"], r["reason"], r["remedy"]) for r in record.shown] == [
        (sha("bad"), "ingest", "invalid JSON", "mend it")]  # fmt: skip
    assert traces.trace(lake, sha("snippet short")[:9]).asked.shown[0]["reason"] == "too short"
    assert traces.lines(lake, "lib:pairs.jsonl:2") == 0
    with pytest.raises(UserError, match=r"no snippet of lib:kept\.py holds line 99"):
        traces.trace(lake, "lib:kept.py:99")
    shown = "\n".join(s.title for s in traces.sections(traces.trace(lake, copy)))
    assert shown.endswith("Dropped: rejected rows (1)")


def test_an_empty_lake_has_nothing_to_trace(lake: Lake) -> None:
    with pytest.raises(UserError, match="nothing in"):
        traces.trace(lake, "abcdef")


def test_of_many_rows_the_first_are_shown_and_all_are_counted(traced: Lake) -> None:
    found = traces.trace(traced, "first-set", limit=1)
    first = min(sha("pair old"), sha("pair both"))
    text = "\n".join(map(report.as_text, traces.sections(found)))
    assert "Made from: pairs (2)" in text and "1 more: --all lists them." in text
    assert first[:12] in text and first not in text
    rows = {r[:3]: json.loads(r[3]) for r in traces.flat(found)}
    assert rows["pairs", first, "first-set"]["license"] == "MIT"
    assert [level for level, _, _ in rows if level == "pairs"] == ["pairs"]
    (pairs,) = (level for level in found.made_from if level.name == "pairs")
    assert sum(of["rows"] for of in pairs.by) == 2  # not cut


def test_what_a_training_set_leaves_out_is_told_of_its_own_pairs_alone(traced: Lake) -> None:
    traced.append_missing(REJECTED, [
        dropped("finetune_control", f"pair {name}", "first-set", f"without {name}")
        for name in ("old", "both")
    ], "r")  # fmt: skip
    told = {what: {r["reason"] for r in traces.trace(traced, what).rejected.shown}
            for what in ("first-set", sha("snippet old"), sha("pair both"))}  # fmt: skip
    assert list(told.values()) == [
        {"without old", "without both"}, {"without old"}, {"without both"}]  # fmt: skip


def test_the_command_prints_one_object(
    traced: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    main(["trace", "first-set", "--all", "--format", "json", "--set", f"lake.root={traced.root}"])
    found = json.loads(capsys.readouterr().out)
    assert (codes, found["asked"]["shown"][0]["id"]) == ([0], "first-set")
    assert len(found["made_from"]["pairs"]["shown"]) == found["made_from"]["pairs"]["rows"] == 2
    assert list(found["went_into"]) == ["training_runs", "models", "scores"]


def states() -> st.SearchStrategy[list[dict[str, str]]]:
    """What gold held, one state after the other: pair -> the document that it is of."""
    return st.lists(
        st.dictionaries(st.sampled_from("pq"), st.sampled_from("ab"), min_size=1),
        min_size=2, max_size=2,
    )  # fmt: skip


@settings(max_examples=2)
@given(history=states())
def test_a_set_leads_to_the_documents_that_lead_to_it(history: list[dict[str, str]]) -> None:
    """Whatever gold held when: a pair that moved to another document included."""
    with TemporaryDirectory() as root:
        lake = Lake(root)
        lake.append_missing(DOCUMENTS, [source(n) for n in "ab"], "ingest")
        for n, held in enumerate(history):
            lake.sync(PAIRS, [pair(p, of) for p, of in held.items()], {"ds": DAY}, f"publish {n}")
            mixed(lake, f"set-number-{n}", list(held))
        for n, held in enumerate(history):
            up = ids(traces.trace(lake, f"set-number-{n}").made_from)
            assert up["documents"] == {sha(f"document {d}") for d in held.values()}
        for name in "ab":
            down = ids(traces.trace(lake, f"lib:{name}.py").went_into)
            assert down.get("training_sets", set()) == {
                f"set-number-{n}" for n, held in enumerate(history) if name in held.values()
            }


def test_what_was_vacuumed_is_said_to_be_lost(lake: Lake) -> None:
    lake.append_missing(DOCUMENTS, [source("both"), source("old")], "ingest")
    lake.append_missing(PAIRS, [pair("old")], "publish")
    mixed(lake, "first-set", ["old"])
    lake.sync(PAIRS, [pair("both")], {"ds": DAY}, "publish again")
    mixed(lake, "second-set", ["both"])
    found = lake.open(PAIRS)
    assert found is not None
    held = {Path(p).name for p in found.file_uris()}
    for file in Path(lake.uri(PAIRS)).rglob("*.parquet"):
        if file.name not in held and "_delta_log" not in file.parts:
            file.unlink()
    said = "gold.instruction_pairs version 1, which training set first-set was made from"
    for what in ("first-set", "lib:both.py"):  # of the latter nobody can say what it went into
        with pytest.raises(UserError, match=said):
            traces.trace(lake, what)
    assert ids(traces.trace(lake, "second-set").made_from)["pairs"] == {sha("pair both")}
