"""Which documents and snippets are held back, and why."""

import json
from typing import Any

import pytest

from jobs import filters
from jobs.signals import Signals
from lakehouse.sections import Filters

CLEAN = Signals(license="MIT", longest_line=40, alphanumeric_fraction=0.6)
COLUMNS = {
    "kind": "STRING", "origin": "STRING", "license": "STRING", "license_method": "STRING",
    "secrets": "STRING", "personal_data": "STRING", "generated": "BOOLEAN", "minified": "BOOLEAN",
    "vendored": "BOOLEAN", "longest_line": "INT", "alphanumeric_fraction": "DOUBLE",
}  # fmt: skip


def document(kind: str = "code", **changed: Any) -> tuple[Any, ...]:
    row = {"kind": kind, "origin": "a.py"}
    return tuple(
        {**row, **{k: changed.get(k, getattr(CLEAN, k, row.get(k))) for k in COLUMNS}}.values()
    )


def verdicts(spark: Any, rows: list[tuple[Any, ...]], chosen: Filters) -> list[Any]:
    schema = ", ".join(f"{n} {t}" for n, t in COLUMNS.items())
    documents = spark.createDataFrame(rows, schema)
    found = filters.transform(documents, chosen).collect()
    held_back = documents.where(filters.held_back(chosen)).count()
    assert held_back == sum(bool(r["reason"]) for r in found)
    return found


CASES: list[tuple[tuple[Any, ...], str]] = [
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


@pytest.mark.spark
def test_the_first_reason_that_applies_is_given(spark: Any) -> None:
    rows, reasons = zip(*CASES, strict=True)
    found = verdicts(spark, list(rows), Filters())
    assert [r["reason"] for r in found] == list(reasons)
    assert all(bool(r["remedy"]) == bool(r["reason"]) for r in found)
    seen = {r["reason"]: json.loads(r["evidence"]) for r in found}
    assert seen[""] == {}
    assert seen["line too long"] == {"longest_line": 1001}
    assert seen["holds a secret"] == {"secrets": "github-pat"}


@pytest.mark.spark
def test_the_profile_decides(spark: Any) -> None:
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
    found = [r["reason"] for r in verdicts(spark, rows, chosen)]
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
