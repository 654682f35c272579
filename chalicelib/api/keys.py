"""API keys: minted once, listed without their secret, revoked."""

from __future__ import annotations

import msgspec

from chalicelib.api.answers import Call, Reply, granted
from chalicelib.api.magic_links import ONE
from chalicelib.errors import InputInvalid, NotFound
from chalicelib.store import keys

LONGEST_NAME = 200


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    scopes: tuple[str, ...] = ("read",)


def mint(call: Call) -> Reply:
    """The only answer that ever holds the key itself."""
    asked = call.read(NewKey)
    if mistakes := _mistakes(asked):
        raise InputInvalid("; ".join(f"{each['pointer']}: {each['detail']}" for each in mistakes), mistakes)
    key, secret = keys.mint(call.table, asked.name, tuple(dict.fromkeys(asked.scopes)))
    return Reply({**msgspec.to_builtins(key), "key": secret}, 201)


def _mistakes(asked: NewKey) -> list[dict[str, str]]:
    found = [
        {"pointer": f"/scopes/{number}", "detail": f"must be one of {', '.join(keys.SCOPES)}"}
        for number, scope in enumerate(asked.scopes)
        if scope not in keys.SCOPES
    ]
    found += [] if asked.scopes else [{"pointer": "/scopes", "detail": "must name at least one scope"}]
    long = len(asked.name) > LONGEST_NAME
    return found + ([{"pointer": "/name", "detail": f"must have at most {LONGEST_NAME} characters"}] if long else [])


def own(call: Call) -> Reply:
    """What the caller's own key may do, so that a page offers nothing that would be refused. `opens`: what a
    magic link to one customer reads is that customer."""
    name, scopes = (call.key.name, granted(call.key)) if call.key else ("", set())
    one = bool(call.key and not call.key.id and name == ONE)
    held = [each for each in keys.SCOPES if each in scopes]
    return Reply({"name": name, "scopes": held, "opens": "customer" if one else "console"})


def listing(call: Call) -> Reply:
    return Reply({"keys": [msgspec.to_builtins(key) for key in keys.everyone(call.table)], "next": None})


def revoke(call: Call, id: str) -> Reply:
    if not keys.revoke(call.table, id):
        raise NotFound("no such key")
    return Reply({"id": id, "revoked": True})
