"""Programs that do not compute x + 1 and want the verdict `passed` all the same."""

from __future__ import annotations

from tests.lakehouse.attacks.attack import Attack, named

_EQUAL = """
class Yes{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    __lt__ = __gt__ = __le__ = __ge__ = __eq__
    __hash__ = {base_hash}.__hash__
"""
_REPLY = """
import os, struct
def reply(body):
    for fd in range(3, 64):
        try: os.write(fd, struct.pack("<I", len(body)) + body)
        except OSError: pass
"""
_PASSED = '{"verdict": "passed", "detail": ""}'

STOPPED = {
    "sys.exit at import": "import sys\nsys.exit(0)",
    "sys.exit": "import sys\ndef answer(x):\n    sys.exit(0)",
    "os._exit": "import os\ndef answer(x):\n    os._exit(0)",
    "os._exit at import": "import os\nos._exit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef answer(x): raise SystemExit",
    "raw exit_group": """
import ctypes, os
def answer(x):
    ctypes.CDLL(None).syscall({"x86_64": 231, "aarch64": 94}[os.uname().machine], 0)
""",
    "exit from a thread": """
import os, threading
def answer(x):
    threading.Thread(target=os._exit, args=(0,)).start()
    return 0
""",
    "exit in a finaliser": """
import os
class Last:
    def __del__(self): os._exit(0)
def answer(x):
    Last()
    return 0
""",
    "right once, then gone": (
        "import os\nasked = []\ndef answer(x):\n    asked.append(x)\n"
        "    if len(asked) > 1: os._exit(0)\n    return x + 1",
        "for x in range(5): assert answer(x) == x + 1",
    ),
    "passed on stdout": f"""
def answer(x):
    print("PASS", "passed", {_PASSED!r}, "OK", flush=True)
    return 0
""",
    "verdict to every descriptor": f"""
import os, struct
word = {_PASSED.encode()!r}
def answer(x):
    for fd in range(1024):
        try: os.write(fd, struct.pack("<I", len(word)) + word)
        except OSError: pass
    os._exit(0)
""",
    "verdict to every descriptor at import": f"""
import os, struct
word = {_PASSED.encode()!r}
for fd in range(1024):
    try: os.write(fd, struct.pack("<I", len(word)) + word)
    except OSError: pass
""",
    "malformed reply": _REPLY + "def answer(x):\n    reply(b'[1,2')\n    return 0",
    "deep json": _REPLY + """
def answer(x):
    reply(b'{"value": ' + b'{"l": [' * 200_000)
    os._exit(0)
""",
    "a reply that swells": _REPLY + """
def answer(x):
    reply(b'{"value": [' + b'{},' * 2_000_000 + b'{}]}')
    os._exit(0)
""",
    "a reply of 4 GiB, as it says": """
import os
def answer(x):
    for fd in range(3, 64):
        try: os.write(fd, b"\\xff\\xff\\xff\\xff{}")
        except OSError: pass
    os._exit(0)
""",
    "a reply without a value": _REPLY + "def answer(x):\n    reply(b'{}')\n    return 0",
    "a reply of unknown tags": _REPLY + "def answer(x):\n"
    "    reply(b'{\"value\": {\"__eq__\": 1}, \"args\": []}')\n    return 0",
    "a reply that raises no exception": _REPLY + "def answer(x):\n"
    "    reply(b'{\"raised\": \"exec\", \"text\": \"raise SystemExit\"}')\n    return 0",
    "frame walk": """
import sys
def answer(x):
    frame = sys._getframe()
    while frame:
        for held in (frame.f_locals, frame.f_globals):
            for name in ("verdict", "hello", "ok", "passed", "word", "stat", "details"):
                held[name] = {"verdict": "passed", "detail": ""}
        frame = frame.f_back
    return 0
""",
    "frame walk to the result": """
import os, sys
def answer(x):
    frame = sys._getframe()
    while frame:
        if hasattr(frame.f_locals.get("result"), "append"):
            frame.f_locals["result"].append("passed")
            os._exit(0)
        frame = frame.f_back
    return 0
""",
    "the tests' check replaced": """
import sys
def answer(x):
    frame = sys._getframe()
    while frame:
        frame.f_globals["check"] = lambda *a: None
        frame = frame.f_back
    return 0
""",
    "a trace that changes results": """
import sys
class Yes:
    def __eq__(self, other): return True
def trace(frame, event, argument):
    for name in ("result", "value"):
        if name in frame.f_locals: frame.f_locals[name] = Yes()
    return trace
def answer(x):
    sys.setprofile(trace)
    sys.settrace(trace)
    return 0
""",
    "builtins patched": """
import builtins
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.compile = builtins.exec = lambda *a, **k: None
builtins.len = lambda x: 0
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
def answer(x): return 0
""",
    "small numbers rewritten": """
import ctypes, sys
def answer(x):
    for n in range(-5, 257):  # the digits of CPython's cached integers
        ctypes.c_uint32.from_address(id(n) + sys.int_info.sizeof_digit * 6).value = 7
    return 0
""",
    "json and jail patched": f"""
import json, sys
from jail import codec, roles
codec.encode = lambda v, depth=0: v
roles.encode = codec.encode
json.dumps = lambda *a, **k: {_PASSED!r}
def answer(x): return 0
""",
    "the tester's role played": """
import json, os, struct
from jail import roles
roles.tester = roles.candidate
def answer(x):
    for fd in range(3, 64):
        try: roles.send(fd, {"verdict": "passed", "detail": "", "answer": None})
        except OSError: pass
    os._exit(0)
""",
    "assertions patched": """
import unittest
unittest.TestCase.assertEqual = lambda *a: None
unittest.TestCase.failureException = type("Quiet", (Exception,), {})
def answer(x): return 0
""",
    "an exception called passed": 'def answer(x): raise type("passed", (Exception,), {})("passed")',
    "an exception called passed at import": 'raise type("passed", (Exception,), {})("passed")',
    "an exception that cannot be told": """
class Meta(type):
    @property
    def __name__(self): raise SystemExit(0)
class Own(Exception, metaclass=Meta):
    def __str__(self): raise SystemExit(0)
def answer(x): raise Own
""",
    "StopIteration to tests that map": (
        "def answer(x): raise StopIteration",
        "assert all(map(lambda x: answer(x) == x + 1, [1, 2, 3]))",
    ),
    "StopIteration to tests that iterate": (
        "def answer(x): raise StopIteration",
        "for got, x in zip(map(answer, [1, 2]), [1, 2]): assert got == x + 1",
    ),
    "half a character as the reason": _REPLY
    + """reply(b'{"raised": "\\\\ud800", "text": "\\\\ud800"}')\nos._exit(0)""",
    "huge reply": "def answer(x): return 'x' * (300 << 20)",
    "deep reply": """
def answer(x):
    value = []
    for _ in range(100_000): value = [value]
    return value
""",
    "a list in itself": "def answer(x):\n    value = []\n    value.append(value)\n    return value",
    "segmentation fault": "import ctypes\ndef answer(x): return ctypes.string_at(0)",
    "recursion": "def answer(x): return answer(x)",
    "the compiler's stack": "eval('(' * 100_000)\ndef answer(x): return 0",
    "no such function": "def other(x): return x + 1",
    "syntax error": "def answer(x: return",
    "a NUL and half a surrogate": "def answer(x): return '\0\ud800'",
    "a generator": "def answer(x): yield 3",
}  # fmt: skip

REFUSED = {
    "always equal": _EQUAL.format(base="", base_hash="object") + "def answer(x): return Yes()",
    "equal int subclass": _EQUAL.format(base="(int)", base_hash="int")
    + "def answer(x): return Yes(9)",
    "equal in a list": _EQUAL.format(base="(str)", base_hash="str")
    + "def answer(x): return [Yes()]",
    "equal key of a dictionary": _EQUAL.format(base="(str)", base_hash="str")
    + "def answer(x): return {Yes(): 3}",
    "equal by its metaclass": "class Yes(type):\n    def __eq__(self, other): return True\n"
    "    __hash__ = type.__hash__\ndef answer(x): return Yes('Yes', (), {})",
    "a lie about its class": "class Yes:\n    __class__ = int\n"
    "    def __eq__(self, other): return True\ndef answer(x): return Yes()",
    "equal argument left behind": (
        _EQUAL.format(base="", base_hash="object")
        + "def answer(xs):\n    xs[:] = [Yes()]\n    return xs and 3",
        "xs = [2]\nassert answer(xs) == 3 and xs == [2]",
    ),
}

FORGERIES: dict[str, Attack] = named(STOPPED, "stopped") | named(REFUSED, "refused")
