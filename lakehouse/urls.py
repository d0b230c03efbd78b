"""Addresses that people give, checked: what one may tell of a user or a key is never shown."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from lakehouse.errors import UserError, masked

_ENDPOINT = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
_SPARK = re.compile(r"sc://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d+)?/?", re.ASCII)
NO_USER = ("a URL with a user or a key in it would be told in logs: leave them out; keys come from "
           "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …)")  # fmt: skip


def shown(given: object) -> str:
    """` = VALUE` of what was given and is refused; nothing where it may hold a user or a key."""
    text = repr(given)
    return "" if "://" in text and "@" in text else f" = {text}"


def _endpoint(url: str) -> str:
    if url and not _ENDPOINT.fullmatch(url):
        raise ValueError("give http://HOST:PORT/v1 or https://…, without user or query: a key "
                         "belongs into the variable of engine.key_variable")  # fmt: skip
    return url.rstrip("/")


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ValueError("give the name of an environment variable that holds the key, such as "
                         "OPENAI_API_KEY, not the key")  # fmt: skip
    return name


def _place(where: str) -> str:
    together = re.sub(r"[\s'\"]", "", where)
    if masked(together) != together:
        raise ValueError(NO_USER)
    return where


Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""An HTTP address without user, query and fragment."""
Variable = Annotated[str, AfterValidator(_variable)]
"""An environment variable's name."""
Place = Annotated[str, AfterValidator(_place)]
"""A path, a glob, or a URI without a user."""


def spark_server(variable: str, given: str) -> str:
    """A Spark Connect server's address, of a variable that is set; UserError if it tells more."""
    if not _SPARK.fullmatch(given):
        raise UserError(f"{variable} is not sc://HOST:PORT: a user, a token or any other parameter "
                        "is not taken, only a server that asks for none; what was given is not "
                        "shown, as it may be a secret")  # fmt: skip
    return given.rstrip("/")
