"""What a row knows about itself: signals, one module a signal, rules as data beside them.

Signals are observed once, at ingest, and are columns of bronze.documents; what they decide is a
filter's business (`jobs.filters`, thresholds in the profile). Pure Python, no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.signals import language, licence, marks, sensitive


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one document, by the names of their columns in bronze.documents.

    The defaults are what is known of a document that was not observed.
    """

    language: str = ""
    language_method: str = "unknown"
    license: str = licence.UNKNOWN
    license_method: str = "unknown"
    secrets: str = ""
    personal_data: str = ""
    generated: bool = False
    minified: bool = False
    vendored: bool = False
    longest_line: int = 0
    alphanumeric_fraction: float = 0.0


def observe(
    path: str,
    text: str,
    *,
    declared_language: str,
    declared_license: str,
    fence_tag: str = "",
    license_file: str = "",
    instruction: str = "",
) -> Signals:
    """The signals of a document. Never raises, and depends on nothing but its arguments.

    `path` is that of the source file, below the source's root, or what a record declares (extension
    and folders count); empty for a record that declares none: where its data set lies says nothing
    about it. `declared_*` is what the source says (empty, or `unknown` for a licence, where it says
    nothing), `fence_tag` the tag of an answer's fence (`language.first_fence`), `license_file` the
    expression for the nearest LICENSE file, `instruction` what the text answers: searched for
    secrets and personal data too.
    """
    name, language_method = language.detect(path, text, declared_language, fence_tag)
    license_, license_method = licence.effective(text, declared_license, license_file)
    secrets, personal_data = sensitive.find(f"{instruction}\n{text}")
    return Signals(
        language=name,
        language_method=language_method,
        license=license_,
        license_method=license_method,
        secrets=secrets,
        personal_data=personal_data,
        generated=marks.generated(path, text),
        minified=marks.minified(path, text, name),
        vendored=marks.vendored(path),
        longest_line=marks.longest_line(text),
        alphanumeric_fraction=marks.alphanumeric_fraction(text),
    )


def observe_code(code: str) -> tuple[str, str]:
    """(secrets, personal data) of a piece of code, each a list of kinds apart by commas."""
    return sensitive.find(code)
