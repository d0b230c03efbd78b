"""A small problem in each language, with a right answer and wrong ones; and a jail to run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.sandbox.programs import Programs, missing

REPOSITORY = Path(__file__).parents[2]

# One problem a language, with a place for the answer, an answer, and a wrong one.
PROBLEMS = {
    "js": ("""
const largest = (xs) => ANSWER;
const assert = require('node:assert');
assert.deepEqual([largest([3, 9, 4]), largest([-5, -7])], [9, -5]);
""", "Math.max(...xs)", "xs[1]"),
    "java": ("""
import java.util.*;
import org.javatuples.*;
class Problem {
    static Pair<Long, String> ends(List<Long> xs) { return ANSWER; }
    public static void main(String[] args) {
        assert ends(List.of(3L, 9L)).equals(Pair.with(3L, "9"));
    }
}
""", "Pair.with(xs.get(0), xs.get(xs.size() - 1).toString())", 'new Pair<>(xs.get(1), "9")'),
    "cpp": ("""
#include <cassert>
#include <string>
std::string twice(std::string s) { return ANSWER; }
int main() { assert(twice("ab") == "abab"); }
""", "s + s", "s"),
    "php": ("""<?php
function vowels($s) { return ANSWER; }
if (vowels("banana") !== 3) { throw new Exception("Test failed!"); }
""", 'preg_match_all("/[aeiou]/", $s)', "strlen($s)"),
    "rs": ("""
fn halves(xs: Vec<i32>) -> Vec<i32> { ANSWER }
fn main() { assert_eq!(halves(vec![4, 7]), vec![2, 3]); }
""", "xs.iter().map(|x| x / 2).collect()", "xs"),
    "swift": ("""
func tripled(x: Int) -> Int { return ANSWER }
assert(tripled(x: 4) == 12)
""", "x * 3", "x + 3"),
    "ts": ("""
declare var require: any;
const joined = (xs: string[]): string => ANSWER;
require('node:assert').deepEqual(joined(["a", "b"]), "a-b");
""", 'xs.join("-")', 'xs.join("")'),
}  # fmt: skip
ENDINGS = {  # answers that end the program with exit code 0 before its tests
    "js": "process.exit(0)",
    "java": 'Optional.of(1L).map(x -> { System.exit(0); return Pair.with(x, ""); }).get()',
    "cpp": "(std::exit(0), s)",
    "php": "exit(0)",
    "rs": "{ std::process::exit(0) }",
    "swift": "exit(0)",
    "ts": "require('process').exit(0)",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Programs]:
    with Programs(timeout=10) as entered:
        yield entered


def present(language: str) -> None:
    if lack := missing(language):
        pytest.skip(lack)
