"""Summarize, judge and, where it is asked for, the round trip: they share one loaded engine.

python -m jobs.generate --partition 2026-11-01 --profile tiny [--share 0-of-4]

With a share, only that of the day's snippets: several at a time fill the cache, from which the run
without one then takes all.
"""

from __future__ import annotations

from jobs import calibrate, judge, roundtrip, summarize
from lakehouse.command import entry

STAGES = (summarize.STAGE, judge.STAGE, roundtrip.STAGE, calibrate.STAGE)

if __name__ == "__main__":
    entry(*STAGES)
