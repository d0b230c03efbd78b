"""Every benchmark that a page shows runs to its table, in small: `make benchmarks`.

Not among `make test`'s paths: they load models, start Spark and kill what they started, which takes
a quarter of an hour.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.in_small.small import CORPUS, SMALL

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(SMALL))
def test_it_runs_to_its_end_and_table(name: str, tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps(CORPUS))
    options = SMALL[name].format(work=tmp_path).split()
    argv = [sys.executable, f"benchmarks/{name}.py", *options]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout[-1000:], done.stderr[-3000:])
    found = re.search(r"^\|---.*\n\|.*\d", done.stdout, re.MULTILINE)
    assert found or "|---" not in (PROJECT / argv[1]).read_text(), done.stdout
