"""Runs every attack, each followed by an honest program; standard library only.

    python -m tests.lakehouse.attacks.run [CALL ...]

The calls named (`unshare`) are forbidden to this process first, as a container would. One line of
JSON on standard output: the tier of isolation, and what went otherwise than it must, by attack.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lakehouse.sandbox import Sandbox
from lakehouse.sandbox.jail import seccomp
from tests.lakehouse.attacks import belongings
from tests.lakehouse.attacks.attack import HONEST, ONE, Attack
from tests.lakehouse.attacks.escapes import ESCAPES
from tests.lakehouse.attacks.exhaustion import ENDLESS, EXHAUSTION
from tests.lakehouse.attacks.forgeries import FORGERIES
from tests.lakehouse.attacks.kernel_calls import KERNEL_CALLS

ATTACKS: dict[str, Attack] = FORGERIES | ESCAPES | EXHAUSTION | KERNEL_CALLS
"""All but the endless ones, which want a shorter time."""
SECONDS, SHORT_SECONDS = 5.0, 0.3


def trouble(box: Sandbox, attack: Attack) -> str:
    """Empty if what must come of it does, and an honest program passes right after it."""
    verdict = box.run(code=attack.code, test=attack.test, names=["answer"])
    said = f"{verdict.verdict} {verdict.detail}".strip()
    if not attack.harmless(verdict.verdict):
        return said
    if said != said.encode(errors="replace").decode():
        return f"no table takes the verdict {said!r}"
    after = box.run(code=HONEST, test=ONE, names=["answer"])
    return "" if after.passed else f"an honest program after it: {after.verdict} {after.detail}"


def troubles(seconds: float, attacks: Iterable[Attack]) -> tuple[str, dict[str, str]]:
    """The tier of isolation, and the trouble of each attack that made some."""
    with Sandbox(timeout=seconds) as box:
        found = {attack.name: trouble(box, attack) for attack in attacks}
        return box.isolation, {name: said for name, said in found.items() if said}


def main() -> None:
    if sys.argv[1:]:
        seccomp.install(seccomp.denying(sys.argv[1:]))
    with tempfile.TemporaryDirectory() as folder, belongings.attacks(Path(folder)) as on_ours:
        attacks = ATTACKS | on_ours
        tier, found = troubles(SECONDS, attacks.values())
    _tier, endless = troubles(SHORT_SECONDS, ENDLESS.values())
    counted = len(attacks) + len(ENDLESS)
    json.dump({"tier": tier, "troubles": found | endless, "attacks": counted}, sys.stdout)


if __name__ == "__main__":
    main()
