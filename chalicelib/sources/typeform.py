"""Typeform: answers to a form. One with a score is satisfaction, one without is a message.

https://www.typeform.com/developers/webhooks/example-payload/
https://www.typeform.com/developers/webhooks/secure-your-webhooks/

A form may ask several scores: the one that counts is that of the setting `score_field`, else the first
recommendation (nps), else the first. All of them are in the details.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit.carried import Carried, carried
from chalicelib.kit.fields import email_identity, instant, phone_identity, present
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, Identity

TYPES = {"form_response": "satisfaction", "form_response.message": "message"}
STEPS = {"nps": 11, "opinion_scale": 11, "rating": 5}
"""Kinds of question that are a score, and how many steps they have where the form does not say it."""
EVENT_ID = pattern(rb'"event_id"\s*:\s*"([0-9A-Za-z_-]{1,64})"')

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    """Partial responses and other types are no answers yet."""
    if text(request.object, "event_type") == "form_response":
        response = pick(request.object, "form_response")
        scored = scores(request, response)
        told = words(request, response)
        if scored:
            yield satisfaction(request, response, main(request, scored), scored, told)
        elif told:
            yield message(request, response, told)


def satisfaction(request: Request, response: Any, score: Node, scored: list[Node], told: str) -> Event:
    link = link_of(request, response)
    survey = link.ref("survey") or required(response, "token")
    others = [each for each in scored if each is not score]
    details = {"score": score["score"]} | kept(
        scale=score.get("scale"),
        comment=told,
        question=score.get("question"),
        survey=survey,
        subject_channel=link.channel,
        scores=others,
    )
    return answered(
        request,
        response,
        link,
        type="satisfaction",
        channel="survey",
        refs=tuple(dict.fromkeys([*link.refs, Ref("survey", survey)])),
        summary=f"{title(response)}: {score['score']}" + (f" of {score['scale'][1]}" if "scale" in score else ""),
        text=told,
        details=details | form_of(response),
        provider_type="form_response",
    )


def message(request: Request, response: Any, told: str) -> Event:
    """Words without a score: somebody filled in a contact form. Not of the channel web: what is typed redeems no token."""
    link = link_of(request, response)
    return answered(
        request,
        response,
        link,
        type="message",
        channel="survey",
        refs=link.refs,
        summary=title(response),
        text=told,
        details=form_of(response),
        provider_type="form_response.message",
        address=next((each.text for each in typed(request, response)), ""),
    )


def answered(request: Request, response: Any, link: Carried, **told: Any) -> Event:
    return Event(
        object=required(response, "token"),
        occurred_at=instant(pick(response, "submitted_at"), "submitted_at", "UTC"),
        identities=present(*link.identities, *typed(request, response)),
        fields=kept(name=link.name),
        **told,
    )


def typed(request: Request, response: Any) -> tuple[Identity, ...]:
    """What the person typed into questions for a mail address and a phone number."""
    found = objects(response, "answers")
    return present(
        *(email_identity(each.get("email"), A1_ASSERTED) for each in found),
        *(phone_identity(each.get("phone_number"), request.region, A1_ASSERTED) for each in found),
    )


def scores(request: Request, response: Any) -> list[Node]:
    """Every answer on a scale: kind, ref, question, score, and its scale where that is known."""
    fields = {text(each, "id"): each for each in objects(response, "definition", "fields")}
    found: list[Node] = []
    for answer in objects(response, "answers"):
        kind, number = text(answer, "field", "type"), answer.get("number")
        if kind in STEPS and isinstance(number, int) and not isinstance(number, bool):
            name = text(answer, "field", "ref") or text(answer, "field", "id")
            asked = fields.get(text(answer, "field", "id"), {})
            scale = scale_of(request, answer, asked, kind)
            fits = scale if scale[0] <= number <= scale[1] else None
            found.append({"score": number} | kept(scale=fits, kind=kind, ref=name, question=text(asked, "title")))
    return found


def scale_of(request: Request, answer: Node, asked: Node, kind: str) -> list[int]:
    """By the settings, else by the form itself, else as a new question of its kind is made."""
    for name in (text(answer, "field", "ref"), text(answer, "field", "id")):
        given = pick(request.settings, "scales", name)
        if isinstance(given, list) and len(given) == 2 and all(type(each) is int for each in given):
            return given
    steps = pick(asked, "properties", "steps")
    low = 1 if kind == "rating" or pick(asked, "properties", "start_at_one") is True else 0
    return [low, low - 1 + (steps if type(steps) is int and 2 <= steps <= 11 else STEPS[kind])]


def main(request: Request, scored: list[Node]) -> Node:
    wanted = text(request.settings, "score_field")
    chosen = [each for each in scored if wanted and each.get("ref") == wanted]
    return [*chosen, *(each for each in scored if each["kind"] == "nps"), *scored][0]


def words(request: Request, response: Any) -> str:
    """The comment: the answer to `comment_field`, else the first long text, else the first text."""
    found = [each for each in objects(response, "answers") if each.get("type") == "text" and text(each, "text")]
    wanted = text(request.settings, "comment_field")
    chosen = [each for each in found if wanted in (text(each, "field", "ref"), text(each, "field", "id"))]
    longer = [each for each in found if text(each, "field", "type") == "long_text"]
    return text([*(chosen if wanted else []), *longer, *found, {}][0], "text")


def link_of(request: Request, response: Any) -> Carried:
    return carried(pick(response, "hidden"), request.settings.get("hidden"), request.region)


def form_of(response: Any) -> dict[str, Any]:
    return kept(form=text(response, "form_id"), form_title=text(response, "definition", "title"))


def title(response: Any) -> str:
    return text(response, "definition", "title")[:120] or "Form"


def delivery_key(request: Request) -> str | None:
    """Read off the bytes: this never raises."""
    found = EVENT_ID.search(request.body)
    return found[1].decode() if found else None


SIGNATURE = hmac_signature(header="Typeform-Signature", key_name="secret", encoding="base64", prefix="sha256=")


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"event_id":"01TEST","event_type":"form_response","form_response":{"form_id":"test","token":"test",'
        b'"submitted_at":"2026-01-01T11:00:00Z","definition":{"id":"test","title":"Test","fields":[]},'
        b'"answers":[{"type":"number","number":9,"field":{"id":"q1","type":"nps","ref":"nps"}}]}}'
    )
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Typeform",
    channel="survey",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    dedupe=delivery_key,
    settings={
        "hidden": Setting(
            "Hidden fields",
            type="object",
            help="Name → survey, order, receipt, case, thread, email, phone, name, channel or an identity such as "
            "shop:tc; survey, order, ticket, email, phone and the like need no mention",
        ),
        "score_field": Setting("Question that counts", help="Its reference; default: the first nps, else the first"),
        "comment_field": Setting("Question for the comment", help="Its reference or id; default: the first long text"),
        "scales": Setting(
            "Scales",
            type="object",
            help="Reference or id of a question → [lowest, highest], where it is not 0–10 or 1–5",
        ),
        "region": REGION,
    },
    secrets={"secret": Setting("Webhook secret", required=True, help="As set at the webhook")},
    unverified=(
        "that the webhook's form definition tells steps and start_at_one: otherwise 0–10 and 1–5, or the setting scales",
        "that event_id stays the same when a delivery is tried again",
        "that an opinion scale whose question was changed is sent with its new steps",
    ),
    setup=(
        "In the form open Connect, Webhooks, add {hook_url} and set a secret; enter the secret here.",
        "Add hidden fields survey, order, email … to the form and fill them in the link that you send: "
        "#survey=…&order=…&email=…",
    ),
    docs="https://www.typeform.com/developers/webhooks/example-payload/",
    sample=sample,
)
