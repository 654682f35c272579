"""Matrix: a homeserver sends the events of rooms to us as its application service.

https://spec.matrix.org/latest/application-service-api/#pushing-events
https://spec.matrix.org/latest/client-server-api/#mroommessage

Transactions are PUT below the hook's URL. Who is an agent or a bot is told by user ids in the settings; everybody else
is a customer. A room is a conversation, and what an agent says in it carries no identity: the room places it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from chalicelib.kit.fields import instant, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.parts import each_part
from chalicelib.kit.request import Request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import static_token
from chalicelib.kit.source import Answer, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import Identity

TYPES = {
    "m.room.message": "message",
    "m.room.encrypted": "message",
    "m.sticker": "message",
    "m.reaction": "message",
    "m.room.redaction": "message",
    "m.room.member": "identify",
}
FILES = frozenset({"m.image", "m.file", "m.audio", "m.video"})
TRANSACTION = pattern(r"/hooks/[^/?]+(?:/_matrix/app/v1)?/transactions/([^/?]{1,255})(?:\?|\Z)")
QUERY = pattern(r"/hooks/[^/?]+(?:/_matrix/app/v1)?/(?:users|rooms|thirdparty)/")
PING = pattern(r"/hooks/[^/?]+/_matrix/app/v1/ping(?:\?|\Z)")
USER = pattern(r"@[^:\s]{0,200}:[^\s]{1,230}\Z")
JSON = "application/json"

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    """What is typed or read at this moment (`ephemeral`) is no history."""
    parts = ((f"events[{number}]", told) for number, told in enumerate(objects(request.object, "events")))
    yield from each_part(parts, lambda told: of_room(request, told))


def of_room(request: Request, told: Node) -> Iterator[Event]:
    kind, sender = text(told, "type"), text(told, "sender")
    if kind not in TYPES or not USER.match(sender):
        return
    if kind == "m.room.member":
        yield from joined(request, told)
    elif kind == "m.room.redaction":
        yield redacted(request, told)
    elif kind == "m.reaction":
        yield reacted(request, told)
    elif text(told, "content", "m.relates_to", "rel_type") == "m.replace":
        yield edited(request, told)
    elif pick(told, "content"):
        yield said(request, told)


def said(request: Request, told: Node) -> Event:
    content = pick(told, "content")
    body = words(content)
    files = attachments(content, text(told, "type"))
    unseen = "Encrypted message" if text(told, "type") == "m.room.encrypted" else "Message without text"
    reply = text(content, "m.relates_to", "m.in_reply_to", "event_id")
    return message(
        request,
        told,
        object=required(told, "event_id"),
        quoted=(Ref("message", reply),) if reply else (),
        summary=body[:120] or next((text(each, "name") for each in files), "")[:120] or unseen,
        text=body,
        attachments=files,
        details=kept(location=text(content, "geo_uri")),
    )


def edited(request: Request, told: Node) -> Event:
    body = words(pick(told, "content", "m.new_content"))
    return message(
        request,
        told,
        object=required(told, "content", "m.relates_to", "event_id"),
        version=f"edited:{required(told, 'event_id')}",
        summary=body[:120] or "Message edited",
        text=body,
        details={"status": "edited"},
    )


def redacted(request: Request, told: Node) -> Event:
    gone = text(told, "redacts") or required(told, "content", "redacts")
    return message(
        request,
        told,
        object=gone,
        version=f"deleted:{required(told, 'event_id')}",
        summary="Message deleted",
        details={"status": "deleted"} | kept(reason=text(told, "content", "reason")),
    )


def reacted(request: Request, told: Node) -> Event:
    about = pick(told, "content", "m.relates_to")
    return message(
        request,
        told,
        object=required(told, "event_id"),
        quoted=(Ref("message", required(about, "event_id")),),
        summary=f"Reaction {text(about, 'key')}",
        details={"status": "reacted"} | kept(reaction=text(about, "key"), message=text(about, "event_id")),
    )


def message(request: Request, told: Node, quoted: tuple[Ref, ...] = (), **rest: Any) -> Event:
    sender, actor = text(told, "sender"), actor_of(request, text(told, "sender"))
    who = present(person(sender)) if actor == "customer" else ()
    told_by = {"agent": sender} if actor == "agent" else {}
    return Event(
        type="message",
        channel="matrix",
        direction="in" if actor == "customer" else "out",
        actor=actor,
        occurred_at=moment(told),
        identities=who,
        refs=(room(told), *quoted),
        address=next((each.text for each in who), ""),
        link=link(told),
        provider_type=text(told, "type"),
        details=rest.pop("details", {}) | told_by,
        **rest,
    )


def joined(request: Request, told: Node) -> Iterator[Event]:
    """A customer who enters a room: what is said in it from now on is said to him."""
    user = text(told, "state_key")
    who = present(person(user))
    if text(told, "content", "membership") != "join" or actor_of(request, user) != "customer" or not who:
        return
    yield Event(
        type="identify",
        channel="matrix",
        object=f"{user} {required(told, 'room_id')}",
        version=required(told, "event_id"),
        occurred_at=moment(told),
        identities=who,
        refs=(room(told),),
        summary="Joined the room",
        fields=kept(name=text(told, "content", "displayname")),
        link=link(told),
        provider_type="m.room.member",
        address=who[0].text,
    )


def actor_of(request: Request, user: str) -> str:
    return next((actor for actor in ("agent", "bot") if named(request, f"{actor}s", user)), "customer")


def named(request: Request, setting: str, user: str) -> bool:
    patterns = request.settings.get(setting)
    return isinstance(patterns, list) and any(isinstance(each, str) and fnmatchcase(user, each) for each in patterns)


def person(user: str) -> Identity | None:
    """The homeserver vouches for its users, and other servers for theirs."""
    return scoped("matrix", user.partition(":")[2], user) if USER.match(user) else None


def words(content: Any) -> str:
    """What was written, without the quotation that older clients put above a reply; a file's name is no text."""
    body, kind = text(content, "body"), text(content, "msgtype")
    if kind in FILES:
        return body if text(content, "filename") not in ("", body) else ""
    if text(content, "m.relates_to", "m.in_reply_to", "event_id") and body.startswith("> "):
        quotation, _, rest = body.partition("\n\n")
        return rest if all(line.startswith("> ") for line in quotation.splitlines()) else body
    return body


def attachments(content: Any, kind: str) -> tuple[dict[str, Any], ...]:
    if text(content, "msgtype") not in FILES and kind != "m.sticker":
        return ()
    locked = text(content, "file", "url")
    size = pick(content, "info", "size")
    found = kept(
        name=text(content, "filename") or text(content, "body"),
        media_type=text(content, "info", "mimetype"),
        url=text(content, "url") or locked,
        size=size if type(size) is int else None,
        encrypted=True if locked else None,
    )
    return (found,)


def room(told: Node) -> Ref:
    return Ref("thread", required(told, "room_id"))


def moment(told: Node) -> str:
    return instant(told.get("origin_server_ts"), "origin_server_ts")


def link(told: Node) -> str:
    return f"https://matrix.to/#/{quote(text(told, 'room_id'), safe='!:')}/{quote(text(told, 'event_id'), safe='$:')}"


def delivery_key(request: Request) -> str | None:
    found = TRANSACTION.search(request.url)
    return found[1] if found else None


def handshake(request: Request, secrets: Secrets) -> Answer | None:
    """We have no users and rooms of our own to offer; and yes, we are here."""
    if request.method == "GET" and QUERY.search(request.url):
        return Answer('{"errcode":"M_NOT_FOUND"}', 404, JSON)
    return Answer("{}", media_type=JSON) if request.method == "POST" and PING.search(request.url) else None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    headers, where = (("content-type", JSON),), f"{url}/_matrix/app/v1/transactions/test"
    return TOKEN.sign(Request("PUT", where, headers, b'{"events":[]}', "2026-01-01T11:00:00.000Z"), secrets)


TOKEN = static_token(key_name="hs_token")
SOURCE = Source(
    name="Matrix",
    channel="matrix",
    types=TYPES,
    normalize=normalize,
    verify=TOKEN,
    dedupe=delivery_key,
    handshake=handshake,
    answer=Answer("{}", media_type=JSON),
    settings={
        "agents": Setting(
            "Agents", type="array", items="string", help="User ids, * for any letters, such as @agent_*:tc.example"
        ),
        "bots": Setting(
            "Bots", type="array", items="string", help="The same; also the user of this application service"
        ),
    },
    secrets={"hs_token": Setting("hs_token", required=True, help="As in the registration file of the homeserver")},
    unverified=(
        "a homeserver other than Synapse",
        "encrypted rooms: that something was said is shown, not what",
    ),
    setup=(
        "Write a registration file for the homeserver: id, url {hook_url}, as_token and hs_token (long and random), "
        "sender_localpart, rate_limited false, and under namespaces the rooms or users whose events are wanted, "
        "exclusive false. Enter the hs_token here.",
        "Name the file in app_service_config_files of the homeserver and start it again.",
        "Name your own people in agents and your bots in bots, or they are taken for customers.",
    ),
    docs="https://spec.matrix.org/latest/application-service-api/",
    sample=sample,
)
