"""RingCentral: telephony sessions, voicemails, text messages and faxes of an account.

https://developers.ringcentral.com/guide/voice/telephony-session-notifications
https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks
https://developers.ringcentral.com/guide/notifications/webhooks/receiving

A session has parties; a webhook tells of those that changed. An entry is a party that left: it ended
the call or passed it on. A party that left because the call went on elsewhere in the house is none.
Parties come in any order: `sequence` says which, and no entry depends on another.
Subscriptions end: the hub prolongs its own, and makes it anew where RingCentral has blacklisted it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from chalicelib.kit import calls
from chalicelib.kit.fields import identity, instant, plain, present
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import basic_auth, keys_of, path_secret, static_token
from chalicelib.kit.source import REGION, Answer, Renewal, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

TYPES = {"telephony/sessions": "call", "voicemail": "call", "message-store/instant": "message", "fax": "fax"}
TRANSFERS = frozenset({"BlindTransfer", "RccTransfer", "AttendedTransfer", "DtmfTransfer"})
ELSEWHERE = frozenset(
    ["Pickup", "Supervising", "TakeOver", "CallerInputRedirect", "CallFlip", "ParkLocation", "AgentAnswered"]
) | frozenset({"AgentDropped", "CallRedirected"})
"""Reasons of a party that left while the call went on with another one."""
OUTCOMES = {
    **dict.fromkeys(TRANSFERS, calls.TRANSFERRED),
    **dict.fromkeys(["NoAnswer", "Timeout", "Rejected", "CallReplied"], calls.NO_ANSWER),
    **dict.fromkeys(["InternalError", "InvalidNumber", "InternationalDisabled", "NoSuchUser"], calls.FAILED),
    **dict.fromkeys(["DestinationBlocked", "NotEnoughFunds"], calls.FAILED),
    "TargetBusy": calls.BUSY,
    "Cancelled": calls.CANCELED,
    "Voicemail": calls.VOICEMAIL,
}
SENT = frozenset({"sent", "delivered", "sendingfailed", "deliveryfailed"})
API = "https://platform.ringcentral.com"
SUBSCRIPTIONS = "/restapi/v1.0/subscription"
FILTERS = ("/restapi/v1.0/account/~/telephony/sessions",)
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE = 7 * 86400
"""Seconds that a subscription is asked for."""

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    kind, told = kind_of(request), pick(request.object, "body")
    if not kind or not isinstance(told, dict):
        return
    if kind == "telephony/sessions":
        for party in objects(told, "parties"):
            yield from left(request, told, party, kind)
    elif text(told, "availability") in ("", "Alive"):
        yield from voicemail(request, told, kind) if kind == "voicemail" else message(request, told, kind)


def kind_of(request: Request) -> str:
    path = text(request.object, "event").partition("?")[0]
    return next((kind for kind in TYPES if path.startswith("/restapi/") and path.endswith(f"/{kind}")), "")


def left(request: Request, told: Node, party: Node, kind: str) -> Iterator[Event]:
    """Somebody of the house on the other end makes it an internal call: nobody's."""
    out, state = text(party, "direction") == "Outbound", outcome(party)
    customer, own = ("to", "from") if out else ("from", "to")
    if not state or text(party, customer, "extensionId"):
        return
    call = calls.Call(
        number=required(told, "telephonySessionId"),
        state=state,
        at=instant(told.get("eventTime") or request.object.get("timestamp"), "body.eventTime"),
        customer=text(party, customer, "phoneNumber"),
        own=text(party, own, "phoneNumber"),
        out=out,
        version=f"{state}:{text(party, 'id')}",
        region=request.region,
        details=details(told, party, customer, own),
    )
    yield calls.entry(call, kind)


def outcome(party: Node) -> str:
    code, reason = text(party, "status", "code"), text(party, "status", "reason")
    if code == "Gone":
        return calls.TRANSFERRED if reason in TRANSFERS else ""
    if code != "Disconnected" or reason in ELSEWHERE:
        return ""
    found = OUTCOMES.get(reason, calls.COMPLETED)
    missed = party.get("missedCall") is True and found in (calls.COMPLETED, calls.CANCELED)
    return calls.NO_ANSWER if missed else found


def details(told: Node, party: Node, customer: str, own: str) -> dict[str, Any]:
    return kept(
        reason=text(party, "status", "reason"),
        agent=text(party, own, "name"),
        extension=text(party, own, "extensionId") or text(party, "extensionId"),
        caller_name=text(party, customer, "name"),
        transferred_to=text(party, "status", "peerId", "telephonySessionId"),
        recordings=[found for each in objects(party, "recordings")[:10] if (found := text(each, "id"))],
        sequence=whole(told.get("sequence")),
        session=text(told, "sessionId"),
    )


def voicemail(request: Request, told: Node, kind: str) -> Iterator[Event]:
    files = attachments(told)
    lengths = [calls.seconds(each.get("vmDuration")) for each in objects(told, "attachments")]
    call = calls.Call(
        number=required(told, "id"),
        state=calls.VOICEMAIL,
        at=instant(told.get("creationTime"), "body.creationTime"),
        customer=text(told, "from", "phoneNumber"),
        own=text(receiver(told), "phoneNumber"),
        region=request.region,
        details=kept(
            duration=next((length for length in lengths if length is not None), None),
            agent=text(receiver(told), "name"),
            caller_name=text(told, "from", "name"),
        ),
    )
    if text(told, "direction") != "Outbound" and not text(told, "from", "extensionNumber"):
        yield calls.entry(call, kind, attachments=files)


def message(request: Request, told: Node, kind: str) -> Iterator[Event]:
    out, status = text(told, "direction") == "Outbound", text(told, "messageStatus").lower()
    theirs, ours = (receiver(told), pick(told, "from")) if out else (pick(told, "from"), receiver(told))
    channel = "fax" if kind == "fax" else "sms"
    who = present(identity(kind_of_number(channel), "", text(theirs, "phoneNumber"), A2_ATTESTED, request.region))
    if text(theirs, "extensionNumber") or (out and status not in SENT):
        return
    moment, said = moment_of(told, out), text(told, "subject") if channel == "sms" else ""
    yield Event(
        type=TYPES[kind],
        channel=channel,
        direction="out" if out else "in",
        actor="agent" if out else "customer",
        object=required(told, "id"),
        version=status if out else "received",
        occurred_at=moment,
        identities=who,
        refs=threads(request, told, channel, (text(ours, "phoneNumber"), text(theirs, "phoneNumber")), moment),
        summary=said[:120] or f"{'Fax' if channel == 'fax' else 'Message'} {status or 'received'}",
        text=said,
        attachments=attachments(told),
        details=kept(status=status, pages=whole(told.get("faxPageCount"))),
        address=who[0].text if who else "",
        own_address=line(request, channel, text(ours, "phoneNumber")),
        provider_type=kind,
    )


def moment_of(told: Node, out: bool) -> str:
    field = "lastModifiedTime" if out and told.get("lastModifiedTime") else "creationTime"
    return instant(told.get(field), f"body.{field}")


def threads(request: Request, told: Node, channel: str, ends: tuple[str, str], moment: str) -> tuple[Ref, ...]:
    """RingCentral's own conversation, where it names one."""
    own, customer = ends
    named = text(told, "conversationId") or text(told, "conversation", "id")
    day = day_thread(f"{channel}:{own}", customer, moment, request.region) if customer else ""
    return (Ref("thread", named or day),) if named or day else ()


def receiver(told: Node) -> Node:
    several = objects(told, "to")
    return next((each for each in several if each.get("target") is True), several[0] if several else {})


def attachments(told: Node) -> tuple[dict[str, Any], ...]:
    """The text of a message comes as a file, too: not again."""
    found = [each for each in objects(told, "attachments")[:20] if text(each, "type") != "Text"]
    return tuple(
        kept(
            name=text(each, "fileName"),
            id=text(each, "id"),
            url=text(each, "uri"),
            media_type=text(each, "contentType"),
            size=whole(each.get("size")),
        )
        for each in found
    )


def whole(found: object) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53 else None


def kind_of_number(channel: str) -> str:
    return "fax" if channel == "fax" else "phone"


def line(request: Request, channel: str, number: str) -> str:
    found = identity(kind_of_number(channel), "", number, A2_ATTESTED, request.region)
    return found.text if found else ""


def handshake(request: Request, secrets: Secrets) -> Answer | None:
    """A new subscription is tried with a token and no event: the token goes back, to who knows our address."""
    given = request.header("validation-token") or ""
    asked = request.method == "POST" and 0 < len(given) <= 256 and given.isascii() and given.isprintable()
    if not asked or b'"event"' in request.body or PATH(request, secrets) is not None:
        return None
    return Answer("", media_type="application/json", headers={"Validation-Token": given})


def renew(http: Http, hook_url: str) -> str:
    bearer = {"Authorization": f"Bearer {access_token(http)}"}
    known = objects(http.request("GET", SUBSCRIPTIONS, headers=bearer).json(), "records")
    ours = [each for each in known if text(each, "deliveryMode", "address").startswith(f"{hook_url}/")]
    alive = [each for each in ours if text(each, "status") == "Active"]
    for each in ours if not alive else alive[1:]:
        http.request("DELETE", f"{SUBSCRIPTIONS}/{required(each, 'id')}", headers=bearer, allow=(404,))
    wanted = {"eventFilters": filters(http.settings), "expiresIn": LIFE}
    if alive:
        path = f"{SUBSCRIPTIONS}/{required(alive[0], 'id')}"
        return text(http.request("PUT", path, json=wanted, headers=bearer).json(), "expirationTime")
    return text(
        http.request("POST", SUBSCRIPTIONS, json=wanted | delivery(http, hook_url), headers=bearer).json(),
        "expirationTime",
    )


def delivery(http: Http, hook_url: str) -> dict[str, Any]:
    address = PATH.sign(Request("POST", hook_url, (), b"", ""), http.secrets).url
    token = keys_of(http.secrets, "verification_token")[0]
    return {"deliveryMode": {"transportType": "WebHook", "address": address, "verificationToken": token}}


def access_token(http: Http) -> str:
    body = urlencode({"grant_type": JWT_GRANT, "assertion": keys_of(http.secrets, "jwt")[0]}).encode()
    headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"))
    asked = CLIENT.sign(Request("POST", "", headers, body, ""), http.secrets)
    return required(
        http.request("POST", "/restapi/oauth/token", body=body, headers=dict(asked.headers)).json(), "access_token"
    )


def filters(settings: Mapping[str, Any]) -> list[str]:
    named = settings.get("event_filters")
    return [found for each in named if (found := plain(each))] if isinstance(named, list) else list(FILTERS)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"uuid":"0","event":"/restapi/v1.0/account/1/telephony/sessions","timestamp":"2026-01-01T11:00:00.000Z",'
        b'"subscriptionId":"0","ownerId":"1","body":{"sequence":3,"sessionId":"1","telephonySessionId":"s-0",'
        b'"eventTime":"2026-01-01T11:00:00.000Z","parties":[{"id":"p-0-1","direction":"Inbound","missedCall":true,'
        b'"from":{"phoneNumber":"anonymous"},"to":{"phoneNumber":"+31201234567"},'
        b'"status":{"code":"Disconnected","reason":"NoAnswer"}}],"origin":{"type":"Call"}}}'
    )
    return VERIFY.sign(sample_request(url, settings, body), secrets)


PATH = path_secret()
CLIENT = basic_auth("client_id", "client_secret")
VERIFY = static_token(("Verification-Token", "Validation-Token"), "", "verification_token")
SOURCE = Source(
    name="RingCentral",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    handshake=handshake,
    handshake_first=True,
    renew=Renewal(
        API, renew, ahead=86400, needs=("client_id", "client_secret", "jwt", "verification_token", "path_secret")
    ),
    channels=("sms", "fax"),
    settings={
        "event_filters": Setting(
            "Event filters",
            type="array",
            items="string",
            help="Of the subscription that the hub makes; default: sessions",
        ),
        "base_url": Setting("API address", default=API, help="Where the subscription is prolonged"),
        "region": REGION,
    },
    secrets={
        "verification_token": Setting(
            "Verification token",
            required=True,
            help="A text of your choice, the deliveryMode.verificationToken of the subscription",
        ),
        "path_secret": Setting(
            "Path secret", required=True, help="The subscription's address is {hook_url}/<path secret>"
        ),
        "client_id": Setting("Client id", help="Of a server app with JWT flow, to make and prolong the subscription"),
        "client_secret": Setting("Client secret", help="Of the same app"),
        "jwt": Setting("JWT credential", help="Of a user who may see the account's calls"),
    },
    grade="documented",
    unverified=(
        "that the first try of a new subscription has no event in it, only the Validation-Token",
        "reasons of parties beyond the vendor's list, which are taken as the end of a call",
        "how long a subscription may live: seven days are asked for, and what the answer says counts",
    ),
    setup=(
        "Make up a verification token and a path secret and enter both here",
        "With a client id, client secret and JWT (scopes SubscriptionWebhook, CallControl, ReadMessages) the hub makes the "
        "subscription at {hook_url}/<path secret> itself, and prolongs it; DRAAD_PUBLIC_URL must be set",
        "Without them make the subscription yourself, to that address and with the verification token, and prolong it "
        "before it ends",
        "To be told more than calls, set event_filters; besides telephony/sessions there are "
        "/restapi/v1.0/account/~/extension/~/voicemail, …/message-store/instant?type=SMS and …/fax?direction=Inbound",
    ),
    docs="https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks",
    sample=sample,
)
