"""What the machine or a store does wrong, told from a defect of ours by the real errors."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.delta import Lake
from lakehouse.errors import LakeError, ServiceError, UserError, of_exit_code, translated
from lakehouse.tables import REJECTED

STAGE = """
import resource, secrets, signal, sys
from lakehouse.command import entry
from lakehouse.run import Counts, Stage
from lakehouse.tables import REJECTED

def main(run):
    \"\"\"Write more than the kernel lets a file grow to, as on a full disk.\"\"\"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    run.reject([{"row_id": str(n), "source": "s", "origin": "o", "reason": "r", "remedy": "r",
                 "rule_version": "1", "evidence": secrets.token_hex(200)} for n in range(1000)])
    return Counts(1000, 0, 1000)

entry(Stage("fill", main, writes=(REJECTED,)))
"""


def test_a_write_that_the_machine_refuses_is_tried_again(tmp_path: Path) -> None:
    script = tmp_path / "fill.py"
    script.write_text(STAGE)
    done = subprocess.run(
        [sys.executable, str(script), "--partition", "2026-11-01"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr[-2000:]
    assert "run it again" in json.loads(done.stdout.splitlines()[-1])["error"]


def test_a_full_disk_says_what_to_do_whoever_met_it() -> None:
    with pytest.raises(ServiceError, match=r"the disk is full.*LAKE_ROOT"), translated():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ServiceError, match="the disk is full"), translated():
        raise RuntimeError("Job aborted: java.io.IOException: No space left on device")


def test_a_full_heap_names_its_setting_and_is_not_tried_again() -> None:
    said = "An error occurred while calling o69.collect.\n: java.lang.OutOfMemoryError: Java heap"
    with pytest.raises(UserError, match=r"raise spark\.memory.*nothing is lost"), translated():
        raise RuntimeError(said)


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, by its name."""


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), UserError,
         "micro_tokens.*max_sequences"),
        (ValueError("No available memory for the cache blocks. Try"), UserError, "a larger GPU"),
        (ValueError("8.0 GiB KV cache is needed, which is larger than the available KV cache "
                    "memory (4.0 GiB)"), UserError, "max_model_len does not fit"),
        (ValueError("Free memory on device cuda:0 (1/79 GiB) on startup is less than desired"),
         ServiceError, "something else uses the GPU"),
    ],
    ids=["training", "model", "prompt", "taken"],
)  # fmt: skip
def test_a_gpu_that_is_too_small_or_taken_is_no_defect(
    error: Exception, kind: type[LakeError], says: str
) -> None:
    with pytest.raises(kind, match=says), translated():
        raise error


def test_a_killed_runs_work_that_comes_in_between_is_tried_again() -> None:
    with pytest.raises(ServiceError, match="at the same time: run it again"), translated():
        raise RuntimeError("[DELTA_CONCURRENT_APPEND.WITH_PARTITION_HINT] conflict detected")


def test_a_store_that_does_not_answer_is_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        for name, value in {
            "ENDPOINT_URL": f"http://127.0.0.1:{closed.getsockname()[1]}", "ALLOW_HTTP": "true",
            "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "here",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"AWS_{name}", value)
        with pytest.raises(ServiceError, match="does not answer"), translated():
            Lake("s3a://bucket/lake").version(REJECTED)


def test_a_store_of_no_known_kind_is_no_empty_lake() -> None:
    with pytest.raises(UserError, match=r"foo://b/x is in no store that is known.*s3a"):
        Lake("foo://b/x").version(REJECTED)


def test_a_store_without_credentials_says_which_to_give() -> None:
    said = "Kernel error -> Operation not supported: error occurred while loading credentials"
    with pytest.raises(ServiceError, match="set AWS_ACCESS_KEY_ID"), translated():
        raise OSError(said)


@pytest.mark.parametrize(
    "error", [KeyError("x"), FileNotFoundError(2, "no"), UserError("u"), BrokenPipeError()]
)
def test_anything_else_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as kept, translated():
        raise error
    assert kept.value is error


def test_an_exit_code_stands_for_its_error() -> None:
    kinds = [of_exit_code(code) for code in (1, 2, 3, 4, 137)]
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 1]
    assert kinds[-1] is LakeError
