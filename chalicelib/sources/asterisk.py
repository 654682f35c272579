"""Asterisk, and telephone systems built on it, by the forwarder of this repository (`infra/forwarders/asterisk.py`).

https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Events/

Asterisk has no webhooks. The forwarder follows its events and posts one signed report for each call that ended or
was passed on; a report that is sent again says the same, so it is the same event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import calls
from chalicelib.kit.fields import instant
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {"call.ended": "call", "call.transferred": "call"}

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    told = request.object
    kind, state = text(told, "event"), text(told, "status")
    if kind not in TYPES or state not in calls.STATES or calls.inside(text(told, "customer")):
        return
    number = required(told, "call")
    call = calls.Call(
        number=number,
        state=state,
        at=instant(told.get("at"), "at"),
        customer=text(told, "customer"),
        own=text(told, "own"),
        out=text(told, "direction") == "outbound",
        version=required(told, "id").removeprefix(f"{number}:"),
        region=request.region,
        details=details(told),
    )
    yield calls.entry(call, kind)


def details(told: Node) -> dict[str, Any]:
    recording = text(told, "recording")
    return kept(
        duration=calls.seconds(told.get("duration")),
        waited=calls.seconds(told.get("waited")),
        agent=text(told, "agent"),
        caller_name=text(told, "caller_name"),
        transferred_by=text(told, "transferred_by"),
        transferred_to=text(told, "transferred_to"),
        transfers=[shown(each) for each in objects(told, "transfers")[:20]],
        recording=recording if recording.startswith("https://") else "",
        recording_file="" if recording.startswith("https://") else recording,
        reason=text(told, "cause"),
        uncertain=True if told.get("uncertain") is True else None,
    )


def shown(transfer: Node) -> dict[str, str]:
    return kept(**{name: text(transfer, name) for name in ("kind", "at", "by", "to")})


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"v":1,"event":"call.ended","id":"sample/1.1:ended","call":"sample/1.1","direction":"inbound","status":"no-answer",'
        b'"customer":"anonymous","own":"+31201234567","started_at":"2026-01-01T10:59:40.000Z","at":"2026-01-01T11:00:00.000Z"}'
    )
    return VERIFY.sign(sample_request(url, settings, body), secrets)


VERIFY = hmac_signature("X-Draad-Signature", prefix="sha256=", over="{ts}.{body}", timestamp_header="X-Draad-Timestamp")
SOURCE = Source(
    name="Asterisk",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    settings={
        "region": REGION,
    },
    secrets={"signing_secret": Setting("Signing secret", required=True, help="The same as in the forwarder's file")},
    grade="documented",
    unverified=(
        "the forwarder ran against recorded events and a server that plays them, not against an Asterisk",
        "calls that begin and end while the forwarder does not run are not known to anybody",
        "VoiceMail is told by the variable VMSTATUS, MixMonitor by MIXMONITOR_FILENAME: events of class dialplan",
    ),
    setup=(
        "Add a user to manager.conf: read = call,dialplan,reporting, write = reporting; set timestampevents = yes",
        "Make up a signing secret. Copy infra/forwarders/asterisk.py beside the telephone system; Python 3.11 is all it "
        "needs. Its first lines show the settings file: enter {hook_url}, the secret, and how trunks are named",
        "Run it as a service: python3 asterisk.py /etc/draad/forwarder.ini; its spool folder must outlive it",
    ),
    docs="https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Events/",
    sample=sample,
)
