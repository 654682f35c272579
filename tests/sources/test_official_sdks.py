"""The vendors' own libraries as the other side: what they sign we accept, what we sign they accept.

A library that has both halves is asked for both; most only verify. Those that look at a clock look at the
real one, so what they are to accept is signed now. They take a body as text where we take bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import messagebird.error
import pytest
import standardwebhooks
import stripe
import svix.webhooks
import vonage_jwt
import wechatpy.crypto
import wechatpy.exceptions
import wechatpy.utils
import xmltodict
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from linebot.v3.webhook import SignatureValidator as LineValidator
from messagebird.request_validator import RequestValidator as JwtValidator
from mollie.utils.webhooks import signature_validator as mollie
from pywa import WhatsApp
from pywa.utils import webhook_updates_validator
from sendgrid.helpers.eventwebhook import EventWebhook
from shopify_app.verify.webhook import verify_webhook_req
from slack_sdk.signature import SignatureVerifier
from source_fixtures import Case, cases
from twilio.request_validator import RequestValidator, get_signature_algorithm
from viberbot import Api
from viberbot.api.bot_configuration import BotConfiguration
from vonage_http_client.auth import Auth
from werkzeug.datastructures import MultiDict

from chalicelib import sources
from chalicelib.kit.request import Request
from chalicelib.kit.signatures import with_headers
from chalicelib.kit.source import Secrets
from chalicelib.model import instants

HOOK = "https://hub.example.nl/hooks/con_1"
NOW = "2026-09-01T12:00:00.000Z"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
TEXTS = st.text().map(str.encode)
NAMED = st.tuples(st.text(min_size=1), st.text())
FORMS = st.lists(NAMED, unique=True).map(lambda pairs: urlencode(pairs[:1] + pairs).encode())
"""With one field twice, which counts once."""
PARAMETERS = st.dictionaries(st.text().filter(lambda name: name not in ("sig", "timestamp", "nonce")), st.text())
JSON_PARAMETERS = PARAMETERS.map(lambda told: json.dumps(told).encode())
LONG = "een-geheim-van-minstens-vierenzestig-tekens-want-zo-lang-wil-HS512-het"
AES_KEYS = ("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba")

Verifies = Callable[[Request, Secrets], bool]
Signs = Callable[[Request, Secrets], Request]


def longer(request: Request) -> Request:
    return replace(request, body=request.body + b" ")


@dataclass(frozen=True)
class Sdk:
    """`slug`: whose requests these are. `secrets`: name → (ours, another's).

    `tolerance`: seconds after which both sides find a stamp too old; 0: there is none. `tampered`: a change
    of what is signed. `media_type`: of the fixtures that it can read; empty: any.
    """

    slug: str
    secrets: Mapping[str, tuple[str, str]]
    verifies: Verifies
    signs: Signs | None = None
    tolerance: int = 0
    bodies: st.SearchStrategy[bytes] = TEXTS
    tampered: Callable[[Request], Request] = longer
    settings: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    address: Callable[[bytes], str] = lambda body: HOOK
    media_type: str = ""
    private: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ours(self) -> Secrets:
        return {name: (value,) for name, (value, _) in self.secrets.items()}

    @property
    def others(self) -> Secrets:
        return {name: (value,) for name, (_, value) in self.secrets.items()}

    @property
    def rotated(self) -> Secrets:
        return {name: (other, value) for name, (value, other) in self.secrets.items()}

    def request(self, body: bytes, moment: str) -> Request:
        headers = (("content-type", self.media_type or JSON), *self.headers)
        url = self.address(body)
        query = tuple(parse_qsl(url.partition("?")[2]))
        return Request("POST", url, headers, body, moment, query, settings=self.settings, connection="con_1")

    def fits(self, case: Case) -> bool:
        """Whether a fixture is of this scheme: by the settings that choose one."""
        choices = {name: about.default for name, about in case.source.settings.items() if about.choices}
        given = choices | dict(case.request.settings)
        alike = all(given[name] == self.settings[name] for name in choices.keys() & self.settings.keys())
        named = all(case.request.header(name) == value for name, value in self.headers)
        return alike and named and case.request.media_type == (self.media_type or case.request.media_type)


def accepted(call: Callable[[], Any], *refusals: type[Exception]) -> bool:
    """For libraries that refuse by raising; some do both."""
    try:
        return call() is not False
    except refusals:
        return False


def first(secrets: Secrets, name: str) -> str:
    return secrets[name][0]


def second(request: Request) -> int:
    return instants.to_ms(request.received_at) // 1000


def header(request: Request, name: str) -> str:
    return request.header(name) or ""


def meta_verifies(request: Request, secrets: Secrets) -> bool:
    given = header(request, "X-Hub-Signature-256")
    return webhook_updates_validator(first(secrets, "app_secret"), request.body, given)


def stripe_verifies(request: Request, secrets: Secrets) -> bool:
    given, secret = request.header("Stripe-Signature"), first(secrets, "signing_secret")
    return accepted(
        lambda: stripe.WebhookSignature.verify_header(request.body, given, secret, stripe.Webhook.DEFAULT_TOLERANCE),
        stripe.SignatureVerificationError,
    )


def stripe_signs(request: Request, secrets: Secrets) -> Request:
    text = stripe.WebhookSignature.generate_signature_header(
        request.body.decode(), first(secrets, "signing_secret"), second(request)
    )
    return with_headers(request, {"Stripe-Signature": text})


def slack_verifies(request: Request, secrets: Secrets) -> bool:
    return SignatureVerifier(first(secrets, "signing_secret")).is_valid_request(request.body, dict(request.headers))


def slack_signs(request: Request, secrets: Secrets) -> Request:
    stamp = str(second(request))
    text = SignatureVerifier(first(secrets, "signing_secret")).generate_signature(timestamp=stamp, body=request.body)
    return with_headers(request, {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": text or ""})


def standard_verifies(request: Request, secrets: Secrets) -> bool:
    webhook = standardwebhooks.Webhook(first(secrets, "signing_secret"))
    return accepted(
        lambda: webhook.verify(request.body, dict(request.headers), json_parse=False),
        standardwebhooks.WebhookVerificationError,
    )


def svix_verifies(request: Request, secrets: Secrets) -> bool:
    webhook = svix.webhooks.Webhook(first(secrets, "signing_secret"))
    return accepted(lambda: webhook.verify(request.body, dict(request.headers)), svix.webhooks.WebhookVerificationError)


def standard_signs(webhook: type[Any], family: str) -> Signs:
    def signs(request: Request, secrets: Secrets) -> Request:
        moment = datetime.fromtimestamp(second(request), UTC)
        text = webhook(first(secrets, "signing_secret")).sign("msg_1", moment, request.body.decode())
        stamp = str(second(request))
        return with_headers(
            request, {f"{family}-id": "msg_1", f"{family}-timestamp": stamp, f"{family}-signature": text}
        )

    return signs


def line_verifies(request: Request, secrets: Secrets) -> bool:
    validator = LineValidator(first(secrets, "channel_secret"))
    return bool(validator.validate(request.body.decode(), header(request, "X-Line-Signature")))


def viber_verifies(request: Request, secrets: Secrets) -> bool:
    api = Api(BotConfiguration(auth_token=first(secrets, "auth_token"), name="hub", avatar=""))
    return bool(api.verify_signature(request.body, header(request, "X-Viber-Content-Signature")))


def shopify_verifies(request: Request, secrets: Secrets) -> bool:
    asked = {"method": "POST", "headers": dict(request.headers), "url": request.url, "body": request.body.decode()}
    return bool(verify_webhook_req(asked, {"client_secret": first(secrets, "client_secret")}).ok)


def mollie_verifies(request: Request, secrets: Secrets) -> bool:
    given, secret = header(request, "X-Mollie-Signature"), first(secrets, "signing_secret")
    return accepted(
        lambda: mollie.SignatureValidator.validate(request.body.decode(), secret, given),
        mollie.InvalidSignatureException,
    )


def mollie_signs(request: Request, secrets: Secrets) -> Request:
    text = mollie.SignatureValidator.create_signature(request.body.decode(), first(secrets, "signing_secret"))
    return with_headers(request, {"X-Mollie-Signature": f"sha256={text}"})


def twilio_key(request: Request, secrets: Secrets) -> tuple[RequestValidator, str]:
    algorithm = get_signature_algorithm(request.header("X-Twilio-Webhooks-Signature-Settings"))
    return RequestValidator(first(secrets, "shared_key" if "256" in algorithm else "auth_token")), algorithm


def twilio_told(request: Request) -> Any:
    """A form with its repeats, or the text of any other body."""
    if request.media_type != FORM:
        return request.body.decode()
    return MultiDict(parse_qsl(request.body.decode(), keep_blank_values=True))


def twilio_verifies(request: Request, secrets: Secrets) -> bool:
    validator, algorithm = twilio_key(request, secrets)
    given = header(request, "X-Twilio-Signature")
    return bool(validator.validate(request.url, twilio_told(request), given, algorithm))


def twilio_signs(request: Request, secrets: Secrets) -> Request:
    validator, algorithm = twilio_key(request, secrets)
    told = twilio_told(request) if request.media_type == FORM else {}
    return with_headers(request, {"X-Twilio-Signature": validator.compute_signature(request.url, told, algorithm)})


def hashed(body: bytes) -> str:
    return f"{HOOK}?bodySHA256={hashlib.sha256(body).hexdigest()}"


def sendgrid_verifies(request: Request, secrets: Secrets) -> bool:
    signature, stamp = (header(request, f"X-Twilio-Email-Event-Webhook-{name}") for name in ("Signature", "Timestamp"))
    return EventWebhook(first(secrets, "verification_key")).verify_signature(request.body.decode(), signature, stamp)


def key_pair() -> tuple[str, str]:
    """A private key as PEM, and the public one as it is shown in the vendor's console."""
    key = ec.generate_private_key(ec.SECP256R1())
    kept = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shown = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(*kept).decode(), base64.b64encode(key.public_key().public_bytes(*shown)).decode()


(SENDGRID_PRIVATE, SENDGRID_PUBLIC), (_, SENDGRID_OTHER) = key_pair(), key_pair()


def messagebird_verifies(request: Request, secrets: Secrets) -> bool:
    validator, token = JwtValidator(first(secrets, "signing_key")), header(request, "MessageBird-Signature-JWT")
    return accepted(
        lambda: validator.validate_signature(token, request.url, request.body), messagebird.error.ValidationError
    )


def vonage_verifies_token(request: Request, secrets: Secrets) -> bool:
    token, secret = header(request, "Authorization").removeprefix("Bearer "), first(secrets, "signature_secret")
    return accepted(lambda: vonage_jwt.verify_signature(token, secret), vonage_jwt.VonageVerifyJwtError)


def with_other_claims(request: Request) -> Request:
    """This library leaves the digest of the body to whoever calls it."""
    return with_headers(request, {"Authorization": header(request, "Authorization").replace(".e", ".f", 1)})


def vonage_auth(request: Request, secrets: Secrets) -> Auth:
    method = request.settings.get("signature_method", "sha256")
    return Auth(api_key="key", signature_secret=first(secrets, "signature_secret"), signature_method=method)


def vonage_verifies(request: Request, secrets: Secrets) -> bool:
    return bool(vonage_auth(request, secrets).check_signature(json.loads(request.body)))


def vonage_signs(request: Request, secrets: Secrets) -> Request:
    told = json.loads(request.body) | {"timestamp": str(second(request)), "nonce": "n"}
    signature = vonage_auth(request, secrets).sign_params(dict(told))
    return replace(request, body=json.dumps(told | {"sig": signature}).encode())


def with_a_parameter(request: Request) -> Request:
    return replace(request, body=json.dumps(json.loads(request.body) | {"nonce": "other"}).encode())


def with_a_field(request: Request) -> Request:
    return replace(request, body=request.body + (b"x" if request.body else b"x=x"))


def crypto(request: Request, secrets: Secrets) -> wechatpy.crypto.WeChatCrypto:
    key = first(secrets, "encoding_aes_key")
    return wechatpy.crypto.WeChatCrypto(first(secrets, "token"), key, request.settings["app_id"])


def wechat_verifies_sealed(request: Request, secrets: Secrets) -> bool:
    told = dict(request.query)
    return accepted(
        lambda: crypto(request, secrets).decrypt_message(
            request.body, told["msg_signature"], told["timestamp"], told["nonce"]
        ),
        wechatpy.exceptions.InvalidSignatureException,
    )


def wechat_signs_sealed(request: Request, secrets: Secrets) -> Request:
    """As a reply, whose elements are the parameters of a message that comes in."""
    stamp = str(second(request))
    sealed = crypto(request, secrets).encrypt_message(request.body, "1320562132", stamp)
    told = xmltodict.parse(sealed)["xml"]
    more = {"encrypt_type": "aes", "msg_signature": told["MsgSignature"]}
    return replace(wechat_signs(request, secrets, **more), body=sealed.encode())


def wechat_verifies(request: Request, secrets: Secrets) -> bool:
    told = dict(request.query)
    return accepted(
        lambda: wechatpy.utils.check_signature(
            first(secrets, "token"), told["signature"], told["timestamp"], told["nonce"]
        ),
        wechatpy.exceptions.InvalidSignatureException,
    )


def wechat_signs(request: Request, secrets: Secrets, **more: str) -> Request:
    told = {"timestamp": str(second(request)), "nonce": "1320562132"}
    signer = wechatpy.utils.WeChatSigner()
    signer.add_data(first(secrets, "token"), *told.values())
    return queried(request, {"signature": signer.signature} | told | more)


def queried(request: Request, told: Mapping[str, str]) -> Request:
    return replace(request, url=f"{HOOK}?{urlencode(told)}", query=tuple(told.items()))


def with_another_cipher(request: Request) -> Request:
    mark = b"<Encrypt><![CDATA["
    at = request.body.index(mark) + len(mark)
    other = b"B" if request.body[at : at + 1] == b"A" else b"A"
    return replace(request, body=request.body[:at] + other + request.body[at + 1 :])


def with_another_nonce(request: Request) -> Request:
    """All that is signed of a plain message stands in the address."""
    return queried(request, dict(request.query) | {"nonce": "1320562133"})


def whsec(text: bytes) -> str:
    return f"whsec_{base64.b64encode(text).decode()}"


WHSEC = {"signing_secret": (whsec(b"k" * 24), whsec(b"o" * 24))}
META = ("whatsapp", "messenger", "instagram", "facebook")
STANDARD = {"auth": "standard_webhooks"}
SHARED = (("X-Twilio-Webhooks-Signature-Settings", "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"),)
TWILIO = {"auth_token": (LONG, "other"), "shared_key": ("the shared key", "another")}
WECHAT = {"token": ("tc-token", "other"), "encoding_aes_key": AES_KEYS}
VONAGE = {"signature_secret": (LONG, LONG[::-1])}

SDKS = {
    **{slug: Sdk(slug, {"app_secret": ("Zoë's geheim", "other")}, meta_verifies, bodies=st.binary()) for slug in META},
    "stripe": Sdk("stripe", {"signing_secret": ("whsec_1", "whsec_2")}, stripe_verifies, stripe_signs, 300),
    "slack": Sdk("slack", {"signing_secret": ("8f742231b10e", "other")}, slack_verifies, slack_signs, 300),
    "standardwebhooks": Sdk(
        "generic",
        WHSEC,
        standard_verifies,
        standard_signs(standardwebhooks.Webhook, "webhook"),
        300,
        settings=STANDARD,
    ),
    "svix": Sdk("generic", WHSEC, svix_verifies, standard_signs(svix.webhooks.Webhook, "svix"), 300, settings=STANDARD),
    "line": Sdk("line", {"channel_secret": ("8c570fa6dd20", "other")}, line_verifies),
    "viber": Sdk("viber", {"auth_token": ("445da6az1s345z78", "other")}, viber_verifies, bodies=st.binary()),
    "shopify": Sdk("shopify", {"client_secret": ("hush", "other")}, shopify_verifies),
    "mollie": Sdk(
        "mollie",
        {"signing_secret": ("geheim", "other")},
        mollie_verifies,
        mollie_signs,
        settings={"webhooks": "next_gen"},
    ),
    "twilio": Sdk(
        "twilio", TWILIO, twilio_verifies, twilio_signs, bodies=FORMS, tampered=with_a_field, media_type=FORM
    ),
    "twilio_shared_key": Sdk(
        "twilio",
        TWILIO,
        twilio_verifies,
        twilio_signs,
        bodies=FORMS,
        tampered=with_a_field,
        headers=SHARED,
        media_type=FORM,
    ),
    "twilio_json": Sdk("twilio", TWILIO, twilio_verifies, twilio_signs, address=hashed, media_type=JSON),
    "sendgrid": Sdk(
        "sendgrid",
        {"verification_key": (SENDGRID_PUBLIC, SENDGRID_OTHER)},
        sendgrid_verifies,
        private={"verification_key": (SENDGRID_PRIVATE,)},
    ),
    "messagebird": Sdk(
        "messagebird",
        {"signing_key": (LONG, LONG[::-1])},
        messagebird_verifies,
        tolerance=305,
        bodies=st.binary(),
    ),
    "vonage": Sdk(
        "vonage",
        VONAGE,
        vonage_verifies_token,
        tolerance=360,
        bodies=st.binary(),
        tampered=with_other_claims,
        settings={"auth": "jwt"},
    ),
    **{
        f"vonage_{method}": Sdk(
            "vonage",
            VONAGE,
            vonage_verifies,
            vonage_signs,
            bodies=JSON_PARAMETERS,
            tampered=with_a_parameter,
            settings={"auth": "sig", "signature_method": method},
        )
        for method in ("md5", "sha1", "sha256", "sha512")
    },
    "wechat": Sdk(
        "wechat",
        WECHAT,
        wechat_verifies_sealed,
        wechat_signs_sealed,
        300,
        st.text(min_size=1).map(str.encode),
        with_another_cipher,
        {"mode": "encrypted", "app_id": "wxb11529c136998cb6"},
    ),
    "wechat_plain": Sdk(
        "wechat", WECHAT, wechat_verifies, wechat_signs, 300, tampered=with_another_nonce, settings={"mode": "plain"}
    ),
}

each_sdk = pytest.mark.parametrize("sdk", SDKS.values(), ids=SDKS)
each_signing_sdk = pytest.mark.parametrize(
    "sdk", [sdk for sdk in SDKS.values() if sdk.signs], ids=[name for name, sdk in SDKS.items() if sdk.signs]
)
FIXTURES = [
    pytest.param(sdk, case, id=f"{name}-{case.path.stem}")
    for name, sdk in SDKS.items()
    for case in cases(sdk.slug)
    if sdk.fits(case)
]


def verdict(request: Request, slug: str, secrets: Secrets) -> str | None:
    return sources.load(slug).verify(request, secrets)


def moved(request: Request, seconds: int) -> Request:
    return replace(request, received_at=instants.from_ms(instants.to_ms(request.received_at) + seconds * 1000))


def signed_by_us(sdk: Sdk, request: Request) -> Request:
    return Case(Path(sdk.slug, "signed"), request, sdk.ours, sdk.private).signed(request)


@each_signing_sdk
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_the_library_signs_is_accepted(sdk: Sdk, data: st.DataObject) -> None:
    body = data.draw(sdk.bodies)
    assert sdk.signs
    signed = sdk.signs(sdk.request(body, NOW), sdk.ours)
    assert verdict(signed, sdk.slug, sdk.ours) is None
    assert verdict(signed, sdk.slug, sdk.rotated) is None
    assert verdict(signed, sdk.slug, sdk.others)
    assert verdict(sdk.tampered(signed), sdk.slug, sdk.ours)
    for seconds in (-sdk.tolerance, sdk.tolerance):
        assert verdict(moved(signed, seconds), sdk.slug, sdk.ours) is None
    for seconds in (-sdk.tolerance - 1, sdk.tolerance + 1) if sdk.tolerance else ():
        assert "timestamp" in (verdict(moved(signed, seconds), sdk.slug, sdk.ours) or "")


@each_sdk
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_library_accepts_what_we_sign(sdk: Sdk, data: st.DataObject) -> None:
    signed = signed_by_us(sdk, sdk.request(data.draw(sdk.bodies), instants.now()))
    assert sdk.verifies(signed, sdk.ours)
    assert not sdk.verifies(signed, sdk.others)
    assert not sdk.verifies(sdk.tampered(signed), sdk.ours)
    assert verdict(signed, sdk.slug, sdk.ours) is None
    assert verdict(signed, sdk.slug, sdk.others)
    assert verdict(sdk.tampered(signed), sdk.slug, sdk.ours)


TIMED = {name: sdk for name, sdk in SDKS.items() if sdk.tolerance and not name.startswith("wechat")}


@pytest.mark.parametrize("sdk", TIMED.values(), ids=TIMED)
def test_both_find_the_same_stamp_too_old(sdk: Sdk) -> None:
    """WeChat's library looks at no clock. Ours is the more lenient with tokens, which end after five minutes."""
    now = instants.now()
    for seconds, fresh in ((-298, True), (-1 - sdk.tolerance, False)):
        then = moved(sdk.request(b"{}", now), seconds)
        signed = replace(signed_by_us(sdk, then), received_at=now)
        assert sdk.verifies(signed, sdk.ours) == fresh
        assert (verdict(signed, sdk.slug, sdk.ours) is None) == fresh


@pytest.mark.parametrize(("sdk", "case"), FIXTURES)
def test_the_library_accepts_the_fixtures(sdk: Sdk, case: Case) -> None:
    signed = case.signed(replace(case.request, received_at=instants.now()))
    assert sdk.verifies(signed, case.secrets)
    assert not sdk.verifies(sdk.tampered(signed), case.secrets)


def test_every_library_has_seen_fixtures() -> None:
    assert {param.values[0].slug for param in FIXTURES} == {sdk.slug for sdk in SDKS.values()}


@pytest.fixture(scope="module")
def bot() -> WhatsApp:
    return WhatsApp("1", "token", server=None, verify_token="Zoë's token", app_secret="geheim")


@pytest.mark.parametrize("slug", META)
@settings(max_examples=60, deadline=None)
@given(given_token=st.just("Zoë's token") | st.text(), challenge=st.text(min_size=1))
def test_both_answer_the_same_challenge(slug: str, bot: WhatsApp, given_token: str, challenge: str) -> None:
    told = {"hub.mode": "subscribe", "hub.verify_token": given_token, "hub.challenge": challenge}
    text, status = bot.webhook_challenge_handler(given_token, challenge)
    handshake = sources.load(slug).handshake
    assert handshake
    answer = handshake(Request("GET", HOOK, (), b"", NOW, tuple(told.items())), {"verify_token": ("Zoë's token",)})
    assert (answer.body if answer else None) == (text if status == 200 else None)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.text(), st.text(min_size=1))
def test_the_echo_of_what_the_library_signs_is_answered(token: str, nonce: str, echo: str) -> None:
    stamp = str(instants.to_ms(NOW) // 1000)
    signer = wechatpy.utils.WeChatSigner()
    signer.add_data(token, stamp, nonce)
    told = {"signature": signer.signature, "timestamp": stamp, "nonce": nonce, "echostr": echo}
    source, sent = sources.load("wechat"), Request("GET", HOOK, (), b"", NOW, tuple(told.items()), {"mode": "plain"})
    assert source.handshake
    assert source.verify(sent, {"token": (token,)}) is None
    assert source.verify(sent, {"token": (token + "x",)})
    answer = source.handshake(sent, {"token": (token,)})
    assert answer and answer.body == echo


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1).map(str.encode))
def test_each_opens_what_the_other_sealed(body: bytes) -> None:
    sdk = SDKS["wechat"]
    source = sources.load("wechat")
    assert sdk.signs and source.opened
    sent = sdk.request(body, NOW)
    assert source.opened(sdk.signs(sent, sdk.ours), sdk.ours) == body
    signed = signed_by_us(sdk, sent)
    told = dict(signed.query)
    opened = crypto(signed, sdk.ours).decrypt_message(
        signed.body, told["msg_signature"], told["timestamp"], told["nonce"]
    )
    assert opened.encode() == body
