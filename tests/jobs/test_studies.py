"""A study goes on where it stopped, and says of each claim no more than the samples show."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import studies
from jobs.studies import Study
from jobs.studies.findings import Finding, claimed, compared, conclude
from jobs.studies.page import as_html, sections
from jobs.studies.work import Undertaking
from lakehouse.delta import Lake
from lakehouse.errors import GateError, UserError
from lakehouse.intervals import Interval, holm
from lakehouse.settings import load
from lakehouse.tables import EVALUATION_SAMPLES, JOB_RUNS, MODELS, STUDY_SCORES, TRAINING_RUNS
from tests.rows import row

DAY = dt.date(2026, 11, 1)
RATES = {"best": 0.6, "chance": 0.58, "control": 0.3}
"""How often a variant's models pass."""
SPEC = """
profile = "tiny"
partition = 2026-11-01
seeds = 3
seeded = ["tiny_world.seed", "training.seed"]
settings = ["corpus.sources=tiny_world"]
sets = [
  { settings = ["choose.scorer=yes_no"], variants = { chance = "random" } },
  { settings = [], variants = { best = "inverse", control = "control" } },
]
claims = [
  { variant = "best", control = "control", says = "Data helps", least = 0.1 },
  { variant = "best", control = "chance", says = "<b>Choosing</b> helps" },
  { variant = "control", control = "chance", says = "Data harms" },
]
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    place = tmp_path / "mine.toml"
    place.write_text(SPEC)
    return studies.read(str(place))


class Pretended(Undertaking):
    """Instead of starting commands, writes what they would have; 100 tasks a model."""

    called: list[tuple[int, str]]

    def _run(self, seed: int, more: Any, *argv: str) -> None:
        self.called.append((seed, " ".join(argv[1:])))
        if len(self.called) == self.fails_at:
            raise GateError("the disk is full")
        lake, chosen = Lake(f"{self.lake.root}/{self.place(seed)}"), self.settings(seed)
        if "choose" in argv[-1]:
            mixed = {"stage": "mix", "ds": DAY, "status": "done", "run_id": "m",
                     "message": f"set of {more}"}  # fmt: skip
            now = dt.datetime.now(dt.UTC)
            lake.upsert(JOB_RUNS, [row(JOB_RUNS, **mixed, started_at=now, finished_at=now)], "m")
        elif "prepare" in argv[-1]:
            lake.upsert(MODELS, [row(MODELS, model_id="base", arm="base", spec=chosen.model.base,
                                     path="models/base")], "p")  # fmt: skip
            (lake.models() / "base").mkdir(parents=True, exist_ok=True)
        elif "--arm" in argv:
            arm = argv[argv.index("--arm") + 1]
            name = {"random": "chance", "inverse": "best", "control": "control"}[arm]
            lake.upsert(TRAINING_RUNS, [row(TRAINING_RUNS, training_run_id=name, arm=arm, seed=seed,
                        training_set_id=f"set of {more}")], "t")  # fmt: skip
            lake.upsert(MODELS, [row(MODELS, model_id=name, arm=arm, training_run_id=name)], "t")
            lake.upsert(EVALUATION_SAMPLES, _samples(name, seed), "e")

    fails_at = 0


def _samples(name: str, seed: int) -> list[dict[str, Any]]:
    drawn = random.Random(f"{name} {seed}")
    return [
        row(EVALUATION_SAMPLES, model_id=name, benchmark="tiny_world", benchmark_version="v",
            harness="h", task_id=f"t{n}", passed=drawn.random() < RATES[name], isolation="jail")
        for n in range(100)
    ]  # fmt: skip


def pretended(study: Study, lake: Lake, fails_at: int = 0) -> Pretended:
    work = Pretended(study, lake, (), lambda _text: None)
    object.__setattr__(work, "called", [])
    object.__setattr__(work, "fails_at", fails_at)
    return work


def test_a_study_goes_on_where_it_stopped(study: Study, lake: Lake) -> None:
    stopped = pretended(study, lake, fails_at=9)
    with pytest.raises(GateError):
        stopped.carry_out()
    assert stopped.scored(1) == {"chance", "best", "control"}
    assert stopped.scored(2) == set()
    again = pretended(study, lake)
    again.carry_out()
    assert {seed for seed, _ in again.called} == {2, 3}
    whole = lake.read(STUDY_SCORES).num_rows
    done = pretended(study.model_copy(update={"seeds": 4}), lake)
    done.carry_out()  # one more seed is the same study
    assert {seed for seed, _ in done.called} == {4}
    assert lake.read(STUDY_SCORES).num_rows == whole * 4 // 3
    assert done.settings(4).tiny_world.seed == done.settings(4).training.seed == 4
    # all start from the first seed's base
    assert done.settings(4).model.base == f"{lake.root}/{done.place(1)}/models/base"


def test_other_settings_are_another_study(study: Study, lake: Lake) -> None:
    other = Undertaking(study, lake, ("summarize.samples=3",), lambda _text: None)
    assert other.study_id != pretended(study, lake).study_id
    assert other.study_id.startswith("mine-")


def test_every_claim_has_its_verdict_and_its_rows(study: Study, lake: Lake) -> None:
    work = pretended(study, lake)
    work.carry_out()
    found = conclude(lake, study, work.study_id)
    assert [f.verdict for f in found] == ["shown", "not shown", "the contrary"]
    assert "80% power" in str(found[1])
    assert "3 seeds, 100 tasks" in str(found[0])
    rows = lake.read(STUDY_SCORES).to_pylist()
    assert len(rows) == (3 + 3) * (3 + 1)  # variants and claims, each seed and all
    over = {(r["variant"], r["control"]): r for r in rows if r["seed"] == 0}
    for variant in RATES:
        each = [r["value"] for r in rows if r["variant"] == variant and r["seed"]
                and not r["control"]]  # fmt: skip
        assert over[variant, ""]["value"] == pytest.approx(sum(each) / 3)
    gain = over["best", "control"]
    assert gain["value"] == pytest.approx(over["best", ""]["value"] - over["control", ""]["value"])
    assert conclude(lake, study, work.study_id) == found  # and no row is written twice
    assert lake.read(STUDY_SCORES).num_rows == len(rows)
    text = as_html(lake, work.study_id, sections(lake, work.study_id, found))
    assert "&lt;b&gt;Choosing&lt;/b&gt; helps" in text
    assert "<b>" not in text


def test_of_one_seed_it_is_of_these_models(study: Study, lake: Lake) -> None:
    one = study.model_copy(update={"seeds": 1})
    work = pretended(one, lake)
    work.carry_out()
    assert {f.seeds for f in conclude(lake, one, work.study_id)} == {1}
    assert 0 not in lake.read(STUDY_SCORES)["seed"].to_pylist()


@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=3, max_size=3))
def test_the_contrary_is_the_same_the_other_way_round(grid: list[list[bool]]) -> None:
    claim = studies.Claim(variant="a", control="b", says="a helps")
    mirrored = studies.Claim(variant="b", control="a", says="b helps")
    tested = {("a", s): {str(t): float(p) for t, p in enumerate(passed)}
              for s, passed in enumerate(grid)}  # fmt: skip
    tested |= {("b", s): {str(t): float((s + t) % 2) for t in range(8)} for s in range(3)}
    [one, other] = (compared([c], tested, range(3), "x")[0] for c in (claim, mirrored))
    assert one.found.value == pytest.approx(-other.found.value)
    assert (one.verdict == "the contrary") == (other.verdict == "shown")


def test_claims_are_corrected_over_all_suites() -> None:
    claims = [studies.Claim(variant=v, control="c", says=f"{v} helps") for v in ("a", "b")]
    passed = {"a": 0, "b": 3, "c": 6}  # fails the first so many of twelve tasks
    of_suite = {(v, s): {str(t): float(t >= n) for t in range(12)}
                for v, n in passed.items() for s in (1, 2)}  # fmt: skip
    for seeds in ([1], [1, 2]):
        found = claimed(claims, {"x": of_suite, "y": of_suite}, seeds)
        assert [f.benchmark for f in found] == ["x", "x", "y", "y"]
        assert [f.p_holm for f in found] == holm([f.p for f in found])
        assert min(f.p_holm for f in found) == pytest.approx(4 * min(f.p for f in found))


def test_less_than_claimed_is_said(study: Study) -> None:
    claim = study.claims[0]
    little = Finding(claim, "x", Interval(0.05, 0.02, 0.08), 0.01, 0.02, 100, 5, 0.03)
    assert little.verdict == "less than claimed"
    by_chance = Finding(claim, "x", Interval(-0.05, -0.08, -0.02), 0.01, 0.06, 100, 5, 0.03)
    assert by_chance.verdict == "not shown"  # of so many claims one comes out so
    assert "at least +10 points" in str(little)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('control = "chance"', 'control = "chanc"', "chanc"),
        ("seeds = 3", "seeds = 0", "seeds"),
        ('"inverse"', '"inverted"', "labelled_only"),
    ],
)
def test_a_faulty_study_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    place = tmp_path / "faulty.toml"
    place.write_text(SPEC.replace(old, new))
    with pytest.raises(UserError, match=says):
        studies.read(str(place))


def test_the_studies_that_come_with_it_can_be_read() -> None:
    for path in studies.FOLDER.glob("*.toml"):
        study = studies.read(path.stem)
        for chosen in study.sets:
            load(study.profile, [*study.settings, *chosen.settings])
            load(study.profile, [f"{key}=1" for key in study.seeded])
