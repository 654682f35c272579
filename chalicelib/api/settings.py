"""The organisation's lists: own addresses, role mailboxes, blocked values, region, limits."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from chalicelib.api.answers import Call, Reply
from chalicelib.api.lookup import read_identity
from chalicelib.api.providers import LONGEST_KEPT
from chalicelib.errors import Conflict, InputInvalid
from chalicelib.model import instants
from chalicelib.model.event import CHANNELS
from chalicelib.model.identity import parse
from chalicelib.store import ids, jobs, organisation
from chalicelib.store.organisation import Organisation

SETTINGS = tuple(name for name in Organisation.__struct_fields__ if name != "ver")
IDENTITY = "must be an identity such as phone:+31612345678"
FRAME = "must be an https origin such as https://crm.example.nl, in small letters, without a path or a wildcard"
REGION = re.compile(r"[A-Z]{2}")
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
ORIGIN = re.compile(rf"https://{LABEL}(?:\.{LABEL}){{0,9}}(?::[1-9][0-9]{{0,4}})?")
MOST_FRAMES = 50
LOGIN = re.compile(r"https://[^\s?#@]{3,500}")
BOUNDS = {
    "limit": (1, 50),
    "cap": (2, 1000),
    "retention_days": (0, LONGEST_KEPT),
    "receipt_retention_days": (0, LONGEST_KEPT),
}


def show(call: Call) -> Reply:
    return Reply(_view(organisation.read(call.table)))


def change(call: Call) -> Reply:
    """A PATCH: what is not named stays. All mistakes are told at once."""
    asked = call.json()
    organisation.forget()
    current = organisation.read(call.table)
    if mistakes := [each for name, value in asked.items() for each in _mistakes(name, value)]:
        raise InputInvalid("; ".join(f"{each['pointer']}: {each['detail']}" for each in mistakes), mistakes)
    changed = msgspec.convert({**_view(current), **_normal(call, asked), "ver": current.ver + 1}, Organisation)
    if not organisation.save(call.table, changed):
        raise Conflict("somebody changed the settings at the same time: read them and try again")
    job = _blocking(call, current, changed)
    return Reply(_view(changed) | ({"job": job} if job else {}))


def _normal(call: Call, asked: dict[str, Any]) -> dict[str, Any]:
    """Identities in the form that events have them."""
    lists = {name: asked[name] for name in ("own", "blocked") if name in asked}
    return asked | {
        name: [read_identity(call, text, f"/{name}").text for text in texts] for name, texts in lists.items()
    }


def _blocking(call: Call, before: Organisation, after: Organisation) -> str:
    """Identities that are known already are blocked, or released, by a job."""
    was, now = {*before.own, *before.blocked}, {*after.own, *after.blocked}
    if was == now:
        return ""
    key = call.key.id if call.key else ""
    params = {"on": sorted(now - was), "off": sorted(was - now), "at": instants.now_ms(), "by": key}
    return jobs.start(call.table, "block", params, len(now ^ was)).id


def _mistakes(name: str, value: Any) -> list[dict[str, str]]:
    if name not in SETTINGS:
        return [_mistake(f"/{name}", f"no such setting; there are {', '.join(SETTINGS)}")]
    try:
        found = msgspec.convert({name: value}, Organisation)
    except msgspec.ValidationError as bad:
        return [_mistake(f"/{name}", str(bad).partition(" - at `$")[0])]
    return [_mistake(f"/{name}/{number}", IDENTITY) for number in _unreadable(name, found)] + _out_of_bounds(
        name, found
    )


def _unreadable(name: str, lists: Organisation) -> list[int]:
    """Where a list of identities holds something else."""
    texts = getattr(lists, name) if name in ("own", "blocked") else ()
    return [number for number, text in enumerate(texts) if parse(text) is None]


def _out_of_bounds(name: str, lists: Organisation) -> list[dict[str, str]]:
    if name in BOUNDS and not BOUNDS[name][0] <= getattr(lists, name) <= BOUNDS[name][1]:
        return [_mistake(f"/{name}", f"must be from {BOUNDS[name][0]} to {BOUNDS[name][1]}")]
    if name == "channels" and not all(each in CHANNELS and len(to) <= 200 for each, to in lists.channels.items()):
        return [_mistake("/channels", f"must be addresses by channel, among {', '.join(sorted(CHANNELS))}")]
    if name == "login_url" and lists.login_url and not LOGIN.fullmatch(lists.login_url):
        return [_mistake("/login_url", "must be an https URL without a query")]
    if name == "frame_ancestors":
        return _not_origins(lists.frame_ancestors)
    if name == "alerts" and lists.alerts and not ids.minted_here("con", lists.alerts):
        return [_mistake("/alerts", "must be the id of a connection")]
    if name == "region" and not REGION.fullmatch(lists.region):
        return [_mistake("/region", "must be two capital letters, such as NL")]
    return []


def _not_origins(found: tuple[str, ...]) -> list[dict[str, str]]:
    """A wildcard, a path or another scheme would let in more than one site, or none."""
    if len(found) > MOST_FRAMES:
        return [_mistake("/frame_ancestors", f"must be at most {MOST_FRAMES} origins")]
    wrong = [number for number, text in enumerate(found) if not ORIGIN.fullmatch(text)]
    return [_mistake(f"/frame_ancestors/{number}", FRAME) for number in wrong]


def _mistake(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}


def _view(lists: Organisation) -> dict[str, Any]:
    return {name: getattr(lists, name) for name in SETTINGS}
