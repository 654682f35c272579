"""Threads where a provider names none: our line, the customer's line and the UTC day."""

from __future__ import annotations

from chalicelib.kit.fields import DEFAULT_REGION, phone_identity
from chalicelib.model.instants import day


def day_thread(own: str, customer: str, moment: str, region: str = DEFAULT_REGION) -> str:
    """Addresses are numbers or user ids, with the channel's prefix where it has one, such as `whatsapp:`."""
    return "|".join((line(own, region), line(customer, region), day(moment)))


def line(address: str, region: str = DEFAULT_REGION) -> str:
    """An address in one form, still telling its channel from others on the same number."""
    prefix, colon, bare = address.rpartition(":")
    found = phone_identity(bare, region)
    return f"{prefix}{colon}{found.value if found else bare}"
