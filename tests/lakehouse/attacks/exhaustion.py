"""Programs that use up the machine, do not end, or end others."""

from __future__ import annotations

from tests.lakehouse.attacks.attack import Attack, named

HELD = {
    "fork": ("""
import os
def answer(x):
    made = 0
    for _ in range(200):
        try: made += os.fork() >= 0
        except OSError: pass
    return made
""", "assert answer(0) == 0"),
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
    "memory": ("""
def answer(x):
    try: bytearray(2 << 30)
    except MemoryError: return "refused"
""", "assert answer(0) == 'refused'"),
    "memory of other kinds": ("""
import mmap
def answer(x):
    made = []
    for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE, 0x4000 | mmap.MAP_PRIVATE,
                  0x0100 | mmap.MAP_PRIVATE, 0x40000 | mmap.MAP_PRIVATE):
        try: mmap.mmap(-1, 1 << 30, flags | mmap.MAP_ANONYMOUS); made.append(flags)
        except (OSError, ValueError): pass
    return made
""", "assert answer(0) == []"),
    "memory locked": ("""
import ctypes, mmap
def answer(x):
    area = mmap.mmap(-1, 1 << 20)
    libc = ctypes.CDLL(None)
    return [libc.mlock(ctypes.byref(ctypes.c_char.from_buffer(area)), 1 << 20), libc.mlockall(3)]
""", "assert answer(0) == [-1, -1]"),
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
    "sparse file": ("""
def answer(x):
    try:
        with open("/tmp/sparse", "wb") as file: file.truncate(1 << 40)
    except OSError: return "refused"
""", "assert answer(0) == 'refused'"),
    "inodes": ("""
def answer(x):
    try:
        for n in range(10_000): open(f"/tmp/{n}", "w").close()
    except OSError: return n
""", "assert answer(0) < 2048"),
    "descriptors": ("""
import os
def answer(x):
    held = []
    try:
        while len(held) < 10_000: held.append(os.dup(0))
    except OSError: pass
    return len(held)
""", "assert answer(0) <= 64"),
}  # fmt: skip

_KILL = "import os\ndef answer(x):\n    os.kill({target}, 9)\n    return 0"
STOPPED = {
    "a number of 100 MB": "def answer(x): return 1 << int(8e8)",
    "parent killed": _KILL.format(target="os.getppid()"),
    "process 1 killed": _KILL.format(target="1"),
    "group killed": _KILL.format(target="0"),
    "everyone killed": _KILL.format(target="-1"),
    "every process killed": """
import os
def answer(x):
    for process in range(1, 70_000):
        try: os.kill(process, 9)
        except OSError: pass
    return 0
""",
    "every thread killed": """
import ctypes, os
def answer(x):
    call = {"x86_64": 200, "aarch64": 130}[os.uname().machine]
    for process in range(1, 2000): ctypes.CDLL(None).syscall(call, process, 9)
    return 0
""",
    "a 32-bit system call": """
import ctypes, mmap
def answer(x):  # mov eax, 2 (fork of i386); int 0x80; ret
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(b"\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\xc3")
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))
    return 3 if call() >= 0 else 0
""",
    "a system call of x32": """
import ctypes, os
def answer(x):
    if os.uname().machine != "x86_64": return 0
    return 3 if ctypes.CDLL(None).syscall(0x40000000 | 57) >= 0 else 0
""",
    "the wire shut down": """
import os, socket
def answer(x):
    for fd in range(3, 64):
        try: socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)
        except OSError: pass
    return 0
""",
    "every descriptor closed": "import os\ndef answer(x): os.closerange(0, 1024)",
}

HANGS = {
    "loop": "def answer(x):\n    while True: pass",
    "sleep": "import time\ndef answer(x): time.sleep(60)",
    "endless output": "def answer(x):\n    while True: print('x' * 100_000)",
    "ignored signals": """
import signal, time
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
def answer(x):
    while True: time.sleep(60)
""",
    "regular expression": "import re\ndef answer(x): re.match('(a+)+$', 'a' * 60 + 'b')",
    "never loaded": "while True: pass",
    "endless reply": """
import os
def answer(x):
    while True:
        for fd in range(3, 64):
            try: os.write(fd, (1 << 24).to_bytes(4, "little") + b" " * (1 << 24))
            except OSError: pass
""",
    "a reply byte by byte": """
import os, time
def answer(x):
    word = (1 << 20).to_bytes(4, "little")
    while True:
        for fd in range(3, 64):
            try: os.write(fd, word)
            except OSError: pass
        word = b" "
        time.sleep(0.05)
""",
    "a value that doubles": """
def answer(x):
    value = [0]
    for _ in range(60): value = [value, value]
    return value
""",
    "alarms handled": """
import signal, time
signal.signal(signal.SIGXCPU, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0)
def answer(x): time.sleep(60)
""",
}

EXHAUSTION: dict[str, Attack] = named(HELD, "held") | named(STOPPED, "stopped")
ENDLESS: dict[str, Attack] = named(HANGS, "timeout")
