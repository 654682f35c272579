"""WhatsApp Cloud, Meta's own API: messages, how ours ended, what was sent by the app, marketing consent.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/

One app serves several accounts and may put them in one request, and Meta stops calling an app whose
requests are refused: so what is of another account or number than the connection's is ignored.
A user is known by a user id of the business, by a WhatsApp id (a number), or by both; one with a
username may have no number. A changed number or user id is one `system` event of both sides, which are
one person; the number before may be somebody else's from then on, and the number after may have been.
A sent message shows by how it ended; `sent` and `played` yield nothing. Group chats, calls and
message history yield nothing. Longer than most sources: a dozen kinds of messages, three kinds of ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from chalicelib.kit.content import Content
from chalicelib.kit.fields import instant, money, phone_identity, plain, present, scoped
from chalicelib.kit.handshakes import hub_challenge
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "text": "message",
    "image": "message",
    "audio": "message",
    "video": "message",
    "document": "message",
    "sticker": "message",
    "location": "message",
    "contacts": "message",
    "interactive": "message",
    "button": "message",
    "reaction": "message",
    "order": "message",
    "unsupported": "message",
    "edit": "message",
    "revoke": "message",
    "echo": "message",
    "status": "message",
    "user_changed_number": "system",
    "user_changed_user_id": "system",
    "user_preferences": "consent",
}
ENDED = frozenset({"delivered", "read", "failed"})
CHANGES = frozenset({"user_changed_number", "user_changed_user_id"})
CONSENT = {"stop": "denied", "resume": "granted"}
FROM = ("from", "from_user_id", "from_parent_user_id")
TO = ("to", "to_user_id", "to_parent_user_id")
RECIPIENT = ("recipient_id", "recipient_user_id", "recipient_parent_user_id")
ITSELF = ("wa_id", "user_id", "parent_user_id")
MEDIA = {"image": "Image", "audio": "Audio", "video": "Video", "document": "Document", "sticker": "Sticker"}


class Change(msgspec.Struct, frozen=True):
    """One change of one account. `account`: the scope of user ids. `own`: our number."""

    field: str
    account: str
    own: str
    value: Mapping[str, Any]


class Person(msgspec.Struct, frozen=True):
    """A user by what one message knows: the digits of the number, and ids that may all be absent."""

    number: str = ""
    wa_id: str = ""
    user_id: str = ""
    parent_id: str = ""
    profile: Any = None


def normalize(request: Request) -> Iterator[Event]:
    for change in changes(request):
        if change.field == "messages":
            yield from received(change)
            yield from ended(change)
        elif change.field == "smb_message_echoes":
            yield from echoed(change)
        elif change.field == "user_preferences":
            yield from consented(change)


def changes(request: Request) -> Iterator[Change]:
    if text(request.object, "object") != "whatsapp_business_account":
        return
    for entry in objects(request.object, "entry"):
        scope = text(request.settings, "account") or text(entry, "id") or request.connection
        for each in objects(entry, "changes"):
            if of_connection(request, entry, each):
                shown = re.sub(r"[^0-9]", "", text(each, "value", "metadata", "display_phone_number"))
                yield Change(text(each, "field"), scope, f"+{shown}" if shown else "", pick(each, "value"))


def of_connection(request: Request, entry: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Without the settings every account and number of the app."""
    account, number = text(request.settings, "business_account"), text(request.settings, "phone_number_id")
    here = text(change, "value", "metadata", "phone_number_id")
    return account in ("", text(entry, "id")) and number in ("", here)


def received(change: Change) -> Iterator[Event]:
    for told in objects(change.value, "messages"):
        if text(told, "system", "type") in CHANGES:
            yield moved(change, told)
        elif found := content_of(told):
            yield message(change, told, person(change, told, FROM), found)


def echoed(change: Change) -> Iterator[Event]:
    """What somebody of the business wrote in the app or on a linked device."""
    for told in objects(change.value, "message_echoes"):
        if found := content_of(told):
            yield message(change, told, person(change, told, TO), found, out=True)


def message(change: Change, told: Mapping[str, Any], who: Person, found: Content, out: bool = False) -> Event:
    moment, number = instant(told.get("timestamp"), "timestamp"), required(told, "id")
    state = f"{text(found.details, 'status')}:{number}" if found.message else "sent" if out else "received"
    return Event(
        type="message",
        channel="whatsapp",
        direction="out" if out else "in",
        actor="agent" if out else "customer",
        object=found.message or number,
        version=state,
        occurred_at=moment,
        identities=present(*people(change, who), *found.identities),
        refs=refs(change, who, moment, plain(pick(told, "context", "id"))),
        summary=found.summary,
        text=found.text,
        attachments=found.attachments,
        details=found.details | origin(told),
        fields=fields(who),
        address=address(change, who),
        own_address=own_address(change),
        provider_type="echo" if out else text(told, "type"),
    )


def origin(told: Mapping[str, Any]) -> dict[str, Any]:
    """Where the message came from: an advertisement, a product in the catalogue, another chat."""
    forwarded = pick(told, "context", "forwarded") or pick(told, "context", "frequently_forwarded")
    ad = {name: text(told, "referral", name) for name in ("source_type", "source_id", "source_url", "headline")}
    return kept(
        forwarded=True if forwarded else None,
        referral=kept(**ad),
        product=text(told, "context", "referred_product", "product_retailer_id"),
    )


def ended(change: Change) -> Iterator[Event]:
    """How our messages ended. Members of a group and payments have statuses too: those are not of a message."""
    for told in objects(change.value, "statuses"):
        group = text(told, "recipient_type") == "group" or text(told, "type") not in ("", "message")
        if text(told, "status") in ENDED and not group:
            yield status(change, told, person(change, told, RECIPIENT))


def status(change: Change, told: Mapping[str, Any], who: Person) -> Event:
    moment, number, reached = instant(told.get("timestamp"), "timestamp"), required(told, "id"), text(told, "status")
    return Event(
        type="message",
        channel="whatsapp",
        direction="out",
        actor="agent",
        object=number,
        version=reached,
        occurred_at=moment,
        identities=people(change, who),
        refs=refs(change, who, moment),
        summary=f"Message {reached}",
        details={"status": reached}
        | failure(told)
        | kept(
            category=text(told, "pricing", "category"),
            biz_opaque_callback_data=text(told, "biz_opaque_callback_data"),
        ),
        fields=fields(who),
        address=address(change, who),
        own_address=own_address(change),
        provider_type="status",
    )


def failure(told: Mapping[str, Any]) -> dict[str, Any]:
    first = next(iter(objects(told, "errors")), None)
    return kept(error=text(first, "code"), reason=text(first, "error_data", "details") or text(first, "title"))


def moved(change: Change, told: Mapping[str, Any]) -> Event:
    system, kind = pick(told, "system"), text(told, "system", "type")
    previous, current = (people(change, side) for side in sides(told))
    named = kept(previous=[each.text for each in previous], current=[each.text for each in current])
    return Event(
        type="system",
        channel="whatsapp",
        actor="system",
        object=required(told, "id"),
        version=kind,
        occurred_at=instant(told.get("timestamp"), "timestamp"),
        identities=present(*previous, *current),
        summary=text(system, "body")[:120],
        details={"status": kind} | named,
        own_address=own_address(change),
        ends=numbers(previous, current),
        begins=numbers(current, previous),
        provider_type=kind,
    )


def numbers(one: tuple[Identity, ...], other: tuple[Identity, ...]) -> tuple[Identity, ...]:
    """Identities of one side alone that come with the number; a user id is never given to another."""
    return tuple(each for each in one if each not in other and each.value.lstrip("+").isdigit())


def sides(told: Mapping[str, Any]) -> tuple[Person, Person]:
    """(before, after) a change of number or user id: `from` is the number before."""
    system = pick(told, "system")
    previous, current = (
        Person(
            user_id=plain(pick(system, f"{when}user_id")),
            parent_id=plain(pick(system, f"{when}parent_user_id")),
            number=digits(number),
        )
        for when, number in (("previous_", told.get("from")), ("", pick(system, "wa_id")))
    )
    return previous, current


def consented(change: Change) -> Iterator[Event]:
    for told in objects(change.value, "user_preferences"):
        answer = CONSENT.get(text(told, "value"))
        if answer and text(told, "category") == "marketing_messages":
            yield consent(change, told, person(change, told, ITSELF), answer)


def consent(change: Change, told: Mapping[str, Any], who: Person, answer: str) -> Event:
    moment = instant(told.get("timestamp"), "timestamp")
    return Event(
        type="consent",
        channel="whatsapp",
        object=f"{address(change, who)}/marketing",
        version=f"{answer}@{moment}",
        occurred_at=moment,
        identities=people(change, who),
        summary=text(told, "detail")[:120],
        details={"medium": "whatsapp", "status": answer},
        fields=fields(who) | {"consent_whatsapp": answer},
        provider_type="user_preferences",
    )


def person(change: Change, told: Mapping[str, Any], names: tuple[str, str, str]) -> Person:
    """The user under these names, completed from `contacts`. A first name that holds no number holds a user id."""
    first, user_id, parent_id = (plain(told.get(name)) for name in names)
    number = digits(first)
    user_id = user_id or ("" if number else first)
    contact = contact_of(change.value, {number, user_id, parent_id} - {""})
    wa_id = digits(pick(contact, "wa_id"))
    return Person(
        number=number or wa_id,
        wa_id=wa_id,
        user_id=user_id or plain(pick(contact, "user_id")),
        parent_id=parent_id or plain(pick(contact, "parent_user_id")),
        profile=pick(contact, "profile"),
    )


def contact_of(value: Mapping[str, Any], ids: set[str]) -> Any:
    """By any id. A lone contact is also that of a lone message, because number and WhatsApp id may differ."""
    found = objects(value, "contacts")
    for each in found:
        if ids & {digits(each.get("wa_id")), plain(each.get("user_id")), plain(each.get("parent_user_id"))}:
            return each
    lists = ("messages", "message_echoes", "statuses", "user_preferences")
    alone = sum(len(objects(value, name)) for name in lists) == 1 or not ids
    return found[0] if len(found) == 1 and alone else None


def people(change: Change, who: Person) -> tuple[Identity, ...]:
    """All of one user, as one message says: the ids in the scope of the account, and the number."""
    ids = (who.user_id, who.wa_id or who.number, who.parent_id)
    return present(
        *(scoped("whatsapp", change.account, each, A2_ATTESTED) for each in ids),
        phone_identity(f"+{who.number}", assurance=A2_ATTESTED),
    )


def address(change: Change, who: Person) -> str:
    """Where a reply goes: to the number as long as it shows, because not every message may go to a user id."""
    found = scoped("whatsapp", change.account, who.wa_id or who.number or who.user_id or who.parent_id)
    return found.text if found else ""


def own_address(change: Change) -> str:
    found = phone_identity(change.own)
    return found.text if found else ""


def fields(who: Person) -> dict[str, str]:
    return kept(name=text(who.profile, "name"), username=text(who.profile, "username"))


def refs(change: Change, who: Person, moment: str, answered: str = "") -> tuple[Ref, ...]:
    """The day's thread, and the message that this one answers.

    A message names not itself: every ref is a node of its conversation, and those must stay few.
    """
    customer = f"+{who.number}" if who.number else who.user_id or who.parent_id
    thread = day_thread(f"whatsapp:{change.own}", f"whatsapp:{customer}", moment) if customer else ""
    pairs = (("thread", thread), ("message", answered))
    return tuple(Ref(kind, value, change.account) for kind, value in pairs if value)


def digits(value: object) -> str:
    found = plain(value).removeprefix("+")
    return found if found.isascii() and found.isdigit() else ""


def content_of(told: Any) -> Content | None:
    """None for what is of an unknown type, and for what is said in a group."""
    reader = CONTENTS.get(text(told, "type"))
    return reader(told) if reader and not told.get("group_id") else None


def words(told: Mapping[str, Any]) -> Content:
    return Content(text(told, "text", "body"), "Message without text")


def medium(told: Mapping[str, Any]) -> Content:
    kind = text(told, "type")
    found, name = pick(told, kind), text(told, kind, "filename")
    file = kept(
        id=text(found, "id"),
        media_type=text(found, "mime_type"),
        sha256=text(found, "sha256"),
        name=name,
        url=text(found, "url"),
        voice=True if pick(found, "voice") is True else None,
    )
    label = f"{MEDIA[kind]}: {name}" if name else MEDIA[kind]
    return Content(text(found, "caption"), label, attachments=(file,) if file else ())


def location(told: Mapping[str, Any]) -> Content:
    found = pick(told, "location")
    named = {name: text(found, name) for name in ("name", "address", "url")}
    where = kept(latitude=pick(found, "latitude"), longitude=pick(found, "longitude"), **named)
    label = ": ".join(filter(None, ("Location", named["name"] or named["address"])))
    return Content(label=label, details=kept(location=where))


def cards(told: Mapping[str, Any]) -> Content:
    """Cards are of third persons; one that we asked for claims to be the sender's own, which proves nothing."""
    found = objects(told, "contacts")
    own = [each for each in found if "contact_request" in (text(each, "origin"), text(told, "origin"))]
    numbers = [
        digits(phone.get("wa_id")) or digits(phone.get("phone")) for each in own for phone in objects(each, "phones")
    ]
    shown = [card(each) for each in found]
    return Content(
        label=": ".join(filter(None, ("Contact", ", ".join(filter(None, (each.get("name") for each in shown)))))),
        details=kept(contacts=[each for each in shown if each]),
        identities=present(*(phone_identity(f"+{number}", assurance=A1_ASSERTED) for number in numbers)),
    )


def card(told: Mapping[str, Any]) -> dict[str, Any]:
    return kept(
        name=text(told, "name", "formatted_name"),
        phones=[found for each in objects(told, "phones") if (found := text(each, "phone") or text(each, "wa_id"))],
        emails=[found for each in objects(told, "emails") if (found := text(each, "email"))],
        company=text(told, "org", "company"),
    )


def interactive(told: Mapping[str, Any]) -> Content | None:
    """What was chosen or filled in; the reply itself is absent where WhatsApp could not pass it on."""
    kind = text(told, "interactive", "type")
    if kind not in ("", "button_reply", "list_reply", "nfm_reply"):
        return None
    reply = pick(told, "interactive", kind)
    return Content(
        text(reply, "title"),
        "Form filled in" if kind == "nfm_reply" else "Reply without text",
        kept(choice=text(reply, "id"), description=text(reply, "description"), form=text(reply, "response_json")),
    )


def button(told: Mapping[str, Any]) -> Content:
    return Content(text(told, "button", "text"), "Reply without text", kept(choice=text(told, "button", "payload")))


def reaction(told: Mapping[str, Any]) -> Content:
    emoji, message = text(told, "reaction", "emoji"), text(told, "reaction", "message_id")
    details = {"status": "reacted" if emoji else "removed"} | kept(reaction=emoji, message=message)
    label = f"Reaction {emoji}" if emoji else "Reaction removed"
    return Content(label=label, details=details)


def basket(told: Mapping[str, Any]) -> Content:
    items = [
        kept(
            sku=text(each, "product_retailer_id"),
            quantity=each.get("quantity"),
            price=money(each.get("item_price"), each.get("currency")).get("amount"),
            currency=text(each, "currency"),
        )
        for each in objects(told, "order", "product_items")
    ]
    details = kept(catalogue=text(told, "order", "catalog_id"), items=items)
    return Content(text(told, "order", "text"), f"Order of {len(items)} products", details)


def unsupported(told: Mapping[str, Any]) -> Content:
    details = kept(kind=text(told, "unsupported", "type")) | failure(told)
    return Content(label="Message that WhatsApp does not pass on", details=details)


def edit(told: Mapping[str, Any]) -> Content | None:
    inner = pick(told, "edit", "message")
    found = None if text(inner, "type") in ("edit", "revoke") else content_of(inner)
    original = required(told, "edit", "original_message_id")
    return found and replace(found, message=original, details=found.details | {"status": "edited"})


def revoke(told: Mapping[str, Any]) -> Content:
    original = required(told, "revoke", "original_message_id")
    return Content(label="Message deleted", details={"status": "deleted"}, message=original)


CONTENTS: dict[str, Callable[[Mapping[str, Any]], Content | None]] = dict.fromkeys(MEDIA, medium) | {
    "text": words,
    "location": location,
    "contacts": cards,
    "interactive": interactive,
    "button": button,
    "reaction": reaction,
    "order": basket,
    "unsupported": unsupported,
    "edit": edit,
    "revoke": revoke,
}

SIGNATURE = hmac_signature(header="X-Hub-Signature-256", key_name="app_secret", prefix="sha256=")


def verify(request: Request, secrets: Secrets) -> str | None:
    """Only a handshake that failed comes here as a GET."""
    if request.method == "GET":
        return "no handshake with the verify_token"
    return SIGNATURE(request, secrets)


def sign(request: Request, secrets: Secrets) -> Request:
    return SIGNATURE.sign(request, secrets)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    value = {
        "metadata": {"phone_number_id": text(settings, "phone_number_id")},
        "messages": [{"id": "wamid.test", "timestamp": "1767265200", "type": "text", "text": {"body": "Test"}}],
    }
    entry = {"id": text(settings, "business_account"), "changes": [{"field": "messages", "value": value}]}
    body = {"object": "whatsapp_business_account", "entry": [entry]}
    return sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="WhatsApp Cloud",
    channel="whatsapp",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    handshake=hub_challenge,
    handshake_first=True,
    settings={
        "business_account": Setting("WhatsApp Business Account id", help="What other accounts send is ignored"),
        "phone_number_id": Setting("Phone number id", help="What comes by other numbers of the account is ignored"),
        "account": Setting(
            "Scope of user ids",
            help="Default: the WhatsApp Business Account id; give the accounts of one business portfolio the same",
        ),
    },
    secrets={
        "app_secret": Setting("App secret", required=True, help="Of the Meta app whose webhooks come here"),
        "verify_token": Setting("Verify token", required=True, help="A text of your choice, which the app asks for"),
    },
    unverified=(
        "payloads of edit, revoke and smb_message_echoes, and whether echoes tell what they answer",
        "where a shared contact says that it was asked for: on the message and on the contact are both read",
        "whether from is the previous number in every user_changed_number",
        "whether statuses name the number of a user who hides it: if not, they are in a thread by user id",
        "for how long a refused webhook is sent again",
    ),
    setup=(
        "In the Meta app's basic settings, copy the app secret, and make up a verify token",
        "In the app's WhatsApp configuration, set {hook_url} and the verify token as callback",
        "Subscribe to messages, smb_message_echoes and user_preferences, and the app to the business account",
    ),
    docs="https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview",
    sample=sample,
)
