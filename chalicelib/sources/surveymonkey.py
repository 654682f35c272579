"""SurveyMonkey: webhooks carry ids only; `fetch` takes the answers, and the survey for its scales.

https://api.surveymonkey.com/v3/docs#webhooks

The score is the number in the chosen answer's text where every choice of the question has one of its own (0 … 10),
else its weight. Of several such questions that of the setting `score_question` counts, else the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.carried import Carried, carried
from chalicelib.kit.fields import email_identity, instant, phone_identity, present
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import REGION, Answer, Fetch, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, Identity

TYPES = {"response_completed": "satisfaction", "response_updated": "satisfaction"}
NUMBER = pattern(r"[0-9]{1,20}\Z", re.ASCII)
RATED = pattern(r"(?:\A|[^0-9.,])([0-9]{1,3})\s*\Z", re.ASCII)
EVENT_ID = pattern(rb'"event_id"\s*:\s*"([0-9A-Za-z_-]{1,64})"')

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    """Of a response that is changed while it is still being given, nothing."""
    kind = text(request.object, "event_type")
    if kind not in TYPES:
        return
    response = request.fetched.get("response")
    if text(response, "id") != text(request.object, "object_id"):
        raise PayloadMalformed("the response could not be looked up: " + (text(response, "why") or "no answer"))
    if text(response, "response_status") in ("", "completed"):
        yield satisfaction(request, response, kind)


def satisfaction(request: Request, response: Any, kind: str) -> Event:
    link = link_of(request, response)
    name, survey = required(response, "id"), link.ref("survey") or required(response, "id")
    moment = instant(pick(response, "date_modified"), "date_modified", "UTC")
    score, told = main(request, response), words(response)
    title = text(request.fetched.get("survey"), "title")[:120] or "Survey"
    rated = f": {score['score']} of {score['scale'][1]}" if score else ""
    details = kept(comment=told, survey=survey, subject_channel=link.channel, form=text(response, "survey_id"))
    return Event(
        type="satisfaction",
        channel="survey",
        object=f"response/{name}",
        version=moment,
        occurred_at=moment,
        identities=present(*link.identities, *recipient(request, response)),
        refs=tuple(dict.fromkeys([*link.refs, Ref("survey", survey)])),
        summary=title + rated,
        text=told,
        details=dict(score) | details,
        fields=kept(name=link.name or name_of(response)),
        link=text(response, "analyze_url"),
        provider_type=kind,
    )


def recipient(request: Request, response: Any) -> tuple[Identity, ...]:
    """Whom the survey was sent to: a link can be passed on."""
    contact = pick(response, "metadata", "contact")
    return present(
        email_identity(text(contact, "email", "value") or text(response, "email_address"), A1_ASSERTED),
        phone_identity(text(contact, "phone_number", "value"), request.region, A1_ASSERTED),
    )


def name_of(response: Any) -> str:
    contact = pick(response, "metadata", "contact")
    parts = [text(contact, each, "value") or text(response, each) for each in ("first_name", "last_name")]
    return " ".join(part for part in parts if part)


def answers(response: Any) -> Iterator[tuple[str, Node]]:
    """(question, answer) in order."""
    for page in objects(response, "pages"):
        for question in objects(page, "questions"):
            for answer in objects(question, "answers"):
                yield text(question, "id"), answer


def main(request: Request, response: Any) -> Node:
    """Score, scale and question of the answer that counts; empty where no question has a scale."""
    wanted, asked = text(request.settings, "score_question"), questions(request.fetched.get("survey"))
    for question, answer in answers(response):
        if question in asked and (not wanted or question == wanted):
            values = values_of(asked[question])
            chosen = values.get(text(answer, "choice_id"))
            if chosen is not None:
                scale = [min(values.values()), max(values.values())]
                return {"score": chosen, "scale": scale} | kept(question=heading(asked[question]))
    return {}


def questions(survey: Any) -> dict[str, Node]:
    return {text(each, "id"): each for page in objects(survey, "pages") for each in objects(page, "questions")}


def values_of(question: Node) -> dict[str, int]:
    """Choice → number, where the choices are steps of a scale; empty where they are not."""
    choices = [each for each in objects(question, "answers", "choices") if each.get("is_na") is not True]
    told = [RATED.search(text(each, "text")[:200]) for each in choices]
    by_text = [int(each[1]) for each in told if each]
    weights = [each["weight"] for each in choices if type(each.get("weight")) is int]
    for values in (by_text, weights):
        if len(choices) > 1 and len(set(values)) == len(choices):
            return dict(zip([text(each, "id") for each in choices], values, strict=True))
    return {}


def heading(question: Node) -> str:
    return next((text(each, "heading") for each in objects(question, "headings")), "")


def words(response: Any) -> str:
    """The first thing that was written."""
    return next((found for _, answer in answers(response) if (found := text(answer, "text"))), "")


def link_of(request: Request, response: Any) -> Carried:
    return carried(pick(response, "custom_variables"), request.settings.get("custom_variables"), request.region)


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    tokens, body = keys_of(secrets, "access_token"), request.object
    survey, response = text(body, "resources", "survey_id"), text(body, "object_id")
    told = text(body, "event_type") in TYPES and NUMBER.match(survey) and NUMBER.match(response)
    if tokens and told:
        headers, base = {"Authorization": f"Bearer {tokens[0]}"}, "https://api.surveymonkey.com"
        version, path = text(body, "event_datetime"), f"/v3/surveys/{survey}"
        yield Fetch("response", f"{path}/responses/{response}/details", base, headers, version)
        yield Fetch("survey", f"{path}/details", base, headers, version[:10])


def keyed(request: Request, secrets: Secrets) -> Secrets:
    """The key is the app's client id and its secret, joined."""
    name = text(request.settings, "client_id")
    return {"key": tuple(f"{name}&{secret}" for secret in keys_of(secrets, "client_secret") if name)}


def verify(request: Request, secrets: Secrets) -> str | None:
    return SIGNATURE(request, keyed(request, secrets))


def sign(request: Request, secrets: Secrets) -> Request:
    return SIGNATURE.sign(request, keyed(request, secrets))


def handshake(request: Request, secrets: Secrets) -> Answer | None:
    """Before it makes a webhook the vendor looks whether somebody is at home: it signs nothing and learns nothing."""
    return Answer("") if request.method == "HEAD" and keyed(request, secrets)["key"] else None


def delivery_key(request: Request) -> str | None:
    """Read off the bytes: this never raises."""
    found = EVENT_ID.search(request.body)
    return found[1].decode() if found else None


SIGNATURE = hmac_signature(header="Sm-Signature", key_name="key", algorithm="sha1", encoding="base64")


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = b'{"name":"Test","event_type":"survey_updated","event_id":"1","object_type":"survey","object_id":"1"}'
    return sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="SurveyMonkey",
    channel="survey",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    handshake=handshake,
    handshake_first=True,
    fetch=fetch,
    settings={
        "client_id": Setting("Client ID", required=True, help="Of the app that made the webhook; part of the key"),
        "base_url": Setting("API address", help="https://api.eu.surveymonkey.com for accounts in the EU"),
        "score_question": Setting("Question that counts", help="Its id; default: the first with a scale"),
        "custom_variables": Setting(
            "Custom variables",
            type="object",
            help="Name → survey, order, receipt, case, thread, email, phone, name, channel or an identity such as shop:tc",
        ),
        "region": REGION,
    },
    secrets={
        "client_secret": Setting("Client secret", required=True, help="Of the app"),
        "access_token": Setting("Access token", required=True, help="Reads the answers, which webhooks do not carry"),
    },
    unverified=(
        "the fields of a response and of a survey's details, read as the API's reference describes them",
        "that choices of a recommendation question end with their number, and that weights of others are whole",
        "that event_id stays the same when a delivery is tried again",
        "that date_modified changes with every change of a response, and only then",
    ),
    setup=(
        "Make a private app with the scopes View Surveys, View Responses, View Response Details and Create/Modify "
        "Webhooks; enter its client id, secret and access token.",
        "Create a webhook by the API: POST /v3/webhooks with event_type response_completed, object_type survey, the ids "
        "of your surveys and subscription_url {hook_url}; another one for response_updated, if answers may be changed.",
        "Add custom variables survey, order … to the survey and fill them in the link of the collector.",
    ),
    docs="https://api.surveymonkey.com/v3/docs#webhooks",
    sample=sample,
)
