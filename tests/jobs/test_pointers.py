"""Source files whose LICENSE only points elsewhere: in folders, archives and stores."""

from pathlib import Path

import pytest

from jobs.signals.licence import NOASSERTION
from tests.jobs import s3
from tests.jobs.making import tarred, zipped
from tests.jobs.reading import rows
from tests.jobs.test_known import CODE, GPL, MIT, write

TREE = {
    "a.py": CODE,
    "COPYING": b"See LICENSES/MIT.txt\n",
    "gone/b.py": CODE,
    "gone/LICENSE": b"See nowhere/LICENSE.\n",
    "legal/terms.rst": GPL,
    "lib/c.py": CODE,
    "lib/LICENSE": b"../legal/terms.rst",
    "loop/d.py": CODE,
    "loop/LICENSE": b"See COPYING.rst.",
    "loop/COPYING.rst": b"See LICENSE.",
    "named/e.py": CODE,
    "named/LICENSE": b"This project is licensed under the ISC license, see LICENSES/ISC.txt.\n",
    "out/f.py": CODE,
    "out/LICENSE": b"../../outside/LICENSE",
    "tag/g.py": CODE,
    "tag/COPYING": b"SPDX-License-Identifier: Apache-2.0\n",
    "LICENSES/MIT.txt": MIT,
}
KNOWN = {
    "a.py": "MIT", "gone/b.py": NOASSERTION, "lib/c.py": "GPL-3.0-or-later",
    "loop/d.py": NOASSERTION, "named/e.py": "ISC", "out/f.py": NOASSERTION,
    "tag/g.py": "Apache-2.0",
}  # fmt: skip


def licences(where: Path | str) -> dict[str, str]:
    found = {origin: row for origin, row in rows(where).items() if origin.endswith(".py")}
    assert {row["license_method"] for row in found.values()} == {"license_file"}
    return {origin: row["license"] for origin, row in found.items()}


def test_a_pointer_is_followed_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, {"outside/LICENSE": MIT})
    write(tmp_path / "in", TREE)
    assert licences(tmp_path / "in") == KNOWN
    assert licences(f"{tmp_path}/in/**/*.py") == KNOWN


@pytest.mark.parametrize(
    ("name", "data"), [("f.zip", zipped(TREE)), ("f.tgz", tarred(TREE, "w:gz"))], ids=["zip", "tar"]
)
def test_a_pointer_is_followed_in_an_archive(tmp_path: Path, name: str, data: bytes) -> None:
    write(tmp_path, {f"in/{name}": data, "outside/LICENSE": MIT})
    inside = {f"{name}!{place}": known for place, known in KNOWN.items()}
    assert licences(tmp_path / "in" / name) == inside


def test_a_pointer_is_followed_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, TREE)
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "r"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with s3.serving(tmp_path) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert licences(f"s3a://{s3.BUCKET}") == KNOWN


def test_another_licence_behind_a_pointer_is_seen(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": CODE, "LICENSE": b"See legal/terms.rst", "legal/terms.rst": MIT})
    assert licences(tmp_path) == {"a.py": "MIT"}
    write(tmp_path, {"legal/terms.rst": GPL})
    assert licences(tmp_path) == {"a.py": "GPL-3.0-or-later"}
