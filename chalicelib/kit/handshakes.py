"""Proofs of ownership: what a provider asks of a hook's URL before it calls."""

from __future__ import annotations

from chalicelib.kit.request import Request
from chalicelib.kit.signatures import keys_of, octets, same
from chalicelib.kit.source import Answer, Secrets


def hub_challenge(request: Request, secrets: Secrets) -> Answer | None:
    """GET with `hub.mode=subscribe`: the challenge, verbatim, to whoever knows the `verify_token`."""
    asked = dict(reversed(request.query))
    given = octets(asked.get("hub.verify_token", ""))
    known = any(same(octets(key), given) for key in keys_of(secrets, "verify_token"))
    if request.method != "GET" or asked.get("hub.mode") != "subscribe" or not known:
        return None
    return Answer(asked["hub.challenge"]) if asked.get("hub.challenge") else None
