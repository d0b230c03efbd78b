"""Spark on a standalone cluster of two workers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(900)
def test_two_workers_make_the_tables_of_one_session(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/cluster.py", "--work", str(tmp_path), "--documents", "1000"],
        cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    assert "2 workers of one core, all in use" in done.stdout
    compared = re.findall(r"^\| (\w+\.\w+) \| ([\d,]+) \| ([\d,]+) \| 0 \|$", done.stdout, re.M)
    assert len(compared) == 4
    assert all(here == there != "0" for _, here, there in compared), compared
