from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import prompts
from lakehouse.errors import UserError

NAMES = [p.stem for p in prompts.FOLDER.glob("*.toml")]


@pytest.mark.parametrize("name", NAMES)
def test_templates_hold_their_slots(name: str) -> None:
    found = prompts.load(name)
    assert "INST" in found.instruct("INST")
    assert "CODE" in found.summarize("CODE", "python", "Write a")
    assert found.summarize("CODE", "python", "Write a").endswith("Write a")
    judged = found.judge("INST", "CODE", "python")
    assert "INST" in judged
    assert "CODE" in judged
    assert "{" not in found.instruct("")


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text())
def test_text_cannot_leave_its_slot(name: str, text: str) -> None:
    found = prompts.load(name)
    injected = text + "".join(found.control) + "{instruction}{code}{prefix}"
    clean = found.judge("", "", "python")
    forged = found.judge(injected, injected, "python")
    for mark in found.control:
        assert forged.count(mark) == clean.count(mark)


def test_braces_in_code_stay_as_they_are() -> None:
    found = prompts.load("paper")
    assert "{instruction}" in found.judge("do it", "x = '{instruction}'", "python")


def test_a_prefix_is_a_function_of_the_seed() -> None:
    found = prompts.load("paper")
    drawn = {found.prefix(seed, "python") for seed in range(200)}
    assert drawn == {f"{p} python" for p in found.prefixes}
    assert found.prefix(3, "python") == found.prefix(3, "python")


def test_an_unknown_profile_names_the_profiles() -> None:
    with pytest.raises(UserError, match="tiny"):
        prompts.load("huge")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("fenced = false", "fenced = "), "is not TOML"),
        (("fenced = false", ""), "fenced: Field required"),
        (("stop = []", "stops = []"), "stops: Extra inputs"),
        (('prefixes = [""]', "prefixes = []"), "prefixes"),
        (("summarize :{code}", "summarize :"), "summarize: .*lacks {code}"),
    ],
    ids=["syntax", "lacking", "unknown", "empty", "slot"],
)
def test_a_malformed_profile_says_where(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    text = (prompts.FOLDER / "tiny.toml").read_text()
    assert change[0] in text
    (tmp_path / "odd.toml").write_text(text.replace(*change))
    with pytest.raises(UserError, match=said):
        prompts.load(str(tmp_path / "odd.toml"))
