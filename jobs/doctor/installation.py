"""Checks of the machine and of what is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from jobs.doctor import Check, Finding
from lakehouse import extras, gpus, jars, services
from lakehouse.sandbox import launcher, programs
from lakehouse.settings import PROJECT, Settings

LEAST_GIB, SCARCE_GIB = 1, 5
"""Of free disk: below the first nothing can be relied on, below the second a run may not end."""


def machine(_settings: Settings) -> Finding:
    """Python, Java, and the disk of the checkout: what `make preflight` asks for."""
    if not extras.installed("stages"):
        return Finding("ok", "no Spark is installed here, so that no Java is needed")
    jars.require_java()
    script = PROJECT / "scripts" / "preflight.sh"
    if script.is_file():
        done = subprocess.run(["sh", str(script)], cwd=PROJECT, capture_output=True, text=True,
                              check=False)  # fmt: skip
        if done.returncode:
            return Finding("fail", done.stderr.strip().removeprefix("setup: "))
    return Finding("ok", "Python, Java and the disk of the installation are as they must be")


def disk(settings: Settings) -> Finding:
    """Free space where the lake lies."""
    root = settings.lake.root
    if "://" in root:
        return Finding("ok", f"{root} is a store: its space is not known here")
    place = next(p for p in (Path(root).resolve(), *Path(root).resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free / 2**30
    seen = f"{free:.1f} GiB free at {place}"
    if free >= SCARCE_GIB:
        return Finding("ok", seen)
    return Finding("fail" if free < LEAST_GIB else "warn", seen,
                   "free some space, or set LAKE_ROOT to a larger disk")  # fmt: skip


def delta_jars(settings: Settings) -> Finding:
    """The jars of Delta, and of a store where the lake is on one: there, and as their pins say."""
    if not extras.installed("stages"):
        return Finding("ok", "no Spark is installed here, so that none are needed")
    kinds = jars.needed(settings.lake.root)
    for kind in kinds:
        if unfit := jars.unfit(kind):
            return Finding("fail", f"missing or damaged: {', '.join(unfit)}",
                           f"run `{jars.REMEDIES[kind]}`")  # fmt: skip
    return Finding("ok", f"{sum(len(jars.pins(kind)) for kind in kinds)} jars as pinned")


def packages(_settings: Settings) -> Finding:
    """What is installed beside the lock file."""
    lock = PROJECT / "uv.lock"
    if not lock.is_file():
        return Finding("ok", "no lock file here (installed as a package): versions not compared")
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    held = {_normal(d.name): d.version for d in distributions()}
    if {"vllm", extras.CPU_BUILD} <= held.keys():
        return Finding("fail", "both builds of vLLM are installed, and they are one module",
                       "uninstall both, then install the one (docs/engines.md)")  # fmt: skip
    wanted = _wanted()
    left_out = sorted(extra for extra in wanted if extra and not _own(extra, wanted) & held.keys())
    direct = set().union(*(names for extra, names in wanted.items() if extra not in left_out))
    if lacks := sorted(direct - held.keys()):
        return Finding("fail", f"not installed: {', '.join(lacks)}", "run `make setup`")
    other = {n: v for n, v in held.items() if n in locked and v not in locked[n]}
    if other:
        return Finding("warn", f"not as locked: {_listed(other)}",
                       "run `.uv/bin/uv sync --locked`")  # fmt: skip
    without = f", without the extra {', '.join(left_out)}" if left_out else ""
    return Finding("ok", f"{len(held.keys() & locked.keys())} packages as locked{without}")


def _wanted() -> dict[str, set[str]]:
    """The packages that the project names, by extra; the empty one is of every installation."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        extra: {_normal(re.split(r"[^\w.-]", r, maxsplit=1)[0]) for r in requirements}
        for extra, requirements in (
            ("", project["dependencies"]), *project["optional-dependencies"].items())
    }  # fmt: skip


def _own(extra: str, wanted: Mapping[str, set[str]]) -> set[str]:
    """What only this extra names: it is installed where some of that is."""
    return wanted[extra].difference(*(names for other, names in wanted.items() if other != extra))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {found[name]}" for name in sorted(found))


def sandbox(_settings: Settings) -> Finding:
    """The tier of isolation in which models' programs run; the jail is tried."""
    with launcher.Sandbox() as box:
        tier = box.isolation
    if tier != launcher.TIERS[0]:
        return Finding("warn", f"isolation is {tier}, the second best",
                       "docs/sandbox.md: what it cannot stop, how to get the first")  # fmt: skip
    return Finding("ok", f"isolation is {tier}; an attempt to break out has failed")


def toolchains(_settings: Settings) -> Finding:
    """The languages whose programs can be compiled and run."""
    known = sorted(programs.toolchains().languages)
    lacks = [name for name in known if programs.missing(name)]
    there = ", ".join(n for n in known if n not in lacks) or "none"
    if not lacks:
        return Finding("ok", there)
    wanted = ", ".join(f"{n} ({programs.toolchains().languages[n].package})" for n in lacks)
    return Finding("ok", f"{there}; only for benchmarks in their languages one would install "
                   f"(Debian's packages) {wanted}")  # fmt: skip


def engine(settings: Settings) -> Finding:
    """What generates: the library is installed, or the server answers."""
    chosen = settings.engine
    if chosen.kind == "server":
        return _endpoint(chosen.url, chosen.key_variable)
    if elsewhere := os.environ.get("LAKE_GPU_PYTHON"):
        return Finding("ok", f"stages that hold a model run by `{elsewhere}`: not looked at")
    if chosen.kind != "transformers" and (lacks := extras.lacking_library()):
        return Finding("fail", lacks)
    name, held = extras.vllm() if chosen.kind == "vllm" else extras.held("transformers")
    if not name:
        return Finding("fail", f"engine.kind = {chosen.kind!r}, but it is not installed",
                       "run `make setup`, or set engine.kind or LAKE_GPU_PYTHON")  # fmt: skip
    if name == extras.CPU_BUILD and (there := gpus.of_the_machine()):
        return Finding("warn", f"{name} {held} uses none of the {there} GPUs here",
                       "install the extra gpu instead of models (docs/engines.md)")  # fmt: skip
    return Finding("ok", f"{name} {held}")


def _endpoint(url: str, key_variable: str) -> Finding:
    """Whether an endpoint answers, asked with the key that a run has."""
    import urllib.request

    request = urllib.request.Request(f"{url}/models")
    if key := os.environ.get(key_variable):
        # to nobody to whom the endpoint sends us on
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except (OSError, ValueError) as error:  # the latter: a key that is no header, which it quotes
        if isinstance(error, ValueError) or getattr(error, "code", 0) in (401, 403):
            held = "the key" if key else "the lack of a key"
            return Finding("fail", f"{url} refuses {held} in the variable {key_variable}",
                           f"set {key_variable} to a key of that endpoint")  # fmt: skip
        return Finding("fail", f"{url} does not answer: {error}",
                       "start the server, or set engine.url")  # fmt: skip
    return Finding("ok", f"{url} answers")


def airflow(_settings: Settings) -> Finding:
    """Airflow's own state."""
    _, installed = extras.held("apache-airflow")
    if not installed:
        return Finding(
            "warn", "Airflow is not installed", "`lake run` needs none; else `make setup`"
        )
    if not (services.HOME / "airflow.db").is_file():
        return Finding("ok", f"Airflow {installed}, never started here", "`make up` starts it")
    return Finding("ok", f"Airflow {installed}, its state in {services.HOME}")


def ports(_settings: Settings) -> Finding:
    """The services' ports: free, or held by our own."""
    held = {name: services.holder(name) for name in services.PORTS}
    told = ", ".join(f"{name} {services.port_of(name)}: {whose}" for name, whose in held.items())
    if "another" in held.values():
        variables = [services.PORTS[n][0] for n, whose in held.items() if whose == "another"]
        return Finding("warn", f"held by another program ({told})",
                       f"set {' and '.join(variables)} to free ports before `make up`")  # fmt: skip
    return Finding("ok", told)


CHECKS: dict[str, Check] = {
    "machine": machine, "disk": disk, "jars": delta_jars, "packages": packages,
    "sandbox": sandbox, "toolchains": toolchains, "engine": engine, "airflow": airflow,
    "ports": ports,
}  # fmt: skip
