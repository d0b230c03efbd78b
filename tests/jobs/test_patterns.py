"""No pattern takes more than linear time, whatever text it is given.

A text four times as long may take ten times as long, by the CPU's clock: linear takes four times,
the square sixteen. The texts are made from each pattern itself: what stands before one of its open
repeats, and then what may let the repeat run.
"""

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import string
import time
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import jobs
from jobs import answers, archives, units
from jobs.contamination import fingerprint
from jobs.contamination.detector import _STREAMS
from jobs.signals import language, licence, marks, pointers
from lakehouse import prompts
from training import asking

N = 4000
FACTOR, AT_ONCE = 10, 0.02
FILLERS = (" ", "\t", "\n", "a", "0", ".", "-", "/", "_", "a ", "a.", "a/", "; ", "x, ")
COMMON = "a0 -.x/_\n"
HERE = Path(jobs.__file__).parent
OTHERS = {
    "fences.toml": ["not_code"],
    "signals/languages.toml": ["names", "data"],
    "signals/licence.toml": ["folder"],
    "signals/marks.toml": [],
    "signals/personal_data.toml": ["email", "ip_address", "payment_card", "iban"],
    "signals/pointers.toml": ["longest", "called"],
}
"""What is no pattern in a file of patterns."""
TABLES = {name: tomllib.loads((HERE / name).read_text()) for name in OTHERS}


def compiled() -> Iterator[tuple[str, Callable[[str], object], str]]:
    """Every pattern of these files: its name, how its module applies it, and itself."""
    fences, told_apart = TABLES["fences.toml"], TABLES["signals/languages.toml"]["ambiguous"]
    yield "fences typed", re.compile(fences["typed"]).match, fences["typed"]
    for name, each in fences["unfenced"].items():
        yield f"fences {name}", re.compile(each).search, each
    for ending, rules in told_apart.items():
        for name, each in rules.items():
            if name != "otherwise":
                yield f"languages {ending} {name}", re.compile(each, re.MULTILINE).search, each
    for table, rules in TABLES["signals/marks.toml"].items():
        for each in [*rules.get("headers", []), *rules["paths"]]:
            yield f"marks {table} {each}", re.compile(each, re.I | re.M).search, each
    yield "marks comment", marks._COMMENT.match, marks._COMMENT.pattern
    for name, found in (("names", licence._NAME), ("texts", licence._TEXT)):
        yield f"licence {name}", found.fullmatch, found.pattern
    for place, found in enumerate((*pointers._STATEMENTS, pointers._LATER)):
        yield f"pointers {place}", found.fullmatch, found.pattern
    for name in ("_LIMITS", "_MARKS", "_ENDS", "_NOISE", "_BETWEEN"):
        found = getattr(pointers, name)
        yield f"pointers {name}", partial(found.sub, ""), found.pattern


OF_MODULES = {
    "contamination": fingerprint._FENCE, "functions": fingerprint._DEF,
    "ends of functions": re.compile(fingerprint._DEDENT.format(depth=4)),
    "code words": _STREAMS["code"], "statement words": _STREAMS["statement"],
    "prompts": prompts._FENCE,
    "asking": asking.FENCE, "units": units._MARKS,
}  # fmt: skip
"""What modules apply to code, to instructions and to answers."""
PATTERNS = {name: (apply, pattern) for name, apply, pattern in compiled()} | {
    name: (partial(found.sub, ""), found.pattern) for name, found in OF_MODULES.items()
}
PATTERNS |= {
    f"licence {each}": (re.compile(each, re.I).search, each)
    for each in TABLES["signals/licence.toml"]["limits"]
}
PATTERNS["refusals"] = answers.REFUSAL.match, answers.REFUSAL.pattern


def fitting(items: list[Any]) -> str:
    """A character of a set of characters."""
    return next(char for char in COMMON + string.printable if _fits(items, char))


def _fits(items: list[Any], char: str) -> bool:
    kinds = {"SPACE": r"\s", "DIGIT": r"\d", "WORD": r"\w"}
    found = False
    for kind, value in items:
        if kind is op.LITERAL:
            found |= ord(char) == value
        elif kind is op.RANGE:
            found |= value[0] <= ord(char) <= value[1]
        elif kind is op.CATEGORY:
            *negated, name = str(value).removeprefix("CATEGORY_").split("_")
            found |= bool(re.match(kinds[name], char)) != bool(negated)
    return found != (items[0][0] is op.NEGATE)


def walked(tree: Any, before: str, repeats: list[tuple[str, str]]) -> str:
    """A text that fits; `repeats` gets (what fits before it, what it repeats) of open ones."""
    for kind, value in tree:
        if kind in (op.LITERAL, op.ANY, op.NOT_LITERAL, op.IN):
            before += fitting(value) if kind is op.IN else chr(value) if kind is op.LITERAL else "x"
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            least, most, inner = value
            once = walked(inner, before, repeats).removeprefix(before)
            if most is op.MAXREPEAT:
                repeats.append((before, once))
            before += once * max(1, least)
        elif kind in (op.SUBPATTERN, op.ATOMIC_GROUP):
            before = walked(value[-1] if kind is op.SUBPATTERN else value, before, repeats)
        elif kind is op.BRANCH:
            before, *_ = [walked(each, before, repeats) for each in value[1]]
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            walked(value[-1], before, repeats)  # looks ahead or back: it takes time and no text
    return before


def hostile(pattern: str) -> Iterator[Callable[[int], str]]:
    """Makers of texts of some length that let the pattern run far and then fail."""
    repeats: list[tuple[str, str]] = []
    walked(parser.parse(pattern), "", repeats)
    for before, once in dict.fromkeys(repeats):
        for filler in dict.fromkeys((*FILLERS, once, before or " ")):
            yield lambda n, b=before, f=filler: b + f * (n // len(f)) + "\0"  # type: ignore[misc]
            unit = before + filler
            yield lambda n, u=unit: u * (n // len(u)) + "\0"  # type: ignore[misc]


def once(run: Callable[[str], object], text: str) -> float:
    """CPU seconds."""
    start = time.thread_time()
    run(text)
    return time.thread_time() - start


def taken(run: Callable[[str], object], text: str) -> float:
    """The best of three; of one if that is no time at all."""
    best = once(run, text)
    return best if best < AT_ONCE else min(best, once(run, text), once(run, text))


def grows_too_fast(run: Callable[[str], object], make: Callable[[int], str]) -> bool:
    """Whether even the best of three takes too long: the first that does not settles it."""
    longer = make(4 * N)
    first = once(run, longer)
    if first <= AT_ONCE:
        return False
    limit = max(AT_ONCE, FACTOR * taken(run, make(N)))
    return first > limit and all(once(run, longer) > limit for _ in range(2))


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_linear_time(name: str) -> None:
    run, pattern = PATTERNS[name]
    slow = (make(40) for make in hostile(pattern) if grows_too_fast(run, make))
    assert next(slow, None) is None


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (lambda text: units._uncommented([text]), "/** a{} b */"),
        (archives.named, "f.zip!a{}x"),
        (licence.is_file, "LICENSES/{}!"),
        (lambda text: licence.effective(text, ""), "# {} SPDX-License-Identifier: MIT"),
        (language.first_fence, "```{}"),
    ],
    ids=["comments", "members", "licence files", "licences", "fences"],
)
def test_what_is_written_in_code_takes_linear_time(run: Any, text: str) -> None:
    for filler in (*FILLERS, "~1", "`", "~", "*", "LICENSES/", "SPDX-License-Identifier: "):
        assert not grows_too_fast(run, lambda n, f=filler: text.format(f * (n // len(f)))), filler


@pytest.mark.parametrize(
    "pattern",
    [r"#import\s+.+\.h", r"func \w+.*\{", r"[ \t]*\*/", r"(?=\s*b)", r"(?!\s*b)\d", r"(?>a*)b"],
)
def test_the_texts_find_a_pattern_that_takes_the_square(pattern: str) -> None:
    run = re.compile(pattern).search
    assert any(grows_too_fast(run, make) for make in hostile(pattern))


def test_no_pattern_of_these_files_is_forgotten() -> None:
    known = {
        "fences.toml": {"typed", "unfenced"},
        "signals/languages.toml": {"ambiguous"},
        "signals/licence.toml": {"names", "kinds", "endings", "texts", "limits"},
        "signals/marks.toml": {"generated", "minified", "vendored"},
        "signals/personal_data.toml": set(),
        "signals/pointers.toml": {"limits", "marks", "ends", "words", "statements", "names"},
    }
    assert {name: known[name] | set(OTHERS[name]) for name in TABLES} == {
        name: set(table) for name, table in TABLES.items()
    }
