"""How much memory it takes to read a file as the stage does, in a process that does nothing else.

python -m tests.jobs.peak FILE MAX_RECORD
"""

import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

from jobs import records
from tests.jobs.reading import one_by_one

PROJECT = Path(__file__).resolve().parents[2]


def peak(path: Path, max_record: int = records.MAX_RECORD) -> tuple[int, Counter[str]]:
    """(bytes of Python's memory at most, records by the reason why they cannot be used)."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(path), str(max_record)],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    most, reasons = json.loads(done.stdout)
    return most, Counter(reasons)


def main(path: str, max_record: str) -> None:
    """Read it record by record, holding none."""
    records.MAX_RECORD = int(max_record)
    tracemalloc.start()
    reasons = Counter(record.reason for record in one_by_one(Path(path)))
    print(json.dumps([tracemalloc.get_traced_memory()[1], reasons]))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
