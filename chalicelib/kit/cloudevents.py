"""CloudEvents 1.0 over HTTP: binary, structured and batched mode, all as the same JSON object.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md (permission to send)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, parse_json
from chalicelib.kit.shape import pick, required, text
from chalicelib.kit.signatures import decode, encode
from chalicelib.kit.source import Answer

STRUCTURED, BATCH = "application/cloudevents", "application/cloudevents-batch"
REQUIRED = ("specversion", "id", "source", "type")
_JSON = pattern(r"(?:application|text)/(?:[a-z0-9.+-]+\+)?json\Z")
_QUOTED = pattern(r'"((?:[^"\\]|\\.)*)"')
_ORIGIN = pattern(r"[A-Za-z0-9.:_-]{1,253}\Z", re.ASCII)


def documents(request: Request) -> Iterator[tuple[str, Any]]:
    """(name, event as sent) of every event, still to be `read`. Raises PayloadMalformed for what is no CloudEvent."""
    if request.media_type.startswith(BATCH):
        if not isinstance(request.json, list):
            raise PayloadMalformed("a batch of CloudEvents is a JSON list")
        yield from ((f"[{number}]", each) for number, each in enumerate(request.json))
    elif request.media_type.startswith(STRUCTURED):
        yield "", request.json
    else:
        yield "", _binary(request)


def read(sent: Any) -> dict[str, Any]:
    """A whole event, what it carries under `data`. Raises PayloadMalformed naming what it lacks."""
    for name in REQUIRED:
        required(sent, name)
    if not text(sent, "specversion").startswith("1."):
        raise PayloadMalformed("specversion: not 1.0")
    packed = text(sent, "data_base64")
    if not packed:
        return dict(sent)
    raw = decode(packed, "base64")
    if raw is None:
        raise PayloadMalformed("data_base64: not base64")
    return {name: value for name, value in sent.items() if name != "data_base64"} | _carried(raw, sent)


def key(request: Request) -> str | None:
    """Source and id, which name one event for ever; None for a batch and for what is no event. Never raises."""
    try:
        found = [sent for _, sent in documents(request)] if not request.media_type.startswith(BATCH) else []
    except PayloadMalformed:
        return None
    named = [text(found[0], name) for name in ("source", "id")] if found else []
    return " ".join(named) if named and all(named) else None


def permission(request: Request, proven: bool) -> Answer | None:
    """The answer to a sender that asks, by OPTIONS, whether it may send. Who proves that he knows the secret may;
    so may the origins of the setting `allowed_origins`, where senders ask without it."""
    origin, allowed = request.header("webhook-request-origin") or "", request.settings.get("allowed_origins")
    listed = isinstance(allowed, list) and ("*" in allowed or origin in allowed)
    if request.method != "OPTIONS" or not (proven or (listed and origin)):
        return None
    told = {"Allow": "POST"}
    if _ORIGIN.match(origin):
        told["WebHook-Allowed-Origin"] = origin
        if request.header("webhook-request-rate"):
            told["WebHook-Allowed-Rate"] = _rate(request)
    return Answer("", headers=told)


def _rate(request: Request) -> str:
    """Requests a minute, `*` for any number."""
    limit = request.settings.get("allowed_rate")
    return str(limit) if type(limit) is int and limit > 0 else "*"


def _binary(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in request.headers:
        if name.lower().startswith("ce-"):
            found.setdefault(name[3:].lower(), _attribute(name, value))
    if "specversion" not in found:
        raise PayloadMalformed("no CloudEvent: there is no ce-specversion")
    kind = request.header("content-type")
    found = {name: value for name, value in found.items() if name != "data"}
    return found | ({"datacontenttype": kind} if kind else {}) | (_carried(request.body, {"datacontenttype": kind}))


def _attribute(name: str, value: str) -> str:
    """Quoted parts without their quotes, then percent-decoded once."""
    plain = _QUOTED.sub(lambda part: re.sub(r"\\(.)", r"\1", part[1]), value)
    try:
        return unquote_to_bytes(plain).decode()
    except UnicodeDecodeError as wrong:
        raise PayloadMalformed(f"{name}: not UTF-8") from wrong


def _carried(raw: bytes, event: Any) -> dict[str, Any]:
    """`data`: JSON by its type (JSON too, where none is told), else text; what is no text stays base64."""
    if not raw:
        return {}
    kind = str(pick(event, "datacontenttype") or "application/json").partition(";")[0].strip().lower()
    if _JSON.match(kind):
        return {"data": parse_json(raw)}
    try:
        return {"data": raw.decode()}
    except UnicodeDecodeError:
        return {"data_base64": encode(raw, "base64")}
