"""WeChat: what people write to an official account, whether they follow it, and the codes that they scan.

https://developers.weixin.qq.com/doc/offiaccount/en/Message_Management/Receiving_standard_messages.html
https://developers.weixin.qq.com/doc/offiaccount/en/Message_Management/Receiving_event_pushes.html
https://developers.weixin.qq.com/doc/oplatform/en/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html

In plain mode the signature covers the token, a timestamp and a nonce, but not the message: whoever sees one
request may send another body with it for five minutes. With an `encoding_aes_key` only encrypted
messages count, whose signature covers them and which name the account that they are for.
The scene of a scanned code is a handover token, of a follower's (`SCAN`) or of a new one's (`qrscene_…`).
Following is consent to messages, unfollowing withdraws it. A chat never ends: its thread is the day's.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from chalicelib.kit import tokens
from chalicelib.kit.ciphers import aes_opened, aes_sealed
from chalicelib.kit.content import Content
from chalicelib.kit.fields import instant, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, required, text
from chalicelib.kit.signatures import decode, keys_of, octets, same, untimely
from chalicelib.kit.source import Answer, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.kit.xml import parse_xml
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {
    "text": "message",
    "image": "message",
    "voice": "message",
    "video": "message",
    "shortvideo": "message",
    "location": "message",
    "link": "message",
    "CLICK": "message",
    "SCAN": "handover",
    "subscribe": "consent",
    "unsubscribe": "consent",
}
CONSENT = {"subscribe": "granted", "unsubscribe": "denied"}
MEDIA = {"image": "Image", "voice": "Voice message", "video": "Video", "shortvideo": "Video"}
TOLERANCE = 300
PADDED = 32
"""WeChat fills up to 32 bytes, not to AES's 16."""
SEALED = pattern(
    rb"\s*<xml>[^\x00]{0,20000}?<Encrypt>\s*<!\[CDATA\[([A-Za-z0-9+/=]{32,6000000})\]\]>\s*</Encrypt>"
    rb"[^\x00]{0,20000}</xml>\s*\Z"
)
NUMBER = pattern(rb"<MsgId>\s*(?:<!\[CDATA\[)?([0-9]{1,32})(?:\]\]>)?\s*</MsgId>")
SCENE = "qrscene_"


def normalize(request: Request) -> Iterator[Event]:
    told = parse_xml(request.body)
    kind = text(told, "MsgType")
    happened = text(told, "Event") if kind == "event" else ""
    if kind in CONTENTS:
        yield said(request, told, kind)
    elif happened in CONSENT:
        yield from followed(request, told, happened)
    elif happened == "SCAN":
        yield from scanned(request, told)
    elif happened == "CLICK":
        yield chosen(request, told)


def known(request: Request, told: Mapping[str, Any], kind: str) -> Event:
    """What every event of a person has. Events have no number: WeChat tells them by person and second."""
    moment, customer = instant(told.get("CreateTime"), "CreateTime"), required(told, "FromUserName")
    who = person(request, told, customer)
    own = person(request, told, text(told, "ToUserName"))
    return Event(
        type=TYPES[kind],
        channel="wechat",
        object=text(told, "MsgId") or digest(customer, text(told, "CreateTime"), kind, text(told, "EventKey")),
        occurred_at=moment,
        identities=present(who),
        refs=(Ref("thread", day_thread(f"wechat:@{text(told, 'ToUserName')}", f"wechat:@{customer}", moment)),),
        address=who.text if who else "",
        own_address=own.text if own else "",
        provider_type=kind,
    )


def person(request: Request, told: Mapping[str, Any], user: str) -> Identity | None:
    return scoped("wechat", text(request.settings, "account") or text(told, "ToUserName"), user, A2_ATTESTED)


def said(request: Request, told: Mapping[str, Any], kind: str) -> Event:
    found = CONTENTS[kind](told)
    return msgspec.structs.replace(
        known(request, told, kind),
        summary=found.summary,
        text=found.text,
        details=found.details,
        attachments=found.attachments,
    )


def words(told: Mapping[str, Any]) -> Content:
    return Content(text(told, "Content").strip(), "Message without text")


def medium(told: Mapping[str, Any]) -> Content:
    """Of a voice message what WeChat understood, where the account has that switched on."""
    kind, heard = text(told, "MsgType"), text(told, "Recognition").strip()
    types = {"image": "image", "voice": f"audio/{text(told, 'Format').lower()}" if text(told, "Format") else "audio"}
    file = kept(id=text(told, "MediaId"), url=text(told, "PicUrl"), media_type=types.get(kind, "video"))
    return Content(heard, MEDIA[kind], attachments=(file,))


def location(told: Mapping[str, Any]) -> Content:
    where = kept(latitude=text(told, "Location_X"), longitude=text(told, "Location_Y"), address=text(told, "Label"))
    return Content(label=": ".join(filter(None, ("Location", text(told, "Label")))), details=kept(location=where))


def link(told: Mapping[str, Any]) -> Content:
    page = {name: text(told, name.capitalize()) for name in ("title", "description", "url")}
    return Content(label=": ".join(filter(None, ("Link", page["title"]))), details=kept(link=kept(**page)))


CONTENTS: dict[str, Callable[[Mapping[str, Any]], Content]] = dict.fromkeys(MEDIA, medium) | {
    "text": words,
    "location": location,
    "link": link,
}


def followed(request: Request, told: Mapping[str, Any], kind: str) -> Iterator[Event]:
    event, answer = known(request, told, kind), CONSENT[kind]
    key = text(told, "EventKey")
    yield msgspec.structs.replace(
        event,
        object=f"{event.address}/messages",
        version=f"{answer}@{event.occurred_at}",
        refs=scene(key.removeprefix(SCENE)) if key.startswith(SCENE) else (),
        summary="Account followed" if answer == "granted" else "Account no longer followed",
        details={"medium": "wechat", "status": answer} | kept(scene=key.removeprefix(SCENE)),
        fields={"consent_wechat": answer},
    )


def scanned(request: Request, told: Mapping[str, Any]) -> Iterator[Event]:
    """Of a code that carries no token nothing follows."""
    event, key = known(request, told, "SCAN"), text(told, "EventKey")
    if handed := scene(key):
        refs, summary = (*event.refs, *handed), "Code scanned"
        yield msgspec.structs.replace(event, refs=refs, summary=summary, details={"scene": key})


def scene(key: str) -> tuple[Ref, ...]:
    """A code's number, up to five digits, is no token."""
    found = tokens.bare(key) or tokens.bare(tokens.for_parameter(key))
    return (Ref("token", found),) if found and not (found.isdigit() and len(found) < 6) else ()


def chosen(request: Request, told: Mapping[str, Any]) -> Event:
    key = text(told, "EventKey")
    return msgspec.structs.replace(
        known(request, told, "CLICK"), summary="Menu: " + key[:100], details=kept(choice=key)
    )


class Signed(msgspec.Struct, frozen=True):
    """SHA-1 over the sorted token, timestamp and nonce, and over what is encrypted where `sealed`."""

    sealed: bool
    place = "query"
    timed = True

    @property
    def covers_body(self) -> bool:
        return self.sealed

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        told = dict(reversed(request.query))
        if not keys_of(secrets, "token") or (self.sealed and not keys_of(secrets, "encoding_aes_key")):
            return "no token or no encoding_aes_key is configured"
        if late := untimely(told.get("timestamp", ""), "s", TOLERANCE, request.received_at):
            return late
        if request.method == "GET":
            return None if told.get("echostr") and signed(told, secrets, "signature") else "no handshake with the token"
        found = SEALED.match(request.body) if self.sealed else None
        if self.sealed and found is None:
            return "no encrypted message"
        if not signed(told, secrets, "msg_signature" if found else "signature", *([found[1]] if found else [])):
            return "the signature does not match"
        return (
            "the message cannot be opened, or is for another app_id" if found and not plain(request, secrets) else None
        )


def signed(told: Mapping[str, str], secrets: Secrets, name: str, *more: bytes) -> bool:
    given = decode(told.get(name, ""), "hex") or b""
    parts = [octets(told.get(each, "")) for each in ("timestamp", "nonce")]
    return any(same(mac(octets(key), *parts, *more), given) for key in keys_of(secrets, "token"))


def mac(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(sorted(parts))).digest()  # noqa: S324


def scheme(settings: Mapping[str, Any]) -> Signed:
    return Signed(text(settings, "mode") != "plain")


def verify(request: Request, secrets: Secrets) -> str | None:
    return scheme(request.settings)(request, secrets)


def opened(request: Request, secrets: Secrets) -> bytes:
    return (plain(request, secrets) or request.body) if scheme(request.settings).sealed else request.body


def plain(request: Request, secrets: Secrets) -> bytes:
    """16 bytes of chance, the length, the message, the account's app id; empty where it is none of ours."""
    found = SEALED.match(request.body)
    sealed = (decode(found[1].decode(), "base64") or b"") if found else b""
    for key in map(key_of, keys_of(secrets, "encoding_aes_key")):
        inner = aes_opened(key, key[:16], sealed, PADDED) or b""
        end = 20 + int.from_bytes(inner[16:20], "big")
        app = octets(text(request.settings, "app_id"))
        if app and len(inner) > end and same(app, inner[end:]):
            return inner[20:end]
    return b""


def key_of(told: str) -> bytes:
    return decode(told, "base64") or b""


def echoed(request: Request, secrets: Secrets) -> Answer | None:
    return Answer(dict(reversed(request.query))["echostr"]) if request.method == "GET" else None


def delivery_key(request: Request) -> str | None:
    """Read off the bytes: this never raises."""
    found = NUMBER.search(request.body)
    return found[1].decode() if found else None


def sign(request: Request, secrets: Secrets) -> Request:
    """As WeChat does, by the first secrets. Chance is none here: the same request is signed the same."""
    told = dict(reversed(request.query)) | {"nonce": "1320562132"}
    stamp, key = told.get("timestamp") or str(second(request)), octets(keys_of(secrets, "token")[0])
    told |= {"timestamp": stamp, "signature": mac(key, octets(stamp), octets(told["nonce"])).hex()}
    body = plain(request, secrets) or request.body
    if scheme(request.settings).sealed:
        sealed = base64.b64encode(seal(body, request, key_of(keys_of(secrets, "encoding_aes_key")[0])))
        told |= {"encrypt_type": "aes", "msg_signature": mac(key, octets(stamp), octets(told["nonce"]), sealed).hex()}
        body = b"<xml><ToUserName><![CDATA[account]]></ToUserName><Encrypt><![CDATA[" + sealed + b"]]></Encrypt></xml>"
    url = f"{request.url.partition('?')[0]}?{urlencode(told)}"
    return replace(request, url=url, query=tuple(told.items()), body=body)


def second(request: Request) -> int:
    return instants.to_ms(request.received_at) // 1000


def seal(body: bytes, request: Request, key: bytes) -> bytes:
    inner = b"\x00" * 16 + len(body).to_bytes(4, "big") + body + octets(text(request.settings, "app_id"))
    return aes_sealed(key, key[:16], inner, PADDED)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b"<xml><ToUserName><![CDATA[gh_test]]></ToUserName><FromUserName><![CDATA[test]]></FromUserName>"
        b"<CreateTime>1767265200</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[Test]]></Content>"
        b"<MsgId>1</MsgId></xml>"
    )
    return sign(sample_request(url, settings, body, content_type="text/xml"), secrets)


SOURCE = Source(
    name="WeChat",
    channel="wechat",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    handshake=echoed,
    opened=opened,
    dedupe=delivery_key,
    answer=Answer("success"),
    settings={
        "mode": Setting(
            "Message encryption", default="encrypted", choices=("encrypted", "plain"), help="As set in WeChat's console"
        ),
        "app_id": Setting("App id", help="Messages encrypted for another app are refused; needed unless plain"),
        "account": Setting("Scope of user ids", help="Default: the account's original id (gh_…)"),
    },
    secrets={
        "token": Setting("Token", required=True, help="A text of your choice, as in WeChat's console"),
        "encoding_aes_key": Setting("EncodingAESKey", help="43 letters; needed unless plain"),
    },
    unverified=(
        "that a repeated push carries its first timestamp, at most five minutes old",
        "that events are pushed once for each person and second: they have no number of their own",
        "the mode that sends both plain and encrypted: only the encrypted part is read",
    ),
    setup=(
        "Make up a token, let WeChat make an EncodingAESKey, and choose secure mode; enter both here, with the app id.",
        "Set {hook_url} as the server's address in the account's basic configuration: WeChat asks for an echo at once.",
        "For a handover by QR code, make the code with the handover's token as scene_str.",
    ),
    docs="https://developers.weixin.qq.com/doc/offiaccount/en/Message_Management/Receiving_standard_messages.html",
    sample=sample,
)
