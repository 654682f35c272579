"""What a message says, of whatever kind it is: its words, or what stands for them."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.model.identity import Identity


class Content(msgspec.Struct, frozen=True):
    """`label`: the summary where there are no words. `message`: the one that this one answers, edits or deletes.
    `identities`: whom it shows, as a contact of his own does. `token`: of a handover."""

    text: str = ""
    label: str = ""
    details: dict[str, Any] = {}
    attachments: tuple[dict[str, Any], ...] = ()
    identities: tuple[Identity, ...] = ()
    message: str = ""
    token: str = ""

    @property
    def summary(self) -> str:
        return (self.text or self.label)[:120]
