"""Programs that try to escape, to exhaust the machine, or to forge a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lakehouse.sandbox import Sandbox

HONEST = "def answer(x):\n    return x + 1\n"
TEST = "assert answer(2) == 3\nassert answer([1]) == [1, 1]"
TEST_INT = "assert answer(2) == 3"

# Each must not pass TEST_INT; none of them computes x + 1.
FORGERIES = {
    "sys.exit at import": "import sys\nsys.exit(0)",
    "sys.exit": "import sys\ndef answer(x):\n    sys.exit(0)",
    "os._exit": "import os\ndef answer(x):\n    os._exit(0)",
    "os._exit at import": "import os\nos._exit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef answer(x): raise SystemExit",
    "always equal": """
class Yes:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __hash__(self): return 3
def answer(x): return Yes()
""",
    "equal int subclass": """
class Yes(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def answer(x): return Yes(9)
""",
    "equal in a list": """
class Yes(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
def answer(x): return [Yes()]
""",
    "passed on stdout": """
import json
def answer(x):
    print("PASS", "passed", json.dumps({"verdict": "passed", "detail": ""}), flush=True)
    return 0
""",
    "verdict to every descriptor": """
import json, os, struct
word = json.dumps({"verdict": "passed", "detail": ""}).encode()
def answer(x):
    for fd in range(1024):
        try: os.write(fd, struct.pack("<I", len(word)) + word)
        except OSError: pass
    os._exit(0)
""",
    "verdict to every descriptor at import": """
import json, os, struct
word = json.dumps({"verdict": "passed", "detail": ""}).encode()
for fd in range(1024):
    try: os.write(fd, struct.pack("<I", len(word)) + word)
    except OSError: pass
""",
    "malformed reply": """
import os, struct
def answer(x):
    for fd in range(3, 64):
        try: os.write(fd, struct.pack("<I", 4) + b"[1,2")
        except OSError: pass
    return 0
""",
    "frame walk": """
import sys
def answer(x):
    frame = sys._getframe()
    while frame:
        for held in (frame.f_locals, frame.f_globals):
            for name in ("verdict", "hello", "ok", "passed", "word"):
                held[name] = {"verdict": "passed", "detail": ""}
        frame = frame.f_back
    return 0
""",
    "builtins patched": """
import builtins
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.compile = builtins.exec = lambda *a, **k: None
builtins.len = lambda x: 0
builtins.isinstance = lambda *a: True
def answer(x): return 0
""",
    "json and jail patched": """
import json, sys
from jail import codec, roles
codec.encode = lambda v, depth=0: v
roles.encode = codec.encode
json.dumps = lambda *a, **k: '{"verdict": "passed", "detail": ""}'
def answer(x): return 0
""",
    "assertion patched": """
import unittest
unittest.TestCase.assertEqual = lambda *a: None
def answer(x): return 0
""",
    "huge reply": "def answer(x): return 'x' * (300 << 20)",
    "deep reply": """
def answer(x):
    value = []
    for _ in range(100_000): value = [value]
    return value
""",
    "deep json": """
import os, struct
def answer(x):
    body = b'{"value": ' + b'{"l": [' * 200_000
    for fd in range(3, 64):
        try: os.write(fd, struct.pack("<I", len(body)) + body)
        except OSError: pass
    os._exit(0)
""",
    "segmentation fault": "import ctypes\ndef answer(x): return ctypes.string_at(0)",
    "recursion": "def answer(x): return answer(x)",
    "no such function": "def other(x): return x + 1",
    "syntax error": "def answer(x: return",
    "a generator": "def answer(x): yield 3",
}

# Each passes only if what it tries is refused: (code, test).
ESCAPES = {
    "fork": ("""
import os
def answer(x):
    made = 0
    for _ in range(200):
        try: made += os.fork() >= 0
        except OSError: pass
    return made
""", "assert answer(0) == 0"),
    "subprocess": ("""
import subprocess
def answer(x):
    try: subprocess.run(["/bin/true"])
    except OSError: return "refused"
""", "assert answer(0) == 'refused'"),
    "memory": ("""
def answer(x):
    try: bytearray(2 << 30)
    except MemoryError: return "refused"
""", "assert answer(0) == 'refused'"),
    "memory file": ("""
import os
def answer(x):
    try: os.memfd_create("hidden")
    except OSError: return "refused"
""", "assert answer(0) == 'refused'"),
    "shared memory": ("""
import ctypes
def answer(x): return ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)
""", "assert answer(0) == -1"),
    "disk": ("""
def answer(x):
    total = 0
    try:
        for n in range(10):
            with open(f"/tmp/{n}", "wb") as f:
                for _ in range(16): total += f.write(bytes(1 << 20))
    except OSError: pass
    return total
""", "assert answer(0) <= 32 << 20"),
    "inodes": ("""
def answer(x):
    try:
        for n in range(10_000): open(f"/tmp/{n}", "w").close()
    except OSError: return n
""", "assert answer(0) < 2048"),
    "threads": ("""
import threading, time
def answer(x):
    started = 0
    try:
        for _ in range(500):
            threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); started += 1
    except (RuntimeError, MemoryError): pass
    return started
""", "assert answer(0) <= 64"),
    "network": ("""
import socket
def answer(x):
    try: socket.create_connection(("127.0.0.1", 22), 1)
    except OSError as error: return type(error).__name__
""", "assert answer(0) == 'PermissionError'"),
    "files": ("""
import os
def answer(paths):
    found = []
    for path in paths:
        try: os.stat(path); found.append(path)
        except OSError: pass
    return found
""", "assert answer(['/etc/shadow', '/etc/passwd', '/root/.bashrc', '/proc/1/environ', "
     "'/proc/self/maps', '/sys', '/var/log', '/usr/bin', '/bin/sh', '/dev/mem', '/old']) == []"),
    "environment": ("""
import os
def answer(x): return sorted(os.environ)
""", "assert set(answer(0)) <= {'HOME', 'LANG', 'LC_CTYPE', 'PATH', 'PYTHONHASHSEED'}"),
    "writing": ("""
import os
def answer(x):
    written = []
    for folder in ("/", "/usr/lib", os.path.dirname(os.__file__), "/dev"):
        try: open(folder + "/planted", "w").close(); written.append(folder)
        except OSError: pass
    return written
""", "assert answer(0) == []"),
    "privileges": ("""
import ctypes, os
def answer(x):
    libc = ctypes.CDLL(None)
    done = [n for n, r in (("unshare", libc.unshare(0x10000000)), ("chroot", libc.chroot(b"/tmp")),
            ("mount", libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)),
            ("ptrace", libc.ptrace(0, 0, 0, 0)), ("umount", libc.umount2(b"/tmp", 2))) if r == 0]
    return done
""", "assert answer(0) == []"),
}  # fmt: skip


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(timeout=3.0) as sandbox:
        yield sandbox


def still_honest(box: Sandbox) -> None:
    assert box.run(code=HONEST, test=TEST_INT, names=["answer"]).passed


@pytest.mark.parametrize("name", FORGERIES)
def test_no_verdict_is_forged(box: Sandbox, name: str) -> None:
    verdict = box.run(code=FORGERIES[name], test=TEST_INT, names=["answer"])
    assert not verdict.passed
    assert verdict.verdict.split(":")[0] in {"failed", "error", "refused", "timeout"}
    still_honest(box)


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_is_reached(box: Sandbox, name: str) -> None:
    code, test = ESCAPES[name]
    verdict = box.run(code=code, test=test, names=["answer"])
    assert verdict.passed, verdict
    still_honest(box)


@pytest.mark.parametrize("name", ["always equal", "equal int subclass", "equal in a list"])
def test_an_object_of_its_own_making_is_refused(box: Sandbox, name: str) -> None:
    verdict = box.run(code=FORGERIES[name], test=TEST_INT, names=["answer"])
    assert verdict.verdict == "refused"


@pytest.mark.parametrize(
    "code",
    [
        "def answer(x):\n    while True: pass",
        "import time\ndef answer(x): time.sleep(60)",
        "def answer(x):\n    while True: print('x' * 100_000)",
        "import signal, time\n"
        "for s in range(1, 65):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "def answer(x): time.sleep(60)",
        "import re\ndef answer(x): re.match('(a+)+$', 'a' * 60 + 'b')",
    ],
    ids=["loop", "sleep", "endless output", "ignored signals", "regular expression"],
)
def test_a_program_that_does_not_end_is_stopped(code: str) -> None:
    with Sandbox(timeout=0.5) as box:
        started = time.monotonic()
        verdict = box.run(code=code, test=TEST_INT, names=["answer"])
        assert verdict.verdict == "timeout"
        assert time.monotonic() - started < 5
        still_honest(box)


@pytest.mark.parametrize("target", ["os.getppid()", "1", "0", "-1"])
def test_killing_the_parent_its_group_or_everyone_spares_the_zygote(
    box: Sandbox, target: str
) -> None:
    # getppid() is 0 in a new pid namespace, and kill(0) goes to the process group, which
    # reaches across pid namespaces: without setsid this ended the zygote
    assert box._zygote is not None
    before = box._zygote.process_id
    code = f"import os\ndef answer(x):\n    os.kill({target}, 9)\n    return 0"
    assert not box.run(code=code, test=TEST_INT, names=["answer"]).passed
    still_honest(box)
    assert box._zygote.process_id == before


@pytest.mark.parametrize(
    "code", ["import os\ndef answer(x): os._exit(0)", FORGERIES["always equal"]]
)
def test_tests_cannot_swallow_a_dead_or_refused_candidate(box: Sandbox, code: str) -> None:
    test = "try:\n    answer(1)\nexcept Exception:\n    pass"
    assert not box.run(code=code, test=test, names=["answer"]).passed
