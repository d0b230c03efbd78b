"""The command line of a stage: the contract's argv, JSON line and exit codes."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NoReturn

import structlog

from lakehouse import settings as settings_module
from lakehouse.dates import date
from lakehouse.errors import LakeError, UserError, masked
from lakehouse.imports import arrow_alone, seldom
from lakehouse.run import Stage, execute
from lakehouse.settings import Settings
from lakehouse.shares import Share

TERMINATED = 143
"""Exit code of a job that was ended by SIGTERM."""


def entry(stage: Stage, *more: Stage, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a stage as its own process: arguments in, one JSON line out, an exit code.

    Several stages run one after the other in one process, where they share a model's engine; the
    JSON object is then the last one's with the sums of all, and each by itself under `stages`.
    Of those that follow the first, the ones that the settings do not ask for are left out.
    """
    out = begin()
    result, code = answer((stage, *more), argv)
    tell(out, result)
    leave(code)


def begin() -> int:
    """Make this process a job: its log, its signals; the descriptor of what was its stdout."""
    seldom()
    configure_logging()
    _quieten()
    out = os.dup(1)
    os.dup2(2, 1)  # libraries print to stdout; its lines must be ours
    signal.signal(signal.SIGTERM, _terminated)
    return out


def answer(
    stages: Sequence[Stage], argv: Sequence[str] | None = None
) -> tuple[dict[str, Any], int]:
    """Run the stages as the arguments say: the JSON object and the exit code."""
    first, *more = stages
    result: dict[str, Any] = {"stage": first.name}
    reports: list[dict[str, Any]] = []
    code, fault = 0, ""
    try:
        args = _parse(first, argv)
        arrow_alone()
        result["partition"] = str(args.partition)
        chosen = settings_module.load(args.profile, args.set)
        for each in wanted(stages, chosen, args.option):
            reports.append({})
            execute(each, args.partition, chosen, option=args.option, force=args.force,
                    report=reports[-1])  # fmt: skip
    except LakeError as error:
        structlog.get_logger().error(str(error), stage=first.name)
        code, fault = error.exit_code, str(error)
    except SystemExit as end:
        if end.code != TERMINATED:
            raise  # --help
        code, fault = TERMINATED, "ended by SIGTERM"
    except Exception as error:
        structlog.get_logger().exception("a defect of ours; please report it", stage=first.name)
        code, fault = 1, f"{type(error).__name__}: {error}"
    if reports:
        result = {**_together(reports), "stages": reports} if more else reports[0]
    if fault:
        result.update(status="failed", error=masked(fault))
    return result, code


def tell(out: int, result: Mapping[str, Any]) -> None:
    """Write a result as a line."""
    os.write(out, (json.dumps(result) + "\n").encode())


def leave(code: int) -> NoReturn:
    """End this process at once.

    Engines leave threads and servers' clients behind whose exit handlers can hang a finished job.
    """
    sys.stderr.flush()
    os._exit(code)


def wanted(stages: Sequence[Stage], settings: Settings, option: str = "") -> Iterator[Stage]:
    """The first, and of those that follow the ones that are asked for and can do that share."""
    first, *more = stages
    yield first
    yield from (s for s in more if s.enabled(settings) and (s.shares or not option))


def _terminated(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the books are closed in peace
    sys.exit(TERMINATED)


def _together(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One report of stages that ran one after the other, each on what the one before it kept."""
    sums = ("rows_rejected", "seconds", "prompt_tokens", "completion_tokens", "cached_tokens",
            "tokens", "cost")  # fmt: skip
    merged = ("versions_read", "versions_written")
    states = {r["status"] for r in reports}
    return {
        **reports[-1], "rows_in": reports[0]["rows_in"],
        **{k: sum(r[k] for r in reports) for k in sums},
        **{k: {name: v for r in reports for name, v in r[k].items()} for k in merged},
        "status": "done" if states == {"done", "unchanged"} else reports[-1]["status"],
    }  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Wrong usage is a user's mistake like any other: one sentence, a JSON line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {' '.join(self.format_usage().split())}")


def _parse(stage: Stage, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog=f"python -m {_module(stage)}", description=stage.main.__doc__)
    parser.add_argument("--partition", required=True, type=parse_day, metavar="YYYY-MM-DD")
    parser.add_argument("--profile", default="tiny")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="section.key=value"
    )
    parser.add_argument("--force", action="store_true", help="run even where nothing has changed")
    if stage.option:
        name, choices = stage.option
        parser.add_argument(f"--{name}", dest="option", required=True, choices=choices)
    elif stage.shares:
        parser.add_argument("--share", dest="option", default="", type=_share, metavar="I-of-N",
                            help="only this share of the day's work")  # fmt: skip
    else:
        parser.set_defaults(option="")
    return parser.parse_args(argv)


def _share(text: str) -> str:
    Share.parse(text)
    return text


def _module(stage: Stage) -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec.name if spec else stage.main.__module__


def parse_day(text: str) -> dt.date:
    """A partition's key; UserError unless YYYY-MM-DD."""
    try:
        return date(text)
    except ValueError:
        raise UserError(f"--partition {text!r} is not a day; write YYYY-MM-DD") from None


def configure_logging() -> None:
    """Structured lines on stderr, one event a step."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
            structlog.processors.format_exc_info,
            _without_users,
            structlog.processors.KeyValueRenderer(
                key_order=["timestamp", "stage", "event"], drop_missing=True
            ),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the stderr of the moment
    )


def _quieten() -> None:
    """A log is for what the job has to say, not for libraries' bars and for what they outgrow."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.simplefilter("ignore", FutureWarning)


def _without_users(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """No URL's user or password, whoever's words it is in: libraries quote what they called."""
    return {key: masked(v) if isinstance(v, str) else v for key, v in event.items()}
