"""Spark's Python workers, as `spark.python.daemon.module`: forked with what each of them imports.

PySpark's own daemon imports nothing before it forks, so that every worker imports it anew; and
after each task a worker looks for garbage, each time through all that it has imported: together
three tenths of what the workers of small tasks take. Such modules are what they were when Spark
started: after an edit of theirs start it again (`make down`, `make up`).
"""

from __future__ import annotations

import os
from importlib import import_module

from lakehouse.imports import arrow_alone, uncollected

SHARED = ("pyarrow.compute", "pyspark.worker", "lakehouse.sections")
"""The last is what nearly every task of ours is told in: a job's settings."""


def main() -> None:
    """Fork a worker whenever Spark asks for one."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads do not come along
    with uncollected():
        arrow_alone()
        for module in SHARED:
            import_module(module)
    import_module("pyspark.daemon").manager()


if __name__ == "__main__":
    main()
