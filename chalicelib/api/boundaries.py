"""Boundaries: somebody says from when on an identity is another person's, a number given out anew."""

from __future__ import annotations

import msgspec

from chalicelib.api.answers import Call, Reply, instant, wrong
from chalicelib.api.lookup import read_identity
from chalicelib.context import generations, reapply
from chalicelib.model import instants
from chalicelib.model.identity import ANCHORS


class Boundary(msgspec.Struct, forbid_unknown_fields=True):
    identity: str
    at: str


def draw(call: Call) -> Reply:
    """202: a job brings what is there already to whoever had it at the time. The same again is the
    same job."""
    asked = call.read(Boundary)
    identity = read_identity(call, asked.identity, "/identity")
    if identity.kind in ANCHORS:
        raise wrong("/identity", "is an account: it is one person's for good")
    at = instant(asked.at, "/at")
    if at > instants.now():
        raise wrong("/at", "lies in the future")
    generations.bound(call.table, identity, at, generations.CHANGED_HANDS)
    job = reapply.start(call.table, identity, at)
    return Reply({"id": job.id, "job": job.id, "identity": identity.text, "at": at, "status": job.status}, 202)
