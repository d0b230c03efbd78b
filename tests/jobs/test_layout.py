"""What a file that begins with a bracket holds: an array, or lines of which the first is bad."""

import json
from pathlib import Path

import pytest

from jobs import jsons
from tests.jobs.reading import kept, read

A, B, C = (json.dumps({"code": f"{name} = 1"}) for name in "abc")


@pytest.mark.parametrize("first", [f"[{A}", f"[{A},", '["code": "a"}', "[", "[[[", f"[{A}]]"])
@pytest.mark.parametrize("good", [[B], [B, C], [B, C, "{oops"], [B, "", C, "[]"]])
def test_lines_below_a_bracket_that_nothing_closes_are_kept(
    tmp_path: Path, first: str, good: list[str]
) -> None:
    (tmp_path / "f.jsonl").write_text("\n".join([first, *good]) + "\n")
    found = read(tmp_path / "f.jsonl")
    assert [r.origin for r in found if not r.reason] == [
        f"f.jsonl:{number}" for number, line in enumerate(good, 2) if line in (B, C)
    ]
    assert found[0].reason == "invalid JSON"
    assert len(found) == 1 + sum(map(bool, good))


@pytest.mark.parametrize("opening", ["[", "[\n"])
@pytest.mark.parametrize("comma", [",\n", "\n,", "\n,\n", ",", f",\n{C}, "])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_over_lines_in_a_file_of_lines_is_an_array(
    tmp_path: Path, opening: str, comma: str, indent: int | None
) -> None:
    text = opening + comma.join([json.dumps(json.loads(A), indent=indent)] * 9) + "\n]\n"
    (tmp_path / "f.jsonl").write_text(text)
    size = len(json.loads(text))
    assert list(kept(tmp_path / "f.jsonl")) == [f"f.jsonl#{number}" for number in range(size)]
    for end in range(60, len(text)):  # of a large one, the head is looked at: it ends anywhere
        assert jsons.layout(text[:end], lines=True) == "array"
