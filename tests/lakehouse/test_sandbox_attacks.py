"""Programs that try to escape, to exhaust the machine, or to forge a verdict: as us, as nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.sandbox import Sandbox
from lakehouse.sandbox.jail import landlock
from tests.lakehouse.attacks import belongings
from tests.lakehouse.attacks.attack import HONEST, ONE
from tests.lakehouse.attacks.exhaustion import ENDLESS
from tests.lakehouse.attacks.forgeries import FORGERIES
from tests.lakehouse.attacks.listed import LISTED, NOT_STOPPED
from tests.lakehouse.attacks.run import ATTACKS, SECONDS, SHORT_SECONDS, trouble

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(timeout=SECONDS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sandbox]:
    with Sandbox(timeout=SHORT_SECONDS) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gains_nothing_and_harms_no_later_run(box: Sandbox, name: str) -> None:
    assert trouble(box, ATTACKS[name]) == ""


def test_what_the_evaluator_has_is_left_alone(box: Sandbox, tmp_path: Path) -> None:
    with belongings.attacks(tmp_path) as attacks:
        assert [trouble(box, attack) for attack in attacks.values()] == [""] * len(attacks)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_program_that_does_not_end_is_stopped(hasty: Sandbox, name: str) -> None:
    started = time.monotonic()
    assert trouble(hasty, ENDLESS[name]) == ""
    assert time.monotonic() - started < 5


def test_the_attacks_are_those_listed_and_more() -> None:
    known = ATTACKS | ENDLESS
    assert set(LISTED.values()) <= set(known)
    assert len(LISTED) == 49
    assert len(set(known) - set(LISTED.values())) >= 30


def apart(user: int, *forbidden: str) -> dict[str, Any]:
    """What `attacks.run` says of all attacks as that user, or as us if we are not root.

    Root's system Python is used, which an unused user can read; skips where there is none.
    """
    root = os.getuid() == 0
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin") if root else sys.executable
    identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if root else {}
    able = "import sys, lakehouse.sandbox; sys.exit(sys.version_info < (3, 11))"
    start = {"capture_output": True, "cwd": REPOSITORY, "env": {}, **identity}
    if python is None or subprocess.run([python, "-B", "-c", able], **start).returncode != 0:
        pytest.skip("no Python of the right version, or this folder, is open to an ordinary user")
    command = [python, "-B", "-m", "tests.lakehouse.attacks.run", *forbidden]
    done = subprocess.run(command, text=True, timeout=300, **start)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["attacks"] == len(ATTACKS) + len(belongings.PROGRAMS) + len(ENDLESS)
    return said


def test_an_ordinary_users_sandbox_holds_too() -> None:
    if os.getuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    said = apart(65534)
    assert (said["tier"], said["troubles"]) == ("namespaces+seccomp", {})


@pytest.mark.parametrize("user", [0, 65534])
def test_where_namespaces_are_forbidden_landlock_holds(user: int) -> None:
    try:
        os.close(landlock.ruleset([]))
    except OSError as error:
        pytest.skip(str(error))
    if os.getuid() != 0 and user == 0:
        pytest.skip("only root can try what root's sandbox does")
    said = apart(user, "unshare")
    assert said["tier"] == "landlock+seccomp"
    assert set(said["troubles"]) == NOT_STOPPED[said["tier"]], said["troubles"]


@pytest.mark.parametrize(
    "name", ["parent killed", "process 1 killed", "group killed", "everyone killed"]
)
def test_killing_the_parent_its_group_or_everyone_spares_the_zygote(
    box: Sandbox, name: str
) -> None:
    # getppid() is 0 in a new pid namespace, and kill(0) goes to the process group, which
    # reaches across pid namespaces: without setsid this ended the zygote
    assert box._zygote is not None
    before = box._zygote.process_id
    assert not box.run(code=ATTACKS[name].code, test=ONE, names=["answer"]).passed
    assert box.run(code=HONEST, test=ONE, names=["answer"]).passed
    assert box._zygote.process_id == before


@pytest.mark.parametrize("name", ["os._exit", "always equal"])
def test_tests_cannot_swallow_a_dead_or_refused_candidate(box: Sandbox, name: str) -> None:
    test = "try:\n    answer(1)\nexcept Exception:\n    pass"
    assert not box.run(code=FORGERIES[name].code, test=test, names=["answer"]).passed
