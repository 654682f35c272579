"""Verifiers against signatures made elsewhere: published vectors, and the vendors' own libraries."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import drive
import pytest
from source_fixtures import Case, cases, name_of
from standardwebhooks.webhooks import Webhook
from twilio.request_validator import RequestValidator, get_signature_algorithm

from chalicelib import sources
from chalicelib.kit import signatures
from chalicelib.kit.request import Request
from chalicelib.kit.source import Verifier
from chalicelib.model import instants

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "signatures.json").read_text("utf-8"))["vectors"]
NOW = "2026-09-01T12:00:00.000Z"


def request(headers: dict[str, str], body: bytes = b"{}", received_at: str = NOW, **more: Any) -> Request:
    url = more.pop("url", "https://hub.example.nl/hooks/con_1")
    return Request("POST", url, tuple(headers.items()), body, received_at, connection="con_1", **more)


def verifier(vector: dict[str, Any]) -> Verifier:
    """A scheme of the kit, or a source's own by its slug."""
    scheme = vector["scheme"]
    made = getattr(signatures, scheme, None)
    return made(**vector.get("with", {})) if made else sources.load(scheme).verify


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    secrets = {name: tuple(values) for name, values in vector["secrets"].items()}
    url = vector.get("url", "")
    where = {"url": url, "query": tuple(parse_qsl(url.partition("?")[2]))} if url else {}
    sent = request(
        vector["headers"],
        vector["body"].encode(),
        vector.get("received_at", NOW),
        settings=vector.get("settings", {}),
        **where,
    )
    reason = verifier(vector)(sent, secrets)
    assert (reason is None) == vector["accepted"], reason


TWILIO = [case for case in cases("twilio") if case.request.media_type == "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("case", TWILIO, ids=name_of)
def test_the_vendors_library_accepts_our_fixtures(case: Case) -> None:
    algorithm = get_signature_algorithm(case.request.header("X-Twilio-Webhooks-Signature-Settings"))
    key = case.secrets["shared_key" if algorithm == "HMAC_SHA256" else "auth_token"][0]
    told = dict(parse_qsl(case.request.body.decode(), keep_blank_values=True))
    signature = case.request.header("X-Twilio-Signature")
    assert RequestValidator(key).validate(case.request.url, told, signature, algorithm)


HOOK = "https://hub.example.nl/hooks/con_1"
DRIVEN = [
    ("shopify", drive.shopify(HOOK, "orders/create", {"id": 1}), {"client_secret": (drive.SHOP_SECRET,)}),
    ("twilio", drive.whatsapp(HOOK, "SM1", "+31612345678", "Hoi"), {"auth_token": (drive.AUTH_TOKEN,)}),
    ("whatsapp", drive.whatsapp_cloud(HOOK, {"messages": [{"text": "Zoë"}]}), {"app_secret": (drive.APP_SECRET,)}),
    ("generic", drive.generic(HOOK, {"id": 1}), {"signing_secret": (drive.POS_SECRET,)}),
]


@pytest.mark.parametrize(("slug", "sent", "secrets"), DRIVEN, ids=[slug for slug, _, _ in DRIVEN])
def test_what_the_driver_signs_is_accepted(slug: str, sent: drive.Sent, secrets: dict[str, tuple[str, ...]]) -> None:
    verify = sources.load(slug).verify
    assert verify(request(dict(sent.headers), sent.body, url=sent.url), secrets) is None
    assert verify(request(dict(sent.headers), sent.body + b" ", url=sent.url), secrets)


def test_what_the_standard_webhooks_library_signs_is_accepted() -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    moment = datetime.now(UTC)
    body = '{"naam": "Zoë"}'
    signature = Webhook(secret).sign("msg_1", moment, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(moment.timestamp())), "webhook-signature": signature}
    verify = signatures.standard_webhooks()
    assert verify(request(headers, body.encode(), instants.now()), {"signing_secret": (secret,)}) is None
    assert verify(request(headers, body.encode() + b" ", instants.now()), {"signing_secret": (secret,)})


def test_the_standard_webhooks_library_accepts_what_we_sign() -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    signed = signatures.standard_webhooks().sign(
        request({}, b'{"a": 1}', instants.now()), {"signing_secret": (secret,)}
    )
    assert Webhook(secret).verify(signed.body, dict(signed.headers)) == {"a": 1}


def test_ed25519_by_a_public_key() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    secret = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    stamp = str(instants.to_ms(NOW) // 1000)
    text = base64.b64encode(private.sign(f"msg_1.{stamp}.{{}}".encode())).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v2,x v1,{text} v1a,{text}"}
    verify = signatures.standard_webhooks()
    assert verify(request(headers), {"signing_secret": (secret,)}) is None
    assert verify(request(headers, b"[]"), {"signing_secret": (secret,)})
    assert verify(request(headers | {"webhook-signature": f"v1,{text}"}), {"signing_secret": (secret,)})
    assert verify(request(headers), {"signing_secret": ("whpk_AAAA", "whpk_", "whpk_!")})


@pytest.mark.parametrize("unit", signatures.UNITS)
@pytest.mark.parametrize("encoding", signatures.ENCODINGS)
@pytest.mark.parametrize("algorithm", signatures.ALGORITHMS)
def test_every_configuration_accepts_its_own_and_nothing_else(unit: str, encoding: str, algorithm: str) -> None:
    verify = signatures.hmac_signature(
        "X-S",
        "k",
        algorithm,
        encoding,
        "v0=",
        "{ts}.{method}{url}{body}",
        " ",
        "X-T",
        timestamp_unit=unit,
        tolerance=60,
    )
    signed = verify.sign(request({}, b"\x00\xff"), {"k": ("s",)})
    assert verify(signed, {"k": ("other", "s")}) is None
    assert verify(signed, {"k": ("other",)})
    signature = signed.header("X-S") or ""
    among = signatures.with_headers(signed, {"X-S": f"v0=AAAA v1={signature[3:]} {signature}"})
    assert verify(among, {"k": ("s",)}) is None
    assert verify(signatures.with_headers(signed, {"X-S": signature[3:]}), {"k": ("s",)})


def test_the_edge_of_the_tolerance() -> None:
    verify = signatures.hmac_signature("X-S", over="{ts}{body}", timestamp_header="X-T", tolerance=300)
    signed = verify.sign(request({}), {"signing_secret": ("s",)})
    for seconds, accepted in ((-301, False), (-300, True), (300, True), (301, False)):
        moment = datetime.fromisoformat(NOW) + timedelta(seconds=seconds)
        late = request(dict(signed.headers), received_at=f"{moment:%Y-%m-%dT%H:%M:%S}.000Z")
        assert (verify(late, {"signing_secret": ("s",)}) is None) == accepted
