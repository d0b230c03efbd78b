"""LICENSE files that only point at a licence: which are believed, and where they lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.signals.licence import NOASSERTION
from jobs.signals.pointers import Said, candidates, resolved, said


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("SPDX-License-Identifier: MIT\n", "MIT"),
        ("The kernel is provided under:\n\n\tSPDX-License-Identifier: GPL-2.0 WITH "
         "Linux-syscall-note\n\nIn addition, other licenses may also apply.",
         "GPL-2.0-only WITH Linux-syscall-note"),
        ("This project is licensed under the MIT license, see LICENSES/MIT.txt.", "MIT"),
        ("This project is licensed under the MIT License - see the [LICENSE.md](LICENSE.md) file "
         "for details\n", "MIT"),
        ("This source code is licensed under the MIT license found in the\nLICENSE file in the "
         "root directory of this source tree.", "MIT"),
        ('Licensed under the Apache License, Version 2.0 (the "License"); see '
         "http://www.apache.org/licenses/LICENSE-2.0\n", "Apache-2.0"),
        ("# License\n\nCopyright (c) 2020 Foo Bar <foo@bar.org>\nReleased under the 3-clause BSD "
         "license.\n", "BSD-3-Clause"),
        ("MIT License (MIT)\n=================\n\nCopyright 2019 Foo Inc. All rights reserved.\n"
         "https://opensource.org/licenses/MIT", "MIT"),
        ("Licensed under either of Apache License, Version 2.0 or MIT license at your option.",
         "Apache-2.0 OR MIT"),
        ("The foo library is dual-licensed under MIT and Apache-2.0.", "Apache-2.0 AND MIT"),
        ("License: Zlib/libpng license", "Zlib"),
        ("Foo is distributed under the terms of the GNU General Public License version 2 or (at "
         "your option) any later version.", "GPL-2.0-or-later"),
        ("Copyright 2020 Foo\nLicensed under the GPL v3", "GPL-3.0-only"),
        ("The Unlicense", "Unlicense"),
        ("ISC", "ISC"),
    ],
)  # fmt: skip
def test_a_licence_by_its_name(text: str, licence: str) -> None:
    assert said(text.encode()).licenses == {licence}
    assert said(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == said(text.encode())


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("See LICENSES/MIT.txt", ["LICENSES/MIT.txt"]),
        ("../../LICENSE\n", ["../../LICENSE"]),
        ("Please see LICENSE in the project root for license information.", ["LICENSE"]),
        ("For license information, see the file docs/COPYING.", ["docs/COPYING"]),
        ("The license can be found in ../COPYING.", ["../COPYING"]),
        ("This software is made available under the terms of *either* of the licenses\nfound in "
         "LICENSE.APACHE or LICENSE.BSD. Contributions to foo are made\nunder the terms of *both* "
         "these licenses.\n", ["LICENSE.APACHE", "LICENSE.BSD"]),
        ("Copyright 2020 Foo.\n\nSee [LICENSE-A](LICENSE-A) and LICENSE-B for details.",
         ["LICENSE-A", "LICENSE-B", "LICENSE-A"]),
    ],
)  # fmt: skip
def test_the_files_that_hold_the_licence(text: str, files: list[str]) -> None:
    assert said(text.encode()) == Said(files=tuple(files))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Proprietary. All rights reserved.",
        "Licensed under the Acme license.",
        "Documentation is licensed under the MIT license.",
        "Parts of this project are licensed under the MIT license.",
        "Code by Bob is licensed under the MIT license.",
        "This project is proprietary; it uses code licensed under the MIT license.",
        "Foo is released under the terms of the MIT license once you have paid for it.",
        "MIT License with Commons Clause",
        "MIT License\n\nYou owe us a beer.",
        "Copyright 2020 Foo. You owe us a beer. Licensed under the MIT license.",
        "Licensed under BSD.",
        "Licensed under the same terms as Perl itself.",
        "SPDX-License-Identifier: Acme\n\nMIT License",
        "Each file has a line such as SPDX-License-Identifier: MIT.",
        "Licensed under the MIT license. " + "See LICENSE. " * 200,
        "MIT License\n\nSee ADDENDUM.md for further conditions.",
        "MIT License\n\nCopyright 2020 Foo, use by companies is prohibited",
        "Frontend is licensed under the MIT license.",
    ],
)
def test_what_says_more_or_less_is_not_believed(text: str) -> None:
    assert said(text.encode()) == Said(frozenset({NOASSERTION}))


@pytest.mark.parametrize(
    ("path", "files", "found"),
    [
        ("LICENSE", {"LICENSE": ["a/MIT"], "a/MIT": "MIT"}, {"MIT"}),
        ("sub/LICENSE", {"sub/LICENSE": ["LICENSE"], "LICENSE": "MIT"}, {"MIT"}),
        ("a/b/COPYING", {"a/b/COPYING": ["../../X"], "X": ["a/Y"], "a/Y": "ISC"}, {"ISC"}),
        ("LICENSE", {"LICENSE": ["A", "B"], "A": "MIT", "B": "ISC"}, {"MIT", "ISC"}),
        ("LICENSE", {"LICENSE": ["A", "gone"], "A": "MIT"}, {"MIT", NOASSERTION}),
        ("LICENSE", {"LICENSE": ["COPYING"], "COPYING": ["LICENSE"]}, {NOASSERTION}),
        ("LICENSE", {"LICENSE": ["../../etc/passwd", "/etc/passwd"]}, {NOASSERTION}),
        ("0", {str(n): [str(n + 1)] for n in range(99)} | {"99": "MIT"}, {NOASSERTION}),
    ],
)
def test_pointers_are_followed(
    path: str, files: dict[str, list[str] | str], found: set[str]
) -> None:
    told = {
        name: Said(frozenset({said})) if isinstance(said, str) else Said(files=tuple(said))
        for name, said in files.items()
    }
    assert resolved(path, told.get) == found


@pytest.mark.parametrize(
    ("text", "beside", "found"),
    [
        ("Licensed under the MIT license, see LICENSE.md.", {}, {"MIT"}),  # itself, perhaps
        ("Licensed under the MIT license, see LICENSES/GPL.txt.", {"LICENSES/GPL.txt": "GPL-3.0"},
         {"MIT", "GPL-3.0"}),
        ("Licensed under the MIT license.\n\nSee TERMS.md.", {}, {"MIT", NOASSERTION}),
        ("Licensed under the MIT license.\n\nSee COPYING.terms for our terms.",
         {"COPYING.terms": NOASSERTION}, {"MIT", NOASSERTION}),
    ],
)  # fmt: skip
def test_files_beside_a_named_licence_bind_too(
    text: str, beside: dict[str, str], found: set[str]
) -> None:
    told = {name: Said(frozenset({licence})) for name, licence in beside.items()}
    assert resolved("LICENSE", {**told, "LICENSE": said(text.encode())}.get) == found


def test_no_place_lies_outside_of_the_tree() -> None:
    assert candidates("a/LICENSE", "../../x") == []
    assert candidates("a/LICENSE", "LICENSE") == ["LICENSE"]
    assert candidates("a/b/LICENSE", "./../x") == ["a/x"]
    assert candidates("LICENSE", ".reuse/MIT") == [".reuse/MIT"]


@given(st.lists(st.sampled_from([
    "see ", "LICENSE", "MIT", " license", "licensed under ", "the ", "or ", ", ", ".", "\n", "\n\n",
    "(", ")", "Copyright ", "this project is ", "../", "*", "for details", "é", "\0",
]), max_size=20).map("".join) | st.text(max_size=40))  # fmt: skip
def test_any_text_says_something(text: str) -> None:
    found = said(text.encode("utf-8", "surrogatepass"))
    assert found.licenses or found.files
    assert (
        found.licenses == {NOASSERTION} and not found.files
    ) or NOASSERTION not in found.licenses
