"""The settings' page says of every setting what it is."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.reference import as_markdown
from lakehouse.settings import PROJECT, Settings

SECTIONS: dict[str, Any] = {
    name: field.annotation for name, field in Settings.model_fields.items() if name != "profile"
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_is_explained(name: str) -> None:
    unexplained = [k for k, f in SECTIONS[name].model_fields.items() if not f.description]
    assert unexplained == []


def test_the_page_has_every_setting_once_and_no_place_of_this_machine() -> None:
    page = as_markdown()
    assert str(PROJECT) not in page
    for name, section in SECTIONS.items():
        part = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert part.count("\n| `") == len(section.model_fields), name
    assert "| `temperature` | 0.8 | number from 0 to 2 | Of the samples. |" in page
    assert "`yes_no`, `yes_no_mean`, `conditional_likelihood`, `execution`" in page
