import importlib.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.signals.licence import (
    LONGEST_FILE,
    NOASSERTION,
    UNKNOWN,
    all_of,
    covered,
    effective,
    expression,
    is_file,
    of_file,
)


def text_of(distribution: str, name: str) -> bytes:
    """A licence file that an installed package ships."""
    files = importlib.metadata.files(distribution) or []
    return next(f for f in files if f.name == name).read_binary()


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
        ("/* Copyright 2020 Foo. SPDX-License-Identifier: GPL-3.0-only */", "GPL-3.0-only"),
        ("# Foo's. SPDX-License-Identifier: GPL-3.0-only", "GPL-3.0-only"),
        ("Copyright 2020 Foo. SPDX-License-Identifier: GPL-3.0-only", "GPL-3.0-only"),
        ("int x; // SPDX-License-Identifier: GPL-3.0-only", "GPL-3.0-only"),
        ('# SPDX-License-Identifier: "Acme"', NOASSERTION),
        (f"# SPDX-License-Identifier: {' AND '.join(['(MIT OR ISC)'] * 30)}", NOASSERTION),
    ],
)  # fmt: skip
def test_a_files_own_line_wins(line: str, found: str) -> None:
    text = f"#!/usr/bin/env python3\n{line}\nx = 1\n"
    assert effective(text, "PSF-2.0", "MIT") == (found, "spdx_header")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MIT\n# SPDX-License-Identifier: GPL-3.0-only", "GPL-3.0-only AND MIT"),
        ("MIT */ /* SPDX-License-Identifier: GPL-3.0-only */", "GPL-3.0-only AND MIT"),
        ("MIT OR ISC\nx = 1\n// Foo SPDX-License-Identifier: BSD-3-Clause",
         "(BSD-3-Clause AND ISC) OR (BSD-3-Clause AND MIT)"),
        ("MIT\n# SPDX-License-Identifier: Acme's own", NOASSERTION),
        ("MIT\n# SPDX-License-Identifier: mit", "MIT"),
        ("MIT\nLINE = 'SPDX-License-Identifier: GPL-3.0-only'", "MIT"),
    ],
)  # fmt: skip
def test_all_of_a_files_own_lines_bind(text: str, found: str) -> None:
    said = effective(f"# SPDX-License-Identifier: {text}\n", license_file="MIT")
    assert said == (found, "spdx_header")


@pytest.mark.parametrize(
    "text",
    [
        'LINE = "SPDX-License-Identifier: GPL-3.0-only"\n',
        'write("// SPDX-License-Identifier: GPL-3.0-only")\n',
        "# see `SPDX-License-Identifier:` above\n",
        "# SPDX-License-Identifier:  \n",
    ],
)
def test_a_program_about_licences_has_no_header(text: str) -> None:
    assert effective(text, "PSF-2.0") == ("PSF-2.0", "declared")


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ("PSF-2.0", "PSF-2.0"), ("mit", "MIT"), ("GPL-2.0+", "GPL-2.0-or-later"),
        ("Bob's", "Bob's"),
        *((said, "NOASSERTION") for said in (
            "GPL-3.0-only AND (Custom OR MIT)", "Apache-2.0 WITH Commons-Clause", "()",
            "MIT AND ()", " OR ".join(["MIT"] * 40))),
    ],
)  # fmt: skip
def test_the_sources_word(declared: str, found: str) -> None:
    assert effective("x = 1", declared) == (found, "declared")


@pytest.mark.parametrize("declared", ["", UNKNOWN])
def test_a_licence_file_where_the_source_does_not_know(declared: str) -> None:
    assert effective("x = 1", declared, "MIT") == ("MIT", "license_file")
    assert effective("x = 1", declared) == (UNKNOWN, UNKNOWN)


def test_what_a_licence_file_says() -> None:
    mit, apache = text_of("identify", "LICENSE"), text_of("kingfisher-secret-scanner", "LICENSE")
    assert of_file(mit) == of_file(b"\xef\xbb\xbf\xff" + mit) == {"MIT"}
    assert of_file(apache) == {"Apache-2.0"}
    assert all_of([*of_file(mit), *of_file(apache), "MIT"]) == "Apache-2.0 AND MIT"
    for unknown in (b"", b"Proprietary. All rights reserved.", b" " * LONGEST_FILE + mit):
        assert of_file(unknown) == {NOASSERTION}
    assert all_of([]) == ""


@pytest.mark.parametrize(
    "limit",
    [
        "NOT FOR COMMERCIAL USE. For commercial use buy a licence.",
        "The Software shall not be used\nfor commercial purposes.",
        "Any commercial use, and any use to train machine learning models, is prohibited.",
        "Free for non-commercial use",
        "Commercial use requires a licence of its own.",
        "For commercial use, please contact sales.",
        "This software may only be used for academic research.",
        "For research purposes only!",
        "Personal and educational use only.",
        "The code may not be used to train machine learning models.",
        "Training of AI models on it is strictly forbidden.",
        '"Commons Clause" License Condition v1.0',
        "The License does not grant to you the right to Sell the Software.",
    ],
)
def test_what_a_licence_file_takes_back_is_not_granted(limit: str) -> None:
    mit = text_of("identify", "LICENSE").decode()
    for text in (f"{mit}\n{limit}\n", f"{limit}\n\n{mit}", f"{mit}\n{limit}\n\n{mit}"):
        assert of_file(text.encode()) == {NOASSERTION}
    assert of_file(f"SPDX-License-Identifier: MIT\n\n{limit}".encode()) == {NOASSERTION}


@pytest.mark.parametrize(
    "word",
    [
        "This library is free for commercial and non-commercial use.",
        "You may use it without limitation, commercial purposes included.",
        "No commercial use of these trademarks may be made without permission.",
        "For academic work, please cite the paper.",
        "This does not prevent a commercial firm from naming it.",
        "It was trained on data that is not ours. Not a model of any language.",
        "Parts of it come from a research project; see NOTICE.",
    ],
)
def test_a_word_around_a_licence_that_takes_nothing_back(word: str) -> None:
    assert of_file(text_of("identify", "LICENSE") + f"\n{word}\n".encode()) == {"MIT"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((name, True) for name in ("LICENSE", "a/b/licence.md", "COPYING.txt", "License.rst",
                                    "LICENSE-MIT", "LICENSE-APACHE.txt", "LICENSE.GPL",
                                    "COPYING.LESSER", "COPYING.LESSERv3", "COPYING3",
                                    "LICENSE.Apache-2.0.txt", "x/MIT-LICENSE", "MIT-LICENSE.txt",
                                    "LICENSE_1_0.txt", "LICENSE-2.0.txt", "UNLICENSE",
                                    "LICENSES/MIT.txt", "a/LICENSES/dual/GPL-3.0-only.txt",
                                    "LICENSES/MIT")),
        *((name, False) for name in ("license.py", "copying.c", "license-check.js", "licenses/MIT",
                                     "my-license", "LICENSE.json", "copying.gz", "LICENSE.pl",
                                     "LICENSES/find.py", "MY-LICENSES/MIT", "mit.txt")),
    ],
)  # fmt: skip
def test_which_names_are_licence_files(name: str, found: bool) -> None:
    assert is_file(name) is found


def test_which_folder_a_licence_file_covers() -> None:
    names = {"LICENSE": ".", "a/b/COPYING": "a/b", "LICENSES/MIT.txt": ".", "a/LICENSES/x/Y": "a"}
    assert {name: str(covered(name)) for name in names} == names


@given(st.text(st.characters(codec=None), max_size=60))
def test_any_line_can_be_read(line: str) -> None:
    assert expression(line)
    assert effective(f"# SPDX-License-Identifier: {line}", line, line)[0] or not line
