from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.signals import Signals, observe
from lakehouse.tables import DOCUMENTS

anything = st.text(st.characters(codec=None), max_size=200)


def test_every_signal_is_a_column_of_its_type() -> None:
    columns = {c.name: c.type for c in DOCUMENTS.columns}
    types = {"str": "STRING", "bool": "BOOLEAN", "int": "INT", "float": "DOUBLE"}
    assert {f.name: types[str(f.type)] for f in fields(Signals)}.items() <= columns.items()


def test_a_file_knows_what_it_is() -> None:
    text = "#!/bin/sh\n# SPDX-License-Identifier: ISC\n# jane@widgets-ltd.com\necho a\n"
    assert observe(
        "vendor/bin/tool", text, declared_language="", declared_license="unknown"
    ) == Signals(
        language="bash", language_method="shebang", license="ISC", license_method="spdx_header",
        personal_data="email", vendored=True, longest_line=30,
        alphanumeric_fraction=pytest.approx(51 / 71),
    )  # fmt: skip


def test_the_instruction_is_searched_too() -> None:
    asked: dict[str, Any] = {"declared_language": "python", "declared_license": "MIT"}
    assert observe("a:1", "x = 1", **asked).personal_data == ""
    found = observe("a:1", "x = 1", instruction="Write to jane@widgets-ltd.com", **asked)
    assert found.personal_data == "email"


@settings(max_examples=100, deadline=None)
@given(path=anything, text=anything, language=anything, licence=anything, fence=anything,
       license_file=anything)  # fmt: skip
def test_it_never_raises_and_depends_on_its_arguments_alone(
    path: str, text: str, language: str, licence: str, fence: str, license_file: str
) -> None:
    def look() -> Signals:
        return observe(path, text, declared_language=language, declared_license=licence,
                       fence_tag=fence, license_file=license_file)  # fmt: skip

    assert look() == look()
