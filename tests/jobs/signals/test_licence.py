import importlib.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.signals.licence import NOASSERTION, UNKNOWN, effective, expression


def text_of(distribution: str, name: str) -> str:
    """A licence file that an installed package ships."""
    files = importlib.metadata.files(distribution) or []
    return next(f for f in files if f.name == name).read_text()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("# SPDX-License-Identifier: MIT", "MIT"),
        ("// SPDX-License-Identifier: apache-2.0", "Apache-2.0"),
        ("/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */",
         "GPL-2.0-only WITH Linux-syscall-note"),
        ("<!-- SPDX-License-Identifier: BSD-3-Clause -->", "BSD-3-Clause"),
        (" * SPDX-License-Identifier: (MIT OR Apache-2.0)", "Apache-2.0 OR MIT"),
        ("# SPDX-License-Identifier: PSF-2.0 AND (MIT OR Apache-2.0)",
         "(Apache-2.0 AND PSF-2.0) OR (MIT AND PSF-2.0)"),
        ("# SPDX-License-Identifier: LicenseRef-Acme", "LicenseRef-Acme"),
        ("# SPDX-License-Identifier: Acme's own", NOASSERTION),
        ("# SPDX-License-Identifier: MIT AND", NOASSERTION),
        (f"# SPDX-License-Identifier: {' AND '.join(['(MIT OR ISC)'] * 30)}", NOASSERTION),
    ],
)  # fmt: skip
def test_a_files_own_line_wins(line: str, found: str) -> None:
    text = f"#!/usr/bin/env python3\n{line}\nx = 1\n"
    assert effective(text, "PSF-2.0", text_of("identify", "LICENSE")) == (found, "spdx_header")


def test_a_string_in_a_program_about_licences_is_no_header() -> None:
    text = 'LINE = "SPDX-License-Identifier: GPL-3.0-only"\n'
    assert effective(text, "PSF-2.0") == ("PSF-2.0", "declared")


@pytest.mark.parametrize(
    ("declared", "found"),
    [("PSF-2.0", "PSF-2.0"), ("mit", "MIT"), ("GPL-2.0+", "GPL-2.0-or-later"), ("Bob's", "Bob's")],
)
def test_the_sources_word(declared: str, found: str) -> None:
    assert effective("x = 1", declared) == (found, "declared")


@pytest.mark.parametrize("declared", ["", UNKNOWN])
def test_a_licence_file_where_the_source_does_not_know(declared: str) -> None:
    assert effective("x = 1", declared, text_of("identify", "LICENSE")) == ("MIT", "license_file")
    apache = text_of("kingfisher-secret-scanner", "LICENSE")
    assert effective("x = 1", declared, apache) == ("Apache-2.0", "license_file")
    assert effective("x = 1", declared, "All rights reserved.") == (UNKNOWN, UNKNOWN)
    assert effective("x = 1", declared) == (UNKNOWN, UNKNOWN)


@given(st.text(st.characters(codec=None), max_size=60))
def test_any_line_can_be_read(line: str) -> None:
    assert expression(line)
    assert effective(f"# SPDX-License-Identifier: {line}", line, line)[0] or not line
