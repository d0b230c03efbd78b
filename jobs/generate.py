"""Summarize, then judge, in one process: the day's two model stages share one loaded engine.

python -m jobs.generate --partition 2026-11-01 --profile tiny
"""

from __future__ import annotations

from jobs import judge, summarize
from lakehouse.command import entry

STAGES = (summarize.STAGE, judge.STAGE)

if __name__ == "__main__":
    entry(*STAGES)
