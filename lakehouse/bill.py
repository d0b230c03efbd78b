"""What work costs: the machine by the hour, a model's tokens by the million, in US dollars."""

from __future__ import annotations

from lakehouse.sections import Cost


def price(cost: Cost, seconds: float, prompt_tokens: int = 0, completion_tokens: int = 0) -> float:
    """US dollars for wall seconds, and for the tokens that a model read and wrote meanwhile."""
    tokens = (
        prompt_tokens * cost.usd_per_million_prompt_tokens
        + completion_tokens * cost.usd_per_million_completion_tokens
    )
    return seconds / 3600 * cost.usd_per_hour + tokens / 1e6
