"""Planted secrets and personal data are found; what only looks so is not."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.signals import observe_code
from jobs.signals.sensitive import find, masked

_DRAW = random.Random(5)
_WORD = string.ascii_letters + string.digits


def key(length: int, alphabet: str = _WORD) -> str:
    """Drawn here, so that the tests' own text holds nothing that looks like a key."""
    return "".join(_DRAW.choice(alphabet) for _ in range(length))


def pem(kind: str) -> str:
    body = "\n".join(key(64, f"{_WORD}+/") for _ in range(20))
    return f"-----BEGIN {kind} PRIVATE KEY-----\n{body}\n-----END {kind} PRIVATE KEY-----"


SECRETS = {
    "aws-access-token": f"aws_access_key_id = 'AKIA{key(16, string.ascii_uppercase + '234567')}'\n"
    f"aws_secret_access_key = '{key(40, _WORD + '+/')}'",
    "github-pat": f"token = 'ghp_{key(36)}'",
    "github-fine-grained-pat": f"token = 'github_pat_{key(22)}_{key(59)}'",
    "gitlab-pat": f"token = 'glpat-{key(20)}'",
    "slack-bot-token": f"s = 'xoxb-{key(12, string.digits)}-{key(12, string.digits)}-{key(24)}'",
    "stripe-access-token": f"stripe.api_key = 'sk_live_{key(24)}'",
    "gcp-api-key": f"key = 'AIza{key(35)}'",
    "huggingface-access-token": f"login('hf_{key(34, string.ascii_letters)}')",
    "openai-api-key": f"openai.api_key = 'sk-proj-{key(74)}T3BlbkFJ{key(74)}'",
    "anthropic-api-key": f"key = 'sk-ant-api03-{key(93)}AA'",
    "pypi-upload-token": f"password = pypi-AgEIcHlwaS5vcmc{key(70)}",
    "private-key": pem("RSA"),
    "generic-credential-uri": f"postgresql://admin:{key(16)}@db.internal.corp.net:5432/prod",
}


@pytest.mark.parametrize(("kind", "text"), SECRETS.items(), ids=SECRETS)
def test_a_planted_secret_is_found(kind: str, text: str) -> None:
    around = "def f(x):\n    return x + 1\n" * 40
    assert kind in find(f"{around}{text}\n{around}")[0].split(",")
    assert kind in observe_code(text)[0].split(",")


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ['PASSWORD']",
        "token: str = ''",
        "api_key = '<your key here>'",
        "key = 'ghp_" + "x" * 36 + "'",
        f"digest = '{key(64, string.hexdigits.lower())}'",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "UUID = '123e4567-e89b-12d3-a456-426614174000'",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "postgresql://user:${PASSWORD}@localhost/db",
    ],
)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert find(text) == ("", "")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "# Author: Jane Doe <jane.doe@widgets-ltd.co.uk>"),
        ("email", "mailto:jane@widgets-ltd.com"),
        ("ip_address", "HOST = '81.2.69.142'"),
        ("ip_address", "connect(81.2.69.142:8080)."),
        ("ip_address", "route add 2a00:1450:4001:81b::200e"),
        ("payment_card", "card_number = 4556737586899855"),
        ("payment_card", "pay('4556737586899855')"),
        ("payment_card", "4556-7375-8689-9855"),
        ("payment_card", "Amex 3782 361920 47110"),
        ("iban", "iban: GB33BUKB20201555555555"),
        ("iban", "GB33 BUKB 2020 1555 5555 55"),
    ],
)
def test_planted_personal_data_is_found(kind: str, text: str) -> None:
    assert find(f"x = 1\n{text}\ny = 2") == ("", kind)


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com, a@mail.example.org, root@localhost, me@somewhere.test",  # RFC 2606
        "git@github.com:owner/repository.git",
        "python-dev@python.org, support@widgets-ltd.com",  # a list, a role (RFC 2142)
        "https://jane@widgets-ltd.com/path",  # a user of a URL
        "loss = X@W.mean(0)",  # no such suffix
        "icon@2x.png",
        "127.0.0.1 10.1.2.3 192.168.7.7 169.254.1.1 0.0.0.0 255.255.255.0",
        "192.0.2.33 198.51.100.7 203.0.113.9 2001:db8::1 ::1 fe80::1",  # documentation, local
        "224.0.0.251",  # multicast
        "nameserver 8.8.8.8",
        "version = '81.2.69.142'",
        "v1.2.3.4 and 1.2.3.4 and 81.2.69.142.7",
        "time 12:30:45, a[::2], std::vector",
        "x = 4556737586899855",  # a constant: neither quoted, grouped nor named
        "'4556737586899856'",  # fails the checksum
        "'4242424242424242'",  # a payment service's test card
        "GB33BUKB20201555555556",  # fails the checksum
        "DE89 3704 0044 0532 0130 00",  # the registry's example
    ],
)
def test_what_is_nobodys_is_not_personal_data(text: str) -> None:
    assert find(text) == ("", "")


def test_kinds_are_sorted_and_the_values_are_not_told() -> None:
    secret = SECRETS["github-pat"]
    text = f"{SECRETS['stripe-access-token']}\n{secret}\n81.2.69.142 jane@widgets-ltd.com"
    assert find(text) == ("github-pat,stripe-access-token", "email,ip_address")
    assert find(text) == find(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_can_be_searched(text: str) -> None:
    assert find(text) == find(text)


@pytest.mark.parametrize("kind", [kind for kind in SECRETS if kind != "generic-credential-uri"])
def test_a_secret_is_masked(kind: str) -> None:
    text = SECRETS[kind]
    secret = max(text.split("'"), key=len)
    shown = masked(f"é {text} é, jane.doe@widgets-ltd.com")
    assert f"[{kind}]" in shown and secret not in shown
    assert shown.startswith("é ") and shown.endswith(" é, [email]")
    assert find(shown) == ("", "")


def test_what_is_no_secret_stays() -> None:
    text = "password = os.environ['P\N{LATIN SMALL LETTER A WITH DIAERESIS}SS'] # me@example.com"
    assert masked(text) == text
    assert masked(f"x {SECRETS['generic-credential-uri']}").startswith("x postgresql://admin:[")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_text_without_finds_stays_as_it_is(text: str) -> None:
    assert masked(text) == text or find(text) != ("", "")
