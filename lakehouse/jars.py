"""Java, and what Spark needs besides: jars fetched once from Maven Central, pinned by sha256.

`python -m lakehouse.jars` fetches what is missing of Delta's (`make setup` does it), and with the
word `s3` of those with which Spark reads and writes a lake on a store. Spark never resolves
anything at start-up: it is quicker, works offline, and what ran is what was pinned.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Literal, get_args

from lakehouse.errors import LakeError, ServiceError, UserError

PINS = Path(__file__).parent / "jars.toml"
Kind = Literal["delta", "s3"]
REMEDIES: dict[Kind, str] = {"delta": "make setup", "s3": "python -m lakehouse.jars s3"}
"""What fetches them."""
_WHOSE: dict[Kind, str] = {"delta": "Delta's", "s3": "Hadoop's S3A's"}
FOLDER = Path(os.environ.get("LAKE_JARS") or Path(__file__).parent.parent / ".jars")


def require_java() -> None:
    """UserError unless there is a Java where Spark looks for one."""
    home = os.environ.get("JAVA_HOME")
    if shutil.which(f"{home}/bin/java" if home else "java") is None:
        where = f"JAVA_HOME is {home!r}, which holds no bin/java" if home else "no java on PATH"
        raise UserError(
            f"Java is missing ({where}): install a JDK 17 or newer (Debian: "
            "openjdk-17-jre-headless), or set JAVA_HOME to one"
        )


def pins(kind: Kind = "delta") -> dict[str, str]:
    """Path below the Maven repository -> sha256."""
    table: dict[str, str] = tomllib.loads(PINS.read_text())[kind]
    return table


def repository() -> str:
    """Maven Central, or the mirror that `LAKE_MAVEN` names."""
    central: str = tomllib.loads(PINS.read_text())["repository"]
    return os.environ.get("LAKE_MAVEN", central).rstrip("/")


def needed(root: str) -> tuple[Kind, ...]:
    """Which of them Spark needs for a lake at that root."""
    return ("delta", "s3") if is_s3a(root) else ("delta",)


def is_s3a(root: str) -> bool:
    """Whether Spark reads and writes a lake at that root by Hadoop's S3A."""
    return root.startswith("s3a://")


def paths(root: str) -> str:
    """The jars for a lake there, as `spark.jars` wants them; UserError if one was not fetched."""
    found: list[str] = []
    for kind in needed(root):
        files = [FOLDER / Path(p).name for p in pins(kind)]
        if missing := [f.name for f in files if not f.is_file()]:
            raise UserError(f"{_WHOSE[kind]} jars are missing ({', '.join(missing)}): "
                            f"run `{REMEDIES[kind]}`")  # fmt: skip
        found += map(str, files)
    return ",".join(found)


def unfit(kind: Kind = "delta") -> list[str]:
    """The pinned jars that are missing or not what their pin says."""
    files = {FOLDER / Path(path).name: sha256 for path, sha256 in pins(kind).items()}
    return [f.name for f, sha256 in files.items() if not f.is_file() or _sha256(f) != sha256]


def fetch(kind: Kind = "delta") -> None:
    """Download what is missing, verify it, and put it in place by rename."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, sha256 in pins(kind).items():
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", default="delta", choices=get_args(Kind))
    try:
        fetch(parser.parse_args().kind)
    except LakeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
