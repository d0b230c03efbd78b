"""Exit code 1 unless every package that pyproject.toml names is installed (`make setup` asks)."""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
extras = project["project"]["optional-dependencies"].values()
required = sum(extras, [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]])
try:
    for requirement in required:
        version(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
except PackageNotFoundError as lacking:
    sys.exit(f"setup: {lacking}; installing what is missing")
