"""What a source file's row knows of its licence and language, and by whose word."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import ingest, places
from jobs.sources import preset
from lakehouse.errors import UserError
from lakehouse.sections import Filters
from lakehouse.settings import load
from tests.jobs import s3
from tests.jobs.making import tarred, zipped, zst
from tests.jobs.reading import read, rows, toml

MIT = b"""MIT License

Copyright (c) 2026 A. Body

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
GPL = b"""This program is free software: you can redistribute it and/or modify it under the terms of
the GNU General Public License as published by the Free Software Foundation, either version 3 of the
License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without
even the implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU
General Public License for more details.

You should have received a copy of the GNU General Public License along with this program. If not,
see <https://www.gnu.org/licenses/>.
"""
CODE = b"x = 1\n"
TREE = {
    "a.py": CODE,
    "lib/deep/b.py": CODE,
    "lib/own.py": b"# SPDX-License-Identifier: Apache-2.0\n" + CODE,
    "odd/c.py": CODE,
    "odd/licence.txt": b"Ask Bob.",
    "reuse/e.py": CODE,
    "reuse/LICENSES/old/MIT.txt": MIT,
    "rows.jsonl": b'{"code": "y = 2"}',
    "zlast/d.py": CODE,
    "zlast/LICENSE": MIT,
    "LICENSE": MIT,
    "lib/COPYING": GPL,
}
"""In an archive, the last ones come behind what they cover."""
KNOWN = {
    "a.py": ("MIT", "license_file"),
    "lib/deep/b.py": ("GPL-3.0-or-later", "license_file"),
    "lib/own.py": ("Apache-2.0", "spdx_header"),
    "odd/c.py": ("NOASSERTION", "license_file"),
    "reuse/e.py": ("MIT", "license_file"),
    "rows.jsonl:1": ("unknown", "unknown"),
    "zlast/d.py": ("MIT", "license_file"),
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def licences(path: Path | str) -> dict[str, tuple[str, str]]:
    """Origin to licence and method; no record may be rejected."""
    found = rows(path)
    assert not [r for r in found.values() if r["reason"]]
    return {origin: (r["license"], r["license_method"]) for origin, r in found.items()}


# -- licence -----------------------------------------------------------------------------------


def test_the_nearest_licence_file_of_a_folder(tmp_path: Path) -> None:
    assert licences(write(tmp_path, TREE)) == KNOWN


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("f.zip", zipped),
        ("f.tar", tarred),
        ("f.tar.gz", lambda files: tarred(files, "w:gz")),
        ("f.tar.zst", lambda files: zst(tarred(files))),
    ],
)
def test_the_nearest_licence_file_of_an_archive(
    tmp_path: Path, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    (tmp_path / name).write_bytes(pack(TREE))
    inside = {f"{name}!{place}": known for place, known in KNOWN.items()}
    assert licences(tmp_path) == licences(tmp_path / name) == inside


def test_a_licence_file_beside_an_archive_covers_what_has_none_inside(tmp_path: Path) -> None:
    packed = zipped({"a.py": CODE, "own/b.py": CODE, "own/LICENSE": GPL})
    write(tmp_path, {"in/f.zip": packed, "LICENSE.md": MIT})
    assert licences(tmp_path) == {
        "in/f.zip!a.py": ("MIT", "license_file"),
        "in/f.zip!own/b.py": ("GPL-3.0-or-later", "license_file"),
    }


def test_licence_files_of_one_folder_bind_together(tmp_path: Path) -> None:
    files = {"a.py": CODE, "LICENSE-MIT": MIT, "COPYING": GPL}
    both = ("GPL-3.0-or-later AND MIT", "license_file")
    assert licences(write(tmp_path / "one", files)) == {"a.py": both}
    write(tmp_path / "two", {"f.zip": zipped(files)})
    assert licences(tmp_path / "two") == {"f.zip!a.py": both}


def test_a_folder_of_licence_texts_covers_what_lies_around_it(tmp_path: Path) -> None:
    files = {"a.py": CODE, "sub/b.py": CODE, "LICENSES/MIT.txt": MIT, "LICENSES/old/GPL-3.0": GPL}
    both = ("GPL-3.0-or-later AND MIT", "license_file")
    write(tmp_path / "tree", files)
    assert licences(tmp_path / "tree") == {"a.py": both, "sub/b.py": both}
    assert licences(f"{tmp_path}/tree/**/b.py") == {"sub/b.py": both}
    write(tmp_path / "packed", {"f.zip": zipped(files)})
    assert licences(tmp_path / "packed") == {"f.zip!a.py": both, "f.zip!sub/b.py": both}


def test_a_glob_is_covered_up_to_its_first_wildcard(tmp_path: Path) -> None:
    write(tmp_path, TREE)
    assert licences(f"{tmp_path}/**/*.py") == {o: k for o, k in KNOWN.items() if o.endswith(".py")}
    assert licences(f"{tmp_path}/lib/deep/*.py") == {"b.py": ("unknown", "unknown")}


def test_objects_are_covered_as_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {**TREE, "f.tgz": tarred(TREE, "w:gz")})
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "r"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with s3.serving(tmp_path) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        found = licences(f"s3a://{s3.BUCKET}")
        assert found == KNOWN | {f"f.tgz!{place}": known for place, known in KNOWN.items()}
        for one in ("lib/deep/b.py", "reuse/e.py"):
            some = licences(f"s3a://{s3.BUCKET}/**/{one[-4:]}")
            assert some == {one: KNOWN[one]}


@pytest.mark.parametrize("name", ["tree", "tree/f.zip"])
def test_the_sources_word_comes_before_a_licence_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"tree/a.py": CODE, "tree/LICENSE": GPL, "tree/f.zip": zipped(TREE)})
    found = licences(toml(tmp_path, f'where = "{name}"\nlicense = "ISC"'))
    assert {known for origin, known in found.items() if not origin.endswith("own.py")} == {
        ("ISC", "declared")
    }
    assert found["f.zip!lib/own.py"] == ("Apache-2.0", "spdx_header")


def test_what_is_under_the_gpl_or_terms_that_nobody_knows_is_held_back(tmp_path: Path) -> None:
    allowed = Filters().licenses
    held = [o for o, (said, _) in licences(write(tmp_path, TREE)).items() if said not in allowed]
    assert held == ["lib/deep/b.py", "odd/c.py"]


def test_a_licence_file_is_a_record_where_there_is_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, {"only/LICENSE": MIT, "only/sub/COPYING": GPL})
    with pytest.raises(UserError, match=r"no file at .* has a known ending"):
        read(tmp_path / "only")
    source = toml(tmp_path, 'where = "only"\nformat = "source"')
    assert [r.origin for r in read(source)] == ["LICENSE", "sub/COPYING"]


def test_what_covers_a_file_must_be_readable(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": CODE, "lib/b.py": CODE})
    (tmp_path / "lib" / "LICENSE").symlink_to("nowhere")
    assert [(r.origin, r.reason) for r in read(tmp_path)] == [
        ("a.py", ""), ("lib/LICENSE", "file cannot be read"), ("lib/b.py", ""),
    ]  # fmt: skip


def test_a_licence_file_that_is_gone_keeps_what_it_covers_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"a.py": CODE, "lib/rows.jsonl": b'{"code": "y = 2"}'}
    write(tmp_path, {**others, "lib/b.py": CODE, "lib/LICENSE": b"Not seen before."})
    listed = places.listing

    def then_gone(*args: str) -> list[places.File]:
        found = listed(*args)
        (tmp_path / "lib" / "LICENSE").unlink()
        return found

    monkeypatch.setattr(places, "listing", then_gone)
    found = {r.origin: r for r in read(tmp_path)}
    bad = found.pop("lib/b.py")
    assert (bad.reason, "LICENSE" in bad.evidence) == ("file cannot be read", True)
    assert {o: r.reason for o, r in found.items()} == {"a.py": "", "lib/rows.jsonl:1": ""}


@pytest.mark.parametrize("where", ["", "/**/*.py"])
def test_another_licence_file_makes_the_day_be_read_again(tmp_path: Path, where: str) -> None:
    write(tmp_path, TREE)
    settings = load("tiny", ["corpus.sources=local", f"local.path={tmp_path}{where}"])
    before = ingest._contents(settings)
    assert ingest._contents(settings) == before
    os.utime(tmp_path / "LICENSE", (0, 0))
    assert ingest._contents(settings) != before


# -- language ----------------------------------------------------------------------------------


def test_the_ending_speaks_where_the_source_does_not(tmp_path: Path) -> None:
    """Every ending that makes a source file tells the language that its table says."""
    languages = preset("languages")
    found = rows(write(tmp_path, {f"f{ending}": CODE for ending in languages}))
    assert {o.removeprefix("f"): r["language"] for o, r in found.items()} == languages
    assert {r["language_method"] for r in found.values()} == {"extension"}


@pytest.mark.parametrize("form", ["auto", "source"])
def test_a_sources_own_table_is_its_word_beside_the_preset(tmp_path: Path, form: str) -> None:
    names = ("a.py", "b.pyx", "c.txt", "d.Rx", "e.ts")
    write(tmp_path, {f"in/{name}": CODE for name in names})
    own = '[languages]\n".pyx" = "cython"\n".txt" = "Python"\n".Rx" = "r"\n".ts" = "qt"'
    source = toml(tmp_path, f'where = "in"\nformat = "{form}"\nlanguage = "ruby"\n{own}')
    assert {o: (r["language"], r["language_method"]) for o, r in rows(source).items()} == {
        "a.py": ("python", "extension"),
        "b.pyx": ("cython", "declared"),
        "c.txt": ("python", "declared"),
        "d.Rx": ("r", "declared"),
        "e.ts": ("qt", "declared"),
    }


def test_an_ending_that_languages_share_is_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"a.h": b"int x;\n", "b.h": b"namespace b {}\n", "c.H": b"#import <A/A.h>\n"})
    assert [r["language"] for r in rows(tmp_path).values()] == ["c", "cpp", "objective-c"]


SCRIPT = b"#!/usr/bin/env python3\nx = 1\n"


@pytest.mark.parametrize("others", [{}, {"a.py": CODE}], ids=["alone", "beside others"])
def test_a_file_without_an_ending_is_asked_for_its_interpreter(
    tmp_path: Path, others: dict[str, bytes]
) -> None:
    files = {"bin/tool": SCRIPT, "notes": b"x = 1\n", "LICENSE": MIT, **others}
    write(tmp_path, {**files, "f.zip": zipped(files)} if others else files)
    found = rows(tmp_path)
    for place in ("", "f.zip!") if others else ("",):
        tool, notes = found[f"{place}bin/tool"], found[f"{place}notes"]
        assert (tool["language"], tool["language_method"]) == ("python", "shebang")
        assert (tool["license"], tool["content"]) == ("MIT", SCRIPT.decode())
        assert notes["reason"] == "unknown ending"


def test_a_folder_without_a_script_or_an_ending_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file at .* has a known ending"):
        read(write(tmp_path, {"notes": b"x = 1\n"}))


# -- marks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["external", "vendor", "generated"])
def test_where_a_data_set_lies_says_nothing_about_its_records(tmp_path: Path, folder: str) -> None:
    lines = b'{"code": "x = 1"}\n{"code": "x = 2", "path": "third_party/gen/a_pb2.py"}\n'
    packed = zipped({"generated/rows.jsonl": lines})
    write(tmp_path, {f"{folder}/train.jsonl": lines, f"{folder}/a.py": CODE, "f.zip": packed})
    found = {o: (r["vendored"], r["generated"]) for o, r in rows(tmp_path).items()}
    assert found == {
        f"{folder}/train.jsonl:1": (False, False),
        f"{folder}/train.jsonl:2": (True, True),
        f"{folder}/a.py": (folder != "generated", folder == "generated"),
        "f.zip!generated/rows.jsonl:1": (False, False),
        "f.zip!generated/rows.jsonl:2": (True, True),
    }


def test_what_a_data_set_is_called_is_not_the_language_of_its_records(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile.jsonl": b'{"code": "x"}\n{"code": "x", "path": "a.rs"}\n'})
    found = {o: (r["language"], r["language_method"]) for o, r in rows(tmp_path).items()}
    assert found == {
        "Dockerfile.jsonl:1": ("", "unknown"),
        "Dockerfile.jsonl:2": ("rust", "extension"),
    }
