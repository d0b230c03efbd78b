"""`lake`: the people's command. Its verbs are in `jobs.verbs`, `docs/lake.md` lists them.

Only what the verb needs is imported: who asks a question waits for no engine.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs import verbs
from lakehouse.errors import LakeError, UserError, masked, translated
from lakehouse.imports import seldom

INTERRUPTED = 130
"""Exit code of a command that was ended by Ctrl-C."""
_SETTING = re.compile(r"\w+\.\w+=")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: exit codes as of the jobs."""
    seldom()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(verbs.parser())
    _make_streams_safe()
    code = answer(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        pass
    except UserError as error:
        sys.stderr.write(f"lake: {error}\n")
        code = code or error.exit_code
    sys.stderr.flush()
    os._exit(code)  # readers leave native threads whose clean-up can abort a finished command


class _Output(io.TextIOWrapper):
    """Standard output; where it is sent may be full, which is no fault of the lake's."""

    def write(self, text: str) -> int:
        with _sent():
            return super().write(text)

    def flush(self) -> None:
        with _sent():
            super().flush()


@contextmanager
def _sent() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"the answer cannot be written to where you sent it: {error}") from None


def _make_streams_safe() -> None:
    """Output may be closed, full, or of a character set that lacks most characters."""
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if type(sys.stdout) is io.TextIOWrapper:
        old = sys.stdout
        raw = io.FileIO(old.fileno(), "wb", closefd=False)
        sys.stdout = _Output(io.BufferedWriter(raw), old.encoding, old.errors,
                             line_buffering=old.line_buffering)  # fmt: skip


def answer(argv: Sequence[str]) -> int:
    """Do what the words say; the exit code."""
    try:
        with translated():
            _require_text(argv)
            args = verbs.parser().parse_args(spread(argv))
            return args.verb(args, _settings(args)) or 0
    except LakeError as error:
        sys.stderr.write(f"lake: {masked(str(error))}\n")
        return error.exit_code
    except BrokenPipeError:
        return 0
    except SystemExit as done:  # after --help
        return int(done.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write("lake: interrupted; what was finished is kept\n")
        return INTERRUPTED
    except Exception as error:
        _report_defect(argv, error)
        return 1


def _require_text(argv: Sequence[str]) -> None:
    """UserError where an argument holds bytes that are no text: no table could hold them."""
    for word in argv:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"the argument {word!a} is not UTF-8") from None


def _settings(args: Any) -> Any:
    """Those that the verb needs; None where it needs none."""
    if args.needs == "nothing":
        return None
    from lakehouse.settings import load

    settings = load(args.profile, args.set, to_run=args.needs == "running")
    root = settings.lake.root
    if args.needs == "reading" and "://" not in root and not _is_lake(Path(root)):
        sys.stderr.write(f"lake: there is no lake at {root} yet, and so nothing in it; LAKE_ROOT "
                         "names another, `lake run` makes one\n")  # fmt: skip
    return settings


def _is_lake(root: Path) -> bool:
    """Whether a folder holds a layer of tables, or may: one that we cannot look into."""
    from lakehouse.tables import TABLES

    return any(os.path.lexists(root / layer) for layer in {t.layer for t in TABLES.values()})


def _report_defect(argv: Sequence[str], error: Exception) -> None:
    import structlog

    from lakehouse.command import configure_logging

    configure_logging()
    structlog.get_logger().exception("a defect of ours; please report it", verb=argv[:1])
    sys.stderr.write(f"lake: {masked(f'{type(error).__name__}: {error}')}\n")


def spread(argv: Sequence[str]) -> list[str]:
    """`--set a.b=1 c.d=2` as `--set a.b=1 --set c.d=2`: what follows may be a query instead."""
    words: list[str] = []
    for word in argv:
        if words[-2:-1] == ["--set"] and _SETTING.match(word):
            words.append("--set")
        words.append(word)
    return words


if __name__ == "__main__":
    main()
