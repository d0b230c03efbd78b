"""Hostile programs of other languages reach nothing, end in time and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pydantic
import pytest

from lakehouse.errors import UserError
from lakehouse.sandbox import programs
from lakehouse.sandbox.programs import Programs
from tests.lakehouse.problems import PROBLEMS, REPOSITORY, box, present

__all__ = ["box"]  # a fixture

# Each fails unless what it tries is refused.
ESCAPES = {
    "processes": """
const child = require('node:child_process');
for (let i = 0; i < 50; i++) {
  const done = child.spawnSync('/bin/true');
  if (!done.error) throw 'started a process';
}
""",
    "network": """
const socket = require('node:net').connect(22, '127.0.0.1');
socket.on('connect', () => process.exit(1));
socket.on('error', (e) => { if (!['EPERM', 'EACCES'].includes(e.code)) throw e; });
""",
    "reading": f"""
const fs = require('node:fs');
for (const path of ['/root', '/home', '/proc', '/sys', '/etc/passwd', '/var', '{REPOSITORY}'])
  if (fs.existsSync(path)) throw path;
""",
    "writing": """
const fs = require('node:fs');
for (const path of ['/planted', '/usr/planted', '/usr/bin/planted', '/dev/planted']) {
  let written = true;
  try { fs.writeFileSync(path, 'x'); } catch { written = false; }
  if (written) throw path;
}
""",
    "environment": """
const known = ['HOME', 'LANG', 'LD_LIBRARY_PATH', 'PATH', 'TMPDIR'];
for (const name in process.env) if (!known.includes(name)) throw name;
""",
    "memory": """
const held = [];
let refused = false;
try { for (let i = 0; i < 64; i++) held.push(Buffer.allocUnsafe(64 << 20)); }
catch { refused = true; }
if (!refused) throw '4 GiB';
""",
    "disk": """
const fs = require('node:fs');
let refused = false;
try { for (let i = 0; i < 9; i++) fs.writeFileSync('/tmp/' + i, Buffer.alloc(32 << 20)); }
catch { refused = true; }
if (!refused) throw '288 MiB';
""",
    "killing everything": """
for (const target of [1, -1, 2, process.ppid]) {
  if (target !== process.pid) try { process.kill(target, 'SIGKILL'); } catch {}
}
""",
}
SYSTEM_CALLS = """
#include <cassert>
#include <cstdlib>
#include <initializer_list>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <thread>
#include <unistd.h>

int main() {
    rlimit raised{RLIM_INFINITY, RLIM_INFINITY};
    char word[8] = "forged";
    int thread = 0;
    std::thread([&] { thread = 1; }).join();
    assert(thread == 1);
    assert(fork() == -1);
    assert(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == -1);
    assert(syscall(SYS_clone3, 0, 0) == -1);
    assert(unshare(CLONE_NEWUSER) == -1);
    assert(socket(AF_INET, SOCK_STREAM, 0) == -1);
    assert(socket(AF_UNIX, SOCK_STREAM, 0) == -1);
    assert(mount("none", "/tmp", "tmpfs", 0, nullptr) == -1);
    assert(umount2("/usr", MNT_DETACH) == -1);
    assert(chroot("/tmp") == -1);
    assert(ptrace(PTRACE_ATTACH, 1, 0, 0) == -1);
    assert(syscall(SYS_process_vm_writev, 1, 0, 0, 0, 0, 0) == -1);
    assert(syscall(SYS_keyctl, 0, 0, 0, 0, 0) == -1);
    assert(syscall(SYS_io_uring_setup, 8, 0) == -1);
    assert(syscall(SYS_bpf, 0, 0, 0) == -1);
    assert(syscall(SYS_userfaultfd, 0) == -1);
    assert(syscall(SYS_memfd_create, "hidden", 0) == -1);
    assert(setuid(12345) == -1);
    assert(mknod("/tmp/memory", S_IFCHR | 0600, makedev(1, 1)) == -1);
    assert(setrlimit(RLIMIT_DATA, &raised) == -1);
    assert(kill(-1, 0) == -1);
    for (int kind : {MAP_SHARED | MAP_ANONYMOUS, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN})
        assert(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, kind, -1, 0) == MAP_FAILED);
    assert(mmap(nullptr, 2ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED);
    for (int file = 3; file < 4096; file++) assert(write(file, word, 6) == -1);
    struct stat seen;
    assert(stat("/usr/bin/passwd", &seen) == -1 || access("/usr/bin/passwd", W_OK) == -1);
    execl("/bin/sh", "sh", "-c", "true & wait", nullptr);  // a shell that can start nothing
}
"""


def still_honest(box: Programs) -> None:
    frame, right, _wrong = PROBLEMS["js"]
    assert box.run("js", frame.replace("ANSWER", right)).passed


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_is_reached(box: Programs, name: str) -> None:
    present("js")
    verdict = box.run("js", ESCAPES[name])
    assert verdict.passed, verdict
    still_honest(box)


def test_system_calls_that_lead_out_are_refused(box: Programs) -> None:
    present("cpp")
    verdict = box.run("cpp", SYSTEM_CALLS)
    assert verdict.verdict == "failed"
    assert "fork" in verdict.detail and "Assertion" not in verdict.detail, verdict


def test_a_program_that_cripples_its_jail_costs_only_itself(box: Programs) -> None:
    present("cpp")
    attack = """
#include <initializer_list>
#include <sys/resource.h>
#include <unistd.h>
int main() {
    rlimit none{0, 0};
    for (auto kind : {RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CPU})
        prlimit(1, kind, &none, nullptr);
    for (int i = 0; i < 1000; i++) write(2, "a line of text to be read\\n", 26);
    return 1;
}
"""
    assert not box.run("cpp", attack).passed
    still_honest(box)


@pytest.mark.parametrize(
    "program",
    [
        "while (true) {}",
        "setInterval(() => {}, 1000)",
        "for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, () => {});\n"
        "setInterval(() => {}, 1000)",
    ],
    ids=["loop", "sleep", "ignored signals"],
)
def test_a_program_that_does_not_end_is_stopped(program: str) -> None:
    present("js")
    with Programs(timeout=1) as box:
        started = time.monotonic()
        assert box.run("js", program).verdict == "timeout"
        assert time.monotonic() - started < 8


def test_a_compilation_that_does_not_end_is_stopped() -> None:
    present("cpp")
    hurried = Programs(compile_timeout=0.02)
    hurried._lacks["cpp"] = ""  # its trial would not be in time either
    verdict = hurried.run("cpp", "#include <regex>\nint main() {}")
    assert (verdict.verdict, verdict.detail) == ("timeout", "while it was compiled")


@pytest.mark.parametrize("stream", [1, 2])
def test_endless_output_ends_the_program(box: Programs, stream: int) -> None:
    present("js")
    flood = f"while (true) require('node:fs').writeSync({stream}, 'x'.repeat(65536))"
    started = time.monotonic()
    verdict = box.run("js", flood)
    assert (verdict.verdict, verdict.detail) == ("failed", "it wrote more than 1048576 bytes")
    assert time.monotonic() - started < 8


def test_it_refuses_where_namespaces_are_forbidden() -> None:
    script = """
from lakehouse.errors import UserError
from lakehouse.sandbox.jail import seccomp
from lakehouse.sandbox.programs import Programs
seccomp.install(seccomp.denying(["unshare"]))
try:
    with Programs(): raise SystemExit("it ran")
except UserError as error: print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be jailed here: PermissionError" in done.stdout
    assert "--security-opt seccomp=unconfined" in done.stdout


def test_it_refuses_where_the_jail_has_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_SYSTEM", (*programs._SYSTEM, "/etc"))
    with pytest.raises(UserError, match=r"does not isolate.*/etc/passwd"), Programs():
        pass


def test_nothing_is_left_behind(box: Programs) -> None:
    present("js")

    def jails() -> list[psutil.Process]:
        children = psutil.Process().children(recursive=True)
        alive = [p for p in children if p.status() != psutil.STATUS_ZOMBIE]  # of other tests
        return [p for p in alive if "jail.keeper" in " ".join(p.cmdline())]

    mounts = Path("/proc/self/mounts").read_text()
    box.run("js", "require('node:fs').writeFileSync('/tmp/left-by-a-program', 'x'); throw 1")
    assert jails() == []
    assert not Path("/tmp/left-by-a-program").exists()
    assert Path("/proc/self/mounts").read_text() == mounts
    assert box.run("js", "if (require('node:fs').readdirSync('/tmp').length > 1) throw 1").passed


def test_killing_the_evaluator_ends_the_program() -> None:
    present("js")
    script = """
from lakehouse.sandbox.programs import Programs
with Programs(timeout=60) as box:
    box.run("js", "1")
    print("ready", flush=True)
    box.run("js", "while (true) {}")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as evaluator:
        assert evaluator.stdout is not None
        assert evaluator.stdout.readline() == "ready\n"
        watched = psutil.Process(evaluator.pid)
        wait_until(lambda: any(p.name() == "node" for p in watched.children(recursive=True)))
        processes = watched.children(recursive=True)
        evaluator.kill()
    assert len(processes) == 4
    wait_until(lambda: not any(p.is_running() for p in processes))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_it_works_for_an_ordinary_user() -> None:
    present("js")
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if os.getuid() != 0 or python is None:
        pytest.skip("the other tests run as an ordinary user already")
    packages = Path(pydantic.__file__).parents[1]
    script = f"""
import sys
if sys.version_info < (3, 11): sys.exit(77)
sys.path[:0] = [{str(REPOSITORY)!r}, {str(packages)!r}]
try: from lakehouse.sandbox.programs import Programs
except ImportError: sys.exit(77)
with Programs() as box:
    print(box.run("js", "1").verdict, box.run("js", {ESCAPES["processes"]!r}).verdict,
          box.run("js", "throw 1").verdict)
"""
    done = subprocess.run(
        [python, "-B", "-c", script], capture_output=True, text=True, cwd="/", user=65534,
        group=65534, extra_groups=[], env={"PATH": os.environ["PATH"]}, timeout=60,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("no Python of the right version, or this folder, is open to an ordinary user")
    assert done.stdout.strip() == "passed passed failed", done.stderr
