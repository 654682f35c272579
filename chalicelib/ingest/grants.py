"""Access tokens of look-ups: one for each grant and container, kept until shortly before it expires."""

from __future__ import annotations

import base64
import threading
import time
from typing import Any

from chalicelib.errors import Rejected
from chalicelib.kit.source import Grant
from chalicelib.model.event import digest

MARGIN_SECONDS = 30
MOST_KEPT = 64
_tokens: dict[str, tuple[str, float]] = {}
_lock = threading.Lock()


def headers_of(grant: Grant | None) -> dict[str, str]:
    """What a look-up sends to prove itself. Raises what `Http.request` raises, when no token can be had."""
    return {"Authorization": f"Bearer {token_of(grant)}"} if grant else {}


def token_of(grant: Grant) -> str:
    key = digest(grant.url, grant.client_id, grant.client_secret)
    with _lock:
        token, until = _tokens.get(key, ("", 0.0))
        if not token or until <= time.monotonic():
            token, seconds = _read(_ask(grant))
            if len(_tokens) >= MOST_KEPT:
                _tokens.clear()
            _tokens[key] = token, time.monotonic() + seconds - MARGIN_SECONDS
        return token


def _ask(grant: Grant) -> Any:
    from chalicelib.kit.http import Http
    from chalicelib.settings import settings

    pair = base64.b64encode(f"{grant.client_id}:{grant.client_secret}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
    http = Http("", headers=headers, allow_private=settings().allow_private_destinations)
    return http.request("POST", grant.url, body=b"grant_type=client_credentials").json()


def _read(answer: Any) -> tuple[str, float]:
    """(token, how many seconds it lasts): one that does not say so is used once."""
    found = answer if isinstance(answer, dict) else {}
    token, seconds = found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not token:
        raise Rejected("the grant gave no access token")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 10**6:
        return token, float(seconds)
    return token, 0.0
