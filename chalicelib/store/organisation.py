"""The organisation's own lists: what identifies nobody, and how an address is read."""

from __future__ import annotations

import time

import msgspec

from chalicelib.store.table import Put, Table, equal

ROLES = ("info", "sales", "contact", "klantenservice", "support", "administratie", "office", "hello", "service")
CACHE_SECONDS = 5.0
_cache: list[tuple[float, Organisation]] = []


class Organisation(msgspec.Struct, frozen=True, omit_defaults=True):
    """`own`: identity texts of ourselves. `roles`: mailbox names that identify nobody.
    `blocked`: identity texts an admin listed. `limit`: contacts around one shared contact point."""

    own: tuple[str, ...] = ()
    roles: tuple[str, ...] = ROLES
    blocked: tuple[str, ...] = ()
    channels: dict[str, str] = {}
    """Channel → our address on it, for deep links of handovers."""
    region: str = "NL"
    alerts: str = ""
    """Id of the connection, of a destination, that is told when a connection needs somebody."""
    login_url: str = ""
    """A page of ours where customers log in, to which verification links lead."""
    frame_ancestors: tuple[str, ...] = ()
    """Origins whose pages may show `/embed/…` in a frame; none: nobody may."""
    retention_days: int = 0
    """Days that events are kept after they happened, where their connection does not say; 0: as the
    stage is set. The same for receipts."""
    receipt_retention_days: int = 0
    limit: int = 5
    cap: int = 100
    ver: int = 0


def read(table: Table) -> Organisation:
    """The lists in force, read at most every five seconds in one container."""
    if _cache and time.monotonic() - _cache[0][0] < CACHE_SECONDS:
        return _cache[0][1]
    item = table.get(("ORG", "settings"))
    found = msgspec.json.decode(item["b"], type=Organisation) if item else Organisation()
    _cache[:] = [(time.monotonic(), found)]
    return found


def save(table: Table, organisation: Organisation) -> bool:
    """Replace the version before. False: somebody was first."""
    item = {"pk": "ORG", "sk": "settings", "b": msgspec.json.encode(organisation), "ver": organisation.ver}
    _cache.clear()
    return table.write(Put(item, equal(ver=organisation.ver - 1 or None)))


def forget() -> None:
    _cache.clear()
