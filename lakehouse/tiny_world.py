"""A procedural world of small programs, for models that train in a minute on a CPU.

A program is a chain of one to three primitives over a list of integers or a string; its code is a
Python function `f`, its instruction a paraphrase drawn from templates, some of which reverse the
order of words. Compositions are split by their sequence of primitives, so that no test composition
occurs in any corpus. Everything is a function of a seed. The vocabulary is tiny_world.toml.

What it is for, and its engineered asymmetry: docs/tiny-world.md.
"""

from __future__ import annotations

import datetime as dt
import random
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "valid", "test"]
Source = Literal["list", "string"]
VOCABULARY = Path(__file__).with_suffix(".toml")
VERSION = f"tiny_world/2-{zlib.crc32(VOCABULARY.read_bytes()):08x}"
"""Changes with the rules below or the vocabulary."""
TEST_SEED = 99
INPUTS = 12
_STRING_SHARE, _DEPTHS, _SCALAR_END, _NOISE = 0.25, (0.2, 0.5, 0.3), 0.45, 0.08
_SLOT = re.compile(r"\{(\w)\}")
_REVERSES = (" after you ", " , but before that ")
"""Connectors that name the later step first."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One step: name, whether it yields an int, its expression, how it is said."""

    name: str
    source: Source
    ends: bool
    code: str
    say: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One program: its steps (primitive, constant), its code and one instruction for it."""

    steps: tuple[tuple[str, int], ...]
    code: str
    instruction: str


@cache
def _vocabulary() -> tuple[dict[str, Primitive], dict[str, Any]]:
    data = tomllib.loads(VOCABULARY.read_text())
    found: dict[str, Primitive] = {}
    for source in ("list", "string"):
        for result, group in data[source].items():
            for name, p in group.items():
                ends = result == "int"
                found[name] = Primitive(name, source, ends, p["code"], tuple(p["say"]))
    return found, data


@cache
def _pool(source: Source, ends: bool) -> list[Primitive]:
    """What a step on that source can be."""
    primitives, _ = _vocabulary()
    return [p for p in primitives.values() if p.source == source and p.ends == ends]


def program(draw: random.Random) -> tuple[tuple[str, int], ...]:
    """A random program: a quarter on strings, depth 1 to 3, often ending in a number."""
    source: Source = "string" if draw.random() < _STRING_SHARE else "list"
    depth = draw.choices([1, 2, 3], _DEPTHS)[0]
    steps = []
    for place in range(depth):
        ends = place == depth - 1 and draw.random() < _SCALAR_END
        chosen = draw.choice(_pool(source, ends))
        steps.append((chosen.name, draw.randint(2, 6) if _takes(chosen.name) else 0))
    return tuple(steps)


def split(steps: tuple[tuple[str, int], ...]) -> Split:
    """By the sequence of primitives: 15% test, 4% valid; single steps are always train.

    Steps that are written alike count as one primitive (multiples of 2 are the even numbers), or
    the code of a test task would turn up in a corpus under another name.
    """
    if len(steps) == 1:
        return "train"
    named = (_written()[_rendered(name, k)] if k else name for name, k in steps)
    place = zlib.crc32(" ".join(named).encode()) % 100
    return "test" if place < 15 else "valid" if place < 19 else "train"


@cache
def _written() -> dict[tuple[Source, str], str]:
    """A primitive's name by its source and rendered expression; one without a constant wins."""
    primitives, _ = _vocabulary()
    constants = [(name, k) for k in (*range(2, 7), 0) for name in primitives]
    return {_rendered(name, k): name for name, k in constants if bool(k) == _takes(name)}


def _takes(name: str) -> bool:
    return "{k}" in _vocabulary()[0][name].code


def _rendered(name: str, k: int) -> tuple[Source, str]:
    step = _vocabulary()[0][name]
    return step.source, step.code.replace("{k}", str(k))


def code(steps: tuple[tuple[str, int], ...]) -> str:
    """The program as a Python function `f`."""
    primitives, _ = _vocabulary()
    variable = "s" if primitives[steps[0][0]].source == "string" else "xs"
    lines = [f"def f({variable}):"]
    for name, k in steps:
        step = primitives[name]
        verb = "return" if step.ends else f"{variable} ="
        lines.append(f"    {verb} {_rendered(name, k)[1]}")
    if not primitives[steps[-1][0]].ends:
        lines.append(f"    return {variable}")
    return "\n".join(lines)


def instruction(
    steps: tuple[tuple[str, int], ...], draw: random.Random, framed: bool = True
) -> str:
    """One way to say the program; `framed` as a request, else the bare steps."""
    primitives, data = _vocabulary()
    wording = data["wording"]
    said = [_say(primitives[name], k, draw) for name, k in steps]
    joined = said[0]
    if len(said) > 1:
        joined = draw.choice(wording["two"] if len(said) == 2 else wording["three"])
        for slot, phrase in zip("abc", said, strict=False):
            joined = joined.replace("{" + slot + "}", phrase)
    if not framed:
        return joined
    things = "strings" if primitives[steps[0][0]].source == "string" else "lists"
    text: str = draw.choice(wording["frames"])
    text = text.replace("{A}", draw.choice(wording[things])).replace("{B}", joined)
    if draw.random() < _NOISE:
        words = text.split(" ")
        words.insert(draw.randrange(len(words)), draw.choice(wording["noise"]))
        text = " ".join(words)
    return text


def _say(step: Primitive, k: int, draw: random.Random) -> str:
    _, data = _vocabulary()

    def fill(match: re.Match[str]) -> str:
        slot = match[1]
        return str(k) if slot == "k" else str(draw.choice(data["slots"][slot]["words"]))

    return _SLOT.sub(fill, draw.choice(step.say))


def tasks(draw: random.Random, wanted: Split, seen: set[str] | None = None) -> Iterator[Task]:
    """Endless tasks of a split, each code once; `seen` holds codes that are taken already."""
    seen = set() if seen is None else seen
    while True:
        steps = program(draw)
        if split(steps) == wanted and (text := code(steps)) not in seen:
            seen.add(text)
            yield Task(steps, text, instruction(steps, draw))


def _take(found: Iterator[Task], n: int) -> list[Task]:
    return [task for task, _ in zip(found, range(n), strict=False)]


def labelled(seed: int, n: int) -> list[Task]:
    """The labelled pairs: n distinct training programs, one instruction each."""
    return _take(tasks(random.Random(f"{seed} labelled"), "train"), n)


def unlabelled(seed: int, day: dt.date, n: int) -> list[Task]:
    """A day's new functions: distinct within the day; some repeat other days' or labelled ones."""
    return _take(tasks(random.Random(f"{seed} {day}"), "train"), n)


def corpus(seed: int, n: int, explained: float = 0.7) -> Iterator[str]:
    """Documents that the base is trained on: code, then (for a share) its explanation after it.

    One direction only: the base learns to read code better than to write it, as real ones do.
    """
    draw = random.Random(f"{seed} corpus")
    made = 0
    while made < n:
        steps = program(draw)
        if split(steps) == "train":
            made += 1
            note = " # " + instruction(steps, draw, False) if draw.random() < explained else ""
            yield code(steps) + note


def held_out(n: int) -> list[tuple[Task, list[tuple[Any, Any]]]]:
    """Test tasks, each with (input, output) pairs of at least three distinct outputs."""
    draw = random.Random(TEST_SEED)
    found: list[tuple[Task, list[tuple[Any, Any]]]] = []
    for task in tasks(draw, "test"):
        run_on = _runner(task)
        tests = [(value, run_on(value)) for value in _inputs(task, draw)]
        if len({repr(out) for _, out in tests}) >= 3:
            found.append((task, tests))
        if len(found) == n:
            break
    return found


def run(task: Task, value: Any) -> Any:
    """Run a program of this world (never a model's) on an input."""
    return _runner(task)(value)


def _runner(task: Task) -> Callable[[Any], Any]:
    """The program, compiled, for all of its inputs."""
    space: dict[str, Any] = {}
    exec(compile(task.code, "<tiny world>", "exec"), space)
    return lambda value: space["f"](list(value) if isinstance(value, list) else value)


def _inputs(task: Task, draw: random.Random) -> list[Any]:
    if task.code.startswith("def f(s)"):
        letters = "aeioubcdst  ABE"
        return ["".join(draw.choices(letters, k=draw.randint(0, 12))) for _ in range(INPUTS)]
    return [[draw.randint(-9, 12) for _ in range(draw.randint(0, 11))] for _ in range(INPUTS)]


def describes(text: str, task: Task) -> bool:
    """Whether an instruction says this very program: an instrument for reports, never a teacher."""
    _, data = _vocabulary()
    words = [w for w in text.split() if w not in data["wording"]["noise"]]
    later, earlier = " ".join(words), ""
    for mark in _REVERSES:
        if mark in later:
            later, _, earlier = later.partition(mark)
            break
    source: Source = "string" if task.code.startswith("def f(s)") else "list"
    return _heard(earlier, source) + _heard(later, source) == task.steps


def _heard(text: str, source: Source) -> tuple[tuple[str, int], ...]:
    """The steps said in a text, left to right; of overlapping readings the first and longest."""
    found = sorted(
        (match.start(), -match.end(), name, int(match["k"]) if match.groupdict() else 0)
        for name, pattern in _patterns(source)
        for match in pattern.finditer(text)
    )
    steps, end = [], 0
    for start, negative_end, name, k in found:
        if start >= end:
            steps.append((name, k))
            end = -negative_end
    return tuple(steps)


@cache
def _patterns(source: Source) -> tuple[tuple[str, re.Pattern[str]], ...]:
    primitives, data = _vocabulary()

    def slot(match: re.Match[str]) -> str:
        if match[1] == "k":
            return r"(?P<k>\d)"
        return "(?:" + "|".join(map(re.escape, data["slots"][match[1]]["words"])) + ")"

    return tuple(
        (step.name, re.compile(r"\b" + _SLOT.sub(slot, said) + r"\b"))
        for step in primitives.values() if step.source == source for said in step.say
    )  # fmt: skip
