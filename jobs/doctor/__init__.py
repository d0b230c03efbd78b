"""`lake doctor`: what of the installation and of the lake is not as it should be, and the remedy.

A check is a function that returns what it found (`Finding`); one that raises has failed with the
error as its reason. None of them writes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from lakehouse.errors import LakeError
from lakehouse.settings import Settings, load

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw, and what to do where that is not right."""

    state: State
    seen: str
    remedy: str = ""


Check = Callable[[Settings], Finding]


@dataclass(frozen=True, slots=True)
class Line:
    """A check by its name, with what it found."""

    check: str
    state: State
    seen: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def examined(profile: str, sets: Sequence[str]) -> Iterator[Line]:
    """Every check in its order, as it ends; without settings that can be read, that fault alone."""
    from jobs.doctor import installation, lake

    settings = None
    for to_run in (True, False):  # what only names what is missing can be read all the same
        try:
            settings = load(profile, sets, to_run=to_run)
        except LakeError as error:
            if to_run:
                yield Line("settings", "fail", str(error), "mend the profile, the environment "
                           "(LAKE__SECTION__KEY) or --set")  # fmt: skip
        else:
            break
    if settings is None:
        return
    if to_run:
        yield Line("settings", "ok", f"profile {profile}", "")
    for name, check in {**installation.CHECKS, **lake.CHECKS}.items():
        yield _line(name, check, settings)


def _line(name: str, check: Check, settings: Settings) -> Line:
    try:
        found = check(settings)
    except LakeError as error:
        found = Finding("fail", str(error))
    except Exception as error:
        found = Finding("fail", f"{type(error).__name__}: {error}"[:500],
                        "the check could not be done: see what the message names")  # fmt: skip
    return Line(name, found.state, found.seen, found.remedy)
