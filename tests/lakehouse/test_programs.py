"""Programs of other languages: right ones pass, wrong ones fail, hostile ones reach nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pydantic
import pytest

from lakehouse.errors import UserError
from lakehouse.sandbox import programs
from lakehouse.sandbox.programs import Programs, missing, toolchains

REPOSITORY = Path(__file__).parents[2]

# One problem a language, with a place for the answer, an answer, and a wrong one.
PROBLEMS = {
    "js": ("""
const largest = (xs) => ANSWER;
const assert = require('node:assert');
assert.deepEqual([largest([3, 9, 4]), largest([-5, -7])], [9, -5]);
""", "Math.max(...xs)", "xs[1]"),
    "java": ("""
import java.util.*;
import org.javatuples.*;
class Problem {
    static Pair<Long, String> ends(List<Long> xs) { return ANSWER; }
    public static void main(String[] args) {
        assert ends(List.of(3L, 9L)).equals(Pair.with(3L, "9"));
    }
}
""", "Pair.with(xs.get(0), xs.get(xs.size() - 1).toString())", 'new Pair<>(xs.get(1), "9")'),
    "cpp": ("""
#include <cassert>
#include <string>
std::string twice(std::string s) { return ANSWER; }
int main() { assert(twice("ab") == "abab"); }
""", "s + s", "s"),
    "php": ("""<?php
function vowels($s) { return ANSWER; }
if (vowels("banana") !== 3) { throw new Exception("Test failed!"); }
""", 'preg_match_all("/[aeiou]/", $s)', "strlen($s)"),
    "rs": ("""
fn halves(xs: Vec<i32>) -> Vec<i32> { ANSWER }
fn main() { assert_eq!(halves(vec![4, 7]), vec![2, 3]); }
""", "xs.iter().map(|x| x / 2).collect()", "xs"),
    "swift": ("""
func tripled(x: Int) -> Int { return ANSWER }
assert(tripled(x: 4) == 12)
""", "x * 3", "x + 3"),
    "ts": ("""
declare var require: any;
const joined = (xs: string[]): string => ANSWER;
require('node:assert').deepEqual(joined(["a", "b"]), "a-b");
""", 'xs.join("-")', 'xs.join("")'),
}  # fmt: skip
ENDINGS = {  # answers that end the program with exit code 0 before its tests
    "js": "process.exit(0)",
    "java": 'Optional.of(1L).map(x -> { System.exit(0); return Pair.with(x, ""); }).get()',
    "cpp": "(std::exit(0), s)",
    "php": "exit(0)",
    "rs": "{ std::process::exit(0) }",
    "swift": "exit(0)",
    "ts": "require('process').exit(0)",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Programs]:
    with Programs(timeout=10) as entered:
        yield entered


def present(language: str) -> None:
    if lack := missing(language):
        pytest.skip(lack)


def test_each_language_has_a_problem_here() -> None:
    assert set(PROBLEMS) == set(ENDINGS) == set(toolchains().languages)


@pytest.mark.parametrize("language", PROBLEMS)
def test_right_programs_pass_and_wrong_ones_do_not(box: Programs, language: str) -> None:
    present(language)
    frame, right, wrong = PROBLEMS[language]
    verdicts = [box.run(language, frame.replace("ANSWER", answer)) for answer in (right, wrong)]
    assert [v.verdict for v in verdicts] == ["passed", "failed"], verdicts
    assert [v.passed for v in verdicts] == [True, False]


@pytest.mark.parametrize("language", PROBLEMS)
def test_a_program_that_ends_itself_does_not_pass(box: Programs, language: str) -> None:
    present(language)
    program = PROBLEMS[language][0].replace("ANSWER", ENDINGS[language])
    includes = {"cpp": "#include <cstdlib>\n", "swift": "import Foundation\n"}
    assert box.run(language, includes.get(language, "") + program).verdict == "failed"


def test_tests_that_are_only_printed_do_not_pass(box: Programs) -> None:
    present("php")
    assert box.run("php", "<?php\nfunction f() { return 1; }\n?>\ntest();").verdict == "failed"


@pytest.mark.parametrize("language", ["cpp", "rs"])
def test_what_does_not_compile_is_named(box: Programs, language: str) -> None:
    present(language)
    verdict = box.run(language, PROBLEMS[language][0].replace("ANSWER", "nowhere"))
    assert verdict.verdict == "error: compile"
    assert "nowhere" in verdict.detail


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


SOLVED = {  # HumanEval_53_add
    "js": "return x + y;\n}", "php": "return $x + $y;\n}", "java": "return x + y;",
    "cpp": "return x + y;", "rs": "x + y", "swift": "return x + y",
}  # fmt: skip


@pytest.mark.parametrize("language", SOLVED)
def test_published_problems(box: Programs, language: str) -> None:
    file = Path(os.environ.get("MULTIPL_E", "nowhere"), f"multipl-e-humaneval-{language}.jsonl")
    if not file.is_file():
        pytest.skip("MULTIPL_E names no folder of MultiPL-E's files")
    present(language)
    problems = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    [task] = [p for p in problems if p["name"] == "HumanEval_53_add"]
    for answer, passed in ((SOLVED[language], True), ("", False)):
        assert box.run(language, f"{task['prompt']}{answer}\n{task['tests']}").passed is passed


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


def test_output_before_the_end_does_not_matter(box: Programs) -> None:
    present("js")
    assert box.run(
        "js", "console.log('x'.repeat(1e5), '\\u2028 \\ud800'); console.error('y')"
    ).passed


def test_a_toolchain_that_is_not_there_is_missing_and_never_failed(
    box: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for language, chosen in toolchains().languages.items():
        assert all(command in missing(language) for command in chosen.needs)
        assert f"Debian's package {chosen.package}" in missing(language)
        verdict = Programs().run(language, "whatever")
        assert (verdict.passed, verdict.verdict) == (False, "missing")
        assert verdict.detail == missing(language)
    assert "programs in cobol are not run here; have: cpp, java, js" in missing("cobol")
    assert box.run("cobol", "whatever").verdict == "missing"


def test_a_toolchain_that_does_not_work_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    present("js")
    languages = toolchains().languages
    broken = languages["js"].model_copy(update={"run": ("node", "--nonsense", "program.js")})
    monkeypatch.setitem(languages, "js", broken)
    verdict = Programs().run("js", "1")
    assert verdict.verdict == "missing"
    assert "its trial program does not pass (failed node: bad option" in verdict.detail


@pytest.mark.parametrize(
    ("folder", "home"), [("", ""), ("", "deeper"), (".local", ""), ("opt/node", "elsewhere")]
)
def test_a_toolchain_among_private_files_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, home: str
) -> None:
    command = tmp_path / folder / "bin/node"
    command.parent.mkdir(parents=True)
    command.touch(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    monkeypatch.setenv("HOME", str(tmp_path / home))
    programs.homes.cache_clear()
    try:
        # /tmp is private too: a program has its own
        shown = folder == "opt/node" and not tmp_path.is_relative_to("/tmp")
        assert ("which no program is shown" in missing("js")) is not shown
    finally:
        programs.homes.cache_clear()


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
        return [p for p in children if "jail.keeper" in " ".join(p.cmdline())]

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
