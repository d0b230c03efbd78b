"""What every benchmark of the docs is given to run in seconds or a few minutes, in the project."""

from __future__ import annotations

SMALL = {
    "cluster": "--work {work} --documents 300 --days 1",
    "command": "--work {work} --pairs 100 --days 2 --rounds 1",
    "contamination": "{work}/corpus.json --benchmarks human_eval --show 20",
    "corpus": "--work {work} --documents 300 --days 2 --profile smollm2",
    "dedup": "--work {work} --documents 3000 --rounds 1 --parts compare,growth,increment "
    "--peers daft,rensa",
    "faults": "--work {work} --kills 3 --days 1 --parts chain",
    "generate": "--work {work} --snippets 2 --samples 2 --ends",
    "orders": "--work {work} --documents 600 --days 3 --orders 1",
    "page": "--days 30 --rounds 1",
    "quiet_days": "--lakes 1",
    "roundtrip": "--work {work} --functions 4 --samples 2 --profile tiny",
    "sandbox": "--rounds 1 --tasks 8",
    "seed_intervals": "--runs 2 --tasks 10",
    "skew": "--work {work} --scale 0.002",
    "suites": "human_eval",
    "train": "--work {work} --data {work}/corpus.json --batch 2 --steps 2 --rounds 1",
}
CORPUS = [
    {"instruction": f"Return {n} times the number.", "input": "",
     "output": f"def times(x):\n    return {n} * x"}
    for n in range(2, 12)
]  # fmt: skip
"""The file that some of them read, a list as code_alpaca's."""
