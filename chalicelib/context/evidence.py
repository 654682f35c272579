"""What an event proves about who it is about: a pure function of it and the lists in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.context.fields import NEWS, Repeats
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, ANCHORS, CHANNEL_SCOPED, CONTACT_POINTS, Identity
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Item

PROVABLE = frozenset({"order", "receipt", "case"})
"""Kinds of refs that an own system proves; from anybody else they are typed."""


@dataclass(frozen=True)
class Evidence:
    """`home`: whose partition holds the event; None when nothing attested identifies anybody.
    `known`: identities that identify, A2 and up. `asserted`: the rest, which only make candidates.
    `refs`: proven ones; `typed`: those that a person typed. `contacts`: attested contact points,
    role mailboxes too: they identify nobody, but may vouch for a typed ref."""

    home: Identity | None
    known: tuple[Identity, ...]
    asserted: tuple[Identity, ...]
    refs: tuple[Ref, ...]
    typed: tuple[Ref, ...] = ()
    contacts: tuple[Identity, ...] = ()
    days: int = 0
    """How long what follows from it is kept; 0: as the stage is set."""
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Of the fields that it tells; `*`: of every other one."""
    repeats: Repeats = NEWS
    """Of these fields, what is no news."""


def weigh(event: Event, organisation: Organisation) -> Evidence:
    useful = [each for each in event.identities if identifies(each, organisation)]
    known = tuple(each for each in useful if each.assurance >= A2_ATTESTED)
    home = min(known, key=_home_order, default=None)
    asserted = tuple(each for each in useful if each.assurance < A2_ATTESTED)
    refs = tuple(ref for ref in event.refs if not ref.typed and ref.kind != "token")
    typed = tuple(ref for ref in event.refs if ref.typed and ref.kind in PROVABLE)
    contacts = tuple(each for each in event.identities if _contact(each, organisation))
    return Evidence(home, known, asserted, refs, typed, contacts)


def _contact(identity: Identity, organisation: Organisation) -> bool:
    attested = identity.kind in CONTACT_POINTS and identity.assurance >= A2_ATTESTED
    return attested and identity.text not in organisation.own


def identifies(identity: Identity, organisation: Organisation) -> bool:
    """False for our own addresses, role mailboxes and what an admin blocked."""
    text = identity.text
    if text in organisation.own or text in organisation.blocked:
        return False
    return identity.kind != "email" or identity.value.partition("@")[0] not in organisation.roles


def trait(identity: Identity) -> str:
    """What the graph must know of an identity: anchor of which kind, shareable, or neither."""
    if identity.kind in ANCHORS:
        return f"a:{identity.kind}/{identity.scope}"
    return "s" if identity.kind in CONTACT_POINTS else ""


def identity_of(item: Item) -> Identity:
    """What a node item stands for, by the best assurance that it was seen with."""
    return Identity(item["kind"], item["val"], item.get("scope", ""), item.get("asr", 0))


def _home_order(identity: Identity) -> tuple[int, str, str]:
    if identity.kind in CHANNEL_SCOPED:
        return 0, identity.kind, identity.text
    if identity.kind in ANCHORS:
        return 1, identity.kind, identity.text
    return {"email": 2, "phone": 3}.get(identity.kind, 4), identity.kind, identity.text
