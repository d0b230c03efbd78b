"""Sealed folders: a manifest holds the sha256 of every file, so that a damaged one is told."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

MANIFEST = "manifest.json"


def verified(folder: Path, only: Collection[str] = ()) -> str | None:
    """sha256 over the manifest if every file is what it says; None if not, or if there is none.

    `only`: these files alone are read.
    """
    try:
        files: dict[str, str] = json.loads((folder / MANIFEST).read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that was cut short
        return None
    if not isinstance(files, dict) or not files:  # it vouches for nothing
        return None
    for name in only or files:
        if not (folder / name).is_file() or _sha256(folder / name) != files.get(name):
            return None
    return _total(files)


def seal(folder: Path) -> str:
    """Write the manifest of a folder's files; their common sha256."""
    files = {
        str(p.relative_to(folder)): _sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != MANIFEST
    }
    for name in files:
        with (folder / name).open("rb") as handle:
            os.fsync(handle.fileno())  # a rename must not outlive what it names
    (folder / MANIFEST).write_text(json.dumps({"sha256": files}, indent=1))
    return _total(files)


def digest(folder: Path) -> str:
    """sha256 over a folder that is not ours to seal: by its manifest, or by reading every file."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return verified(folder) or _total({str(p.relative_to(folder)): _sha256(p) for p in files})


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _total(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
