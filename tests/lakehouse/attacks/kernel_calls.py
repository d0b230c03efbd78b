"""System calls that no program needs, by number, past every library: the kernel must refuse."""

from __future__ import annotations

from tests.lakehouse.attacks.attack import Attack

# name: (number on x86_64, on aarch64, arguments)
CALLS = {
    "raw socket": (41, 198, "2, 3, 1"),
    "netlink socket": (41, 198, "16, 3, 0"),
    "packet socket": (41, 198, "17, 3, 768"),
    "kernel's crypto socket": (41, 198, "38, 5, 0"),
    "virtual machine socket": (41, 198, "40, 1, 0"),
    "clone into a user namespace": (56, 220, "0x10000011, 0, 0, 0, 0"),
    "clone3": (435, 435, "ctypes.create_string_buffer(88), 88"),
    "execveat": (322, 281, '-100, b"/bin/true", None, None, 0'),
    "memory file": (319, 279, 'b"hidden", 0'),
    "secret memory": (447, 447, "0"),
    "shared memory of System V": (29, 194, "0, 1 << 20, 0o1600"),
    "semaphores of System V": (64, 190, "0, 100, 0o1600"),
    "message queue of System V": (68, 186, "0, 0o1600"),
    "message queue": (240, 180, 'b"queue", 0o102, 0o600, None'),
    "ptrace": (101, 117, "0, 0, 0, 0"),
    "memory of a process read": (310, 270, "1, None, 0, None, 0, 0"),
    "memory of a process written": (311, 271, "1, None, 0, None, 0, 0"),
    "handle of a process": (434, 434, "1, 0"),
    "descriptor of a process": (438, 438, "3, 3, 0"),
    "signal by handle": (424, 424, "3, 9, None, 0"),
    "kernel pointers compared": (312, 272, "1, 1, 0, 0, 0"),
    "extended BPF": (321, 280, "0, ctypes.create_string_buffer(128), 128"),
    "perf events": (298, 241, "ctypes.create_string_buffer(128), 0, -1, -1, 0"),
    "page faults by the user": (323, 282, "1"),
    "io_uring": (425, 425, "8, ctypes.create_string_buffer(128)"),
    "keyring": (250, 219, "0, -3, 1"),
    "key added": (248, 217, 'b"user", b"name", b"text", 4, -3'),
    "user namespace": (272, 97, "0x10000000"),
    "namespace entered": (308, 268, "3, 0"),
    "chroot": (161, 51, 'b"/tmp"'),
    "pivot_root": (155, 41, 'b"/tmp", b"/tmp"'),
    "mount": (165, 40, 'b"proc", b"/tmp", b"proc", 0, None'),
    "remount": (165, 40, "None, b'/', None, 32, None"),
    "unmount": (166, 39, 'b"/tmp", 2'),
    "new mount calls": (430, 430, 'b"tmpfs", 0'),
    "mount tree opened": (428, 428, '-100, b"/", 1'),
    "mount attributes": (442, 442, '-100, b"/", 0, ctypes.create_string_buffer(32), 32'),
    "file by handle": (304, 265, "3, ctypes.create_string_buffer(128), 0"),
    "watch of a file system": (300, 262, "0, 0"),
    "personality": (135, 92, "0x0040000"),
    "kernel log": (103, 116, "3, ctypes.create_string_buffer(64), 64"),
    "host name": (170, 161, 'b"other", 5'),
    "clock": (227, 112, "0, ctypes.create_string_buffer(16)"),
    "kernel module": (175, 105, "None, 0, None"),
    "kernel replaced": (246, 104, "0, 0, None, 0"),
    "swap": (167, 224, 'b"/tmp/x", 0'),
    "real-time scheduling": (144, 119, '0, 1, (1).to_bytes(4, "little")'),
    "pages moved": (279, 239, "0, 0, None, None, None, 0"),
    "the machine's share of asynchronous requests": (206, 0, "1, ctypes.byref(ctypes.c_ulong())"),
    "asynchronous request": (209, 2, "0, 0, None"),
    "asynchronous answer": (208, 4, "0, 0, 0, None, None"),
    "every file system flushed": (162, 81, ""),
    "a file system flushed": (306, 267, "os.open(os.__file__, os.O_RDONLY)"),
    "watch of files": (294, 26, "0"),
    "watch of files, the old call": (253, -1, ""),
    "file watched": (254, 27, 'os.dup(0), b"/lib", 1'),
    "library locked": (73, 32, "os.open(os.__file__, os.O_RDONLY), 2"),
    "a call newer than the filter": (463, 463, "0"),
}

_CODE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def answer(x):
    number = {{"x86_64": {x86}, "aarch64": {arm}}}[os.uname().machine]
    return [libc.syscall(number, {arguments}), ctypes.get_errno()]
"""
# not permitted or not implemented: what the filter says, not what the kernel says of the arguments
_TEST = "assert answer(0) in ([-1, 1], [-1, 38])"

KERNEL_CALLS: dict[str, Attack] = {
    name: Attack(name, _CODE.format(x86=x86, arm=arm, arguments=arguments), _TEST, "held")
    for name, (x86, arm, arguments) in CALLS.items()
}
