"""Faxes, which have no thread but our number, theirs and the day. A withheld number is nobody's, and no thread."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.kit.fields import DEFAULT_REGION, identity, present
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity


class Fax(msgspec.Struct, frozen=True):
    """`number`: its id. `customer` and `own`: numbers as dialled or shown."""

    number: str
    at: str
    customer: str
    own: str = ""
    region: str = DEFAULT_REGION
    attested: bool = True

    @property
    def identity(self) -> Identity | None:
        return identity("fax", "", self.customer, A2_ATTESTED if self.attested else A1_ASSERTED, self.region)


def entry(fax: Fax, kind: str, **more: Any) -> Event:
    """`more` are further fields of the event."""
    who, line = fax.identity, identity("fax", "", fax.own, A1_ASSERTED, fax.region)
    return Event(
        type="fax",
        channel="fax",
        object=fax.number,
        occurred_at=fax.at,
        identities=present(who),
        refs=(Ref("thread", day_thread(fax.own, fax.customer, fax.at, fax.region)),) if who else (),
        address=who.text if who else "",
        own_address=line.text if line else "",
        provider_type=kind,
        **more,
    )
