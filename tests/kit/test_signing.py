import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from chalicelib.errors import Rejected, Unauthorized
from chalicelib.kit.signing import SigV4, rsa_sha256, standard_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEWER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SEED = bytes(range(1, 33))
PRIVATE = "whsk_" + base64.b64encode(SEED).decode()


def test_the_published_vector() -> None:
    headers = standard_webhook([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@settings(deadline=None)
@given(st.binary(min_size=24, max_size=64), st.text("abcdefgh_0123", min_size=1), st.dictionaries(st.text(), st.text()))
def test_the_official_library_accepts_it(key: bytes, message: str, content: dict[str, str]) -> None:
    import time

    body = json.dumps(content).encode()
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = standard_webhook([secret], message, int(time.time()), body)
    assert Webhook(secret).verify(body, headers) == content


def test_during_a_rotation_old_and_new_receivers_both_accept() -> None:
    import time

    headers = standard_webhook([SECRET, NEWER], "evt", int(time.time()), b"{}")
    assert headers["webhook-signature"].count("v1,") == 2
    assert Webhook(SECRET).verify(b"{}", headers) == Webhook(NEWER).verify(b"{}", headers) == {}


@pytest.mark.parametrize("with_public", [False, True])
def test_the_asymmetric_signature_verifies_with_the_public_key(with_public: bool) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    secret = "whsk_" + base64.b64encode(SEED + public.public_bytes_raw()).decode() if with_public else PRIVATE
    headers = standard_webhook([SECRET, secret], "evt", 1614265330, b"{}")
    first, second = headers["webhook-signature"].split(" ")
    assert first.startswith("v1,")
    version, _, encoded = second.partition(",")
    assert version == "v1a"
    public.verify(base64.b64decode(encoded), b"evt.1614265330.{}")
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(encoded), b"evt.1614265331.{}")


def test_a_secret_without_padding_is_the_same_key() -> None:
    padded = "whsec_" + base64.b64encode(bytes(25)).decode()
    assert padded.endswith("=")
    assert standard_webhook([padded.rstrip("=")], "e", 1, b"") == standard_webhook([padded], "e", 1, b"")


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_"], ["whsec_AAAA"], ["whsec_not base64!"], ["whsk_AAAA"], ["é"]])
def test_what_is_no_key_signs_nothing(secrets: list[str]) -> None:
    with pytest.raises(Rejected) as refused:
        standard_webhook(secrets, "evt", 1, b"{}")
    assert not [secret for secret in secrets if len(secret) > 6 and secret in refused.value.reason]


def test_what_rsa_signs_its_public_key_accepts() -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    private = rsa.generate_private_key(65537, 2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
    key = private.private_bytes(*form, serialization.NoEncryption()).decode()
    raw = base64.b64decode(rsa_sha256(key, b"token.202609010905"), validate=True)
    private.public_key().verify(raw, b"token.202609010905", padding.PKCS1v15(), hashes.SHA256())
    locked = private.private_bytes(*form, serialization.BestAvailableEncryption(b"word")).decode()
    for other in ("", "no key", "<RSAKeyValue/>", key[:-200], locked):
        with pytest.raises(Unauthorized):
            rsa_sha256(other, b"x")


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=64), st.integers(1_000_000_000, 4_000_000_000))
def test_sigv4_signs_as_the_official_library_does(body: bytes, timestamp: int) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = "https://email.eu-west-1.example:8443/v2/email/outbound-emails"
    ours = SigV4("AKIDEXAMPLE", "wJalrXUtnFEMI", "eu-west-1", "ses").headers("POST", url, timestamp, body)
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
    request.context["timestamp"] = ours["X-Amz-Date"]
    theirs = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI"), "ses", "eu-west-1")
    request.headers["X-Amz-Date"] = ours["X-Amz-Date"]
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert ours["Authorization"].endswith(f"Signature={theirs.signature(text, request)}")
    assert "SignedHeaders=content-type;host;x-amz-date" in ours["Authorization"]


def test_a_signer_shows_no_secret() -> None:
    assert "wJalrXUtnFEMI" not in repr(SigV4("AKIDEXAMPLE", "wJalrXUtnFEMI", "eu-west-1", "ses"))
