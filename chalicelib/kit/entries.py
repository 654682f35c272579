"""Batches of entries, as subscriptions by `hub.challenge` bring them: who sent them, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit.request import Request
from chalicelib.kit.shape import objects, pick, text
from chalicelib.kit.signatures import HmacSignature
from chalicelib.kit.source import Secrets

TESTED = "0"
"""The account of made-up news, which a test button of the vendor's console sends."""


class Part(msgspec.Struct, frozen=True):
    """One piece of news. `account`: whose entry it is of. `name`: the list of that entry that it
    came in, or the field that changed. `sent_at`: the entry's own moment, for news that has none."""

    account: str
    name: str
    sent_at: Any
    value: Mapping[str, Any]


def parts(document: Any, *lists: str, account: str = "") -> Iterator[Part]:
    """Of all entries, in order: what is in these lists, then what changed. Those of other accounts
    than `account`, where that is known, are left out, and those of a console's test."""
    for entry in objects(document, "entry"):
        whose = text(entry, "id")
        if whose == TESTED or (account and whose not in ("", account)):
            continue
        told = [(name, each) for name in lists for each in objects(entry, name)]
        told += [(text(change, "field"), pick(change, "value")) for change in (*objects(entry, "changes"), entry)]
        for name, value in told:
            if isinstance(value, dict):
                yield Part(whose, name, entry.get("time"), value)


class Posted(msgspec.Struct, frozen=True):
    """`scheme`, told apart from a handshake that failed: only that comes as a GET."""

    scheme: HmacSignature
    covers_body = True
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        if request.method == "GET":
            return "no handshake with the verify_token"
        return self.scheme(request, secrets)

    def sign(self, request: Request, secrets: Secrets) -> Request:
        return self.scheme.sign(request, secrets)
