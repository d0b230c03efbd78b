"""Runs code that a model wrote, outside the evaluator's process, with a verdict it cannot forge.

The candidate's code runs in process C, the tests in process T; both are jailed by namespaces, a
system call filter and resource limits, and neither shares memory with the other or with us.
Tests call the candidate's functions over a socket that carries exact builtin values only, and
only T holds the descriptor that the verdict is read from. Where the isolation cannot be set up
(`launcher.Sandbox` checks it by trying to break out), nothing runs: a `UserError` says why.

Programs of other languages run in the same kind of jail, by `programs.Programs`; their verdicts are
worth less. `jail/` holds what runs inside; it imports the standard library only.
"""

from pathlib import Path

from lakehouse.sandbox.launcher import Sandbox, Verdict

SOURCE = tuple(sorted(p for kind in ("py", "toml", "java")
                      for p in Path(__file__).parent.rglob(f"*.{kind}")))  # fmt: skip
"""Its files: what they say decides verdicts, those inside the jail are imported by nobody."""

__all__ = ["SOURCE", "Sandbox", "Verdict"]
