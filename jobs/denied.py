"""What was asked to be forgotten, as ingest knows it again: the names that a document goes by.

A document is known by its id, its source, each licence of its SPDX expression, and the
repositories and owners that its origin names. Origins are paths (jobs/readers.py), so those two are
read off their folders: of `acme/tool/src/a.py` the repositories `acme` and `acme/tool`, and the
owner `acme`; of a member of `acme/tool.tar.gz` the repositories `tool`, `acme/tool` and the
archive's first folder, and the owner `acme`. A folder that bears the source's name is none of
these. Of records in JSONL, CSV or Parquet only the file's folders are known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lakehouse.delta import Lake
from lakehouse.tables import TAKEDOWNS

Kind = Literal["document", "source", "repository", "owner", "license"]
Name = tuple[Kind, str]
"""A kind of name, and the name as it is compared."""
REASON = "forgotten"
"""The reason of the rejected row of a record that is kept out; also what a name that was blanked
reads."""
REMEDY = "none: a takedown request keeps it out (ops.takedowns)"
RULES = "takedown/1"
_ENDING = re.compile(r"\.(tar(\.\w+)?|tgz|zip)$", re.IGNORECASE)
_OPERATOR = re.compile(r"[()]| (?:OR|AND|WITH) ")


def mark(identity: str) -> str:
    """The hash by which an id is known once it is forgotten."""
    return hashlib.sha256(identity.encode()).hexdigest()


def row_id(document_id: str, origin: str) -> str:
    """What a record that is kept out is called in ops.rejected_rows: its id and place, hashed."""
    return mark(f"{document_id}\n{origin}")


def name(kind: Kind, value: str) -> Name:
    """A name as it is compared: of a document its mark; a source's is taken as it is written."""
    if kind == "document":
        return kind, mark(value)
    return kind, value if kind == "source" else value.casefold()


def names(source: str, document_id: str, license_: str, origin: str) -> Iterator[Name]:
    """All names that a document goes by."""
    yield name("document", document_id)
    yield name("source", source)
    for part in (license_, *_OPERATOR.split(license_)):
        if part.strip():
            yield name("license", part.strip())
    yield from (name(kind, value) for kind, value in _places(source, origin))


def _places(source: str, origin: str) -> Iterator[Name]:
    """The repositories and owners that an origin names."""
    outer, in_archive, inner = origin.rpartition("!")
    folders = (outer or inner).split("/")
    folders = folders[1:] if len(folders) > 1 and folders[0] == source else folders
    if in_archive:
        *above, archive = folders
        above = [*above, _ENDING.sub("", archive)]
        yield "repository", above[-1]
        if len(above) > 1:
            yield "repository", "/".join(above[-2:])
            yield "owner", above[-2]
        if "/" in inner:
            yield "repository", inner.split("/")[0]
        return
    for depth in range(1, min(len(folders), 3)):
        yield "repository", "/".join(folders[:depth])
    if len(folders) > 2:
        yield "owner", folders[0]


@dataclass(frozen=True, slots=True)
class Denied:
    """The requests by the name that each is about; picklable, for the workers."""

    requests: Mapping[Name, str]

    @classmethod
    def of(cls, lake: Lake) -> Denied:
        """All requests that the lake knows."""
        rows = lake.read(TAKEDOWNS, columns=["kind", "value", "request_id"]).to_pylist()
        return cls({(r["kind"], r["value"]): r["request_id"] for r in rows})

    def request(self, row: Mapping[str, Any]) -> str:
        """The request that keeps this row out: of documents, or one that says why it is none."""
        if not self.requests:
            return ""
        known = names(row["source"], row["document_id"], row["license"], row["origin"])
        return next((self.requests[n] for n in known if n in self.requests), "")


def kept_out(row: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """What the rejected row of a record that is kept out says: that there was one, and why."""
    return {
        "row_id": row_id(row["document_id"], row["origin"]), "source": row["source"],
        "origin": request_id, "reason": REASON, "remedy": REMEDY, "evidence": "{}",
    }  # fmt: skip
