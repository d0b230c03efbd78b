"""Whether two functions do the same: the original's calls, and what another one makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.execution import inputs, observe
from lakehouse.execution.observe import Outcome
from lakehouse.execution.program import ENTRY, NotRunnable, Program
from lakehouse.execution.same import effect, same
from lakehouse.sandbox import Sandbox

MOST = 2000
"""Characters of a result, above which a call is of no use."""
HANGS = 2
"""Calls that may hang or end the process before the rest is given up."""
DISTINCT = 3
"""Least distinct results of an original: a constant is agreed with by chance."""
Observer = Callable[[Sequence[inputs.Args]], list[Outcome]]
"""What each call comes to: as many outcomes as calls."""
_OBSERVE = Path(observe.__file__).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Original:
    """Calls of a snippet's function, and what they came to: values, none raised."""

    program: Program
    calls: tuple[inputs.Args, ...]
    outcomes: tuple[Outcome, ...]


def observed(
    box: Sandbox, code: str, calls: Sequence[inputs.Args], seconds: float
) -> list[Outcome]:
    """What each call of the program came to, whatever it does; as many as there are calls."""
    seen: list[Outcome] = []
    for _ in range(HANGS):
        rest = list(calls[len(seen) :])
        test = f"__answer__ = outcomes({ENTRY}, {rest!r}, {seconds!r}, {MOST})"
        verdict = box.run(code=code, test=test, names=[ENTRY], setup=_OBSERVE)
        if not verdict.passed:
            kind = verdict.verdict.partition(": ")
            seen.append(("raised", kind[2]) if kind[2] else (kind[0],))
            break
        seen += verdict.answer
        if len(seen) == len(calls):
            return seen
    return seen + [seen[-1]] * (len(calls) - len(seen))


def tried(box: Sandbox, program: Program, seed: str, n: int, seconds: float) -> Original:
    """The original of a program that is run in the sandbox; NotRunnable where there is none."""
    return original(program, seed, n, lambda calls: observed(box, program.code, calls, seconds))


def original(program: Program, seed: str, n: int, observe: Observer) -> Original:
    """Calls of the program that are worth comparing, `n` of them; NotRunnable where there are none.

    Of the calls that give a value those are taken first whose result is a new one, from the kinds
    of arguments that give most distinct results.
    """
    candidates = inputs.calls(program.parameters, seed)
    seen = observe([args for _, args in candidates])
    useful = [(way, args, o) for (way, args), o in zip(candidates, seen, strict=True)
              if o[0] == "value"]  # fmt: skip
    results: dict[str, set[str]] = {}
    for way, _, outcome in useful:
        results.setdefault(way, set()).add(repr(outcome[1:]))
    useful.sort(key=lambda u: -len(results[u[0]]))  # stable
    known: set[str] = set()
    fresh: list[inputs.Args] = []
    again: list[inputs.Args] = []
    for _, args, outcome in useful:
        result = repr(effect(args, outcome))
        (again if result in known else fresh).append(args)
        known.add(result)
    if len(useful) < n:
        kinds = sorted({str(o[-1]) for o in seen if o[0] != "value"})
        raise NotRunnable(f"{len(useful)} usable calls, {n} wanted ({', '.join(kinds)[:80]})")
    if len(known) < DISTINCT:
        raise NotRunnable(f"fewer than {DISTINCT} distinct results")
    calls = (fresh + again)[:n]
    once = _once_more(observe, calls)
    back = _once_more(observe, calls[::-1])[::-1]  # state shows by the order
    if any(o[0] != "value" for o in once) or not all(map(same, once, back)):
        raise NotRunnable("not deterministic")
    return Original(program, tuple(calls), tuple(once))


def _once_more(observe: Observer, calls: Sequence[inputs.Args]) -> list[Outcome]:
    """What calls that have given a value come to another time.

    One that is late now has met a busy machine, which says nothing of the program: all are asked
    again.
    """
    seen = observe(calls)
    return observe(calls) if ("timeout",) in seen else seen


def agrees(args: inputs.Args, wanted: Outcome, found: Outcome) -> bool:
    """Whether a call came to the same; arguments count where the original changed them."""
    if wanted[0] != "value" or found[0] != "value":
        return wanted == found
    want = effect(args, wanted)
    return same(want, found[1 : 1 + len(want)])


def verdict(agreed: Sequence[bool], seen: Sequence[Outcome]) -> str:
    """agrees (on every call), differs, or what all calls came to: raised NAME, timeout, …."""
    if all(agreed):
        return "agrees"
    kinds = {o[0] for o in seen}
    if "value" in kinds or not seen:
        return "differs"
    return " ".join(map(str, seen[0]))
