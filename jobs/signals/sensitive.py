"""Secrets and personal data: which kinds a text holds. Never the values.

One pass of Kingfisher (488 provider rules, offline, a regex automaton) finds both: its own rules
find secrets, `personal_data.yml` candidates for personal data, of which `personal_data.toml` says
what is nobody's. Why this scanner, and its figures: docs/adr/2026-11-25-signals.md.
"""

from __future__ import annotations

import ipaddress
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner
    from publicsuffixlist import PublicSuffixList

_RULES = Path(__file__).with_name("personal_data.yml")
_NOBODYS = tomllib.loads(_RULES.with_suffix(".toml").read_text())


def find(text: str) -> tuple[str, str]:
    """(secrets, personal data): the kinds found, sorted, apart by commas; empty if there are none.

    A kind of secret is its rule's name (`github-pat`, `private-key`); a kind of personal data is
    `email`, `iban`, `ip_address` or `payment_card`.
    """
    secrets, personal = set(), set()
    for found in _scanner().scan(text.encode("utf-8", "replace")):
        origin, kind, *_ = found.rule_id.split(".")  # betterleaks.github-pat, custom.email
        if origin == "custom":
            if found.captures.keys() == {"value"} and _somebodys(kind, found.captures["value"]):
                personal.add(kind)
        elif found.visible:
            secrets.add(kind.removeprefix("secrets/"))
    return ",".join(sorted(secrets)), ",".join(sorted(personal))


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
