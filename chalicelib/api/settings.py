"""The organisation's lists: own addresses, role mailboxes, blocked values, region, limits."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.api.answers import Call, Reply, wrong
from chalicelib.errors import InputInvalid
from chalicelib.model.identity import parse
from chalicelib.store import organisation
from chalicelib.store.organisation import Organisation


def show(call: Call) -> Reply:
    return Reply(_view(organisation.read(call.table)))


def change(call: Call) -> Reply:
    asked = call.json()
    unknown = [name for name in asked if name not in Organisation.__struct_fields__ or name == "ver"]
    if unknown:
        raise InputInvalid(
            "unknown settings", [{"pointer": f"/{name}", "detail": "no such setting"} for name in unknown]
        )
    organisation.forget()
    current = organisation.read(call.table)
    try:
        changed = msgspec.convert({**_view(current), **asked, "ver": current.ver + 1}, Organisation)
    except msgspec.ValidationError as bad:
        raise wrong("", str(bad)) from bad
    _check(changed)
    if not organisation.save(call.table, changed):
        raise wrong("", "somebody changed the settings at the same time: read them and try again")
    return Reply(_view(changed))


def _check(changed: Organisation) -> None:
    for name in ("own", "blocked"):
        for number, text in enumerate(getattr(changed, name)):
            if parse(text) is None:
                raise wrong(f"/{name}/{number}", "must be an identity such as phone:+31612345678")


def _view(lists: Organisation) -> dict[str, Any]:
    return {name: getattr(lists, name) for name in Organisation.__struct_fields__ if name != "ver"}
