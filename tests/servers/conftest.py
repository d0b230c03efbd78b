"""What `make servers` runs: settings that name other machines, tried against real servers here.

Not among `make test`'s paths: the servers are fetched by that command, and take minutes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def servers() -> Path:
    """The Python of the environment that the servers are installed in."""
    python = PROJECT / ".servers" / "bin" / "python"
    if not python.is_file():
        pytest.fail("no servers in .servers: run `make servers`")
    return python
