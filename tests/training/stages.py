"""Runs stages as their own processes without each of them importing torch and DeepSpeed anew.

    python stages.py RECIPES    # reads one JSON list a line: [module, argv, environment]

One process imports what they need, then forks: each fork is a real process with the stage's real
command line, and can be killed like one. Answers with the process id, then with the exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from pathlib import Path

ANSWERS = os.fdopen(os.dup(1), "w")  # DeepSpeed prints to stdout as it is imported
os.dup2(2, 1)


def main() -> None:
    from training import recipes

    recipes.FOLDER = Path(sys.argv[1])
    for needed in ("deepspeed", "transformers.models.llama", "safetensors.torch", "deltalake",
                   "pyarrow.dataset", "training.prepare", "training.finetune"):  # fmt: skip
        importlib.import_module(needed)
    gc.freeze()  # else the first collection of each fork copies all that was imported
    for line in sys.stdin:
        module, argv, out = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(module, argv, out)
        tell(child)
        _, status = os.waitpid(child, 0)
        tell(os.waitstatus_to_exitcode(status))


def tell(number: int) -> None:
    ANSWERS.write(f"{number}\n")
    ANSWERS.flush()


def _run(module: str, argv: list[str], out: str) -> None:
    from lakehouse.command import entry

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{out}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        entry(importlib.import_module(module).STAGE, argv=argv)
    finally:
        os._exit(70)  # entry ends the process itself


if __name__ == "__main__":
    main()
