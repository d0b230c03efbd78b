"""Running a function of a snippet in the sandbox, and comparing what two functions do.

`program` says whether code can be run by itself and how it is called, `inputs` what it is called
with, `observe` is what runs in the jail beside it, `agreement` compares what was seen, by `same`.
"""

from __future__ import annotations

from pathlib import Path

SOURCE = tuple(sorted(p for p in Path(__file__).parent.iterdir() if p.suffix in (".py", ".toml")))
"""Its files: what they say decides what is seen."""
