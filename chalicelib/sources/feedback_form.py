"""Feedback forms: senders of survey answers whose webhooks are read by a mapping, with one ready for each of them.

https://app.delighted.com/docs/api/webhooks
https://www.qualtrics.com/support/survey-platform/actions-module/web-service-task/

Delighted has a body of its own. Qualtrics (a web service task) and Medallia (a custom notification) send the body
that their user writes: the set-up steps say which one their templates read. Without a mapping of the connection's own,
the template of its setting `sender` is used. All keep the raw score with its scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.kit import mapping, schemes
from chalicelib.kit.request import Request
from chalicelib.kit.shape import text
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {
    "survey_response.created": "satisfaction",
    "survey_response.updated": "satisfaction",
    "unsubscribe.created": "consent",
    "response.completed": "satisfaction",
    "feedback.received": "satisfaction",
}


def normalize(request: Request) -> Iterator[Event]:
    """Without a mapping and without a sender that we know nothing: a mapping can be previewed on the receipt."""
    chosen = request.mapping or TEMPLATES.get(text(request.settings, "sender"))
    yield from mapping.events(chosen, request.document, request.settings, request.connection)


def usual(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with how their sender authenticates where they do not say it."""
    return dict(USUAL.get(text(settings, "sender"), {})) | dict(settings)


def scheme(settings: Mapping[str, Any]) -> Any:
    return schemes.scheme(usual(settings))


def verify(request: Request, secrets: Secrets) -> str | None:
    return schemes.verify(replace(request, settings=usual(request.settings)), secrets)


def sign(request: Request, secrets: Secrets) -> Request:
    signed = schemes.sign(replace(request, settings=usual(request.settings)), secrets)
    return replace(signed, settings=request.settings)


def delivery_key(request: Request) -> str | None:
    return schemes.delivery_key(request)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    made = schemes.sample(secrets, url, usual(settings), b'{"test":true}')
    return replace(made, settings=settings)


USUAL: Mapping[str, Mapping[str, Any]] = {
    "delighted": {"auth": "hmac", "header": "X-Delighted-Webhook-Signature", "prefix": "sha256="},
    "qualtrics": {"auth": "bearer"},
    "medallia": {"auth": "basic"},
}
PERSON = "event_data.person"
DELIGHTED = [
    {
        "when": "starts_with(event_type, 'survey_response.')",
        "type": "satisfaction",
        "channel": "survey",
        "object": "event_data.id",
        "version": "to_string(event_data.updated_at)",
        "occurred_at": "event_data.updated_at",
        "text": "event_data.comment",
        "summary": "join(' ', ['Survey:', to_string(event_data.score)])",
        "identities": [
            {"kind": "email", "value": f"{PERSON}.email"},
            {"kind": "phone", "value": f"{PERSON}.phone_number"},
        ],
        "refs": [
            {"kind": "survey", "value": "event_data.id"},
            {"kind": "order", "value": "event_data.person_properties.order"},
            {"kind": "case", "value": "event_data.person_properties.case"},
        ],
        "details": {
            "score": "event_data.score",
            "scale": "(contains(['nps', 'enps'], event_data.survey_type) && `[0, 10]`) "
            "|| (contains(['csat', 'ces', 'smileys', 'star'], event_data.survey_type) && `[1, 5]`) "
            "|| (event_data.survey_type == 'ces7' && `[1, 7]`) || `null`",
            "comment": "event_data.comment",
            "survey": "event_data.id",
            "kind": "event_data.survey_type",
            "subject_channel": "event_data.person_properties.channel",
            "answers": "event_data.additional_answers[].{question: question.text, answer: value.free_response "
            "|| value.select_one.text || value.select_many[].text || value.scale} || `null`",
        },
        "fields": {"name": f"{PERSON}.name"},
        "link": "event_data.permalink",
        "provider_type": "event_type",
    },
    {
        "when": "event_type == 'unsubscribe.created'",
        "type": "consent",
        "channel": "survey",
        "object": "join('/', [event_data.person_id, 'survey'])",
        "version": "to_string(event_data.unsubscribed_at)",
        "occurred_at": "event_data.unsubscribed_at",
        "summary": "'Wants no more surveys'",
        "identities": [{"kind": "email", "value": "event_data.email"}],
        "details": {"medium": "'survey'", "status": "'denied'"},
        "fields": {"consent_survey": "'denied'"},
        "provider_type": "event_type",
    },
]
ANSWER: Mapping[str, Any] = {
    "type": "satisfaction",
    "channel": "survey",
    "text": "comment",
    "identities": [{"kind": "email", "value": "email"}, {"kind": "phone", "value": "phone"}],
    "fields": {"name": "name"},
}
ABOUT = [
    {"kind": "order", "value": "order"},
    {"kind": "receipt", "value": "receipt"},
    {"kind": "case", "value": "case"},
]
QUALTRICS = {
    **ANSWER,
    "when": "responseId",
    "object": "responseId",
    "version": "recordedDate",
    "occurred_at": "recordedDate",
    "summary": "join(' of ', [join('', ['Survey: ', to_string(score)]), to_string(max || '?')])",
    "refs": [{"kind": "survey", "value": "survey || responseId"}, *ABOUT],
    "details": {
        "score": "to_number(score)",
        "scale": "not_null(to_number(max)) && [to_number(min) || `0`, to_number(max)] || `null`",
        "comment": "comment",
        "survey": "survey || responseId",
        "form": "surveyId",
        "subject_channel": "channel",
    },
    "provider_type": "'response.completed'",
}
MEDALLIA = {
    "each": "records || [@]",
    "rules": [
        {
            **ANSWER,
            "when": "record_id",
            "object": "to_string(record_id)",
            "version": "to_string(response_date)",
            "occurred_at": "response_date",
            "summary": "join(' of ', [join('', ['Survey: ', to_string(score)]), to_string(score_max || '?')])",
            "refs": [{"kind": "survey", "value": "survey || to_string(record_id)"}, *ABOUT],
            "details": {
                "score": "to_number(score)",
                "scale": "not_null(to_number(score_max)) && [to_number(score_min) || `0`, to_number(score_max)] || `null`",
                "comment": "comment",
                "survey": "survey || to_string(record_id)",
                "unit": "unit",
                "subject_channel": "channel",
            },
            "provider_type": "'feedback.received'",
        }
    ],
}
TEMPLATES: Mapping[str, Any] = {"delighted": DELIGHTED, "qualtrics": QUALTRICS, "medallia": MEDALLIA}
SOURCE = Source(
    name="Feedback form",
    channel="survey",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    settings={
        "sender": Setting(
            "Sender", default="other", choices=(*TEMPLATES, "other"), help="Whose authentication and template are used"
        ),
        **schemes.SETTINGS,
        "auth": Setting(
            "Authentication", choices=tuple(schemes.SCHEMES), help="Default: the sender's own; hmac for another one"
        ),
        "account": Setting("Account", help="Scope of ids; default: the connection"),
        "region": REGION,
        "zone": Setting("Time zone", help="IANA name, for moments without an offset"),
    },
    secrets=schemes.SECRETS,
    unverified=(
        "Delighted: that the key of the signature is the API key, what thumbs and other kinds of survey count to (their "
        "score is kept without a scale), the fields of unsubscribe.created, and whether the service still runs",
        "Qualtrics: only web service tasks; event subscriptions carry ids alone and are not read",
        "Medallia: the body is the one that the set-up step asks for",
    ),
    setup=(
        "Choose the sender. Delighted: add {hook_url} at Integrations, Webhooks, and enter the private API key as "
        "signing_secret. Properties order, case and channel of a person become references.",
        "Qualtrics: in a workflow on survey responses add a web service task, POST, JSON, to {hook_url}, with the header "
        "Authorization: Bearer <token> and the fields responseId, surveyId, recordedDate (with its offset, or set zone), "
        "score, min, max, and where you have them comment, email, phone, name, survey, order, receipt, case, channel.",
        "Medallia: let a notification post to {hook_url} with basic authentication and the fields record_id, "
        "response_date, score, score_min, score_max, and where you have them unit and those named above, one record or "
        "several under records.",
        "Another sender: choose how it authenticates, preview a mapping on what arrived, then switch it on.",
    ),
    docs="https://app.delighted.com/docs/api/webhooks",
    check_mapping=mapping.check,
    templates=TEMPLATES,
    sample=sample,
)
