"""One rule of a mapping applied to one element: what its expressions find, as an event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import fields
from chalicelib.kit.expressions import Search, truthy
from chalicelib.model.event import ACTORS, CHANNELS, DIRECTIONS, REF_KINDS, TYPES, Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, CONTACT_POINTS, KINDS, Identity, parse

ASSURANCES = {"A1": A1_ASSERTED, "A2": A2_ATTESTED, "A3": A3_VERIFIED}
ADDRESS_KINDS = {"voice": "phone", "sms": "phone", "whatsapp": "phone", "email": "email", "fax": "fax"}
TEXTS = ("object", "version", "summary", "text", "link", "provider_type")
ADDRESSES = ("address", "own_address")
CLOSED = {"kind": KINDS | frozenset(REF_KINDS), "assurance": frozenset(ASSURANCES)}
IDENTITY_PARTS = ("kind", "scope", "value", "assurance")
PARTS = {
    "identities": IDENTITY_PARTS,
    "ends": IDENTITY_PARTS,
    "begins": IDENTITY_PARTS,
    "refs": ("kind", "scope", "value", "typed"),
}


class Reading:
    """One rule applied to one element."""

    def __init__(self, search: Search, element: Any, settings: Mapping[str, Any], connection: str) -> None:
        self.search = search
        self.element = element
        self.settings = settings
        self.scope = fields.plain(settings.get("account")) or connection
        self.region = fields.plain(settings.get("region")) or fields.DEFAULT_REGION

    def event(self, rule: Mapping[str, Any], type_: str, unnamed: Callable[[], str]) -> Event:
        """`unnamed` gives the object where the rule names none. Raises PayloadMalformed naming the field."""
        channel = self.word("channel", rule.get("channel"), CHANNELS, self.settings.get("channel"))
        moment = self.value(rule.get("occurred_at"), "occurred_at")
        details = self.tree(rule.get("details"), "details")
        named: dict[str, Any] = {name: _text(self.value(rule.get(name), name)) for name in TEXTS}
        named |= {name: self.address(rule.get(name), name, channel) for name in ADDRESSES}
        named["object"] = named["object"] or unnamed()
        return Event(
            type=type_,
            channel=channel,
            direction=self.word("direction", rule.get("direction"), DIRECTIONS, "in"),
            actor=self.word("actor", rule.get("actor"), ACTORS, "customer"),
            occurred_at=fields.instant(moment, "occurred_at", fields.plain(self.settings.get("zone"))),
            identities=self.identities(rule),
            ends=self.identities(rule, "ends"),
            begins=self.identities(rule, "begins"),
            refs=self.refs(rule),
            details=details if isinstance(details, dict) else {},
            fields=self.texts(rule.get("fields")),
            sensitive=truthy(self.value(rule.get("sensitive"), "sensitive")),
            attachments=self.attachments(rule.get("attachments")),
            **named,
        )

    def type(self, rule: Mapping[str, Any]) -> str:
        return self.word("type", rule.get("type"), TYPES, self.settings.get("type"))

    def value(self, expression: Any, field: str) -> Any:
        return self.search.value(expression, self.element, field)

    def word(self, field: str, expression: Any, allowed: frozenset[str], default: Any) -> str:
        """A word of a closed set: what the expression finds, else the expression itself, else the default."""
        found = self.value(expression, field)
        for word in (found, expression):
            if _in(word, allowed):
                return str(word)
        if found is None and _in(default, allowed):
            return str(default)
        raise PayloadMalformed(f"{field}: {str(found)[:60]!r} is not one of {', '.join(sorted(allowed))}")

    def tree(self, node: Any, field: str) -> Any:
        """`node` with every expression replaced by what it finds; absent leaves are left out."""
        if isinstance(node, dict):
            pairs = ((str(key), self.tree(each, f"{field}/{key}")) for key, each in node.items())
            return {key: each for key, each in pairs if each is not None} or None
        if isinstance(node, list):
            found = [self.tree(each, f"{field}/{number}") for number, each in enumerate(node)]
            return [each for each in found if each is not None] or None
        return self.value(node, field)

    def texts(self, node: Any) -> dict[str, str]:
        found = self.tree(node, "fields")
        return {key: text for key, each in found.items() if (text := _text(each))} if isinstance(found, dict) else {}

    def attachments(self, node: Any) -> tuple[dict[str, Any], ...]:
        found = self.tree(node, "attachments")
        return tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()

    def identities(self, rule: Mapping[str, Any], name: str = "identities") -> tuple[Identity, ...]:
        return fields.present(*(self.identity(part) for part in self.parts(rule.get(name), name)))

    def refs(self, rule: Mapping[str, Any]) -> tuple[Ref, ...]:
        found = (self.ref(part) for part in self.parts(rule.get("refs"), "refs"))
        return tuple(dict.fromkeys(ref for ref in found if ref))

    def parts(self, node: Any, field: str) -> Iterator[dict[str, Any]]:
        """Each identity or ref as an object of found values: from objects, or from texts `kind:scope/value`."""
        for number, part in enumerate(node if isinstance(node, list) else [node]):
            if isinstance(part, dict):
                yield from self.spread(part, f"{field}/{number}", PARTS[field])
            else:
                found = self.value(part, field)
                yield from (_named(each) for each in (found if isinstance(found, list) else [found]))

    def spread(self, part: Mapping[str, Any], field: str, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """One object for each value, where the value's expression finds a list."""
        found = {name: self.value(part.get(name), f"{field}/{name}") for name in names}
        for name, allowed in CLOSED.items():
            if not _in(found.get(name), allowed) and _in(part.get(name), allowed):
                found[name] = part[name]
        values = found["value"] if isinstance(found["value"], list) else [found["value"]]
        yield from (found | {"value": value} for value in values)

    def identity(self, part: Mapping[str, Any]) -> Identity | None:
        """Contact points are asserted and all others attested, unless the mapping says otherwise."""
        kind = part.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            return None
        usual = A1_ASSERTED if kind in CONTACT_POINTS else A2_ATTESTED
        scope = fields.plain(part.get("scope")) or self.scope
        return fields.identity(kind, scope, part.get("value"), _assurance(part.get("assurance"), usual), self.region)

    def ref(self, part: Mapping[str, Any]) -> Ref | None:
        kind, value = part.get("kind"), fields.plain(part.get("value"))
        if kind not in REF_KINDS or not value or len(value) > fields.LONGEST_VALUE:
            return None
        return Ref(str(kind), value, fields.plain(part.get("scope")) or self.scope, truthy(part.get("typed")))

    def address(self, node: Any, field: str, channel: str) -> str:
        """An identity text; a bare value takes the kind that the channel's addresses have."""
        if isinstance(node, dict):
            part = next(self.spread(node, field, PARTS["identities"]), {})
        else:
            part = _named(self.value(node, field))
        found = self.identity(part or {})
        if found is None and not isinstance(node, dict):
            kind = ADDRESS_KINDS.get(channel, "")
            found = self.identity({"kind": kind, "value": self.value(node, field)})
        return found.text if found else ""


def _in(word: Any, allowed: frozenset[str]) -> bool:
    return isinstance(word, str) and word in allowed


def _text(found: Any) -> str:
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int | float) else ""


def _assurance(value: Any, usual: int) -> int:
    if isinstance(value, str):
        return ASSURANCES.get(value, usual)
    return value if type(value) is int and value in ASSURANCES.values() else usual


def _named(value: Any) -> dict[str, Any]:
    """An identity or ref from an object, or from its text `kind:value` or `kind:scope/value`."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    if found := parse(value):
        return {"kind": found.kind, "scope": found.scope, "value": found.value}
    kind, _, rest = value.partition(":")
    scope, slash, last = rest.partition("/")
    return {"kind": kind, "value": last if slash else rest, "scope": scope if slash else ""}
