"""`make`: it lists what it can do, and `make setup` mends what is missing, as messages promise."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
JAR = b"a jar"


def make(folder: Path, target: str, **env: str) -> subprocess.CompletedProcess[str]:
    # as a person calls it, also where `make test` runs the tests
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "LAKE_JARS"))}
    return subprocess.run(
        ["make", target], cwd=folder, capture_output=True, text=True, check=False,
        env={**outer, "PYTHONPATH": "", **env},
    )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project that is set up: this Python, a uv that notes its calls, one jar that is pinned."""
    for name in ("Makefile", "pyproject.toml", "uv.lock", "scripts"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    (tmp_path / "lakehouse").mkdir()
    for name in ("__init__.py", "jars.py", "errors.py", "extras.py"):
        shutil.copy(PROJECT / "lakehouse" / name, tmp_path / "lakehouse" / name)
    pin = hashlib.sha256(JAR).hexdigest()
    (tmp_path / "lakehouse" / "jars.toml").write_text(
        f'repository = "https://none.example"\n[delta]\n"io/delta/delta.jar" = "{pin}"\n'
    )
    (tmp_path / "maven" / "io" / "delta").mkdir(parents=True)
    (tmp_path / "maven" / "io" / "delta" / "delta.jar").write_bytes(JAR)
    for place, text in {
        ".venv/bin/python": f'exec {sys.executable} "$@"', ".uv/bin/uv": 'echo "$@" >> uv.log',
    }.items():  # fmt: skip
        script = tmp_path / place
        script.parent.mkdir(parents=True)
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def test_setup_fetches_jars_that_were_lost_or_damaged(clone: Path) -> None:
    jar, maven = clone / ".jars" / "delta.jar", (clone / "maven").as_uri()
    for damage in (lambda: None, jar.unlink, lambda: jar.write_bytes(b"half")):
        damage()
        done = make(clone, "setup", LAKE_MAVEN=maven)
        assert done.returncode == 0, done.stderr
        assert jar.read_bytes() == JAR
    assert not (clone / "uv.log").exists()  # packages were there: nothing was installed
    assert make(clone, "setup", LAKE_MAVEN="file:///nowhere").returncode == 0  # all is there
    assert not (clone / "uv.log").exists()


def test_setup_installs_a_package_that_was_lost(clone: Path) -> None:
    project = clone / "pyproject.toml"
    project.write_text(project.read_text().replace("  # report\n", '  "no-such-package==1",\n', 1))
    (clone / ".venv" / ".ready").touch()
    done = make(clone, "setup", LAKE_MAVEN=(clone / "maven").as_uri())
    assert "no-such-package" in done.stderr
    assert "sync --locked" in (clone / "uv.log").read_text()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"JAVA_HOME": "/nowhere"}, "Java is missing: install a JDK 17"),
        ({"PATH": "/nowhere"}, "python3 is missing"),
    ],
)
def test_what_a_machine_lacks_is_one_sentence(env: dict[str, str], said: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "scripts/preflight.sh"], cwd=PROJECT, capture_output=True, text=True,
        check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("what", "package"), [("libnuma", "libnuma1"), ("Python.h", "python3-dev")]
)
def test_what_is_missing_for_vllm_is_one_sentence(tmp_path: Path, what: str, package: str) -> None:
    python = tmp_path / "python3"
    python.write_text(
        f'#!/bin/sh\ncase "$2" in *{what}*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", str(PROJECT / "scripts" / "preflight.sh")], cwd=PROJECT, capture_output=True,
        text=True, check=False, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 2
    assert f"install it (Debian: {package})" in done.stderr


@pytest.mark.parametrize(("kib", "ready"), [(2_000_000, False), (500_000, True)])
def test_a_full_disk_is_one_sentence(tmp_path: Path, kib: int, ready: bool) -> None:
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text(f"#!/bin/sh\necho header\necho x 0 0 {kib} 0 /\n")
    df.chmod(0o755)
    if ready:
        (tmp_path / ".venv").mkdir()
    done = subprocess.run(
        ["sh", str(PROJECT / "scripts" / "preflight.sh")], cwd=tmp_path, capture_output=True,
        text=True, check=False, env={**os.environ, "PATH": f"{df.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "free some space" in done.stderr


def test_help_lists_every_target() -> None:
    targets = re.findall(r"^([a-z-]+):(?!=)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    listed = [line.split()[1] for line in make(PROJECT, "help").stdout.splitlines()]
    assert listed == targets
    assert {"setup", "test", "demo", "up", "down"} <= set(listed)
