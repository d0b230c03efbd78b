"""Stages of data: one job, one file, one table."""

import sys

from lakehouse import extras

if sys.argv[:1] == ["-m"]:  # `python -m` is on its way to one of these: a job of its own
    sys.excepthook = extras.told
