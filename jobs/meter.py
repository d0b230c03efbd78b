"""How far a model stage has come and what it has spent: in the log and the books, up to a limit."""

from __future__ import annotations

import time
from collections.abc import Iterable

from jobs.scope import Scope
from lakehouse import engines, models
from lakehouse.bill import price
from lakehouse.engines import Metered
from lakehouse.errors import BudgetError
from lakehouse.run import Counts, Run


class Meter:
    """Counts a stage's micro-batches: each is noted once it is committed; the budget is checked."""

    def __init__(self, run: Run, scope: Scope, total: int) -> None:
        self._began = time.monotonic()  # the engine's start is paid for, too
        if total:  # but it is no part of its rate
            engines.shared(models.folder(run.lake, scope.teacher), run.settings.engine)
        self._run, self._total, self._clock = run, total, time.monotonic()
        self._budget = run.settings.cost.budget_usd / scope.share.of
        self.done = self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0

    def count(self, rows: int, answers: Iterable[Metered]) -> None:
        """Note a micro-batch of so many rows; BudgetError where the budget ends before the work."""
        self.done += rows
        for answer in answers:
            self.prompt_tokens += answer.prompt_tokens
            self.cached_tokens += answer.cached_tokens
            self.completion_tokens += answer.completion_tokens
        seconds = self.seconds
        self._run.log.info(
            "progress", done=self.done, of=self._total,
            tokens_per_second=round((self.prompt_tokens + self.completion_tokens) / seconds),
            seconds_left=round((self._total - self.done) * seconds / self.done),
            usd=round(self.spent, 6),
        )  # fmt: skip
        self._run.progress(self.counts(self.done, 0))
        self._check()

    @property
    def seconds(self) -> float:
        """Wall seconds since the model is at work."""
        return time.monotonic() - self._clock

    @property
    def spent(self) -> float:
        """US dollars so far, as the books reckon them."""
        cost = self._run.settings.cost
        return price(cost, time.monotonic() - self._began, self.prompt_tokens,
                     self.completion_tokens)  # fmt: skip

    def counts(self, rows_in: int, rejected: int) -> Counts:
        """The books of the stage, with the tokens that it took."""
        return Counts(rows_in, rows_in - rejected, rejected, self.prompt_tokens,
                      self.completion_tokens, self.cached_tokens,
                      self.seconds if self.done else 0.0)  # fmt: skip

    def _check(self) -> None:
        budget = self._budget
        if budget and self.done < self._total and self.spent >= budget:
            raise BudgetError(
                f"{self._run.label} {self._run.partition}: {self.spent:.4f} US dollars are spent, "
                f"cost.budget_usd allows no more than {budget} in this run. {self.done} of "
                f"{self._total} rows are kept; run it again, or raise the budget, to go on there"
            )
