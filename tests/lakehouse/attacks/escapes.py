"""Programs that reach for files, processes, the network or privileges outside their jail."""

from __future__ import annotations

from tests.lakehouse.attacks.attack import Attack, named

_NOTHING = "assert answer(0) == []"
_REFUSED = "assert answer(0) == 'refused'"
_OPENED = """
import os
def opened(paths, flags=os.O_RDONLY):
    found = []
    for path in paths:
        try: os.close(os.open(path, flags)); found.append(path)
        except OSError: pass
    return found
"""

FILES = {
    "environment": (
        "import os\ndef answer(x): return sorted(os.environ)",
        "assert set(answer(0)) <= {'HOME', 'LANG', 'LC_CTYPE', 'PATH', 'PYTHONHASHSEED'}",
    ),
    "environments of processes": (_OPENED + """
def answer(x):
    names = ["environ", "maps", "mem", "cmdline", "root/etc/passwd", "cwd", "fd"]
    return opened([f"/proc/{p}/{n}" for p in ["self", *range(1, 200)] for n in names])
""", _NOTHING),
    "passwords": (_OPENED + "def answer(x): return opened(['/etc/shadow', '/etc/passwd'])",
                  _NOTHING),
    "home folders": (_OPENED + """
def answer(x):
    homes = ["/root", "/home", os.path.expanduser("~root"), os.path.expanduser("~nobody")]
    inside = [".ssh/id_rsa", ".bashrc", ".profile", ".netrc", ".cache/huggingface/token"]
    return opened([f"{h}/{f}" for h in homes for f in inside])
""", _NOTHING),
    "system folders": (_OPENED + """
def answer(x):
    return opened(["/", "/etc", "/var/log", "/var/run/docker.sock", "/run", "/sys", "/boot",
                   "/usr/bin/true", "/bin/sh", "/old", "/opt", "/srv", "/mnt", "/proc"][1:])
""", _NOTHING),
    "devices": (_OPENED + """
def answer(x):
    names = ["mem", "kmsg", "tty", "ptmx", "sda", "vda", "kvm", "fuse", "shm", "net/tun", "null2"]
    return opened([f"/dev/{n}" for n in names], os.O_RDWR)
""", _NOTHING),
    "dots above the root": (_OPENED + "def answer(x):\n"
                            "    return opened(['/tmp/' + '../' * 40 + 'etc/passwd'])", _NOTHING),
    "metadata": ("""
import os
def answer(x):
    found = []
    for path in ("/etc/shadow", "/var/log", "/proc/1", "/sys", "/usr/bin/su"):
        try: os.stat(path); found.append(path)
        except OSError: pass
    return found
""", _NOTHING),
    "the machine's name": (
        "import socket\ndef answer(x): return socket.gethostname()", "assert answer(0) == 'jail'",
    ),
    "writing": ("""
import os
def answer(x):
    written = []
    for folder in ("/", "/usr", "/usr/lib", os.path.dirname(os.__file__), "/dev", "/etc"):
        try: open(folder + "/planted", "w").close(); written.append(folder)
        except OSError: pass
    return written
""", _NOTHING),
    "a link to append to": ("""
import os
def answer(x):
    written = []
    for path in ("/etc/passwd", os.__file__, "/usr/lib/os-release"):
        for make in (os.symlink, os.link):
            try:
                make(path, "/tmp/link")
                open("/tmp/link", "a").write("planted"); written.append(path)
            except OSError: pass
            try: os.unlink("/tmp/link")
            except OSError: pass
    return written
""", _NOTHING),
    "library files changed": ("""
import os
def answer(x):
    done, path = [], os.__file__
    for name, change in (
        ("chmod", lambda: os.chmod(path, 0o666)), ("chown", lambda: os.chown(path, 0, 0)),
        ("utime", lambda: os.utime(path)), ("truncate", lambda: os.truncate(path, 0)),
        ("unlink", lambda: os.unlink(path)), ("rename", lambda: os.rename(path, path + "x")),
        ("setxattr", lambda: os.setxattr(path, "user.x", b"x")),
    ):
        try: change(); done.append(name)
        except OSError: pass
    return done
""", _NOTHING),
    "device made": ("""
import os, stat
def answer(x):
    try: os.mknod("/tmp/memory", 0o600 | stat.S_IFCHR, os.makedev(1, 1))
    except OSError: return "refused"
""", _REFUSED),
    "library planted": ("""
import mmap, os
def answer(x):
    try:
        with open("/tmp/planted.so", "w+b") as file:
            file.write(bytes(4096)); file.flush()
            mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
    except OSError: return "refused"
""", _REFUSED),
}  # fmt: skip

PROCESSES = {
    "subprocess": ("""
import subprocess
def answer(x):
    try: subprocess.run(["/bin/true"])
    except OSError: return "refused"
""", _REFUSED),
    "exec of su": ("""
import os
def answer(x):
    for path in ("/bin/su", "/usr/bin/su", "/lib64/ld-linux-x86-64.so.2", "/proc/self/exe"):
        try: os.execv(path, ["su"])
        except OSError: pass
    return "refused"
""", _REFUSED),
    "posix_spawn": ("""
import os
def answer(x):
    try: os.posix_spawn("/bin/true", ["true"], {})
    except OSError: return "refused"
""", _REFUSED),
    "forkpty": ("""
import os
def answer(x):
    try: os.forkpty()
    except OSError: return "refused"
""", _REFUSED),
    "processes counted": ("""
import os
def answer(x):
    seen = []
    for process in range(1, 70_000):
        try: os.getsid(process); seen.append(process)
        except OSError: pass
    return [p for p in seen if p != os.getpid()]
""", _NOTHING),
    "limits of another": ("""
import os, resource
def answer(x):
    done = []
    for process in {os.getppid(), *range(1, 500)} - {0, os.getpid()}:
        try: resource.prlimit(process, resource.RLIMIT_CPU, (1, 1)); done.append(process)
        except OSError: pass
    return done
""", _NOTHING),
    "limits raised": ("""
import resource
def answer(x):
    raised = []
    for name in ("AS", "NPROC", "NOFILE", "FSIZE", "CPU", "MEMLOCK", "CORE"):
        limit = getattr(resource, "RLIMIT_" + name)
        try: resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError): continue
        raised.append(name)
    return raised
""", _NOTHING),
    "priority over others": ("""
import os
def answer(x):
    try: os.setpriority(os.PRIO_PROCESS, 0, -20)
    except OSError: return "refused"
""", _REFUSED),
    "capabilities": ("""
import ctypes
def answer(x):
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    return ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))
""", "assert answer(0) == -1"),
    "another user": ("""
import os
def answer(x):
    done = []
    for name in ("setuid", "setgid", "seteuid", "setegid"):
        try: getattr(os, name)(12345); done.append(name)
        except OSError: pass
    try: os.setgroups([0]); done.append("setgroups")
    except OSError: pass
    return done
""", _NOTHING),
    "signals by a descriptor": ("""
import fcntl, os, signal, socket
def answer(x):
    for fd in range(3, 64):  # have the kernel kill the parent and its group once data come
        for owner in (os.getppid(), -os.getppid(), 1 - os.getpid(), -os.getpgrp()):
            try:
                fcntl.fcntl(fd, fcntl.F_SETOWN, owner)
                fcntl.fcntl(fd, 10, signal.SIGKILL)
            except OSError: continue
    return x + 1
""", "assert answer(2) == 3"),
    "descriptor passed to the tests": ("""
import array, os, socket
def answer(x):
    for fd in range(3, 64):
        try: end = socket.socket(fileno=os.dup(fd))
        except OSError: continue
        rights = array.array("i", [0] * 50)
        try: end.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError: pass
    return x + 1
""", "assert answer(2) == 3"),
    "what ran before": ("""
import gc
def answer(x):
    sought = "".join(["ass", "ert answer"])
    return [str(held)[:80] for o in gc.get_objects() if type(o) in (dict, list, tuple)
            for held in (o.values() if type(o) is dict else o)
            if type(held) is str and sought in held]
""", _NOTHING),
}  # fmt: skip

NETWORK = {
    "TCP": ("""
import socket
def answer(x):
    try: socket.create_connection(("127.0.0.1", 22), 1)
    except OSError as error: return type(error).__name__
""", "assert answer(0) == 'PermissionError'"),
    "names of the network": ("""
import socket
def answer(x):
    try: socket.getaddrinfo("localhost.example", 80)
    except OSError: return "refused"
""", _REFUSED),
    "abstract socket": ("""
import socket
def answer(x):
    try: socket.socket(socket.AF_UNIX).connect("\\0/tmp/.X11-unix/X0")
    except PermissionError: return "refused"
""", _REFUSED),
    "a pair connected elsewhere": ("""
import socket
def answer(x):
    try: one, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    except PermissionError: return []
    done = []
    for name in ("connect", "bind"):
        try: getattr(one, name)("\\0elsewhere"); done.append(name)
        except OSError: pass
    return done
""", _NOTHING),
    "a datagram sent elsewhere": ("""
import socket
def answer(x):
    done = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_STREAM):
        for path in ("/dev/log", "/run/systemd/journal/socket", "\\0outside"):
            try:
                one, _other = socket.socketpair(socket.AF_UNIX, kind)
                one.sendto(b"planted", path); done.append(path)
            except OSError: pass
    return done
""", _NOTHING),
}  # fmt: skip

ESCAPES: dict[str, Attack] = named(FILES | PROCESSES | NETWORK, "held")
