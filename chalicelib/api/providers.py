"""The catalogue: every provider with what it needs and how far it is proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib import destinations, sources
from chalicelib.api.answers import Call, Reply
from chalicelib.errors import NotFound
from chalicelib.kit.destination import Destination
from chalicelib.kit.source import CATCH_UP, Setting, Source

LONGEST_KEPT = 36500
COMMON = {
    "account": Setting("Account", help="scope of identities from this connection; default: what the provider says"),
    "region": Setting("Region", help="two letters: how phone numbers without a country are read", default="NL"),
    "own_system": Setting("Own system", type="boolean", help="its order, receipt and case numbers are evidence"),
    "ref_scopes": Setting("Reference scopes", type="object", help="ref kind → connection whose numbers are meant"),
    "field_priority": Setting(
        "Priority of fields",
        type="object",
        help="customer field → whole number: of two values the higher one's stays, whatever is newer; * is every other "
        "field; default 0. Not for consent: the newest counts. Holds for what arrives from now on",
    ),
    "base_url": Setting("Base URL of the API", help="for a stand-in or a regional host"),
    "rate_limit": Setting(
        "Requests in a second",
        "integer",
        help="At most, to a destination; default: what the vendor allows",
        least=1,
        most=100_000,
    ),
    "rate_seconds": Setting(
        "Seconds of that limit",
        "integer",
        help="Over how long rate_limit is counted, such as 3600 for an hour; default: one second",
        least=1,
        most=86_400,
    ),
    "concurrency": Setting(
        "Workers at once",
        "integer",
        help="At most, at a destination; default: any number while it answers fast, two while it is slow",
        least=1,
        most=100,
    ),
    "retention_days": Setting(
        "Days on the timeline",
        "integer",
        help="How long after it happened an event stays; default: as the stage is set. Holds for what arrives from now on",
        least=1,
        most=LONGEST_KEPT,
    ),
    "receipt_retention_days": Setting(
        "Days of receipts",
        "integer",
        help="How long what arrived is kept as it came, to inspect and replay; default: as the stage is set",
        least=1,
        most=LONGEST_KEPT,
    ),
}
"""Settings that the engine reads for every connection."""
MERGE_POLICY = Setting(
    "Records of who turns out to be one customer",
    default="soft",
    choices=("soft", "hard"),
    help="soft: both stay, and the entries move to one of them; hard: the system makes one record of them, "
    "which nobody can undo",
)
"""Of a destination that can merge records."""


def listing(call: Call) -> Reply:
    return Reply({"providers": [summary(slug) for slug in all_slugs()], "next": None})


def show(call: Call, slug: str) -> Reply:
    if slug not in all_slugs():
        raise NotFound("no such provider")
    source, destination = declared(slug)
    settings, secrets = fields_of(slug)
    steps = [*(source.setup if source else ()), *(destination.setup if destination else ())]
    shown = {"setup": steps, "settings": schema(settings), "secrets": schema(secrets, secret=True)}
    return Reply(summary(slug) | shown | {"templates": dict(source.templates) if source else {}})


def all_slugs() -> list[str]:
    return sorted({*sources.slugs(), *destinations.slugs()})


def declared(slug: str) -> tuple[Source | None, Destination | None]:
    destination = destinations.load(slug) if slug in destinations.slugs() else None
    if slug in sources.slugs():
        return sources.load(slug), destination
    return (destination.changes if destination else None), destination


def fields_of(slug: str) -> tuple[dict[str, Setting], dict[str, Setting]]:
    """(settings, secrets) that a connection of this provider takes."""
    found = [each for each in declared(slug) if each]
    settings = {name: setting for each in found for name, setting in each.settings.items()}
    if slug in destinations.slugs() and destinations.load(slug).merge_contacts:
        settings["merge_policy"] = MERGE_POLICY
    if catches_up(slug):
        settings["catch_up"] = CATCH_UP
    return COMMON | settings, {name: setting for each in found for name, setting in each.secrets.items()}


def catches_up(slug: str) -> bool:
    """Whether the provider can be asked for what it never delivered."""
    source, _ = declared(slug)
    return source is not None and source.missed is not None


def summary(slug: str) -> dict[str, Any]:
    source, destination = declared(slug)
    either = source or destination
    kind = "both" if source and destination else "source" if source else "destination"
    return {
        "slug": slug,
        "name": either.name if either else slug,
        "kind": kind,
        "channels": [source.channel, *source.channels] if source else [],
        "event_types": sorted(set(source.types.values())) if source else [],
        "grade": either.grade if either else "",
        "catches_up": catches_up(slug),
        "sends_messages": destination is not None and destination.send_message is not None,
        "takes_audiences": destination is not None and destination.tell_membership is not None,
        "unverified": [fact for each in (source, destination) if each for fact in each.unverified],
        "docs": either.docs if either else "",
    }


def schema(fields: Mapping[str, Setting], *, secret: bool = False) -> dict[str, Any]:
    """JSON Schema of settings, or of secrets: those take one value or a list during rotation."""
    properties = {name: _property(setting, secret) for name, setting in fields.items()}
    required = [name for name, setting in fields.items() if setting.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _property(setting: Setting, secret: bool) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": setting.type}
    if setting.choices:
        kind["enum"] = list(setting.choices)
    if setting.items:
        kind["items"] = {"type": setting.items}
    if secret:
        kind = {"oneOf": [kind, {"type": "array", "items": kind, "minItems": 1}], "writeOnly": True}
    optional = {"description": setting.help, "default": setting.default}
    optional |= {"minimum": setting.least, "maximum": setting.most}
    return {
        "title": setting.title,
        **kind,
        **{name: value for name, value in optional.items() if value not in ("", None)},
    }
