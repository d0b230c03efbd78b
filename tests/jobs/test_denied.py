"""The names that a document goes by, and what ingest lets through of what is to be forgotten."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from jobs import denied, ingest, sources
from jobs.denied import Denied
from jobs.readers import READERS
from lakehouse.settings import load

DAY = dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("origin", "repositories", "owners"),
    [
        ("acme/tool/src/a.py", {"acme", "acme/tool"}, {"acme"}),
        ("tool/a.py", {"tool"}, set()),
        ("a.py", set(), set()),
        ("hub/acme/tool/a.py", {"acme", "acme/tool"}, {"acme"}),  # the source's own name
        ("acme/tool.tar.gz!tool-1.2/src/a.py", {"tool", "acme/tool", "tool-1.2"}, {"acme"}),
        ("Tool.ZIP!a.py", {"tool"}, set()),
        ("acme/tool/data.jsonl:12", {"acme", "acme/tool"}, {"acme"}),
        ("data.parquet#3", set(), set()),
    ],
)
def test_repositories_and_owners_are_read_off_an_origin(
    origin: str, repositories: set[str], owners: set[str]
) -> None:
    known = list(denied.names("hub", "d", "MIT", origin))
    assert {v for k, v in known if k == "repository"} == repositories
    assert {v for k, v in known if k == "owner"} == owners


@pytest.mark.parametrize(
    ("kind", "value", "kept_out"),
    [
        ("document", "d", True), ("document", "D", False), ("source", "hub", True),
        ("repository", "ACME/Tool", True), ("repository", "acme/too", False),
        ("owner", "Acme", True), ("owner", "tool", False),
        ("license", "gpl-3.0-only", True), ("license", "MIT OR GPL-3.0-only", True),
        ("license", "GPL", False),
    ],
)  # fmt: skip
def test_a_name_is_compared_whole(kind: denied.Kind, value: str, kept_out: bool) -> None:
    known = Denied({denied.name(kind, value): "request"})
    row = {"source": "hub", "document_id": "d", "license": "MIT OR GPL-3.0-only",
           "origin": "acme/tool/a.py"}  # fmt: skip
    assert bool(known.request(row)) == kept_out


def test_what_is_kept_out_is_a_rejected_row_without_its_text_or_names(tmp_path: Path) -> None:
    for name in ("acme/tool/a", "other/lib/b"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(f"SECRET = {name!r}\n")
    (tmp_path / "acme" / "tool" / "bad.py").write_bytes(b"SECRET \xff\xfe")
    settings = load("tiny", ["corpus.sources=local", f"local.path={tmp_path}"])
    (source,) = sources.chosen(settings)
    known = Denied({("repository", "acme/tool"): "request"})
    items, read = READERS[source.reader]
    rows = [
        ingest._allowed(ingest.row(record, source, DAY), known)
        for item in items(source, settings, DAY) for record in read(item, source, settings, DAY)
    ]  # fmt: skip
    assert len(rows) == 3  # no record vanishes
    left = [r for r in rows if r["reason"] == denied.REASON]
    assert len({r["document_id"] for r in left}) == 2
    assert {r["origin"] for r in left} == {"request"}
    assert not [r for r in left if "SECRET" in str(r) or "acme" in str(r)]
    (other,) = [r for r in rows if not r["reason"]]
    assert "SECRET" in other["content"]
