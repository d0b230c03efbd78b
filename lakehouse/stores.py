"""File systems behind URIs, as Arrow opens them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import UserError, masked

if TYPE_CHECKING:
    from pyarrow import fs

_CODE = Path(__file__).resolve().parents[1]
_S3 = ("s3", "s3a", "s3n")
_NOT_IN_A_PATH = r"[]\^|%#?"
"""What delta-rs, which makes a URL of a folder, cannot write to, finds no history below, or takes
for an escape."""


def own() -> Path:
    """Where a lake lies if nobody says: `.lake` of the checkout, wherever one is.

    Of the current folder where the code is an installed package: what it lies in is replaced with
    the next version.
    """
    return (_CODE if (_CODE / "pyproject.toml").is_file() else Path.cwd()) / ".lake"


def root(place: str) -> str:
    """A lake's place as given, a folder's in full; UserError for a folder that Delta cannot use."""
    if "://" in place:
        return place
    folder = str(Path(place).resolve())
    if held := sorted({c for c in folder if c in _NOT_IN_A_PATH or ord(c) < ord(" ")}):
        raise UserError(f"{folder!r}: a lake's folder cannot have {' '.join(map(repr, held))} in "
                        f"its path, nor any of {' '.join(_NOT_IN_A_PATH)} or of what ends a line: "
                        "set LAKE_ROOT to another")  # fmt: skip
    if Path(folder).is_file():
        raise UserError(f"{folder} is a file: set LAKE_ROOT to the folder of a lake, or a new one")
    return folder


def is_simple(uri: str) -> bool:
    """Whether it is a path or S3: where Arrow and delta-rs go by the same settings."""
    scheme, has_one, _ = uri.partition("://")
    return not has_one or scheme in _S3


def endpoint() -> str:
    """The address of an S3-compatible store, of the environment; empty: Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def region() -> str:
    """S3's region, of the environment; may be empty."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def store(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI or path, and the path in it; UserError where there is none.

    S3's endpoint and region are those of AWS's environment variables.
    """
    import pyarrow as pa
    from pyarrow import fs

    scheme, has_one, path = uri.partition("://")
    if not has_one:
        return fs.LocalFileSystem(), uri
    try:
        if scheme in _S3:
            protocol, _, host = (endpoint() or "https://").rpartition("//")
            files = fs.S3FileSystem(
                endpoint_override=host or None, scheme=protocol.rstrip(":") or "https",
                region=region() or None,
                connect_timeout=5, request_timeout=30,
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
            )  # fmt: skip
            return files, path.strip("/")
        return fs.FileSystem.from_uri(uri)  # type: ignore[no-any-return]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ImportError) as error:
        raise UserError(masked(f"{uri}: not a place that can be read: {error}")) from None
