"""Spark that ends in the middle of the work, by a real one in a real process."""

import subprocess
import sys
from pathlib import Path

from lakehouse.delta import Lake
from lakehouse.tables import JOB_RUNS

SCRIPT = '''
import datetime as dt
from jobs.cli import retrying
from lakehouse.run import Counts, Stage, execute
from lakehouse.settings import load

tries = []

def main(run):
    """Count; the first time somebody ends Spark meanwhile."""
    tries.append(run.spark)
    if len(tries) == 1:
        run.spark.sparkContext._jsc.sc().stop()
    n = run.spark.range(3).count()
    return Counts(n, n, 0)

work = lambda: execute(Stage("count", main), dt.date(2026, 11, 1), load("tiny"))
print(retrying()(work)["rows_kept"], len(tries))
'''


def test_the_next_try_has_a_new_session(lake: Lake, tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "3 2", done.stderr[-2000:]
    books = {r["status"]: r["message"] for r in lake.read(JOB_RUNS).to_pylist()}
    assert books.keys() == {"failed", "done"}
    assert "SparkContext" in books["failed"]
