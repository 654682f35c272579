"""Facebook Messenger: messages to a Page and what it answers, links that lead in, linked accounts, surveys.

https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events

One app serves several Pages and may put them in one request: what is of another Page than the
connection's is ignored. Webhooks carry no names: with a Page's token they are looked up. What comes as `standby`, while another app owns the conversation, is read
like all else. A person is known by an id per Page; who is known only by a `user_ref`, which a web
page makes up, is nobody. An echo is what the Page sent, by whichever app. A link with a handover
token is a `handover`, any other that leads into an old conversation a `visit`. Deliveries, reads,
and which app owns the conversation, yield nothing. Longer than most sources: ten kinds of news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.kit import tokens
from chalicelib.kit.entries import Part, Posted, parts
from chalicelib.kit.fields import email_identity, instant, phone_identity, plain, present, scoped
from chalicelib.kit.handshakes import hub_challenge
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, Identity

TYPES = {
    "message": "message",
    "echo": "message",
    "message_edit": "message",
    "reaction": "message",
    "postback": "message",
    "referral": "visit",
    "referral_token": "handover",
    "optin": "consent",
    "account_linking": "identify",
    "messaging_feedback": "satisfaction",
    "response_feedback": "satisfaction",
    "marketing_message_delivery_failed": "message",
}
FAILED = "marketing_message_delivery_failed"
GREETED = frozenset({"message", "postback", "referral"})
"""What makes us ask for a name. No other news has one, whatever else is in the same request."""
GRAPH = "https://graph.facebook.com"
LABELS = {
    "image": "Image",
    "video": "Video",
    "audio": "Audio",
    "file": "File",
    "reel": "Reel",
    "ig_reel": "Reel",
    "fallback": "Link",
    "template": "Template",
    "location": "Location",
}
SCALES = {"csat": [1, 5], "nps": [0, 10], "ces": [1, 7]}
RATINGS = {"Good response": 1, "Bad response": 0}
CONSENT = {"STOP NOTIFICATIONS": "denied", "RESUME NOTIFICATIONS": "granted", "": "granted"}


@dataclass(frozen=True)
class Turn:
    """One piece of news: of which Page and person, which way, when. `person` may be empty."""

    page: str
    person: str
    out: bool
    moment: str
    names: dict[str, str]

    def identity(self, assurance: int = A2_ATTESTED) -> Identity | None:
        return scoped("messenger", self.page, self.person, assurance)


def normalize(request: Request) -> Iterator[Event]:
    if text(request.object, "object") != "page":
        return
    for part in parts(request.object, "messaging", "standby", account=text(request.settings, "page_id")):
        if part.name == FAILED:
            yield failed(request, part)
        for kind, news, told in turns(request, part):
            yield from READERS[kind](request, news, told)


def turns(request: Request, part: Part) -> Iterator[tuple[str, Turn, Mapping[str, Any]]]:
    for kind, told in part.value.items():
        if kind in READERS and isinstance(told, dict) and isinstance(part.value.get("recipient"), dict):
            news = turn(request, part, kind)
            if text(request.settings, "page_id") in ("", news.page):
                yield kind, news, told


def turn(request: Request, part: Part, kind: str) -> Turn:
    sender, recipient = (plain(pick(part.value, side, "id")) for side in ("sender", "recipient"))
    echo = pick(part.value, "message", "is_echo") is True
    page = part.account or (sender if echo else recipient) or request.connection
    out = echo or sender == page
    person = recipient if out else sender
    moment = instant(part.value.get("timestamp") or part.sent_at, "timestamp")
    profile = request.fetched.get(person) if kind in GREETED and not out else None
    name = " ".join(filter(None, (text(profile, "first_name"), text(profile, "last_name"))))
    return Turn(page, "" if person == page else person, out, moment, kept(name=name, language=text(profile, "locale")))


def event(turn: Turn, kind: str, **more: Any) -> Event:
    """What all events have in common, unless `more` says otherwise."""
    who = turn.identity()
    told = {
        "type": TYPES[kind],
        "channel": "messenger",
        "direction": "out" if turn.out else "in",
        "actor": "agent" if turn.out else "customer",
        "occurred_at": turn.moment,
        "identities": present(who),
        "refs": refs(turn),
        "fields": turn.names,
        "address": who.text if who else "",
        "own_address": f"messenger:{turn.page}",
        "provider_type": kind,
    }
    return Event(**(told | more))


def refs(turn: Turn, answered: str = "", referral: Any = None) -> tuple[Ref, ...]:
    """The day's thread, the message that this one answers, and the token of the link that led here."""
    who = turn.identity()
    thread = day_thread(f"messenger:{turn.page}", who.text, turn.moment) if who else ""
    token = tokens.bare(text(referral, "ref"))
    pairs = (("thread", thread, turn.page), ("message", answered, turn.page), ("token", token, ""))
    return tuple(Ref(kind, value, scope) for kind, value, scope in pairs if value)


def messages(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    number, words = required(told, "mid"), text(told, "text") or template_text(told)
    deleted, products = told.get("is_deleted") is True, products_of(told)
    state = "deleted" if deleted else "sent" if turn.out else "received"
    typed = typed_by_profile(told)
    yield event(
        turn,
        "echo" if turn.out else "message",
        object=number,
        version=state,
        actor=writer(request, turn, told),
        identities=present(turn.identity(), *typed),
        refs=refs(turn, plain(pick(told, "reply_to", "mid")), told.get("referral")),
        summary=(words or label(told))[:120],
        text=words,
        attachments=tuple(file for each in objects(told, "attachments") if (file := attachment(each))),
        details=kept(
            status="deleted" if deleted else "",
            choice="" if typed else text(told, "quick_reply", "payload"),
            location=location(told),
            products=products,
            app_id=text(told, "app_id"),
            metadata=text(told, "metadata"),
            referral=origin(told.get("referral")),
        ),
    )


def writer(request: Request, turn: Turn, told: Mapping[str, Any]) -> str:
    bots = request.settings.get("bot_app_ids")
    bot = text(told, "app_id") in [plain(each) for each in bots] if isinstance(bots, list) else False
    return "customer" if not turn.out else "bot" if bot else "agent"


def typed_by_profile(told: Mapping[str, Any]) -> tuple[Identity, ...]:
    """A number or address that was offered from the profile: the choice is then the text itself."""
    chosen = text(told, "quick_reply", "payload")
    if not chosen or chosen != text(told, "text"):
        return ()
    number = phone_identity(chosen, assurance=A1_ASSERTED) if chosen.startswith("+") else None
    return present(number, email_identity(chosen, A1_ASSERTED))


def label(told: Mapping[str, Any]) -> str:
    """The summary of a message without words."""
    if told.get("is_deleted") is True:
        return "Message deleted"
    if told.get("is_unsupported") is True:
        return "Message that Messenger does not pass on"
    titles = [text(each, "title") for each in products_of(told)]
    if titles:
        return "Product: " + ", ".join(filter(None, titles))
    first = next(iter(objects(told, "attachments")), {})
    title = text(first, "title") or text(first, "payload", "title")
    return ": ".join(filter(None, (LABELS.get(text(first, "type"), "Message without text"), title)))


def attachment(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without a template or a place, which are no files."""
    kind, payload = text(told, "type"), pick(told, "payload")
    if kind in ("template", "location"):
        return {}
    return kept(
        kind=kind,
        name=text(told, "title") or text(payload, "title"),
        url=text(payload, "url") or text(told, "url"),
        id=text(payload, "sticker_id") or text(payload, "reel_video_id") or text(payload, "attachment_id"),
    )


def template_text(told: Mapping[str, Any]) -> str:
    """What a template shows: its text, or the titles of its cards."""
    shown = [pick(each, "payload") for each in objects(told, "attachments") if text(each, "type") == "template"]
    cards = [card for each in shown for card in objects(each, "elements")]
    lines = [text(each, "text") for each in shown]
    lines += [" – ".join(filter(None, (text(card, "title"), text(card, "subtitle")))) for card in cards]
    return "\n".join(filter(None, lines))


def products_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Products that are shown, and the one that the message was asked about."""
    shown = [each for file in objects(told, "attachments") for each in objects(file, "payload", "product", "elements")]
    found = [
        kept(
            id=text(each, "id"),
            sku=text(each, "retailer_id"),
            title=text(each, "title"),
            description=text(each, "subtitle"),
        )
        for each in shown
    ]
    return [*found, *([{"id": asked}] if (asked := text(told, "referral", "product", "id")) else [])]


def location(told: Mapping[str, Any]) -> dict[str, Any]:
    found = next((each for each in objects(told, "attachments") if text(each, "type") == "location"), {})
    where = pick(found, "payload", "coordinates")
    return kept(latitude=pick(where, "lat"), longitude=pick(where, "long"), name=text(found, "title"))


def origin(referral: Any) -> dict[str, Any]:
    """Where a person came from; a handover token is not repeated here."""
    ad = pick(referral, "ads_context_data")
    return kept(
        ref="" if tokens.bare(text(referral, "ref")) else text(referral, "ref"),
        source=text(referral, "source"),
        ad_id=text(referral, "ad_id"),
        ad_title=text(ad, "ad_title"),
        post_id=text(ad, "post_id"),
        product_id=text(ad, "product_id"),
        referer_uri=text(referral, "referer_uri"),
    )


def edited(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    words = text(told, "text")
    yield event(
        turn,
        "message_edit",
        object=required(told, "mid"),
        version=f"edited:{text(told, 'num_edit') or turn.moment}",
        summary=(words or "Message edited")[:120],
        text=words,
        details={"status": "edited"},
    )


def reacted(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """A reaction has no id of its own: it is known by its message, its person and its moment."""
    mid, gone = required(told, "mid"), text(told, "action") == "unreact"
    shown = text(told, "emoji") or text(told, "reaction")
    yield event(
        turn,
        "reaction",
        object=f"{mid}/reaction/{turn.person}",
        version=f"{'removed' if gone else 'reacted'}@{turn.moment}",
        refs=refs(turn, mid),
        summary="Reaction removed" if gone else f"Reaction {shown}",
        details=kept(status="removed" if gone else "reacted", reaction="" if gone else shown, message=mid),
    )


def pressed(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """A button, an item of the menu, or Get started. In `standby` the payload is left out."""
    title = text(told, "title")
    yield event(
        turn,
        "postback",
        object=text(told, "mid") or f"{turn.person}/postback/{turn.moment}",
        version="received",
        refs=refs(turn, referral=told.get("referral")),
        summary=(title or "Button without text")[:120],
        text=title,
        details=kept(choice=text(told, "payload"), referral=origin(told.get("referral"))),
    )


def came(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """Into a conversation that there is already, by a link or an advertisement."""
    token, ad = tokens.bare(text(told, "ref")), text(told, "ad_id")
    yield event(
        turn,
        "referral_token" if token else "referral",
        object=f"{turn.person}/referral/{turn.moment}",
        version=digest(text(told, "ref"), ad, size=5),
        refs=refs(turn, referral=told),
        summary="Came by an advertisement" if ad else "Came by a link",
        details=kept(referral=origin(told)),
    )


def opted(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """Marketing messages wanted or no more; an opt-in with a `ref` only is a button on a web page."""
    answer = CONSENT.get(text(told, "notification_messages_status").strip().upper().replace("_", " "))
    if text(told, "type") == "notification_messages" and answer and turn.person:
        yield consent(turn, told, answer)
    elif not text(told, "type") and text(told, "ref") and turn.person:
        yield from came(request, turn, told)


def consent(turn: Turn, told: Mapping[str, Any], answer: str) -> Event:
    subscription = text(told, "notification_messages_token")
    return event(
        turn,
        "optin",
        object=f"{turn.page}/{turn.person}/marketing/{digest(subscription, size=5)}",
        version=f"{answer}@{turn.moment}",
        refs=refs(turn) + subscribed(turn.page, subscription),
        summary=text(told, "title")[:120],
        details=kept(medium="messenger", status=answer, topic=text(told, "title"), payload=text(told, "payload")),
        fields=turn.names | {"consent_messenger": answer},
    )


def subscribed(page: str, subscription: str) -> tuple[Ref, ...]:
    """A subscription's token sends messages, so that only its digest is kept."""
    return (Ref("message", f"subscription:{digest(subscription)}", page),) if subscription else ()


def failed(request: Request, part: Part) -> Event:
    """A marketing message that did not arrive; whose subscription it was for is all that is known."""
    told, page = part.value, text(part.value, "page_id") or part.account
    moment = instant(told.get("timestamp") or part.sent_at, "timestamp")
    return event(
        Turn(page, "", True, moment, {}),
        FAILED,
        object=required(told, "message_id"),
        version="failed",
        refs=subscribed(page, text(told, "messenger_subscription_token")),
        summary="Message failed",
        details=kept(status="failed", reason=text(told, "error_message"), app_id=text(told, "app_id")),
    )


def linked(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """An account of the organisation's own login was linked, or no more.

    Only where `link_issuer` says that its login page returns the login subject as authorization code
    does that code name an account; any other is a secret, and is kept nowhere. From an unlinking on,
    what is written there is no more that account's, until it is linked again.
    """
    status, issuer = text(told, "status"), text(request.settings, "link_issuer")
    if status not in ("linked", "unlinked") or not turn.person:
        return
    login = scoped("login", issuer, told.get("authorization_code"), A3_VERIFIED) if status == "linked" else None
    yield event(
        turn,
        "account_linking",
        object=f"{turn.page}/{turn.person}/account_linking",
        version=f"{status}@{turn.moment}",
        identities=present(turn.identity(A3_VERIFIED if login else A2_ATTESTED), login),
        refs=refs(turn),
        summary=f"Account {status}",
        details=kept(status=status, issuer=issuer),
        ends=present(turn.identity()) if issuer and status == "unlinked" else (),
    )


def surveyed(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """Answers to a feedback template: one for each question with a score."""
    for screen in objects(told, "feedback_screens"):
        questions = pick(screen, "questions")
        for name, answer in questions.items() if isinstance(questions, dict) else ():
            scale, score = SCALES.get(text(answer, "type").strip()), text(answer, "payload")
            if scale and score.isascii() and score.isdigit() and scale[0] <= int(score[:3]) <= scale[1]:
                yield rated(turn, f"{text(screen, 'screen_id')}/{name}", answer, int(score[:3]))


def rated(turn: Turn, question: str, answer: Mapping[str, Any], score: int) -> Event:
    kind = text(answer, "type").strip()
    follow_up = pick(answer, "follow_up")
    comment = text(follow_up, "payload") if text(follow_up, "type") == "free_form" else ""
    return event(
        turn,
        "messaging_feedback",
        object=f"{turn.page}/{turn.person}/feedback/{question}",
        version=turn.moment,
        summary=f"{kind.upper()} {score} of {SCALES[kind][1]}",
        text=comment,
        details=kept(
            score=score,
            scale=SCALES[kind],
            comment=comment,
            subject_channel="messenger",
            survey=question.partition("/")[2],
        ),
    )


def judged(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """Thumbs up or down for one message of ours."""
    mid, rating = text(told, "mid"), text(told, "feedback").strip()
    if mid and rating in RATINGS:
        yield event(
            turn,
            "response_feedback",
            object=f"{mid}/feedback/{turn.person}",
            version=f"{RATINGS[rating]}@{turn.moment}",
            refs=refs(turn, mid),
            summary=rating,
            details={"score": RATINGS[rating], "scale": [0, 1], "subject_channel": "messenger"},
        )


READERS: dict[str, Callable[[Request, Turn, Mapping[str, Any]], Iterator[Event]]] = {
    "message": messages,
    "message_edit": edited,
    "reaction": reacted,
    "postback": pressed,
    "referral": came,
    "optin": opted,
    "account_linking": linked,
    "messaging_feedback": surveyed,
    "response_feedback": judged,
}


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """Who wrote, pressed or came: the profile of each, if there is a token to ask with."""
    access = keys_of(secrets, "page_access_token")
    if not access or text(request.object, "object") != "page":
        return
    batch = parts(request.object, "messaging", "standby", account=text(request.settings, "page_id"))
    told = [(kind, news) for part in batch for kind, news, _ in turns(request, part)]
    wanted = [news.person for kind, news in told if kind in GREETED and not news.out]
    for person in dict.fromkeys(wanted):
        if person.isascii() and person.isdigit():
            path = f"/{person}?fields=first_name,last_name,locale"
            yield Fetch(person, path, GRAPH, {"Authorization": f"Bearer {access[0]}"})


SIGNATURE = Posted(hmac_signature(header="X-Hub-Signature-256", key_name="app_secret", prefix="sha256="))


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    page = text(settings, "page_id")
    told = {"recipient": {"id": page}, "timestamp": 1767265200000, "message": {"mid": "m_test", "text": "Test"}}
    body = {"object": "page", "entry": [{"id": page, "time": 1767265200000, "messaging": [told]}]}
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Messenger",
    channel="messenger",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    handshake=hub_challenge,
    handshake_first=True,
    fetch=fetch,
    settings={
        "base_url": Setting("API address", help=f"Default {GRAPH}; where names are looked up"),
        "page_id": Setting("Page id", help="What other Pages send is ignored; also the scope of people's ids"),
        "bot_app_ids": Setting(
            "Ids of apps that are bots", type="array", items="string", help="What they send is a bot's, not an agent's"
        ),
        "link_issuer": Setting(
            "Login that accounts are linked with",
            help="Its issuer's name, only if your login page returns the subject of the login as authorization_code "
            "and no customer can guess another's: that code passes through the customer's browser",
        ),
    },
    secrets={
        "app_secret": Setting("App secret", required=True, help="Of the Meta app whose webhooks come here"),
        "verify_token": Setting("Verify token", required=True, help="A text of your choice, asked for once"),
        "page_access_token": Setting("Page access token", help="For people's names; without it nobody has one"),
    },
    unverified=(
        "whether a deletion's timestamp is that of the message, and whether Messenger sends deletions at all",
        "whether messenger_subscription_token is the notification_messages_token of the opt-in",
        "where in a request marketing_message_delivery_failed comes: read as a change of the Page",
        "which app_id an automatic answer of the Page's own inbox has: it counts as an agent's",
        "that locale is still told of a profile, and the token taken as a header",
        "how long a refused webhook is sent again",
    ),
    setup=(
        "In the Meta app's basic settings, copy the app secret, and make up a verify token",
        "In the app's Messenger settings, set {hook_url} and the verify token as callback",
        "Subscribe the Page to messages, message_echoes, message_edits, message_reactions, messaging_postbacks, "
        "messaging_referrals, messaging_optins, messaging_account_linking, messaging_feedback, response_feedback, "
        "marketing_message_delivery_failed and standby",
        "A handover's link is m.me/<page>?ref=…: set the Page's name as the channel's address",
    ),
    docs="https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks",
    sample=sample,
)
