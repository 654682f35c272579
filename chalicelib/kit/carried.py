"""What we put into the link of a survey and get back with its answer: what it is about, and whom it was meant for.

Whoever opens the link can change it: people in it are asserted, and a conversation is as if he had typed it. (The
order, receipt or case of a connection that is no own system is so anyway.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.kit.fields import DEFAULT_REGION, LONGEST_VALUE, identity, plain, present
from chalicelib.model.event import CHANNELS, Ref
from chalicelib.model.identity import A1_ASSERTED, KINDS, Identity

REFS = frozenset({"survey", "order", "receipt", "case", "thread"})
MEANINGS: Mapping[str, str] = {
    **dict.fromkeys(["survey", "survey_id", "invitation"], "survey"),
    **dict.fromkeys(["order", "order_id", "order_number"], "order"),
    **dict.fromkeys(["receipt", "receipt_id"], "receipt"),
    **dict.fromkeys(["case", "ticket", "ticket_id"], "case"),
    **dict.fromkeys(["thread", "conversation", "conversation_id"], "thread"),
    **dict.fromkeys(["email", "mail"], "email"),
    **dict.fromkeys(["phone", "phone_number"], "phone"),
    "name": "name",
    "channel": "channel",
}
"""Name of a carried value → what it is, where a connection's settings say nothing else."""


class Carried(msgspec.Struct, frozen=True):
    refs: tuple[Ref, ...] = ()
    identities: tuple[Identity, ...] = ()
    name: str = ""
    channel: str = ""

    def ref(self, kind: str) -> str:
        return next((ref.value for ref in self.refs if ref.kind == kind), "")


def carried(values: Any, meanings: Any = None, region: str = DEFAULT_REGION) -> Carried:
    """`values`: name → value, as the provider returns them. `meanings`: name → a kind of reference, `email`,
    `phone`, `name`, `channel`, or an identity as `kind:scope` (`shop:tc`), besides MEANINGS. Total."""
    told = [(name, plain(value)) for name, value in values.items()] if isinstance(values, dict) else []
    known = dict(MEANINGS) | (meanings if isinstance(meanings, dict) else {})
    read = [(str(known.get(name, "")), value) for name, value in told if 0 < len(value) <= LONGEST_VALUE]
    return Carried(
        refs=tuple(dict.fromkeys(Ref(kind, value, typed=kind == "thread") for kind, value in read if kind in REFS)),
        identities=present(*(_person(kind, value, region) for kind, value in read)),
        name=next((value for kind, value in read if kind == "name"), ""),
        channel=next((value for kind, value in read if kind == "channel" and value in CHANNELS), ""),
    )


def _person(meaning: str, value: str, region: str) -> Identity | None:
    kind, _, scope = meaning.partition(":")
    return identity(kind, scope, value, A1_ASSERTED, region) if kind in KINDS else None
