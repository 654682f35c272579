"""What the doctor found when it last looked at this stage's settings at AWS: written by whoever deploys, read by /health.

The functions may not ask AWS how they are set, and need not: /health is open to anybody, and a page that asks AWS at each look is
one that anybody can make expensive. Only numbers are kept: what is wrong stays with whoever asked.
"""

from __future__ import annotations

import msgspec

from chalicelib.store.table import Item, Key, Table

KEY: Key = ("ORG", "DOCTOR")


class Checkup(msgspec.Struct, frozen=True):
    at: str
    wrong: int
    unsure: int
    """Checks that could not tell."""
    fine: int


def item_of(checkup: Checkup) -> Item:
    return {"pk": KEY[0], "sk": KEY[1], **msgspec.to_builtins(checkup)}


def read(table: Table) -> Checkup | None:
    """None where nobody has looked yet."""
    item = table.get(KEY)
    return Checkup(item["at"], item["wrong"], item["unsure"], item["fine"]) if item else None
