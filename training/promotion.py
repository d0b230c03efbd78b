"""The rule of promotion: a model must rise on the named suite, and may drop on none.

It rises where its gain over the control is above zero beyond its 95% interval, and is still told
from chance after Holm's correction over the suites. It drops where a gain over anything that it is
compared with (its control, its base, the model that was promoted before) is below zero beyond its
interval, uncorrected: several suites make a drop easier to find, never easier to hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.gains import Gain

ALPHA = 0.05
CONTROL = "control"
"""Over what a model must rise."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rule says of a model, why, and the gain that it must have."""

    promoted: bool
    reason: str
    gain: Gain

    def row(self) -> dict[str, Any]:
        """What of ops.promotions the rule knows."""
        contest, found = self.gain.contest, self.gain.found
        return {
            "model_id": contest.treatment["model_id"], "promoted": self.promoted,
            "reason": self.reason, "control_model_id": contest.control["model_id"],
            "benchmark": self.gain.benchmark.name, "gain": found.value, "ci_low": found.low,
            "ci_high": found.high,
        }  # fmt: skip


def rises(gain: Gain) -> bool:
    """Above zero beyond its interval, and after Holm's correction."""
    return gain.found.low > 0 and gain.p_holm <= ALPHA


def drops(gain: Gain) -> bool:
    """Below zero beyond its interval."""
    return gain.found.high < 0


def verdict(named: Gain, others: Sequence[Gain], known: Sequence[str] = ()) -> Verdict:
    """From the gain over the control on the named suite, and all other gains of the same model.

    `known`: in words, its drops on suites that are no part of this comparison.
    """
    dropped = [*(str(g) for g in (named, *others) if drops(g)), *known]
    if dropped:
        reason = "it drops by more than chance: " + "; ".join(dropped)
    elif not rises(named):
        reason = f"no rise on {named.benchmark.name} that chance does not explain: {named}"
    else:
        reason = f"it rises, {named}, and drops in none of {1 + len(others)} comparisons"
    return Verdict(not dropped and rises(named), reason, named)
