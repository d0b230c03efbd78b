"""What runs a stage on other machines: the same words, output and exit code as here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "deploy" / "kubernetes"
KUBECTL = """#!{python}
import json, subprocess, sys
from pathlib import Path
here, (verb, *words) = Path({state!r}), sys.argv[1:]
(here / "calls").open("a").write(verb + "\\n")
if verb == "create":
    (here / "pod.json").write_text(sys.stdin.read())
elif verb == "get":
    ended = here / "code"
    looks = (here / "calls").read_text().count("get")
    phase = "Pending" if looks == 1 else "Succeeded" if ended.exists() else "Running"
    state = {{"terminated": {{"exitCode": int(ended.read_text())}}}} if ended.exists() else {{}}
    print(json.dumps({{"status": {{"phase": phase, "containerStatuses": [{{"state": state}}]}}}}))
elif verb == "logs":
    [container] = json.loads((here / "pod.json").read_text())["spec"]["containers"]
    done = subprocess.run([sys.executable, *container["command"][1:]])
    (here / "code").write_text(str(done.returncode))
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in for a cluster: its kubectl runs the one pod on this machine."""
    stand_in = tmp_path / "bin" / "kubectl"
    stand_in.parent.mkdir()
    stand_in.write_text(KUBECTL.format(python=sys.executable, state=str(tmp_path)))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_pod_has_the_words_the_output_and_the_exit_code_of_its_job(cluster: Path) -> None:
    code = "import sys; print('a line'); print('{\"rows_in\": 1}'); sys.exit(3)"
    done = subprocess.run(
        [FOLDER / "in_a_pod.py", "-c", code, "--set", "a b"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.splitlines() == ["a line", '{"rows_in": 1}']
    [container] = json.loads((cluster / "pod.json").read_text())["spec"]["containers"]
    assert container["command"] == ["python", "-c", code, "--set", "a b"]
    assert (cluster / "calls").read_text().split()[-1] == "delete"


def test_a_pod_whose_task_is_ended_is_deleted(cluster: Path) -> None:
    argv = [FOLDER / "in_a_pod.py", "-c", "import time; print(1, flush=True); time.sleep(60)"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout and process.stdout.readline() == b"1\n"
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(10) == 143
    assert (cluster / "calls").read_text().split()[-1] == "delete"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kubernetes_knows_every_field_of_the_pod() -> None:
    """kubectl reads it into its types and writes it again: a field that these lack is lost."""
    pod = json.loads((FOLDER / "pod.json").read_text())
    pod["metadata"]["name"] = "inverselake"
    done = subprocess.run(
        ["kubectl", "set", "image", "--local", "-f", "-", "stage=another", "-o", "json"],
        input=json.dumps(pod), capture_output=True, text=True, check=True,
    )  # fmt: skip
    pod["spec"]["containers"][0]["image"] = "another"
    assert _lost(pod, json.loads(done.stdout)) == []


def test_what_the_pod_names_is_among_the_lakes_manifests() -> None:
    pod = json.loads((FOLDER / "pod.json").read_text())["spec"]
    made = {
        (m["kind"], m["metadata"]["name"])
        for m in json.loads((FOLDER / "lake.json").read_text())["items"]
    }
    [container] = pod["containers"]
    wanted = {
        *(("ConfigMap", e["configMapRef"]["name"]) for e in container["envFrom"][:1]),
        *(("Secret", e["secretRef"]["name"]) for e in container["envFrom"][1:]),
        ("PersistentVolumeClaim", pod["volumes"][0]["persistentVolumeClaim"]["claimName"]),
    }
    assert wanted == made
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


def _lost(one: Any, other: Any, where: str = "") -> list[str]:
    """Places of the first that the second lacks or has otherwise."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [p for k, v in one.items() for p in _lost(v, other.get(k), f"{where}.{k}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [p for n, pair in enumerate(zip(one, other, strict=True))
                for p in _lost(*pair, f"{where}[{n}]")]  # fmt: skip
    return [] if one == other else [where]
