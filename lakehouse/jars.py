"""Delta's jars: fetched once from Maven Central, pinned by sha256, then used from a folder.

`python -m lakehouse.jars` fetches what is missing (`make setup` does it). Spark never resolves
anything at start-up: it is quicker, works offline, and what ran is what was pinned.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
import urllib.request
from pathlib import Path

from lakehouse.errors import LakeError, ServiceError, UserError

PINS = Path(__file__).parent / "jars.toml"
FOLDER = Path(os.environ.get("LAKE_JARS") or Path(__file__).parent.parent / ".jars")


def pins() -> dict[str, str]:
    """Path below the Maven repository -> sha256."""
    table: dict[str, str] = tomllib.loads(PINS.read_text())["sha256"]
    return table


def repository() -> str:
    """Maven Central, or the mirror that `LAKE_MAVEN` names."""
    central: str = tomllib.loads(PINS.read_text())["repository"]
    return os.environ.get("LAKE_MAVEN", central).rstrip("/")


def paths() -> str:
    """The jars as `spark.jars` wants them; UserError if they have not been fetched."""
    files = [FOLDER / Path(p).name for p in pins()]
    if missing := [f.name for f in files if not f.is_file()]:
        raise UserError(f"Delta's jars are missing ({', '.join(missing)}): run `make setup`")
    return ",".join(str(f) for f in files)


def unfit() -> list[str]:
    """The pinned jars that are missing or not what their pin says."""
    files = {FOLDER / Path(path).name: sha256 for path, sha256 in pins().items()}
    return [f.name for f, sha256 in files.items() if not f.is_file() or _sha256(f) != sha256]


def fetch() -> None:
    """Download what is missing, verify it, and put it in place by rename."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, sha256 in pins().items():
        target = FOLDER / Path(path).name
        if target.is_file() and _sha256(target) == sha256:
            continue
        url = f"{repository()}/{path}"
        partial = target.with_suffix(".partial")
        try:
            with urllib.request.urlopen(url, timeout=120) as answer:
                partial.write_bytes(answer.read())
        except OSError as error:
            raise ServiceError(
                f"cannot fetch {url}: {error}. Check the network, or name a mirror in LAKE_MAVEN"
            ) from error
        if (found := _sha256(partial)) != sha256:
            raise ServiceError(f"{url}: sha256 is {found}, the pin says {sha256}; not used")
        partial.rename(target)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        fetch()
    except LakeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
