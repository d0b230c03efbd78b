"""Secrets and personal data: which kinds a text holds, and the text without them. Never the values.

One pass of Kingfisher (488 provider rules, offline, a regex automaton) finds both: its own rules
find secrets, `personal_data.yml` candidates for personal data, of which `personal_data.toml` says
what is nobody's. Why this scanner, and its figures: docs/adr/2026-11-25-signals.md.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kingfisher_sdk import Finding, Scanner
    from publicsuffixlist import PublicSuffixList

_RULES = Path(__file__).with_name("personal_data.yml")
_NOBODYS = tomllib.loads(_RULES.with_suffix(".toml").read_text())


def find(text: str) -> tuple[str, str]:
    """(secrets, personal data): the kinds found, sorted, apart by commas; empty if there are none.

    A kind of secret is its rule's name (`github-pat`, `private-key`); a kind of personal data is
    `email`, `iban`, `ip_address` or `payment_card`.
    """
    secrets, personal = set(), set()
    for kind, is_personal, found in _found(text.encode("utf-8", "replace")):
        if is_personal:
            personal.add(kind)
        elif found.visible:
            secrets.add(kind)
    return ",".join(sorted(secrets)), ",".join(sorted(personal))


def masked(text: str) -> str:
    """The text with the kind of each find in its place, in brackets.

    What is a secret only beside another one is masked by itself, too.
    """
    raw = text.encode("utf-8", "replace")
    places = [(found.location, kind) for kind, _, found in _found(raw)]
    left, at = [], 0
    for start, end, kind in sorted((p["start_offset"], p["end_offset"], k) for p, k in places):
        if start >= at:
            left += [raw[at:start], f"[{kind}]".encode()]
        at = max(at, end)
    return b"".join((*left, raw[at:])).decode("utf-8", "replace")


def _found(raw: bytes) -> Iterator[tuple[str, bool, Finding]]:
    """(kind, whether it is personal data, where and what) of each find."""
    for found in _scanner().scan(raw):
        origin, kind, *_ = found.rule_id.split(".")  # betterleaks.github-pat, custom.email
        if origin != "custom":
            yield kind.removeprefix("secrets/"), False, found
        elif found.captures.keys() == {"value"} and _somebodys(kind, found.captures["value"]):
            yield kind, True, found


def _somebodys(kind: str, value: str) -> bool:
    """Whether a candidate may be a person's, and is not a documented or a technical one."""
    nobodys = _NOBODYS[kind]
    if kind == "email":
        return _person(value, nobodys)
    if kind == "ip_address":
        return _host(value) and value not in nobodys["values"]
    return value.replace(" ", "").replace("-", "") not in nobodys["values"]


def _person(address: str, nobodys: dict[str, list[str]]) -> bool:
    mailbox, _, domain = address.lower().rpartition("@")
    parents = domain.split(".")
    reserved = any(".".join(parents[i:]) in nobodys["domains"] for i in range(len(parents)))
    shared = mailbox in nobodys["roles"] or mailbox.rpartition("-")[2] in nobodys["lists"]
    return not reserved and not shared and _suffixes().publicsuffix(domain) is not None


def _host(address: str) -> bool:
    """Whether it is a host on the public network; four single digits are a version number."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    version = parsed.version == 4 and len(address) == len("1.2.3.4")
    return parsed.is_global and not parsed.is_multicast and not version


@cache
def _scanner() -> Scanner:
    """Compiled once a process: 2.5 s, or 0.2 s from the scanner's own cache on disk."""
    from kingfisher_sdk import Rules, Scanner

    return Scanner(Rules([_RULES]), base64=False)


@cache
def _suffixes() -> PublicSuffixList:
    """The public suffix list, as shipped: what ends in none (`x@w.mean`) is no address."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(accept_unknown=False, only_icann=True)
