#!/usr/bin/env python3
"""Python in a pod of its own, for `LAKE_GPU_PYTHON`: the same words, output and exit code.

    LAKE_GPU_PYTHON=deploy/kubernetes/in_a_pod.py make up

The pod is made from pod.json beside this file, or from the one that LAKE_POD names, by the kubectl
on PATH. Its log goes to stdout as it comes, its exit code is ours, and it is deleted when it has
ended or we are told to end. A pod that ends without an exit code (evicted, its node lost) is a
failed service: 4, which is tried again.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SERVICE_FAILED, TERMINATED = 4, 143
SECONDS = 2.0
"""Between two looks at the pod."""


def rendered(template: str, name: str, words: list[str]) -> dict[str, Any]:
    """The pod of that name which runs Python with these words."""
    pod: dict[str, Any] = json.loads(template)
    pod["metadata"]["name"] = name
    pod["spec"]["containers"][0]["command"] = ["python", *words]
    return pod


def kubectl(*words: str, said: str | None = None) -> str:
    """What kubectl answers; where it fails its message is on stderr, and we end with 4."""
    done = subprocess.run(["kubectl", *words], input=said, text=True, stdout=subprocess.PIPE,
                          check=False)  # fmt: skip
    if done.returncode:
        sys.exit(SERVICE_FAILED)
    return done.stdout


def status(name: str) -> dict[str, Any]:
    """The pod's status: its phase, and of its container how it ended."""
    found: dict[str, Any] = json.loads(kubectl("get", "pod", name, "-o", "json"))["status"]
    return found


def follow(name: str) -> int:
    """Show the pod's log until it has ended; its exit code."""
    lines = "--tail=-1"
    while (found := status(name)).get("phase", "Pending") in ("Pending", "Running"):
        if found.get("phase") == "Running":
            subprocess.run(["kubectl", "logs", "--follow", lines, name], check=False)
            lines = "--tail=100"  # after a broken connection some lines come twice
        time.sleep(SECONDS)
    if lines == "--tail=-1":  # it had ended before we saw it run
        subprocess.run(["kubectl", "logs", lines, name], check=False)
    ended = [c.get("state", {}).get("terminated") for c in found.get("containerStatuses", [])]
    if not ended or ended[0] is None:
        sys.stderr.write(f"pod {name} has ended: {found.get('reason')} {found.get('message')}\n")
        return SERVICE_FAILED
    return int(ended[0]["exitCode"])


def main(words: list[str]) -> int:
    """Make the pod, follow it, delete it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    template = Path(os.environ.get("LAKE_POD") or Path(__file__).with_name("pod.json"))
    name = f"inverselake-{secrets.token_hex(5)}"
    try:
        kubectl("create", "-f", "-", said=json.dumps(rendered(template.read_text(), name, words)))
        return follow(name)
    finally:
        subprocess.run(["kubectl", "delete", "pod", name, "--ignore-not-found", "--wait=false"],
                       stdout=subprocess.DEVNULL, check=False)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
