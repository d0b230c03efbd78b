"""What the engines say when a file of the lake is lost or damaged, as what a person can do then.

DuckDB and Spark name such a file in full, Arrow within its table at most, delta-rs either; none of
them says that it is one of the lake's, nor what to do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lakehouse.errors import UserError

if TYPE_CHECKING:
    from lakehouse.delta import Lake
    from lakehouse.tables import Table

_ARROW = re.compile(
    r"Object at location \S.*\.parquet not found|Parquet magic bytes not found|"
    r"Requested range was invalid|Corrupt \w+ compressed data|Could not open Parquet input source|"
    r"Unexpected end of stream|Invalid BYTE_ARRAY value|Invalid flatbuffers message"
)
"""Of Arrow and delta-rs, who read nothing but the lake's tables for us."""
_OTHERS = re.compile(
    r"No files found|No magic bytes found|too small to be a Parquet file|"
    r"\[(?:PATH_NOT_FOUND|FAILED_READ_FILE\.\w+)\]"
)
"""Of DuckDB and Spark, who also read files that are none of the lake's."""
_FILE = re.compile(r"(?:(\w+)/(\w+)/)?((?:\w+=[^/'\"\n]*/)?[^/'\" \n]+\.parquet)")
_LOG = re.compile(r"Kernel error: .*(?:Json error|Expected contiguous commit files|checkpoint)")

_FOREIGN = re.compile(r"no kernel matching input types \([^)]*_view")
"""Of Arrow, about a file that delta-rs wrote by a DELETE of its own: its texts are views."""
_RESTORE = UserError(
    "a table holds files that somebody has written by a DELETE, UPDATE or MERGE from outside, "
    "which cannot be compared with others: `lake describe TABLE` lists the versions without a "
    "stage and run, `lake restore TABLE --version N` makes it what it was before (section 17 of "
    "docs/runbook.md)"
)
_REMEDY = ("`lake doctor` lists the tables that cannot be read and the files that are missing. "
           "Put them back from a backup, or see section 17 of docs/runbook.md: "
           "`lake repair`")  # fmt: skip


def missing(lake: Lake, table: Table) -> dict[str, list[Path]]:
    """By partition value the data files of a table that are not there, or cut; of a folder alone.

    A stage that has nothing to do would not read them: who only looks at the log sees them all.
    """
    found = lake.open(table)
    if found is None or "://" in lake.root or lake.is_empty(table):
        return {}
    actions = found.get_add_actions(flatten=True)
    sizes = actions["size_bytes"].to_pylist()
    parts = (actions[f"partition.{table.partition}"].to_pylist() if table.partition
             else [""] * len(sizes))  # fmt: skip
    lost: dict[str, list[Path]] = {}
    for file, size, part in zip(actions["path"].to_pylist(), sizes, parts, strict=True):
        path = Path(lake.uri(table)) / unquote(file)
        if not path.is_file() or path.stat().st_size != size:
            lost.setdefault(str(part), []).append(path)
    return lost


def of_data(message: str) -> UserError | None:
    """For a message about a data file that is lost, damaged or another writer's; else None."""
    from lakehouse.tables import TABLES

    if _FOREIGN.search(message):
        return _RESTORE
    found = _FILE.search(message)
    file = found[3] if found else ""
    name = f"{found[1]}.{found[2]}" if found else ""
    if name not in TABLES:
        name = ""
    if not (_ARROW.search(message) or (name and _OTHERS.search(message))):
        return None
    return of_file(name or "a table", file)


def of_file(table: str, file: str) -> UserError:
    """That a data file is lost or damaged, as far as it is known which."""
    named = f": {file}" if file else ""
    return UserError(f"a data file of {table} is lost or damaged{named}. {_REMEDY}")


def of_log(table: str, message: str) -> UserError | None:
    """For a message that a table's log cannot be read; None for any other message."""
    if not (found := _LOG.search(message)):
        return None
    return UserError(f"the log of {table} is lost or damaged ({found[0][:200]}). {_REMEDY}")
