"""What verifiers make of settings, of keys that are not configured and of signatures that are not there.

Each row is a fixture, which is accepted as it is, with one thing otherwise, and the one answer to that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from source_fixtures import FOLDER, Case, load

from chalicelib.kit.request import Request
from chalicelib.kit.signatures import with_headers

Change = Callable[[Request], Request]

UNMATCHED = "the signature does not match"
OLD, EARLY = "the timestamp is too old", "the timestamp is in the future"
EXPIRED, IAT = "the timestamp exp is past", "the timestamp iat is missing, too old or in the future"
NO_SIG = "no readable sig, or a signature_method that we do not know"
NO_SNS_SIGNATURE = "no readable Signature, or an unknown SignatureVersion"
NO_WECHAT_KEYS = "no token or no encoding_aes_key is configured"
OTHER_ACCOUNT = "the webhook is of another account than account_sid"
OTHER_APP = "the message cannot be opened, or is for another app_id"
OTHER_CLIENT = "the event is meant for another client than client_id"
OTHER_REGION = "SigningCertURL is not where the topic's region keeps its certificates"
OTHER_SHOP = "the webhook is of another shop than shop_domain"
OTHER_TOPIC = "the topic is not one of the setting topics"
IN_THE_PATH = "the secret in the path does not match"
KEYS = "; it names the key https://static.adobeioevents.com/prod/keys/pub-key-"
FIRST_KEY, SECOND_KEY = f"{KEYS}IkpzhSpTw0.pem", f"{KEYS}Ptc2pD9vT9.pem"
KEY_PATHS = ("x-adobe-public-key1-path", "x-adobe-public-key2-path")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"


def case_of(name: str) -> Case:
    return load(FOLDER / f"{name}.http")


def verdict(case: Case, request: Request, settings: Mapping[str, Any], **secrets: tuple[str, ...]) -> str | None:
    """By the case's settings and secrets, with these in their place."""
    sent = replace(request, settings={**request.settings, **settings})
    return case.source.verify(sent, {**case.secrets, **secrets})


def without(*headers: str) -> Change:
    return lambda sent: replace(sent, headers=tuple(pair for pair in sent.headers if pair[0].lower() not in headers))


def told(**fields: Any) -> Change:
    """With these in its JSON body."""
    return lambda sent: replace(sent, body=json.dumps({**json.loads(sent.body), **fields}).encode())


def written(old: bytes, new: bytes, count: int = -1) -> Change:
    """With this in its body."""
    return lambda sent: replace(sent, body=sent.body.replace(old, new, count))


def unasked(sent: Request) -> Request:
    return replace(sent, query=tuple(pair for pair in sent.query if pair[0] != "echostr"))


def later(sent: Request, seconds: int) -> Request:
    moment = datetime(2026, 9, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    return replace(sent, received_at=f"{moment:%Y-%m-%dT%H:%M:%S}.000Z")


SETTINGS: list[tuple[str, dict[str, Any], str | None]] = [
    ("twilio/sms_received", {"account_sid": "AC5ef872f6da5a21de157d80997a64bd33"}, None),
    ("twilio/sms_received", {"account_sid": "AC00000000000000000000000000000000"}, OTHER_ACCOUNT),
    ("shopify/order_created", {"shop_domain": "TC.MyShopify.com"}, None),
    ("shopify/order_created", {"shop_domain": "other.myshopify.com"}, OTHER_SHOP),
    ("ses/received", {"topics": [f"{TOPIC}other", f"{TOPIC}inkomende-mail"]}, None),
    ("ses/received", {"topics": [f"{TOPIC}other"]}, OTHER_TOPIC),
    ("ses/received", {"topics": []}, OTHER_TOPIC),
    ("adobe_commerce/order_created", {"client_id": "another"}, OTHER_CLIENT + FIRST_KEY),
    ("adobe_commerce/order_created", {"client_id": ""}, OTHER_CLIENT + FIRST_KEY),
    ("wechat/text", {"app_id": "wx0000000000000000"}, OTHER_APP),
    ("wechat/text", {"app_id": ""}, OTHER_APP),
    ("surveymonkey/recommendation", {"client_id": "another"}, UNMATCHED),
    ("surveymonkey/recommendation", {"client_id": ""}, "no key is configured"),
    ("vonage/call_completed", {"api_key": ""}, None),
    ("vonage/call_completed", {"api_key": "other"}, "the claim api_key is missing or is not the configured one"),
    ("vonage/call_completed", {"auth": "sig"}, NO_SIG),
    ("vonage/sms_received", {"auth": "jwt"}, "no readable token in Authorization"),
    ("vonage/sms_received", {"signature_method": ""}, None),
    ("vonage/sms_received", {"signature_method": "sha512"}, UNMATCHED),
    ("vonage/sms_received", {"signature_method": "sha3"}, NO_SIG),
]


@pytest.mark.parametrize(("name", "settings", "expected"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_what_a_setting_takes_and_refuses(name: str, settings: dict[str, Any], expected: str | None) -> None:
    case = case_of(name)
    assert verdict(case, case.request, settings) == expected


SECRETS: list[tuple[str, dict[str, tuple[str, ...]], str | None]] = [
    ("twilio/sms_received", {"auth_token": ()}, "no auth_token is configured"),
    ("twilio/call_completed_shared_key", {"shared_key": ()}, "no shared_key is configured"),
    ("twilio/call_completed_shared_key", {"auth_token": ()}, None),
    ("wechat/text", {"token": ()}, NO_WECHAT_KEYS),
    ("wechat/text", {"encoding_aes_key": ()}, NO_WECHAT_KEYS),
    ("wechat/text", {"token": (), "encoding_aes_key": ()}, NO_WECHAT_KEYS),
    ("wechat/text", {"encoding_aes_key": ("no base64!",)}, OTHER_APP),
    ("wechat/text_plain", {"encoding_aes_key": ()}, None),
    ("wechat/text_plain", {"token": ()}, NO_WECHAT_KEYS),
    ("mailgun/delivered", {"webhook_signing_key": ()}, "no webhook_signing_key is configured"),
    ("mailgun/delivered", {"path_secret": ("pad/mime",)}, IN_THE_PATH),
    ("mailgun/inbound_with_path_secret", {"path_secret": ("other",)}, IN_THE_PATH),
    ("mailgun/inbound_with_path_secret", {"path_secret": ()}, None),
    ("vonage/sms_received", {"signature_secret": ()}, "no signature_secret is configured"),
    ("vonage/call_completed", {"signature_secret": ()}, "no signature_secret is configured"),
    ("ses/received", {"certificate": ()}, "no certificate is known"),
    ("adobe_commerce/order_created", {"public_key": ()}, f"no public_key is known{FIRST_KEY}"),
    ("lightspeed_ecom/order_paid", {"api_secret": ()}, "no api_secret is configured"),
    ("x/message_received", {"client_secret": ()}, "no client_secret or consumer_secret is configured"),
    ("x/message_received", {"consumer_secret": ("other",)}, None),
    (
        "x/message_received",
        {"client_secret": (), "consumer_secret": ("other",)},
        "no readable signature in X-Twitter-Webhooks-Signature",
    ),
    ("shopify/order_created", {"client_secret": ()}, "no client_secret is configured"),
    ("whatsapp/text", {"app_secret": ()}, "no app_secret is configured"),
    ("surveymonkey/recommendation", {"client_secret": ()}, "no key is configured"),
    ("sendgrid/bounce", {"verification_key": ()}, "no verification_key is configured"),
]


@pytest.mark.parametrize(("name", "secrets", "expected"), SECRETS, ids=[row[0] for row in SECRETS])
def test_which_keys_must_be_configured(name: str, secrets: dict[str, tuple[str, ...]], expected: str | None) -> None:
    case = case_of(name)
    assert verdict(case, case.request, {}, **secrets) == expected


SENT: list[tuple[str, Change, str]] = [
    ("twilio/sms_received", without("x-twilio-signature"), "no readable X-Twilio-Signature"),
    ("wechat/handshake", unasked, "no handshake with the token"),
    ("mailgun/delivered", partial(replace, body=b"{}"), "no readable signature"),
    ("vonage/sms_received", told(sig=""), NO_SIG),
    ("ses/received", told(Type="Else"), "no message of a topic"),
    ("ses/received", told(SigningCertURL=CERTIFICATE.replace("eu-west-1", "us-east-1")), OTHER_REGION),
    ("ses/received", told(Signature=""), NO_SNS_SIGNATURE),
    ("ses/received", told(SignatureVersion="3"), NO_SNS_SIGNATURE),
    ("ses/received", told(Signature="", SignatureVersion="3"), NO_SNS_SIGNATURE),
    ("adobe_commerce/order_created", written(b"entity_id", b"entity_ID"), UNMATCHED + FIRST_KEY),
    (
        "adobe_commerce/order_created",
        lambda sent: with_headers(sent, {"x-adobe-digital-signature-1": "AAAA", KEY_PATHS[0]: "//elsewhere/keys"}),
        UNMATCHED + SECOND_KEY,
    ),
    (
        "adobe_commerce/order_created",
        lambda sent: with_headers(without(*KEY_PATHS)(sent), {"x-adobe-digital-signature-1": "AAAA"}),
        UNMATCHED,
    ),
    ("adobe_commerce/batch", written(b"c1ient1d0fixture", b"another", 1), OTHER_CLIENT + FIRST_KEY),
    ("x/message_received", partial(replace, method="GET"), "no challenge that is answered, or no JSON object"),
    ("x/message_received", partial(replace, body=b"[]"), "no challenge that is answered, or no JSON object"),
    ("whatsapp/text", partial(replace, method="GET"), "no handshake with the verify_token"),
    ("whatsapp/handshake_wrong_token", lambda sent: sent, "no handshake with the verify_token"),
]


@pytest.mark.parametrize(("name", "change", "expected"), SENT, ids=[row[0] for row in SENT])
def test_what_a_request_lacks_is_the_reason(name: str, change: Change, expected: str) -> None:
    case = case_of(name)
    assert verdict(case, change(case.request), {}) == expected


DAY = 86400
Ages = list[tuple[str, dict[str, Any], int, str | None]]


def ages(name: str) -> Ages:
    """Of a source whose tolerance is off unless it is whole seconds, up to a day."""
    off: Ages = [(name, {"tolerance": none}, 9 * DAY, None) for none in (0, -1, DAY + 1, True, "300", None)]
    return [
        (name, {"tolerance": 1}, 1, None),
        (name, {"tolerance": 1}, 2, OLD),
        (name, {"tolerance": 1}, -2, EARLY),
        (name, {"tolerance": DAY}, DAY, None),
        (name, {"tolerance": DAY}, DAY + 1, OLD),
        *off,
    ]


AGES: Ages = [
    *ages("sendgrid/bounce_within_tolerance"),
    *ages("vonage/sms_failed"),
    ("vonage/call_within_tolerance", {"tolerance": 1}, 1, None),
    ("vonage/call_within_tolerance", {"tolerance": 1}, 2, IAT),
    ("vonage/call_within_tolerance", {"tolerance": 0}, 360, None),
    ("vonage/call_within_tolerance", {"tolerance": 0}, 361, EXPIRED),
    ("mailgun/delivered", {"max_age": 1}, 1, None),
    ("mailgun/delivered", {"max_age": 1}, 2, OLD),
    ("mailgun/delivered", {"max_age": DAY}, DAY, None),
    ("mailgun/delivered", {"max_age": DAY}, DAY + 1, OLD),
    *(
        ("mailgun/delivered", {"max_age": none}, seconds, expected)
        for none in (0, -1, DAY + 1, True, "60", None)
        for seconds, expected in ((32400, None), (32401, OLD), (-300, None), (-301, EARLY))
    ),
]


@pytest.mark.parametrize(("name", "settings", "seconds", "expected"), AGES, ids=[row[0] for row in AGES])
def test_how_old_a_signature_may_be(name: str, settings: dict[str, Any], seconds: int, expected: str | None) -> None:
    case = case_of(name)
    assert verdict(case, later(case.request, seconds), settings) == expected


FORGED: list[tuple[str, dict[str, Any], Change, str]] = [
    ("twilio/sms_received", {"account_sid": "AC0"}, written(b"Body=", b"Body=x"), UNMATCHED),
    ("shopify/order_created", {"shop_domain": "other.myshopify.com"}, written(b"{", b"{ ", 1), UNMATCHED),
]


@pytest.mark.parametrize(("name", "settings", "change", "expected"), FORGED, ids=[row[0] for row in FORGED])
def test_who_signs_nothing_is_not_told_what_is_set(
    name: str, settings: dict[str, Any], change: Change, expected: str
) -> None:
    case = case_of(name)
    assert verdict(case, change(case.request), settings) == expected


@pytest.mark.parametrize("client", ["", "c1ient1d0fixture"])
def test_adobe_commerce_takes_no_event_that_is_meant_for_nobody(client: str) -> None:
    case = case_of("adobe_commerce/order_created")
    signed = case.signed(written(b'"recipientclientid":"c1ient1d0fixture",', b"")(case.request))
    assert verdict(case, signed, {"client_id": client}) == OTHER_CLIENT + FIRST_KEY


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({}, True),
        ({"check_payload_hash": True}, True),
        ({"check_payload_hash": None}, True),
        ({"check_payload_hash": False}, False),
    ],
)
def test_vonage_looks_at_the_hash_of_the_body_unless_that_is_off(setting: dict[str, Any], expected: bool) -> None:
    case = case_of("vonage/call_completed")
    refused = "payload_hash is not that of the body" if expected else None
    assert verdict(case, case.request, setting) is None
    assert verdict(case, told(to="31600000000")(case.request), setting) == refused


@pytest.mark.parametrize(("name", "sealed"), [("wechat/text", True), ("wechat/text_plain", False)])
def test_wechat_signs_a_body_only_where_it_is_encrypted(name: str, sealed: bool) -> None:
    case = case_of(name)
    changed = written(b"<![CDATA[", b"<![CDATA[AAAA")(case.request)
    assert case.verifier.covers_body is sealed
    assert verdict(case, changed, {}) == (UNMATCHED if sealed else None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (told(), CERTIFICATE),
        (told(TopicArn=f"{TOPIC}other"), ""),
        (told(Signature=""), ""),
        (told(SigningCertURL=CERTIFICATE.replace("eu-west-1", "us-east-1")), ""),
        (partial(replace, body=b"{}"), ""),
        (partial(replace, body=b"[]"), ""),
        (partial(replace, body=b"{"), ""),
    ],
)
def test_ses_looks_up_a_certificate_only_where_all_else_is_right(change: Change, expected: str) -> None:
    case = case_of("ses/received")
    assert case.source.certificate
    assert case.source.certificate(change(case.request)) == expected


def test_lightspeed_ecom_is_verified_where_md5_is_kept_from_security(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenSSL does in FIPS mode: it refuses MD5 to whoever does not say that it is for something else."""
    plain = hashlib.md5

    def md5(over: bytes, *, usedforsecurity: bool = True) -> Any:
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return plain(over)

    monkeypatch.setattr(hashlib, "md5", md5)
    case = case_of("lightspeed_ecom/order_paid")
    assert verdict(case, case.request, {}) is None
