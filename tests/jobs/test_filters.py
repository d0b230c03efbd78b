"""Which documents and snippets are held back, and why."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from jobs import filters
from jobs.signals import Signals
from lakehouse.schemas import arrow_schema
from lakehouse.sections import Filters
from lakehouse.tables import DOCUMENTS

DAY = dt.date(2026, 11, 1)
CLEAN = Signals(license="MIT", longest_line=40, alphanumeric_fraction=0.6)
SCHEMA = pa.schema([f for f in arrow_schema(DOCUMENTS)
                    if f.name in {*filters.SEEN, "ds", "source", "document_id"}])  # fmt: skip
Document = dict[str, Any]


def document(kind: str = "code", **changed: Any) -> Document:
    return {**asdict(CLEAN), "kind": kind, "origin": "a.py", **changed}


def verdicts(documents: Sequence[Document], chosen: Filters) -> list[dict[str, Any]]:
    """Of each document its rejected row, or none."""
    rows = pa.Table.from_pylist(
        [{"ds": DAY, "source": "s", "document_id": str(n), **d} for n, d in enumerate(documents)],
        schema=SCHEMA,
    )
    found = {int(r["row_id"]): r for r in filters.rejections(rows, chosen).to_pylist()}
    held_back = filters.held_back(rows, chosen)
    assert found.keys() == set(np.flatnonzero(held_back))
    return [found.get(n, {"reason": ""}) for n in range(len(documents))]


CASES: list[tuple[Document, str]] = [
    (document(), ""),
    (document("instruction"), ""),
    (document(license="unknown"), ""),
    (document(license="PSF-2.0"), ""),
    (document(license="CC0-1.0"), ""),
    (document(license="GPL-3.0-only"), "licence not allowed"),
    (document(license="NOASSERTION"), "licence not allowed"),
    (document(license="ask Bob"), "licence not allowed"),
    (document(license="Apache-2.0 OR GPL-3.0-only"), ""),
    (document(license="GPL-3.0-only OR (Apache-2.0 AND MIT)"), ""),
    (document(license="Apache-2.0 AND GPL-3.0-only"), "licence not allowed"),
    (document(license="(Apache-2.0 AND PSF-2.0) OR (GPL-3.0-only AND MIT)"), ""),
    (document(license="Apache-2.0 WITH LLVM-exception"), ""),
    (document(license="GPL-2.0-only WITH Classpath-exception-2.0"), "licence not allowed"),
    (document(secrets="github-pat"), "holds a secret"),
    (document("instruction", secrets="github-pat"), "holds a secret"),
    (document(license="GPL-3.0-only", secrets="github-pat"), "licence not allowed"),
    (document(personal_data="email"), ""),
    (document("instruction", personal_data="email"), "holds personal data"),
    (document(vendored=True, generated=True), "vendored file"),
    (document(generated=True), "generated file"),
    (document(minified=True), "minified file"),
    (document("instruction", generated=True), ""),
    (document(longest_line=1000), ""),
    (document(longest_line=1001), "line too long"),
    (document("instruction", longest_line=1001), ""),
    (document(alphanumeric_fraction=0.24), "too few letters and digits"),
]  # fmt: skip


def test_the_first_reason_that_applies_is_given() -> None:
    rows, reasons = zip(*CASES, strict=True)
    found = verdicts(rows, Filters())
    assert [r["reason"] for r in found] == list(reasons)
    rejected = {r["reason"]: r for r in found if r["reason"]}
    assert all(r["remedy"] for r in rejected.values())
    seen = {reason: json.loads(r["evidence"]) for reason, r in rejected.items()}
    assert seen["line too long"] == {"longest_line": 1001}
    assert seen["holds a secret"] == {"secrets": "github-pat"}
    assert filters.rejections(SCHEMA.empty_table(), Filters()).num_rows == 0


def test_what_to_do_about_a_licence_depends_on_whether_it_is_known() -> None:
    rows = [
        document(license=name) for name in ("GPL-3.0-only", "NOASSERTION", "MIT AND NOASSERTION")
    ]
    known, *others = [r["remedy"] for r in verdicts(rows, Filters())]
    assert "filters.licenses" in known
    assert all("into its LICENSE file" in remedy for remedy in others)


def test_the_profile_decides() -> None:
    rows = [
        document("instruction", secrets="github-pat", personal_data="email"),
        document(vendored=True, generated=True, minified=True),
        document(longest_line=5000),
        document(license="LicenseRef-Acme"),
        document(license="unknown"),
    ]
    chosen = Filters(
        licenses=("MIT", "LicenseRef-Acme"), allow_secrets=True, allow_personal_data=True,
        allow_vendored=True, allow_generated=True, allow_minified=True, max_line_length=5000,
    )  # fmt: skip
    found = [r["reason"] for r in verdicts(rows, chosen)]
    assert found == ["", "", "", "", "licence not allowed"]


def test_a_snippet_with_its_own_secret_or_personal_data_is_not_taken() -> None:
    key = "xoxb-" + "-".join(("731905264817", "264817731905", "aB3dE5gH7jK9mN1pQ3sT5vW7"))
    secret, personal = f"send('{key}')", "notify('jane@widgets-ltd.com')"
    assert filters.fault("def f():\n    return 1", Filters()) == ("", "")
    assert filters.fault(secret, Filters())[0] == "holds a secret"
    assert filters.fault(personal, Filters())[0] == "holds personal data"
    assert filters.fault(f"{secret}\n{personal}", Filters())[0] == "holds a secret"
    assert filters.fault(secret, Filters(allow_secrets=True)) == ("", "")
    assert filters.fault(personal, Filters(allow_personal_data=True)) == ("", "")


def test_a_licence_with_an_exception_is_allowed_by_its_whole_name() -> None:
    allowed = ("GPL-2.0-only WITH Classpath-exception-2.0", "MIT")
    for name in ("EPL-2.0 OR GPL-2.0-only WITH Classpath-exception-2.0",
                 "GPL-2.0-only WITH Classpath-exception-2.0 AND MIT"):  # fmt: skip
        assert filters.licensed(name, allowed)
    assert not filters.licensed("EPL-2.0 OR GPL-2.0-only", allowed)
