"""API keys."""

from __future__ import annotations

import msgspec

from chalicelib.api.answers import Call, Reply, wrong
from chalicelib.errors import NotFound
from chalicelib.store import keys


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    scopes: tuple[str, ...] = ("read",)


def mint(call: Call) -> Reply:
    asked = call.read(NewKey)
    for number, scope in enumerate(asked.scopes):
        if scope not in keys.SCOPES:
            raise wrong(f"/scopes/{number}", f"must be one of {', '.join(keys.SCOPES)}")
    key, secret = keys.mint(call.table, asked.name, asked.scopes)
    return Reply({**msgspec.to_builtins(key), "key": secret}, 201)


def listing(call: Call) -> Reply:
    return Reply({"keys": [msgspec.to_builtins(key) for key in keys.everyone(call.table)], "next": None})


def revoke(call: Call, id: str) -> Reply:
    if not keys.revoke(call.table, id):
        raise NotFound("no such key")
    return Reply({"id": id, "revoked": True})
