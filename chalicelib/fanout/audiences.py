"""Audiences: who belongs to one now, and what is told of him. Pure, no I/O.

Consent must be there and say yes: what is missing, unclear or refused keeps a customer out, whatever
else holds. A channel is used where it was granted itself, or where a purpose that is no channel was
granted and the channel was not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.fanout.messages import KINDS_OF
from chalicelib.kit.expressions import Search, truthy
from chalicelib.model.audience import Audience, Consent, Facts, Member
from chalicelib.model.connection import Subscription
from chalicelib.model.customer import GRANTED, Customer, Field, Person
from chalicelib.model.event import CHANNELS, NOT_CONTACTABLE, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

GENERAL = "consent"
FALLBACK = ("email", "sms")
"""Tried after the preferred channel, and the channels that the audience asks consent for."""


@dataclass(frozen=True)
class Known:
    """What a customer's history says; sensitive entries count for nothing in it. `used`: his addresses,
    as identity texts, the newest first."""

    preferred_channel: str = ""
    last_contact_at: str = ""
    orders: int = 0
    last_order_at: str = ""
    used: tuple[str, ...] = ()


def consents(audience: Audience, customer: Customer) -> bool:
    """Whether all that the audience needs is granted, and nothing general is refused."""
    fields = customer.fields
    needed = all(_grants(fields.get(f"{GENERAL}_{each}")) for each in audience.consent)
    return bool(audience.consent) and needed and (GENERAL not in fields or _grants(fields[GENERAL]))


def _grants(field: Field | None) -> bool:
    return field is not None and field.value in GRANTED


def may_use(audience: Audience, customer: Customer, channel: str) -> bool:
    field = customer.fields.get(f"{GENERAL}_{channel}")
    if field is not None:
        return _grants(field)
    return any(each not in CHANNELS for each in audience.consent)


def weigh(audience: Audience, person: Person, known: Callable[[], Known]) -> Facts | None:
    """None for who does not belong. `known` is asked only of somebody who consents."""
    if person.anonymous or not consents(audience, person.customer):
        return None
    history = known()
    if not _in_time(audience, history):
        return None
    for channel in _channels(audience, history.preferred_channel):
        node = address_of(person, channel, history.used) if may_use(audience, person.customer, channel) else ""
        if node:
            facts = Facts(node, channel, history.last_contact_at, history.orders, history.last_order_at)
            return facts if not audience.filter or _passes(audience.filter, person.customer, facts) else None
    return None


def _in_time(audience: Audience, known: Known) -> bool:
    contact = not audience.contact_since or known.last_contact_at >= audience.contact_since
    silent = not audience.contact_before or known.last_contact_at < audience.contact_before
    bought = known.orders >= audience.orders_least
    none = not audience.orders_none_since or known.last_order_at < audience.orders_none_since
    return contact and silent and bought and none


def _channels(audience: Audience, preferred: str) -> list[str]:
    """Those to try, in order: of an audience that names channels, only the preferred one where it is known."""
    if audience.channels:
        wanted: Iterable[str] = (each for each in audience.channels if preferred in ("", each))
    else:
        wanted = (preferred, *(each for each in audience.consent if each in CHANNELS), *FALLBACK)
    return [each for each in dict.fromkeys(wanted) if each and each not in NOT_CONTACTABLE]


def address_of(person: Person, channel: str, used: tuple[str, ...]) -> str:
    """Node of his address on a channel: the one that he used last, else the surest. Empty: he has none."""
    kinds = KINDS_OF.get(channel, (channel,))
    mine = {node: found for node in person.nodes if (found := _identity(person, node)) and found.kind in kinds}
    places = {text: place for place, text in enumerate(used)}

    def rank(node: str) -> tuple[int, int, int, str]:
        each = mine[node]
        return places.get(each.text, len(places)), kinds.index(each.kind), -each.assurance, each.text

    return min(mine, key=rank, default="")


def _identity(person: Person, node: str) -> Identity | None:
    """What one of his nodes stands for; None for one that is not his, not attested or erased."""
    item = person.nodes.get(node)
    if item is None or "val" not in item or item.get("asr", 0) < A2_ATTESTED:
        return None
    return Identity(item["kind"], item["val"], item.get("scope", ""), item["asr"])


def _passes(expression: str, customer: Customer, facts: Facts) -> bool:
    """One that asks too much finds nothing."""
    document = {
        "channel": facts.channel,
        "language": _value(customer, "language"),
        "last_contact_at": facts.last_contact_at,
        "orders": facts.orders,
        "last_order_at": facts.last_order_at,
        "fields": {name: field.value for name, field in customer.fields.items()},
    }
    try:
        return truthy(Search().value(expression, document, "filter"))
    except PayloadMalformed:
        return False


def shown(audience: Audience, person: Person, facts: Facts) -> Member | None:
    """The entry, from what is true now: None once the consent is gone, or the address is not his any more."""
    identity = _identity(person, facts.node)
    allowed = consents(audience, person.customer) and may_use(audience, person.customer, facts.channel)
    if person.anonymous or identity is None or not allowed:
        return None
    return Member(
        customer=person.customer.id,
        channel=facts.channel,
        address=identity.text.partition(":")[2],
        name=_value(person.customer, "name"),
        language=_value(person.customer, "language"),
        last_contact_at=facts.last_contact_at,
        orders=facts.orders,
        last_order_at=facts.last_order_at,
        consent=tuple(_proofs(audience, person.customer.fields, facts.channel)),
    )


def _proofs(audience: Audience, fields: Mapping[str, Field], channel: str) -> Iterable[Consent]:
    for purpose in dict.fromkeys((*audience.consent, channel)):
        field = fields.get(f"{GENERAL}_{purpose}")
        if field is not None:
            yield Consent(purpose, field.source, field.at)


def _value(customer: Customer, name: str) -> str:
    return customer.fields[name].value if name in customer.fields else ""


def reduced_member(member: Member, wish: Subscription, pseudonym: str) -> Member:
    """Without what the connection may not see."""
    if wish.pseudonymous:
        return msgspec.structs.replace(member, customer=pseudonym, address="", name="", language="")
    return msgspec.structs.replace(member, name="", language="") if wish.redact else member


def print_of(member: Member | None) -> str:
    """Equal prints: nothing to tell. What every entry changes, last contact and orders, is not in it."""
    if member is None:
        return ""
    steady = msgspec.structs.replace(member, last_contact_at="", orders=0, last_order_at="")
    return digest(msgspec.json.encode(steady))
