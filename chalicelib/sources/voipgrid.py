"""VoIPGRID, as Voys and others sell it: call notifications.

https://help.voys.nl/integraties/gespreksnotificaties/technische-specificaties

A call is told at each of its moments; an entry is its end, and each transfer. The names of fields, statuses
and reasons can be set, because traces of other resellers differ. Webhooks in the dial plan are another thing:
their answer steers the call, so this must never be entered there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import calls, signatures
from chalicelib.kit.fields import instant
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import kept, mapped, required, text, words
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {"ended": "call", "transferred": "call"}
FIELDS = {
    "call": "call_id",
    "status": "status",
    "reason": "reason",
    "direction": "direction",
    "at": "timestamp",
    "duration": "duration",
    "caller": "caller.number",
    "caller_name": "caller.name",
    "called": "destination.number",
    "called_name": "destination.name",
    "by": "redirector.name",
    "merged": "merged_id",
}
STATUSES = {"ended": "ended", "warm-transfer": "transferred", "cold-transfer": "transferred"}
"""Their word → a type of ours, or how a call ended. Others yield nothing."""
REASONS = {
    "completed": calls.COMPLETED,
    "no-answer": calls.NO_ANSWER,
    "abandoned": calls.NO_ANSWER,
    "busy": calls.BUSY,
    "failed": calls.FAILED,
    "cancelled": calls.CANCELED,
}
PLACES = ", ".join(f"{name} → {place}" for name, place in FIELDS.items())
VERIFY = one_of(
    "auth",
    path=signatures.path_secret(),
    basic=signatures.basic_auth(),
    bearer=signatures.static_token(),
)


def normalize(request: Request) -> Iterator[Event]:
    told = mapped(request.document, FIELDS, request.settings.get("fields"))
    word = words(STATUSES, request.settings.get("statuses")).get(told["status"].lower(), "")
    out = told["direction"].lower() in ("outbound", "out", "outgoing")
    customer, own = ("called", "caller") if out else ("caller", "called")
    if (word not in TYPES and word not in calls.STATES) or calls.inside(told[customer]):
        return
    state = outcome(request, told, word)
    moment = instant(told["at"], FIELDS["at"], text(request.settings, "zone") or "Europe/Amsterdam")
    call = calls.Call(
        number=required(told, "call"),
        state=state,
        at=moment,
        customer=told[customer],
        own=told[own],
        out=out,
        version=f"{state}@{moment}" if state == calls.TRANSFERRED else "ended",
        region=request.region,
        details=details(told, own),
    )
    yield calls.entry(call, "transferred" if state == calls.TRANSFERRED else "ended")


def outcome(request: Request, told: Mapping[str, str], word: str) -> str:
    if word != "ended":
        return word
    found = words(REASONS, request.settings.get("reasons")).get(told["reason"].lower(), calls.COMPLETED)
    return found if found in calls.STATES else calls.COMPLETED


def details(told: Mapping[str, str], own: str) -> dict[str, Any]:
    return kept(
        duration=calls.seconds(told["duration"]),
        reason=told["reason"],
        agent=told[f"{own}_name"],
        transferred_by=told["by"],
        merged=told["merged"],
    )


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"call_id":"sample-1","timestamp":"2026-01-01T11:00:00+00:00","status":"ended","version":"v2","reason":"no-answer",'
        b'"direction":"inbound","caller":{"number":"anonymous","name":null},"destination":{"number":"+31201234567"}}'
    )
    return VERIFY.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="VoIPGRID",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    settings={
        "auth": Setting("Authentication", default="path", choices=VERIFY.choices),
        "username": Setting("User name", help="Of basic authentication"),
        "fields": Setting(
            "Fields",
            type="object",
            help=f"Our name → where it is, with dots between, where it is another place than in: {PLACES}",
        ),
        "statuses": Setting("Statuses", type="object", help=f"Their word → ended, {', '.join(calls.STATES)}"),
        "reasons": Setting("Reasons", type="object", help=f"Their word → {', '.join(calls.STATES)}"),
        "region": REGION,
        "zone": Setting("Time zone", default="Europe/Amsterdam", help="For moments without an offset"),
    },
    secrets={
        "path_secret": Setting("Path secret", help="path: notifications go to {hook_url}/<path secret>"),
        "password": Setting("Password", help="basic"),
        "token": Setting("Token", help="bearer"),
    },
    grade="unverified",
    unverified=(
        "everything but the notification at the start of a call, whose fields the vendor's page shows: the statuses of "
        "transfers, the reasons of an end, and the fields reason, duration, redirector and merged_id",
        "whether notifications can carry credentials; the secret in the path needs none",
        "which number is destination.number once a call was answered or passed on",
    ),
    setup=(
        "Make up a path secret and enter it here. Enter {hook_url}/<path secret> as the address of the call "
        "notifications module (Gespreksnotificaties), not as a webhook in the dial plan",
        "Make a call, look at its receipts, and set fields, statuses and reasons by what is in them; then replay them",
    ),
    docs="https://help.voys.nl/integraties/gespreksnotificaties/technische-specificaties",
    sample=sample,
)
