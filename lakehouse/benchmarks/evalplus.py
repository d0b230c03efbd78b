"""HumanEval+ and MBPP+ (Liu et al. 2023, arXiv 2305.01210), in either of the published forms.

EvalPlus's own files hold inputs (`base_input`, `plus_input`) and a reference that is run on them
beside the answer, in the tests' process; its data sets on Hugging Face hold whole tests (`test`).
Both become records of one form: task_id, prompt, canonical_solution, entry_point, test, setup.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lakehouse.benchmarks import comparison, records
from lakehouse.benchmarks.literals import literal
from lakehouse.benchmarks.records import Record, called
from lakehouse.benchmarks.shapes import restored
from lakehouse.benchmarks.spec import Evalplus, Spec
from lakehouse.benchmarks.task import Task
from lakehouse.errors import UserError

_COMPARISON = Path(comparison.__file__).read_text(encoding="utf-8")
_DIFFERENTIAL = """import math
inf, nan = float("inf"), float("nan")
reference = {{}}
exec({program!r}, reference)
check({name}, reference[{name!r}], {calls}, {atol!r}, {rule!r}, {alternative})
"""


def tasks(spec: Spec, path: Path, file: str) -> Iterator[Task]:
    """The tasks of a file in one of the two forms."""

    def form(record: Record, where: str) -> Record:
        try:
            return _by_inputs(spec, record) if "base_input" in record else _by_tests(record)
        except (KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
            raise UserError(f"{where}: no record of EvalPlus's: {error!r}") from None

    return records.tasks(spec, path, file, form)


def _by_inputs(spec: Spec, record: Record) -> Record:
    """A record of HumanEvalPlus.jsonl or MbppPlus.jsonl: the answer beside the reference."""
    name, known = record["entry_point"], spec.evalplus
    number = int(record["task_id"].rpartition("/")[2])
    shape = next((s for s, ids in known.inputs.items() if number in ids), "same*")
    calls = [restored(call, shape) for call in [*record["base_input"], *record["plus_input"]]]
    program = spec.fields.program.format_map({**record, "code": record["canonical_solution"]})
    test = _DIFFERENTIAL.format(
        name=name, program=program, calls=literal(calls), atol=record["atol"],
        rule=_rule(known, name), alternative=known.alternatives.get(name),
    )  # fmt: skip
    return {**record, "test": test, "setup": _COMPARISON}


def _rule(known: Evalplus, name: str) -> str:
    return next((rule for rule, names in known.rules.items() if name in names), "")


def _by_tests(record: Record) -> Record:
    """A row of evalplus/humanevalplus or evalplus/mbppplus: its tests as they are."""
    setup = f"{_COMPARISON}\nstand_in_for_numpy()\n"
    if "canonical_solution" in record:
        call = f"check({record['entry_point']})"
        return {**record, "test": f"{record['test']}\n{call}\n", "setup": setup}
    asserts = "\n".join(record["test_list"])
    name = called(asserts, record["code"])[0]
    return {
        "task_id": f"Mbpp/{record['task_id']}", "entry_point": name,
        "prompt": f'"""\n{record["prompt"]}\n{record["test_list"][0]}\n"""\n',
        "canonical_solution": record["code"], "setup": setup,
        "test": "\n".join([*record["test_imports"], f"candidate = {name}", record["test"]]),
    }  # fmt: skip
