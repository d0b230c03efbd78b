"""What of a benchmark's record is sought in training data: its words and its code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping

from lakehouse.benchmarks.spec import Decontaminate
from lakehouse.benchmarks.task import Text
from lakehouse.errors import UserError

_EXAMPLES = re.compile(r"^\s*(?:>>>|(?:for )?examples?\b)", re.IGNORECASE | re.MULTILINE)
_COMMENT = re.compile(r"^\s*(?:///?|--|;;+|#(?= ))(.*)$", re.MULTILINE)


def texts(chosen: Decontaminate, said: Mapping[str, str], where: str) -> Iterator[Text]:
    """The statement, its prose without the examples, that without its opening; the code."""
    statement = said["statement"]
    if chosen.statement_in == "docstring":
        statement = _docstring(said["program"], said["entry_point"], where)
    elif chosen.statement_in == "comments":
        statement = "\n".join(_COMMENT.findall(statement))
    prose = _EXAMPLES.split(statement, maxsplit=1)[0]
    bare = re.sub(rf"\A(?:{chosen.opening})", "", prose, flags=re.IGNORECASE)
    yield from (Text("statement", t) for t in dict.fromkeys((statement, prose, bare)) if t.strip())
    exempt = {" ".join(text.split()) for text in chosen.exempt}
    if said["code"].strip() and " ".join(said["code"].split()) not in exempt:
        yield Text("code", said["code"])


def _docstring(code: str, function: str, where: str) -> str:
    """The function's docstring, or the first text that stands alone: code may precede it."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:  # the latter for a NUL character
        raise UserError(
            f"{where}: its program is not Python, so it has no docstring: {error}; in the "
            "benchmark's TOML, set decontaminate.statement_in to whole or comments"
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.get_docstring(node) or _first_text(node)
    return ""


def _first_text(function: ast.FunctionDef) -> str:
    for node in function.body:
        match node:
            case ast.Expr(ast.Constant(str(text))):
                return inspect.cleandoc(text)
    return ""
