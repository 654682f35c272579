"""Who asks: what a key or a magic link may do, so that a page offers nothing that would be refused."""

from __future__ import annotations

from chalicelib.api.answers import Call, Reply, granted
from chalicelib.errors import KeyMissing
from chalicelib.store.keys import SCOPES


def show(call: Call) -> Reply:
    """`scopes`: with those that others bring along. `id`: the key's; None of a magic link, which reads
    one customer and nothing else."""
    if call.key is None:
        raise KeyMissing("send Authorization: Bearer <api key>")
    held = granted(call.key)
    return Reply(
        {"id": call.key.id or None, "name": call.key.name, "scopes": [each for each in SCOPES if each in held]}
    )
