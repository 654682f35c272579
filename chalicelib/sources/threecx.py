"""3CX: the call journal, as a CRM template posts it when a call has ended.

https://www.3cx.com/docs/server-side-crm-template-xml-description/

3CX has no webhooks. Its CRM templates report each call, with what fields they like: ours, beside the forwarders,
posts those named here, and others can be set. A report names no call, so a call is its start, its agent and the
number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import calls, signatures
from chalicelib.kit.fields import instant
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import kept, mapped, text, words
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event, digest

TYPES = {"inbound": "call", "missed": "call", "outbound": "call", "notanswered": "call"}
FIELDS = {
    "call": "call_id",
    "type": "call_type",
    "number": "number",
    "name": "name",
    "agent": "agent",
    "agent_name": "agent_name",
    "queue": "queue",
    "line": "line",
    "start": "started_at",
    "end": "ended_at",
    "duration": "duration",
    "recording": "recording",
    "summary": "summary",
}
OUTCOMES = {"missed": calls.NO_ANSWER, "notanswered": calls.NO_ANSWER}
PLACES = ", ".join(f"{name} → {place}" for name, place in FIELDS.items())
VERIFY = one_of(
    "auth",
    bearer=signatures.static_token(),
    path=signatures.path_secret(),
    basic=signatures.basic_auth(),
)


def normalize(request: Request) -> Iterator[Event]:
    told = mapped(request.document, FIELDS, request.settings.get("fields"))
    kind = kind_of(request, told)
    if not kind or calls.inside(told["number"]):
        return
    zone = text(request.settings, "zone") or "UTC"
    start = instant(told["start"], FIELDS["start"], zone)
    call = calls.Call(
        number=told["call"] or digest(start, told["agent"], told["number"]),
        state=OUTCOMES.get(kind, calls.COMPLETED),
        at=instant(told["end"], FIELDS["end"], zone) if told["end"] else start,
        customer=told["number"],
        own=told["line"],
        out=kind in ("outbound", "notanswered"),
        version=f"ended:{told['agent']}",
        region=request.region,
        details=details(told),
    )
    yield calls.entry(call, kind, text=told["summary"], fields=kept(name=told["name"][:200]))


def kind_of(request: Request, told: Mapping[str, str]) -> str:
    """By the words of the call journal, or those that the setting names instead."""
    word = told["type"].lower()
    kind = words({}, request.settings.get("types")).get(word, word).lower().replace(" ", "")
    return kind if kind in TYPES else ""


def details(told: Mapping[str, str]) -> dict[str, Any]:
    agent = " ".join(each for each in (told["agent_name"], told["agent"]) if each)
    return kept(
        duration=calls.seconds(told["duration"]),
        agent=agent,
        queue=told["queue"],
        recording=told["recording"] if told["recording"].startswith("https://") else "",
    )


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"call_type":"Missed","number":"anonymous","agent":"100","duration":"00:00:00",'
        b'"started_at":"2026-01-01T11:00:00Z","ended_at":"2026-01-01T11:00:20Z"}'
    )
    return VERIFY.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="3CX",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    settings={
        "auth": Setting("Authentication", default="bearer", choices=VERIFY.choices),
        "username": Setting("User name", help="Of basic authentication"),
        "fields": Setting(
            "Fields",
            type="object",
            help=f"Our name → where it is, with dots between, where it is another place than in: {PLACES}",
        ),
        "types": Setting("Call types", type="object", help=f"Their word → {', '.join(TYPES)}"),
        "region": REGION,
        "zone": Setting("Time zone", default="UTC", help="For moments without an offset"),
    },
    secrets={
        "token": Setting("Token", help="bearer: a parameter of the template"),
        "path_secret": Setting("Path secret", help="path: the template posts to {hook_url}/<path secret>"),
        "password": Setting("Password", help="basic"),
    },
    grade="unverified",
    unverified=(
        "our template: it was written by the vendor's description and imported into no telephone system",
        "whether a report is sent again when the hub does not answer: nothing says so, so it may be lost",
        "what the journal says of a call that was passed on: each report is an entry by its agent",
    ),
    setup=(
        "Make up a token and enter it here. Upload infra/forwarders/threecx_template.xml in the admin console (CRM "
        "integration) and fill in {hook_url} and the token; switch call journaling on",
        "With a template of your own, set fields and types by what it posts",
    ),
    docs="https://www.3cx.com/docs/server-side-crm-template-xml-description/",
    sample=sample,
)
