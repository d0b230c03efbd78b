"""`lake diff`: rows added, removed and changed between two versions or days."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import differences
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import DUPLICATES, MODELS
from tests.rows import row

DAYS = [dt.date(2026, 11, n) for n in (1, 2)]
few = hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STATE = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), max_size=4)


def duplicates(held: dict[str, str], day: dt.date) -> list[dict[str, Any]]:
    return [
        row(DUPLICATES, ds=day, source="s", document_id=k, method=v, original_ds=day)
        for k, v in held.items()
    ]


def expected(old: dict[str, str], new: dict[str, str]) -> dict[str, int]:
    both = old.keys() & new.keys()
    changed = sum(old[k] != new[k] for k in both)
    return {"added": len(new.keys() - old.keys()), "removed": len(old.keys() - new.keys()),
            "changed": changed, "same": len(both) - changed}  # fmt: skip


@few
@given(STATE, STATE, st.dictionaries(st.sampled_from("ef"), st.just("x")))
def test_versions_differ_in_what_was_written_between_them(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, str], new: dict[str, str],
    other: dict[str, str],
) -> None:  # fmt: skip
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    lake.create(DUPLICATES)
    lake.sync(DUPLICATES, duplicates(other, DAYS[1]), {"ds": DAYS[1]}, "r0")
    lake.sync(DUPLICATES, duplicates(old, DAYS[0]), {"ds": DAYS[0]}, "r1")
    before = lake.version(DUPLICATES)
    lake.sync(DUPLICATES, duplicates(new, DAYS[0]), {"ds": DAYS[0]}, "r2")
    after = lake.version(DUPLICATES)
    assert before is not None and after is not None
    found = differences.of_versions(lake, DUPLICATES, (before, after), 10)
    wanted = expected(old, new)
    assert found.counts == {**wanted, "same": wanted["same"] + len(other)}
    assert found.columns == ({"method": wanted["changed"]} if wanted["changed"] else {})
    told = {(kind, key.split()[-1], a, b) for kind, key, _, a, b in found.sample}
    assert told == {
        *(("added", k, None, None) for k in new.keys() - old.keys()),
        *(("removed", k, None, None) for k in old.keys() - new.keys()),
        *(("changed", k, old[k], new[k]) for k in old.keys() & new.keys() if old[k] != new[k]),
    }


def test_days_differ_in_all_but_the_day(lake: Lake) -> None:
    for day, held in zip(DAYS, ({"a": "x", "b": "x"}, {"b": "x", "c": "x"}), strict=True):
        rows = [{**r, "original_ds": DAYS[0]} for r in duplicates(held, day)]
        lake.sync(DUPLICATES, rows, {"ds": day}, "r")
    found = differences.of_days(lake, DUPLICATES, DAYS, 10)
    assert found.counts == {"added": 1, "removed": 1, "changed": 0, "same": 1}


def test_a_broken_grain_does_not_multiply_rows(lake: Lake) -> None:
    twice = duplicates({"a": "x"}, DAYS[0]) * 2
    lake.sync(DUPLICATES, twice, {"ds": DAYS[0]}, "r1")
    lake.sync(DUPLICATES, [*twice, *twice[:1]], {"ds": DAYS[0]}, "r2")
    found = differences.of_versions(lake, DUPLICATES, None, 10)
    assert found.counts == {"added": 1, "removed": 0, "changed": 0, "same": 2}


def test_only_files_that_both_do_not_share_are_read(lake: Lake) -> None:
    lake.sync(DUPLICATES, duplicates({"a": "x"}, DAYS[0]), {"ds": DAYS[0]}, "r1")
    shared = [Path(p) for p in lake.open(DUPLICATES).file_uris()]  # type: ignore[union-attr]
    lake.sync(DUPLICATES, duplicates({"b": "x"}, DAYS[1]), {"ds": DAYS[1]}, "r2")
    for path in shared:
        path.write_bytes(b"not Parquet")
    assert differences.of_versions(lake, DUPLICATES, None, 10).counts["added"] == 1


def test_what_cannot_be_compared_is_said(lake: Lake) -> None:
    with pytest.raises(UserError, match=r"is not in .* yet"):
        differences.of_versions(lake, MODELS, None, 10)
    lake.create(MODELS)
    lake.create(DUPLICATES)
    with pytest.raises(UserError, match="one version only"):
        differences.of_versions(lake, MODELS, None, 10)
    with pytest.raises(UserError, match="--versions OLD NEW"):
        differences.of_days(lake, MODELS, DAYS, 10)
    with pytest.raises(UserError, match="its days are none"):
        differences.of_days(lake, DUPLICATES, DAYS, 10)
