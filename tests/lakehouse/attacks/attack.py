"""What an attack is: a program, the tests it is run with, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

HONEST = "def answer(x):\n    return x + 1\n"
ONE = "assert answer(2) == 3"


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile program whose function is `answer`.

    `outcome` is what must come of it: `stopped` (any verdict but `passed`), `held` (it passes, as
    the tests ask whether what it tried was refused), `refused` or `timeout` (that very verdict).
    """

    name: str
    code: str
    test: str = ONE
    outcome: str = "stopped"

    def harmless(self, verdict: str) -> bool:
        """Whether this is what must come of it."""
        if self.outcome == "stopped":
            return verdict.split(":")[0] in {"failed", "error", "refused"}
        return verdict == {"held": "passed"}.get(self.outcome, self.outcome)


def named(attacks: dict[str, str | tuple[str, str]], outcome: str) -> dict[str, Attack]:
    """Attacks of one outcome, by name, from their code, or from their code and tests."""
    whole = {n: body if isinstance(body, tuple) else (body, ONE) for n, body in attacks.items()}
    return {name: Attack(name, code, test, outcome) for name, (code, test) in whole.items()}
