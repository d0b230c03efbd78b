import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse import locks, prompts
from lakehouse.errors import UserError
from lakehouse.settings import PROFILES, load


@pytest.mark.parametrize("profile", [p.stem for p in PROFILES.glob("*.toml")])
def test_every_profile_loads(profile: str) -> None:
    assert load(profile, environ={}).profile == profile


def test_environment_beats_profile_and_set_beats_environment() -> None:
    environ = {"LAKE_ROOT": "/a", "LAKE__SUMMARIZE__SAMPLES": "4"}
    assert load("tiny", environ=environ).lake.root == "/a"
    assert load("tiny", environ=environ).summarize.samples == 4
    assert load("tiny", ["summarize.samples=5"], environ=environ).summarize.samples == 5


def test_lists_are_written_with_commas() -> None:
    chosen = load("tiny", ["corpus.sources=stdlib,local"], environ={})
    assert chosen.corpus.sources == ("stdlib", "local")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("summarize.smaples=3", "samples"),
        ("sumarize.samples=3", "summarize"),
        ("summarize.samples=0", "greater than or equal to 1"),
        ("summarize.samples=many", "integer"),
        ("choose.scorer=best", "conditional_likelihood"),
        ("summarize", "section.key=value"),
        ("summarize=3", "a section"),
    ],
)
def test_a_wrong_override_names_what_is_allowed(override: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        load("tiny", [override], environ={})


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["choose.scorer=conditional_likelihood", "judge.questions=correct"], "judge.questions"),
        (["choose.scorer=yes_no", "judge.questions=likelihood"], "the question 'correct'"),
        (["choose.scorer=yes_no_mean", "judge.questions=likelihood"], "the question 'correct'"),
        (["choose.diversity=0.5"], "set choose.pairs_per_day"),
        (["extract.min_tokens=500", "extract.max_tokens=400"], "no code would be kept"),
        (["engine.max_model_len=44"], r"summarize\.max_tokens .* \| evaluation\.max_tokens"),
    ],
    ids=["likelihood", "yes_no", "yes_no_mean", "diversity", "chars", "room"],
)
def test_settings_that_would_empty_a_day_are_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load("tiny", overrides, environ={})


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"training.seed={2**31}", "less than or equal to 2147483647"),
        ("evaluation.timeout=1e12", "less than or equal to 3600"),
        ("evaluation.timeout=inf", "less than or equal to 3600"),
        ("evaluation.timeout=nan", "less than or equal to 3600"),
        ("evaluation.benchmarks=", "at least 1 item"),
    ],
)
def test_what_no_stage_could_work_with_is_refused(override: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{override.partition('=')[0]}.*{said}"):
        load("tiny", [override], environ={})


@pytest.mark.parametrize(
    ("tested", "name"),
    [
        ("tiny_world,tiny_world", "tiny_world"),
        ("mbpp:a.jsonl,mbpp:b.jsonl", "mbpp"),
        ("one/ours.toml,two/ours.toml", "ours"),
        ("tiny_world,human_eval:mine.jsonl", "human_eval"),
    ],
    ids=["twice", "two files", "two suites", "another sought"],
)
def test_a_benchmarks_name_is_that_of_one_alone(tested: str, name: str) -> None:
    chosen = [f"evaluation.benchmarks={tested}", "decontaminate.benchmarks=human_eval"]
    with pytest.raises(UserError, match=f"two benchmarks are called '{name}', '"):
        load("tiny", chosen, environ={}, to_run=False)


def test_what_models_are_tested_on_may_be_sought_by_name_too() -> None:
    chosen = ["evaluation.benchmarks=tiny_world", "decontaminate.benchmarks=human_eval,tiny_world"]
    assert load("tiny", chosen, environ={}).evaluation.benchmarks == ("tiny_world",)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("corpus.sources=stdlib,stdlb", "source 'stdlb'; allowed: local, stdlib"),
        ("summarize.sources=stdlb", "source 'stdlb'"),
        (
            "training.recipe=huge",
            "recipe 'huge'; allowed: codellama-7b, deepseek-6.7b, paper, smollm2, smollm2-epochs, "
            "tiny",
        ),
        ("model.base=train:huge", "recipe 'huge'"),
        ("model.teacher=package:other", "model.teacher = 'package:other' names no package of ours"),
        ("model.teacher=/no/such/folder", "is no folder that exists; give train:RECIPE, package"),
        ("model.base=", "model.base = '' is no folder"),
        ("decontaminate.adjudications=absent.toml", "'absent.toml' is no file"),
        ("decontaminate.adjudications=/", "'/' is no file; give the TOML file of verdicts"),
        ("model.prompts=chatty", "prompt profile 'chatty'; allowed: chat, default"),
        ("evaluation.benchmarks=human_evil", "benchmark 'human_evil'; allowed: .*human_eval"),
        ("decontaminate.benchmarks=human_evil", "benchmark 'human_evil'"),
        ("training.arms=everything", "training.arms.*labelled_only"),
    ],
)
def test_a_name_that_nothing_bears_is_refused_before_work_starts(override: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        load("tiny", [override], environ={})


def test_a_question_that_the_prompts_do_not_have_is_refused_with_those_that_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (prompts.FOLDER / "tiny.toml").read_text()
    two = text.replace("[questions]\n", '[questions]\nsufficient = "{instruction} {code}"\n', 1)
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    for name, content in (("one", text), ("two", two)):
        (tmp_path / f"{name}.toml").write_text(content)
    asked = "judge.questions=correct,sufficient,likelihood"
    assert load("tiny", [asked, "model.prompts=two"]).judge.questions[1] == "sufficient"
    with pytest.raises(
        UserError, match=r"'sufficient'.* 'one' does not ask; profiles that do: two"
    ):
        load("tiny", [asked, "model.prompts=one"])


def test_who_only_reads_needs_no_model() -> None:
    assert load("tiny", ["model.teacher=/no/such/folder"], to_run=False).profile == "tiny"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[corpus\nsources = []", "is not TOML.*line 1"),
        ("\xff".encode("latin-1"), "is not TOML.*utf-8"),
        ('lake = "here"', r"write \[lake\]"),
        ("[corpus]\nsources = 3", "corpus.sources"),
    ],
    ids=["syntax", "encoding", "no section", "type"],
)
def test_a_malformed_profile_says_where(text: str | bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said):
        load(str(file), environ={"LAKE_ROOT": "/a"})


def test_an_unknown_profile_names_the_profiles() -> None:
    with pytest.raises(UserError, match="paper, smollm2, tiny"):
        load("huge", environ={})


def test_a_source_of_ones_own_is_written_for_by_its_name(tmp_path: Path) -> None:
    for text in ('owner = "us"', 'owner = "us"\nname = "ours"'):
        (tmp_path / "ours.toml").write_text(text)
        sets = [f"corpus.sources=stdlib,{tmp_path / 'ours.toml'}", "summarize.sources=ours"]
        assert load("tiny", sets).summarize.sources == ("ours",)
    with pytest.raises(UserError, match="unknown source 'ours'"):
        load("tiny", ["summarize.sources=ours"])


def test_the_default_lake_is_the_projects_wherever_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("tiny", environ={}).lake.root == str(Path(__file__).resolve().parents[2] / ".lake")


def test_the_default_lake_of_an_installed_package_is_in_the_current_folder(tmp_path: Path) -> None:
    site, work = tmp_path / "site-packages", tmp_path / "work"
    shutil.copytree(PROFILES.parent, site / "lakehouse")
    work.mkdir()
    script = ("from lakehouse.sections import LakePlace; from lakehouse.delta import Lake; "
              "print(LakePlace().root); print(Lake('s3a://bucket/lake').models())")  # fmt: skip
    env = {k: v for k, v in os.environ.items() if k not in (locks.SHARED, "LAKE_ROOT")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=work,
        env={**env, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.stdout.split() == [str(work / ".lake"), str(work / ".lake" / "models")]


def test_sparks_memory_is_as_java_writes_it() -> None:
    assert load("tiny", ["spark.memory=512m"]).spark.memory == "512m"
    with pytest.raises(UserError, match=r"spark\.memory = 'lots'"):
        load("tiny", ["spark.memory=lots"])
