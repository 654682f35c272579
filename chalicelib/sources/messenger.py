"""Facebook Messenger: messages to a Page and what it answers, links that lead in, linked accounts, surveys.

https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events

One app serves several Pages and may put them in one request: what is of another Page than the
connection's is ignored. Webhooks carry no names: with a Page's token they are looked up. What comes
as `standby`, while another app owns the conversation, is read like all else. A person is known by an
id per Page; who is known only by a `user_ref`, which a web page makes up, is nobody. Deliveries,
reads, and which app owns the conversation, yield nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import turns
from chalicelib.kit.entries import Part, Posted, parts
from chalicelib.kit.fields import email_identity, instant, phone_identity, present, scoped
from chalicelib.kit.handshakes import hub_challenge
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.kit.turns import Told, Turn
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, Identity

TYPES = {
    **turns.TYPES,
    "optin": "consent",
    "account_linking": "identify",
    "messaging_feedback": "satisfaction",
    "response_feedback": "satisfaction",
    "marketing_message_delivery_failed": "message",
}
FAILED = "marketing_message_delivery_failed"
GRAPH = "https://graph.facebook.com"
SCALES = {"csat": [1, 5], "nps": [0, 10], "ces": [1, 7]}
RATINGS = {"Good response": 1, "Bad response": 0}
CONSENT = {"STOP NOTIFICATIONS": "denied", "RESUME NOTIFICATIONS": "granted", "": "granted"}


def normalize(request: Request) -> Iterator[Event]:
    if text(request.object, "object") != "page":
        return
    page = text(request.settings, "page_id")
    for part in parts(request.object, *turns.LISTS, account=page):
        if part.name == FAILED:
            yield failed(part)
        for kind, turn, told in turns.turns(request, part, READERS, "messenger", page):
            yield from READERS[kind](request, turn, told)


def messages(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    typed = typed_by_profile(told)
    details = {"location": location(told), "products": turns.products(told, description="subtitle")}
    details |= {"choice": ""} if typed else {}
    yield turns.message(request, turn, told, details, identities=present(turn.identity(), *typed))


def typed_by_profile(told: Told) -> tuple[Identity, ...]:
    """A number or address that was offered from the profile: the choice is then the text itself."""
    chosen = text(told, "quick_reply", "payload")
    if not chosen or chosen != text(told, "text"):
        return ()
    number = phone_identity(chosen, assurance=A1_ASSERTED) if chosen.startswith("+") else None
    return present(number, email_identity(chosen, A1_ASSERTED))


def location(told: Told) -> dict[str, Any]:
    found = next((each for each in objects(told, "attachments") if text(each, "type") == "location"), {})
    where = pick(found, "payload", "coordinates")
    return kept(latitude=pick(where, "lat"), longitude=pick(where, "long"), name=text(found, "title"))


def opted(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """Marketing messages wanted or no more; an opt-in with a `ref` only is a button on a web page."""
    answer = CONSENT.get(text(told, "notification_messages_status").strip().upper().replace("_", " "))
    if text(told, "type") == "notification_messages" and answer and turn.person:
        yield consent(turn, told, answer)
    elif not text(told, "type") and text(told, "ref") and turn.person:
        yield from turns.came(request, turn, told)


def consent(turn: Turn, told: Told, answer: str) -> Event:
    subscription = text(told, "notification_messages_token")
    return turns.event(
        turn,
        "optin",
        type=TYPES["optin"],
        object=f"{turn.account}/{turn.person}/marketing/{digest(subscription, size=5)}",
        version=f"{answer}@{turn.moment}",
        refs=turns.refs(turn) + subscribed(turn.account, subscription),
        summary=text(told, "title")[:120],
        details=kept(medium="messenger", status=answer, topic=text(told, "title"), payload=text(told, "payload")),
        fields={**turn.names, "consent_messenger": answer},
    )


def subscribed(page: str, subscription: str) -> tuple[Ref, ...]:
    """A subscription's token sends messages, so that only its digest is kept."""
    return (Ref("message", f"subscription:{digest(subscription)}", page),) if subscription else ()


def failed(part: Part) -> Event:
    """A marketing message that did not arrive; whose subscription it was for is all that is known."""
    told, page = part.value, text(part.value, "page_id") or part.account
    moment = instant(told.get("timestamp") or part.sent_at, "timestamp")
    return turns.event(
        Turn("messenger", page, "", True, moment, {}),
        FAILED,
        type=TYPES[FAILED],
        object=required(told, "message_id"),
        version="failed",
        refs=subscribed(page, text(told, "messenger_subscription_token")),
        summary="Message failed",
        details=kept(status="failed", reason=text(told, "error_message"), app_id=text(told, "app_id")),
    )


def linked(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """An account of the organisation's own login was linked, or no more.

    Only where `link_issuer` says that its login page returns the login subject as authorization code
    does that code name an account; any other is a secret, and is kept nowhere. From an unlinking on,
    what is written there is no more that account's, until it is linked again.
    """
    status, issuer = text(told, "status"), text(request.settings, "link_issuer")
    if status not in ("linked", "unlinked") or not turn.person:
        return
    login = scoped("login", issuer, told.get("authorization_code"), A3_VERIFIED) if status == "linked" else None
    yield turns.event(
        turn,
        "account_linking",
        type=TYPES["account_linking"],
        object=f"{turn.account}/{turn.person}/account_linking",
        version=f"{status}@{turn.moment}",
        identities=present(turn.identity(A3_VERIFIED if login else A2_ATTESTED), login),
        refs=turns.refs(turn),
        summary=f"Account {status}",
        details=kept(status=status, issuer=issuer),
        ends=present(turn.identity()) if issuer and status == "unlinked" else (),
    )


def surveyed(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """Answers to a feedback template: one for each question with a score."""
    for screen in objects(told, "feedback_screens"):
        questions = pick(screen, "questions")
        for name, answer in questions.items() if isinstance(questions, dict) else ():
            scale, score = SCALES.get(text(answer, "type").strip()), text(answer, "payload")
            if scale and score.isascii() and score.isdigit() and scale[0] <= int(score[:3]) <= scale[1]:
                yield rated(turn, f"{text(screen, 'screen_id')}/{name}", answer, int(score[:3]))


def rated(turn: Turn, question: str, answer: Told, score: int) -> Event:
    kind = text(answer, "type").strip()
    follow_up = pick(answer, "follow_up")
    comment = text(follow_up, "payload") if text(follow_up, "type") == "free_form" else ""
    return turns.event(
        turn,
        "messaging_feedback",
        type=TYPES["messaging_feedback"],
        object=f"{turn.account}/{turn.person}/feedback/{question}",
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


def judged(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """Thumbs up or down for one message of ours."""
    mid, rating = text(told, "mid"), text(told, "feedback").strip()
    if mid and rating in RATINGS:
        yield turns.event(
            turn,
            "response_feedback",
            type=TYPES["response_feedback"],
            object=f"{mid}/feedback/{turn.person}",
            version=f"{RATINGS[rating]}@{turn.moment}",
            refs=turns.refs(turn, mid),
            summary=rating,
            details={"score": RATINGS[rating], "scale": [0, 1], "subject_channel": "messenger"},
        )


READERS: dict[str, turns.Reader] = {
    "message": messages,
    "message_edit": turns.edited,
    "reaction": turns.reacted,
    "postback": turns.pressed,
    "referral": turns.came,
    "optin": opted,
    "account_linking": linked,
    "messaging_feedback": surveyed,
    "response_feedback": judged,
}


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """Who wrote, pressed or came: the profile of each, if there is a token to ask with."""
    access = keys_of(secrets, "page_access_token")
    if access and text(request.object, "object") == "page":
        for person in turns.nameless(request, "messenger", text(request.settings, "page_id")):
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
        "verify_token": Setting("Verify token", required=True, help="A text of your choice, which the app asks for"),
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
        "Handover links are m.me/<page>?ref=…: set the Page's user name as the address of this channel",
    ),
    docs="https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks",
    sample=sample,
)
