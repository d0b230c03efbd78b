"""The peers in their own environment, each as a command that leaves a result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
REQUIREMENTS = BENCHMARKS / "requirements-dedup.txt"
PEERS = {
    "daft": "corpus.parquet",
    "rensa": "corpus.parquet",
    "datasketch": "corpus.parquet",
    "datatrove": "corpus.jsonl",
}
"""Each peer, and the form of the corpus that it reads."""


def environment(folder: Path) -> Path:
    """The Python of the peers' environment, made and filled if it is not there."""
    python = folder / "bin" / "python"
    ready = folder / "requirements.txt"
    if ready.is_file() and ready.read_text() == REQUIREMENTS.read_text():
        return python
    uv = BENCHMARKS.parent / ".uv" / "bin" / "uv"
    if uv.is_file():
        make = [uv, "venv", "--clear", "--python", sys.executable, folder]
        fill = [uv, "pip", "install", "--python", python, "-r", REQUIREMENTS]
    else:
        make = [sys.executable, "-m", "venv", "--clear", folder]
        fill = [python, "-m", "pip", "install", "-r", REQUIREMENTS]
    for argv in (make, fill):
        subprocess.run([*map(str, argv)], check=True)
    ready.write_text(REQUIREMENTS.read_text())
    return python


def command(peer: str, python: Path, corpus: Path, result: Path) -> list[str]:
    """What runs that peer over the corpus in a folder."""
    script = BENCHMARKS / "near_duplicates" / "peers" / f"with_{peer}.py"
    return [str(python), str(script), str(corpus / PEERS[peer]), str(result)]
