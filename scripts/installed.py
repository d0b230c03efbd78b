"""Exit code 1 unless all that `uv sync` installs directly is there (`make setup` asks)."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
project = pyproject["project"]


def named(requirements: list[str]) -> Iterator[str]:
    """The packages that these name, with those of the extras of our own that they name."""
    for requirement in requirements:
        name, *extras = re.findall(r"[\w.-]+", re.split(r"[<>=!~;]", requirement, maxsplit=1)[0])
        yield name
        if name == project["name"]:
            for extra in extras:
                yield from named(project["optional-dependencies"][extra])


try:
    for package in named([*project["dependencies"], *pyproject["dependency-groups"]["dev"]]):
        version(package)
except PackageNotFoundError as lacking:
    sys.exit(f"setup: {lacking}; installing what is missing")
