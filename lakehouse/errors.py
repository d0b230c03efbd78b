"""Errors that a person can act on, one class an exit code of the contract (DESIGN section 8).

A message says what was wrong, where, what is allowed and what to do next; it is the whole of what
a user sees, so it never relies on a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class LakeError(Exception):
    """A defect of ours: exit code 1."""

    exit_code = 1


class UserError(LakeError):
    """The user's mistake (usage, settings, a missing path): exit code 2."""

    exit_code = 2


class GateError(LakeError):
    """A quality gate failed; trying again cannot help: exit code 3."""

    exit_code = 3


class ServiceError(LakeError):
    """A source or a service failed; trying again may help: exit code 4."""

    exit_code = 4


def unknown(what: str, given: str, allowed: Iterable[str]) -> UserError:
    """The one wording for a name that does not exist."""
    return UserError(f"unknown {what} {given!r}; allowed: {', '.join(sorted(allowed))}")
