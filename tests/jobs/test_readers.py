import datetime as dt
import json
import zipfile
from pathlib import Path

import pytest

from jobs import sources
from jobs.readers import READERS
from lakehouse.errors import UserError
from lakehouse.settings import load
from tests.jobs.reading import DAY, read, rows, toml


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"instruction": "a", "output": "b"', "invalid JSON"),
        ('{"instruction": "a", "output": NaN}', "not a JSON value"),
        ('{"instruction": "a", "instruction": "b", "output": "c"}', "a key twice in one object"),
        ('{"instruction": 3, "output": "b"}', "wrong type"),
        ('{"question": "a"}', "columns missing or empty"),
        ('{"instruction": "a", "output": "  "}', "empty"),
        ('{"instruction": "a", "output": "b\\u0000"}', "NUL character"),
        ('{"instruction": "a", "output": "\\ud83d"}', "lone surrogate"),
        ('["a"]', "record is not a JSON object"),
        ("__import__('os').system('true')", "invalid JSON"),
    ],
)
def test_a_bad_record_has_its_reason_and_the_rest_is_kept(
    tmp_path: Path, line: str, reason: str
) -> None:
    good = json.dumps({"instruction": "add", "output": "x = 1"})
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{good}\n{line}\n\n{good}\n")
    first, bad, last = read(path)
    assert (first.content, last.content) == ("x = 1", "x = 1")
    assert (bad.reason, bad.origin) == (reason, "rows.jsonl:2")
    assert bad.remedy
    json.loads(bad.evidence).get("seen", "").encode()


def test_a_json_array_with_inputs(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"instruction": "add", "input": "1 2", "output": "3"}, 7]))
    good, bad = read(path)
    assert (good.kind, good.instruction, good.content) == ("instruction", "add\n\n1 2", "3")
    assert (bad.origin, bad.reason) == ("rows.json#1", "record is not a JSON object")


def test_a_folder_of_sources(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("x = 1\n")
    (tmp_path / "b.js").write_bytes(b"\xfd\xff")
    (tmp_path / "readme.md").write_text("no code")
    (tmp_path / "empty.py").write_text("")
    found = rows(tmp_path)
    assert found["pkg/a.py"]["language"] == "python"
    assert found["b.js"]["reason"] == "not UTF-8"
    assert found["empty.py"]["reason"] == "empty"
    assert found["readme.md"]["reason"] == "unknown ending"


def test_a_missing_path_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nowhere")


def test_every_source_has_a_reader() -> None:
    for path in sources.FOLDER.glob("*.toml"):
        assert sources.load(path.stem, load("tiny")).reader in READERS


def test_the_standard_library_is_dealt_once_over_the_days() -> None:
    settings = load("tiny", ["stdlib.files_per_day=0"])
    source, (items, reader) = sources.load("stdlib", settings), READERS["stdlib"]
    dealt = [items(source, settings, DAY + dt.timedelta(n)) for n in range(4)]
    assert dealt[0] == dealt[3]
    assert not set(dealt[0]) & set(dealt[1])
    assert sum(map(len, dealt[:3])) > 300
    (record,) = reader(dealt[0][0], source, settings, DAY)
    assert record.origin.startswith("stdlib/")


SCRIPT = "#!/usr/bin/env python3\nprint('checked')\n"
FILES = {"a.py": "x = 1\n", "bin/license-checker": SCRIPT, "LICENSES/fetch": SCRIPT + "# 2\n"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_script_that_bears_a_licenses_name_is_a_document_and_covers_nothing(
    tmp_path: Path, packed: bool
) -> None:
    if packed:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for name, text in FILES.items():
                archive.writestr(name, text)
    else:
        for name, text in FILES.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    found = rows(tmp_path)
    assert {name.removeprefix("all.zip!") for name in found} == set(FILES)
    assert {r["content"] for r in found.values()} == set(FILES.values())
    assert {r["license"] for r in found.values()} == {"unknown"}


def test_an_archives_root_is_a_folder_to_the_signals(tmp_path: Path) -> None:
    names = ("vendor/a.py", "node_modules/b.js", "generated/c.py", "jquery.js", "Rakefile", "d.py")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "x = 1")
    found = rows(toml(tmp_path, 'where = "f.zip"\n[languages]\n"" = ""'))
    seen = {o: (r["vendored"], r["generated"], r["language"]) for o, r in found.items()}
    assert seen == {
        "f.zip!vendor/a.py": (True, False, "python"),
        "f.zip!node_modules/b.js": (True, False, "javascript"),
        "f.zip!generated/c.py": (False, True, "python"),
        "f.zip!jquery.js": (True, False, "javascript"),
        "f.zip!Rakefile": (False, False, "ruby"),
        "f.zip!d.py": (False, False, "python"),
    }


@pytest.mark.parametrize("ahead", [0, 230, 290])
def test_what_was_seen_bears_no_secret(tmp_path: Path, ahead: int) -> None:
    """Not even a piece of one, where what was seen is cut."""
    token, address = "ghp_a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8", "jane.smith@widgets-ltd.com"
    held = f"{'x' * ahead} key = '{token}' # {address}"
    (tmp_path / "a.jsonl").write_text(f'{{"code": "{held}", oops\n')
    (tmp_path / "b.csv").write_text(f"code,note\n{held},1,2\n")
    (tmp_path / "c.json").write_text(json.dumps([{"code": [held]}, [held]]))
    (tmp_path / "d.py").write_bytes(b"\xff" + held.encode())
    (tmp_path / "e.py").write_bytes(held.encode() + b"\xff")
    found = read(tmp_path)
    assert len(found) == 6 and all(record.reason for record in found)
    for record in found:
        seen = json.loads(record.evidence)["seen"]
        assert len(seen) <= 300
        assert not any(piece in seen for piece in (token[:8], token[-8:], address[:8], "ltd"))
        assert ahead or record.origin == "e.py" or "'[github-pat]' # [email]" in seen
