"""What a stage's result depends on, as two hashes: its inputs' data files, and its rules."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Lake
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from lakehouse.run import Stage


class Fingerprints:
    """What a stage's result depends on, by day: `inputs-rules`, two hashes."""

    def __init__(self, stage: Stage, settings: Settings, lake: Lake, option: str) -> None:
        self._digests = {t: lake.digests(t) for t in stage.reads}
        self._stage = stage
        chosen = settings.model_dump(mode="json", include=set(stage.settings))
        source = Path(sys.modules[stage.main.__module__].__file__ or "").read_bytes()
        self.rules = _short(json.dumps(chosen, sort_keys=True), hashlib.sha256(source).hexdigest(),
                            stage.depends(settings), option)  # fmt: skip

    def of(self, day: dt.date) -> str:
        """The fingerprint of a day: equal ones mean equal results."""
        whole = self._stage.grain != "partition"
        parts = [
            d.get(
                "*" if whole or t in self._stage.whole or not t.partition else str(day),
                "",
            )
            for t, d in self._digests.items()
        ]
        return f"{_short(*parts)}-{self.rules}"


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
