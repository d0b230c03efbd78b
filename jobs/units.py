"""A source file's functions, methods and classes, by tree-sitter; one walker for all languages.

What a unit is (docs/adr/2026-11-25-units-of-code.md): a definition with a body, with the
decorators, attributes and doc comment that belong to it. A function within a function belongs to
that one; a function within a class or an object is its method; a callback without a name is none.
What the parser cannot read is damage: it spoils the units that it touches, and no others.
"""

from __future__ import annotations

import inspect
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tree_sitter import Node, QueryCursor

from jobs import grammars
from jobs.grammars import Grammar

Kind = Literal["function", "method", "class", "block"]
Span = tuple[int, int]
"""First byte, and the one after the last."""
_MARKS = re.compile(r"^[ \t]*(?:/\*[*!]*|///|//!|//|\*(?!/))?[ \t]?|\*/[ \t]*$", re.MULTILINE)
_BLANK = b" \t\n\r\f\v"


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of code and where it lies; lines count from 1, both ends included."""

    kind: Kind
    language: str
    text: str
    """The code: its lines, less the indentation of the first."""
    start_line: int
    end_line: int
    name: str = ""
    signature: str = ""
    docstring: str = ""
    parent: str = ""
    """The enclosing classes and (JavaScript) named objects, outermost first, joined by dots."""
    damaged: bool = False
    """Whether some of it could not be parsed."""


@dataclass(slots=True)
class _Definition:
    """A definition as the query found it, and what it was captured with."""

    node: Node
    kind: Kind
    is_object: bool = False
    """It holds functions as a class does, but is no unit: most hold settings."""
    captures: dict[str, list[Node]] = field(default_factory=dict)

    def first(self, capture: str) -> Node | None:
        return self.captures.get(capture, [None])[0]

    def text(self, capture: str) -> str:
        return "".join(map(_text, self.captures.get(capture, [])))


@dataclass(slots=True)
class _Found:
    """All that the query found: definitions in order, and what belongs to them."""

    definitions: list[_Definition]
    wrappers: dict[int, Node]
    """By the id of the node that they wrap."""
    leading: dict[int, tuple[str, Node]]
    """Attributes, doc comments and directives, with which of them they are, by their last byte."""


def of_file(text: str, language: str) -> list[Unit]:
    """The units of a file of a language that has a grammar, in their order.

    Damage outside of all units is a damaged block. Never raises, whatever the text; empty where
    there is neither a definition nor damage.
    """
    raw = (unix(text) + "\n").encode()  # some grammars want the last line ended
    best: list[Unit] = []
    for place, grammar in enumerate(grammars.load(language)):
        found = _Reading(raw, language, grammar).units()
        if place == 0 or _merit(found) > _merit(best):
            best = found
        if best and not any(u.damaged for u in best):
            break
    return best


def parses(text: str, language: str) -> bool:
    """Whether a grammar of the language reads the text without damage, or it has no grammar."""
    raw = (unix(text) + "\n").encode()
    read = [grammar.parser.parse(raw).root_node for grammar in grammars.load(language)]
    return not read or any(not root.has_error for root in read)


def whole(text: str, language: str) -> Unit:
    """All of a text as one block, but for blank lines at its ends."""
    lines = unix(text).split("\n")
    filled = [i for i, line in enumerate(lines, 1) if line.strip()] or [1]
    first, last = filled[0], filled[-1]
    return Unit("block", language, "\n".join(lines[first - 1 : last]), first, last)


def unix(text: str) -> str:
    """The text with its line ends as line feeds."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _merit(units: list[Unit]) -> tuple[bool, int]:
    """A reading is better that finds anything intact, then one with fewer damaged lines."""
    damaged = sum(u.end_line - u.start_line + 1 for u in units if u.damaged)
    return any(not u.damaged for u in units), -damaged


class _Reading:
    """One file as one grammar sees it."""

    def __init__(self, raw: bytes, language: str, grammar: Grammar) -> None:
        self._raw, self._language, self._grammar = raw, language, grammar
        self._root = grammar.parser.parse(raw).root_node
        self._found = _found(self._root, grammar)

    def units(self) -> list[Unit]:
        """Every unit in order, then the damage outside of them."""
        read, misread = self._found.definitions, []
        if self._grammar.named:
            misread = [d.node for d in read if not d.first("name")]
            read = [d for d in read if d.first("name")]
        errors, damage = _damage(self._root, self._grammar, misread)
        units: list[Unit] = []
        intact: list[Span] = []
        spoilt: list[Span] = []
        for definition, parents in _outermost(read):
            unit, span = self._unit(definition, parents)
            if _within(span, errors) and (unit.damaged or not self._at_margin(span)):
                continue
            units.append(unit)
            (spoilt if unit.damaged else intact).append(span)
        spoilt = _disjoint(spoilt)
        outside = [span for span in damage if not _within(span, spoilt)]
        return [*units, *self._lost(outside, _disjoint(intact))]

    def _unit(self, definition: _Definition, parents: list[str]) -> tuple[Unit, Span]:
        """A definition as a unit, and its place in bytes."""
        raw = self._raw
        node = definition.node
        while node.id in self._found.wrappers:
            node = self._found.wrappers[node.id]
        leading = self._leading(node)
        first, end = leading[0][1] if leading else node, node.end_byte
        start, line = first.start_byte, first.start_point.row + 1
        if definition.kind == "class" and raw[end : end + 1] == b";":  # C++
            end += 1
        code = raw[start:end].rstrip()
        indent = raw[start - first.start_point.column : start]
        if indent and not indent.strip():
            code = code.replace(b"\n" + indent, b"\n")
        name, scopes = _qualified(definition.first("name"))
        parents = [*parents, definition.text("parent") or scopes]
        in_class = definition.kind == "function" and any(parents)
        comments = [_text(n) for label, n in leading if label == "comment"]
        damaged = any(n.has_error for n in (node, *(n for _, n in leading)))
        unit = Unit(
            "method" if in_class else definition.kind, self._language,
            code.decode(errors="replace"), line, line + code.count(b"\n"), name,
            self._signature(definition),
            inspect.cleandoc(definition.text("doc")) or _uncommented(comments),
            ".".join(filter(None, parents)), damaged,
        )  # fmt: skip
        return unit, (start, end)

    def _leading(self, node: Node) -> list[tuple[str, Node]]:
        """Attributes and doc comments right above a node, no blank line between, in their order.

        A remark in between, such as a linter's, does not part them.
        """
        raw, at, first = self._raw, node.start_byte, node
        found: list[tuple[str, Node]] = []
        while True:
            end = at
            while end and raw[end - 1] in _BLANK:
                end -= 1
            above, remark = self._found.leading.get(end), first.prev_sibling
            if raw.count(b"\n", end, at) > 1:
                return found
            if above is None:
                if remark is None or not remark.is_extra:
                    return found
                first, at = remark, remark.start_byte
                continue
            label, leader = above
            first, at = leader, leader.start_byte
            before = raw[at - leader.start_point.column : at]
            if label != "attribute" and before.strip():  # it is about what stands before it
                return found
            found.insert(0, above)

    def _signature(self, definition: _Definition) -> str:
        """The definition up to its body, on one line, without comments."""
        body = definition.first("body")
        end = body.start_byte if body else definition.node.end_byte
        pieces, at = [], definition.node.start_byte
        for child in definition.node.children:
            if child.is_extra and child.end_byte <= end:
                pieces.append(self._raw[at : child.start_byte])
                at = child.end_byte
        head = b" ".join([*pieces, self._raw[at:end]]).decode(errors="replace")
        return " ".join(head.split()).rstrip(" :{")

    def _at_margin(self, span: Span) -> bool:
        """Whether it begins its line: amid damage such a definition is trusted, a member is not."""
        return span[0] == 0 or self._raw[span[0] - 1] == ord("\n")

    def _lost(self, damage: list[Span], intact: list[Span]) -> Iterator[Unit]:
        """Damage outside of units as blocks: one between any two intact units."""
        gaps: dict[int, Span] = {}
        for start, end in _without(damage, intact):
            if start == end or self._raw[start:end].strip():
                place = bisect_right(intact, (start, sys.maxsize))
                gaps[place] = (gaps.get(place, (start, end))[0], end)
        line, counted = 1, 0
        for start, end in gaps.values():
            text = self._raw[start:end].strip()
            # what is missing at the end lies on the last line, not after its line feed
            start = min(self._raw.find(text, start), len(self._raw) - 1)
            line, counted = line + self._raw.count(b"\n", counted, start), start
            yield Unit("block", self._language, text.decode(errors="replace"), line,
                       line + text.count(b"\n"), damaged=True)  # fmt: skip


def _found(root: Node, grammar: Grammar) -> _Found:
    """Every definition once, with the captures of all patterns that match it."""
    definitions: dict[int, _Definition] = {}
    found = _Found([], {}, {})
    for _, captures in QueryCursor(grammar.definitions).matches(root):
        for label in ("attribute", "comment", "directive"):
            for node in captures.get(label, ()):
                # a line comment of some grammars takes its line feed with it
                end = node.end_byte - (node.end_point.column == 0)
                found.leading[end] = (label, node)
        if "wrapper" in captures:
            found.wrappers[captures["wrapped"][0].id] = captures["wrapper"][0]
        for label, (node, *_) in captures.items():
            if label.startswith("definition."):
                kind: Any = label.removeprefix("definition.")
                as_class = _Definition(node, "class", is_object=True)
                made = as_class if kind == "object" else _Definition(node, kind)
                held = definitions.setdefault(node.id, made)
                if kind == "class":  # whatever else it looks like
                    held.kind = kind
                for name, nodes in captures.items():
                    held.captures.setdefault(name, nodes)
    found.definitions = sorted(
        definitions.values(), key=lambda d: (d.node.start_byte, -d.node.end_byte)
    )
    return found


def _outermost(found: list[_Definition]) -> Iterator[tuple[_Definition, list[str]]]:
    """Those that lie in no function, each with the names of what it lies in.

    A function whose end is missing swallows what follows: what begins a line there is not its own.
    """
    around: list[_Definition] = []
    for definition in found:
        while around and around[-1].node.end_byte <= definition.node.start_byte:
            around.pop()
        inner = bool(around) and around[-1].kind != "class"
        if inner and not (around[-1].node.has_error and definition.node.start_point.column == 0):
            continue
        if not definition.is_object:
            yield definition, [] if inner else [d.text("name") for d in around]
        around.append(definition)


def _qualified(node: Node | None) -> tuple[str, str]:
    """A name and the scopes before it (C++), these without their template arguments."""
    scopes = []
    while node and node.type == "qualified_identifier":
        if scope := node.child_by_field_name("scope"):
            scopes.append(_text(scope.child_by_field_name("name") or scope))
        node = node.child_by_field_name("name")
    name = _text(node) if node else ""
    if node and (inner := node.child_by_field_name("declarator")):  # operator bool() const
        declared = _text(inner)
        name = name.removesuffix(declared) + declared.partition("(")[0]
    return name.rstrip(), "::".join(scopes)


def _uncommented(comments: list[str]) -> str:
    """What comments say, without their marks."""
    said = _MARKS.sub("", "\n".join(c.rstrip("\n") for c in comments))
    return "\n".join(line.rstrip(" \t") for line in said.split("\n")).strip()


def _damage(root: Node, grammar: Grammar, misread: list[Node]) -> tuple[list[Span], list[Span]]:
    """(what the parser skipped or misread, the same and what it completed), disjoint, in order."""
    found = QueryCursor(grammar.damage).captures(root) if root.has_error else {}
    errors = [(n.start_byte, n.end_byte) for n in [*found.get("error", []), *misread]]
    # what is missing has no extent of its own: what lacks it has
    lacking = [n for n in found.get("lacking", []) if n != root] or found.get("missing", [])
    return _disjoint(errors), _disjoint([*errors, *((n.start_byte, n.end_byte) for n in lacking)])


def _disjoint(spans: list[Span]) -> list[Span]:
    """The spans in their order, those that overlap joined."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _without(spans: list[Span], holes: list[Span]) -> Iterator[Span]:
    """The spans less the holes; both disjoint and in order."""
    for start, end in spans:
        at, empty = start, start == end
        place = max(bisect_right(holes, (start, sys.maxsize)) - 1, 0)
        while place < len(holes) and holes[place][0] < end:
            if holes[place][0] > at:
                yield at, holes[place][0]
            at = max(at, holes[place][1])
            place += 1
        if at < end or empty:
            yield at, end


def _within(span: Span, disjoint: list[Span]) -> bool:
    """Whether one of the disjoint spans holds this one."""
    place = bisect_right(disjoint, (span[0], sys.maxsize)) - 1
    return place >= 0 and span[1] <= disjoint[place][1]


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
