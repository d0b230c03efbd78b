"""Errors that a person can act on, one class an exit code of the contract (DESIGN section 8).

A message says what was wrong, where, what is allowed and what to do next; it is the whole of what
a user sees, so it never relies on a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from lakehouse.extras import lacking


class LakeError(Exception):
    """A defect of ours: exit code 1."""

    exit_code = 1


class UserError(LakeError):
    """The user's mistake (usage, settings, a missing path): exit code 2."""

    exit_code = 2


class GateError(LakeError):
    """A quality gate failed; trying again cannot help: exit code 3."""

    exit_code = 3


class BudgetError(LakeError):
    """The money that a run may spend is spent; what it has is kept. Like a gate: exit code 3."""

    exit_code = 3


class ServiceError(LakeError):
    """A source or a service failed; trying again may help: exit code 4."""

    exit_code = 4


NO_SPACE = ("No space left on device", "Disk quota exceeded")
"""How Python, delta-rs and Spark alike say that a disk is full."""
NO_MEMORY = {
    "java.lang.OutOfMemoryError":  # in Spark's driver or in a task
        "Spark's memory is full: raise spark.memory (a server has it from its start, by `make up`) "
        "and run again, nothing is lost",
    "OutOfMemoryError: CUDA":
        "the GPU's memory is full: for training lower the recipe's micro_tokens, or take its "
        "gradient_checkpointing, deepspeed = \"zero3\" or more GPUs; for an engine lower "
        "engine.max_sequences or engine.max_model_len",
    "No available memory for the cache blocks":
        "the model leaves no room in the GPU's memory for a prompt: lower engine.max_model_len, or "
        "take a larger GPU",
    "larger than the available KV cache":
        "a prompt of engine.max_model_len does not fit beside the model: lower it, or take a "
        "larger GPU or, on a CPU, a larger engine.memory_gb",
}  # fmt: skip
"""How Spark, PyTorch and vLLM say that what is asked does not fit the memory, and what helps."""
GPU_TAKEN = "Free memory on device"
"""How vLLM says that something else is on the GPU that it was to have."""
CONFLICT = "[DELTA_CONCURRENT_"
"""How Delta on Spark says that somebody else wrote at the same time; Connect names no class."""
STORE = re.compile(r"Generic \w+ error|AWS Error")
"""How delta-rs and Arrow tell of what went wrong at an object store: both as an OSError."""
CREDENTIALS = re.compile(r"loading credentials|169\.254\.169\.254")
"""How delta-rs says that nobody told it who asks: the address is that of a machine's own role."""
_USER = re.compile(
    r"(?<=://)[^/\s:@'\"]*:(?!\d+/)[^\s'\"]*@|"  # with a password, in which a slash may be
    r"(?:(?<=http://)|(?<=https://)|(?<=s3://)|(?<=s3a://))[^/\s'\"]*@"  # or a key alone
)
"""Who asks, in a URL. Of other stores a name alone says where: `abfs://CONTAINER@ACCOUNT/…`."""


def masked(text: str) -> str:
    """A text that is to be told, without the users and passwords of its URLs."""
    return _USER.sub("…@", text)


@contextmanager
def translated() -> Iterator[None]:
    """What the machine, a store or the network did wrong, as the LakeError that it is to a user."""
    from lakehouse.damage import of_data

    try:
        yield
    except (LakeError, BrokenPipeError):  # the latter: a reader of our output has seen enough
        raise
    except ModuleNotFoundError as error:
        if remedy := lacking(error.name or ""):
            raise UserError(remedy) from error
        raise
    except Exception as error:
        said = masked(str(error))
        named = f"{type(error).__name__}: {said}"
        if remedy := next((r for sign, r in NO_MEMORY.items() if sign in named), ""):
            raise UserError(f"{remedy} ({said})"[:2000]) from error
        if damage := of_data(said):
            raise damage from error
        if reason := _service(error):
            raise ServiceError(f"{reason} ({type(error).__name__}: {said})"[:2000]) from error
        raise


def _service(error: Exception) -> str:
    """What to do about a failure that trying again may mend; empty for any other, a defect."""
    from deltalake.exceptions import DeltaError, DeltaProtocolError, SchemaMismatchError

    if any(sign in str(error) for sign in NO_SPACE):
        return "the disk is full: free some space, or set LAKE_ROOT to a larger one, and run again"
    if GPU_TAKEN in str(error):
        return ("something else uses the GPU: let one engine or training at a time have it (the "
                "pool `gpu`, CUDA_VISIBLE_DEVICES), and run again")  # fmt: skip
    if CONFLICT in str(error):
        return "somebody else wrote the table at the same time: run it again, nothing is lost"
    if CREDENTIALS.search(str(error)):
        return ("the store got no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "see that the machine has a role whose service answers, and run again")  # fmt: skip
    if isinstance(error, DeltaError) and not isinstance(
        error, DeltaProtocolError | SchemaMismatchError
    ):
        return ("a table could not be read or written: run it again, nothing is lost; if it comes "
                "back, `lake doctor` says what is damaged")  # fmt: skip
    if isinstance(error, ConnectionError | TimeoutError) or (
        isinstance(error, OSError) and STORE.search(str(error))
    ):
        return "a store or service does not answer: see that it is up, and run again"
    return ""


def of_exit_code(code: int) -> type[LakeError]:
    """The kind of failure that a job's exit code stands for."""
    kinds = {kind.exit_code: kind for kind in (UserError, GateError, ServiceError)}
    return kinds.get(code, LakeError)


def unknown(what: str, given: str, allowed: Iterable[str]) -> UserError:
    """The one wording for a name that does not exist."""
    names = sorted(allowed)
    near = nearest(given, names)
    which = ", ".join(names) or "none, as there is none yet"
    return UserError(f"unknown {what} {given!r}; allowed: {which}"
                     + (f"; did you mean {near}?" if near else ""))  # fmt: skip


def nearest(given: str, names: Sequence[str]) -> str:
    """Of the names the one or two that were most likely meant; empty if none is near.

    They are compared whole, then without the layer of a table, then by their last words.
    """
    from difflib import get_close_matches

    for part in (r"^", r".*\.", r".*[._]"):
        near: dict[str, list[str]] = {}
        for name in names:
            near.setdefault(re.sub(part, "", name).casefold(), []).append(name)
        if found := get_close_matches(re.sub(part, "", given).casefold(), near, 2):
            return " or ".join(name for word in found for name in near[word])
    return ""
