"""The attacks that the sandbox was designed against, and those that a tier does not stop."""

from __future__ import annotations

# each by the attack of ours that makes it
LISTED = {
    "fork bomb": "fork", "thread bomb": "threads", "memory bomb": "memory", "tmpfs bomb": "disk",
    "memfd bomb": "memory file", "inode bomb": "inodes", "infinite loop": "loop",
    "infinite sleep": "sleep", "infinite output": "endless output",
    "regular expression that holds the lock": "regular expression",
    "all signals ignored": "ignored signals", "TCP connect": "TCP",
    "raw socket system call": "raw socket", "kill parent": "parent killed",
    "kill 1": "process 1 killed", "kill -1": "everyone killed",
    "kill all process ids": "every process killed", "read the environment": "environment",
    "read /proc/*": "environments of processes", "read environ of all": "environments of processes",
    "read /etc/shadow": "passwords", "read a file at home": "home folders", "write /usr": "writing",
    "append by a symbolic link": "a link to append to", "escape by chroot": "chroot",
    "user namespace": "user namespace", "remount": "remount", "ptrace": "ptrace",
    "io_uring": "io_uring", "execve su": "exec of su", "keyctl": "keyring",
    "abstract socket": "abstract socket", "SCHED_FIFO": "real-time scheduling",
    "sys.exit": "sys.exit", "os._exit": "os._exit", "atexit": "atexit",
    "PASS on standard output": "passed on stdout",
    "write to every descriptor": "verdict to every descriptor", "fake replies": "malformed reply",
    "__eq__": "always equal", "subclass of int": "equal int subclass",
    "builtins patched": "builtins patched", "unittest patched": "assertions patched",
    "frame walk": "frame walk", "reply of 300 MB": "huge reply",
    "reply 100,000 deep": "deep reply", "1 << 8e8": "a number of 100 MB",
    "segmentation fault": "segmentation fault", "recursion": "recursion",
}  # fmt: skip

NOT_STOPPED: dict[str, set[str]] = {
    "namespaces+seccomp": set(),
    "landlock+seccomp": {"metadata", "the machine's name", "processes counted"},
}
"""What each tier lets a program learn: that files and processes are there, not what is in them."""
