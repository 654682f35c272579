"""Certificates that requests name as what signed them: asked for at most once by a container, then kept.

An address comes here only after all cheap checks of its request. Whoever makes up many of them gets as
far as `MOST_ASKED` look-ups a minute: what is known already does not count.
"""

from __future__ import annotations

import threading
import time

from chalicelib.errors import Delayed, DeliveryFailed, FetchDelayed

DEADLINE_SECONDS = 3.0
AGAIN_SECONDS = 10.0
MOST_ASKED, MOST_KEPT = 8, 64
LONGEST = 16 * 1024
_texts: dict[str, str] = {}
_asked: list[float] = []
_failed: dict[str, float] = {}
_lock = threading.Lock()


def look_up(address: str) -> str:
    """The certificate's text, or empty where that address has none. Raises FetchDelayed when nobody can tell now."""
    with _lock:
        if address not in _texts:
            _may_ask(address, time.monotonic())
            _keep(address, _ask(address))
        return _texts[address]


def _may_ask(address: str, now: float) -> None:
    _asked[:] = [at for at in _asked if now - at < 60]
    if now - _failed.get(address, -AGAIN_SECONDS) < AGAIN_SECONDS or len(_asked) >= MOST_ASKED:
        raise FetchDelayed("the certificate cannot be had now")
    _asked.append(now)


def _keep(address: str, text: str) -> None:
    """The oldest address without a certificate makes room first."""
    if len(_texts) >= MOST_KEPT:
        del _texts[next((each for each, found in _texts.items() if not found), next(iter(_texts)))]
    _texts[address] = text


def _ask(address: str) -> str:
    from chalicelib.kit.http import Http
    from chalicelib.settings import settings

    http = Http("", allow_private=settings().allow_private_destinations, deadline=DEADLINE_SECONDS)
    try:
        reply = http.request("GET", address)
    except Delayed as wrong:
        if len(_failed) >= MOST_KEPT:
            _failed.clear()
        _failed[address] = time.monotonic()
        raise FetchDelayed(f"the certificate: {wrong.reason}") from wrong
    except DeliveryFailed:
        return ""
    readable = not reply.truncated and len(reply.body) <= LONGEST and reply.body.isascii()
    return reply.body.decode() if readable else ""
