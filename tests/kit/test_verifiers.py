"""Each verifier by itself: which reason it gives, which of several secrets or names counts, what a signed request holds."""

from __future__ import annotations

import base64
import json
import warnings
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.warnings import InsecureKeyLengthWarning

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import schemes, signatures
from chalicelib.kit.jwt import claims_of, jwt_signature
from chalicelib.kit.request import MAX_FORM_FIELDS, Request

HOOK = "https://hub.example.nl/hooks/con_1"
NOW = "2026-09-01T12:00:00.000Z"
SECONDS = 1_788_264_000
TWO = {
    "token": ("old", "new"),
    "password": ("old", "new"),
    "path_secret": ("old", "new"),
    "signing_secret": ("old", "new"),
}
VERIFIERS: dict[str, tuple[Any, bool, bool]] = {
    "hmac": (signatures.hmac_signature("X-Sign"), True, False),
    "timed hmac": (signatures.hmac_signature("X-Sign", timestamp_header="X-At"), True, True),
    "static": (signatures.static_token(), False, False),
    "body": (signatures.body_token(), False, False),
    "basic": (signatures.basic_auth(), False, False),
    "path": (signatures.path_secret(), False, False),
    "standard": (signatures.standard_webhooks(), True, True),
    "bearer": (schemes.BearerToken(), False, False),
}


def request(body: bytes = b"{}", headers: tuple[tuple[str, str], ...] = (), **more: Any) -> Request:
    return Request("POST", HOOK, headers, body, NOW, connection="con_1", **more)


def test_now_is_what_these_tests_say() -> None:
    assert signatures.untimely(str(SECONDS), "s", 0, NOW) is None


@pytest.mark.parametrize("name", VERIFIERS)
def test_it_says_what_it_covers_and_cannot_be_changed(name: str) -> None:
    """What is shared by all requests of a process must be the same for all of them."""
    verifier, covers, timed = VERIFIERS[name]
    assert (verifier.covers_body, verifier.timed) == (covers, timed)
    with pytest.raises(AttributeError):
        verifier.key_name = "other"
    with pytest.raises(AttributeError):
        schemes.BASIC_OR_PATH.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", [name for name in VERIFIERS if name not in ("standard",)])
def test_either_of_two_secrets_counts_and_no_third(name: str) -> None:
    verifier, _, _ = VERIFIERS[name]
    for secret in ("old", "new"):
        asked = request(settings={"username": "till"})
        signed = verifier.sign(asked, dict.fromkeys(TWO, (secret,)))
        assert verifier(signed, TWO) is None
        assert verifier(signed, {each: values[::-1] for each, values in TWO.items()}) is None
        assert verifier(signed, dict.fromkeys(TWO, ("third",)))
        assert verifier(signed, {}) and "is configured" in verifier(signed, {})


# HMAC


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"algorithm": "md5"}, "algorithm must be one of sha1, sha256, sha512"),
        ({"encoding": "octal"}, "encoding must be one of hex, base64, base64url"),
        ({"timestamp_unit": "weeks"}, "timestamp_unit must be one of s, ms, iso"),
        ({"over": "{url}"}, "over must hold {body} and may hold {ts}, {method} and {url}"),
        ({"over": "{body}{secret}"}, "over must hold {body} and may hold {ts}, {method} and {url}"),
        ({"over": "{ts}.{body}"}, "over holds {ts}, but no timestamp_header is set"),
        ({"header": ""}, "no signature header is set"),
    ],
)
def test_a_wrong_configuration_is_named_and_takes_nothing(wrong: dict[str, Any], reason: str) -> None:
    verifier = signatures.hmac_signature(**{"header": "X-Sign"} | wrong)
    assert verifier.mistake() == reason
    assert verifier(request(), TWO) == reason


def test_a_timestamp_beside_the_signature_is_signed_there() -> None:
    verifier = signatures.hmac_signature(
        "X-Sign", prefix="v1=", over="{ts}.{body}", separator=",", timestamp_header="X-Sign", timestamp_prefix="t="
    )
    signed = verifier.sign(request(), TWO)
    value = signed.header("x-sign") or ""
    assert value.startswith(f"t={SECONDS},v1=") and verifier(signed, TWO) is None
    stamp, _, signature = value.partition(",")
    turned = signatures.with_headers(signed, {"X-Sign": f"{signature},{stamp}"})
    assert verifier(turned, TWO) is None, "wherever it stands"


def test_of_several_header_names_the_first_present_counts() -> None:
    verifier = signatures.hmac_signature(("X-New", "X-Old"))
    signed = verifier.sign(request(), TWO)
    assert signed.header("X-New") and not signed.header("X-Old")
    right = signed.header("X-New") or ""
    assert verifier(request(headers=(("X-Old", right),)), TWO) is None
    assert verifier(request(headers=(("X-New", "00"), ("X-Old", right))), TWO) == "the signature does not match"
    assert verifier(request(headers=(("X-New", "no hex"),)), TWO) == "no readable signature in X-New"


def test_the_sixteenth_signature_is_read_and_the_next_is_not() -> None:
    verifier = signatures.hmac_signature("X-Sign")
    right = ("X-Sign", verifier.sign(request(), TWO).header("X-Sign") or "")
    wrong = ("X-Sign", "00")
    assert verifier(request(headers=(wrong,) * 15 + (right,)), TWO) is None
    assert verifier(request(headers=(wrong,) * 16 + (right,)), TWO) == "the signature does not match"


def test_the_sixty_fifth_element_of_a_header_is_not_taken_apart() -> None:
    verifier = signatures.hmac_signature("X-Sign", separator=",", prefix="v1=")
    right = f"v1={verifier.sign(request(), TWO).header('X-Sign')}".removeprefix("v1=")
    assert verifier(request(headers=(("X-Sign", "x," * 64 + right),)), TWO) is None
    assert verifier(request(headers=(("X-Sign", "x," * 65 + right),)), TWO) == "no readable signature in X-Sign"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(None, 300), (0, 300), (1, 1), (86400, 86400), (86401, 300), (-5, 300), ("60", 300), (60, 60)],
)
def test_the_tolerance_of_the_settings_is_a_number_of_seconds_up_to_a_day(told: Any, seconds: int) -> None:
    assert signatures.from_settings({"tolerance": told}).tolerance == seconds


def test_the_settings_name_everything_else() -> None:
    assert schemes.SETTINGS["tolerance"].default == signatures.from_settings({}).tolerance, (
        "what is shown is what counts"
    )
    made = signatures.from_settings({"header": "X-Other", "algorithm": "sha1", "over": ""})
    assert (made.header, made.algorithm, made.over, made.encoding) == ("X-Other", "sha1", "{body}", "hex")
    assert signatures.from_settings({}).header == "X-Signature"


# Moments, encodings, forms


@pytest.mark.parametrize(
    ("stamp", "unit", "reason"),
    [
        (f"{SECONDS - 300}", "s", None),
        (f"{SECONDS + 300}", "s", None),
        (f"{SECONDS - 301}", "s", "the timestamp is too old"),
        (f"{SECONDS + 301}", "s", "the timestamp is in the future"),
        (f"{SECONDS * 1000 - 300_000}", "ms", None),
        (f"{SECONDS * 1000 - 300_001}", "ms", "the timestamp is too old"),
        (f"{SECONDS * 1000 + 300_001}", "ms", "the timestamp is in the future"),
        ("2026-09-01T12:00:00", "iso", None),
        ("2026-09-01T14:00:00+02:00", "iso", None),
        ("2026-09-01T14:00:00", "iso", "the timestamp is in the future"),
        ("", "s", "no readable timestamp"),
        ("noon", "s", "no readable timestamp"),
        ("noon", "iso", "no readable timestamp"),
        ("1" * 17, "ms", "no readable timestamp"),
    ],
)
def test_five_minutes_to_both_sides(stamp: str, unit: str, reason: str | None) -> None:
    assert signatures.untimely(stamp, unit, 300, NOW) == reason


def test_without_tolerance_only_the_moment_itself_is_timely() -> None:
    assert signatures.untimely(f"{SECONDS * 1000 + 1}", "ms", 0, NOW) == "the timestamp is in the future"
    assert signatures.untimely(f"{SECONDS * 1000 - 1}", "ms", 0, NOW) == "the timestamp is too old"


@pytest.mark.parametrize(
    ("text", "encoding", "raw"),
    [
        ("00fF", "hex", b"\x00\xff"),
        ("0", "hex", None),
        ("0x", "hex", None),
        ("-_8", "base64url", b"\xfb\xff"),
        ("+/8", "base64url", b"\xfb\xff"),
        ("-_8", "base64", None),
        ("YQ", "base64", b"a"),
        ("YQ==", "base64", b"a"),
        ("Y", "base64", None),
        ("YQ\n", "base64", None),
        ("", "base64", None),
    ],
)
def test_a_text_is_read_whole_or_not_at_all(text: str, encoding: str, raw: bytes | None) -> None:
    assert signatures.decode(text, encoding) == raw


def test_a_form_is_sorted_each_pair_once_and_empty_values_count() -> None:
    assert signatures.sorted_fields(b"b=2&a=1&b=2&c=") == b"a1b2c"
    most = b"&".join(b"a=1" for _ in range(MAX_FORM_FIELDS))
    assert signatures.sorted_fields(most) == b"a1"
    assert signatures.sorted_fields(most + b"&b=2") is None


# Tokens


def test_a_token_in_the_first_present_of_several_headers() -> None:
    verifier = signatures.static_token(header=("X-New", "X-Old"), prefix="Key ")
    assert verifier(request(headers=(("X-Old", "kEy new"),)), TWO) is None
    assert verifier(request(headers=(("X-New", "Key x"), ("X-Old", "Key new"))), TWO) == "the token does not match"
    for headers in ((), (("X-Old", "new"),), (("X-Old", "Ke"),)):
        assert verifier(request(headers=headers), TWO) == "no token in X-New"
    signed = verifier.sign(request(headers=(("X-Old", "Key what was there"),)), TWO)
    assert (signed.header("X-Old"), signed.header("X-New")) == ("Key old", None), "in the one that is there"
    assert verifier.sign(request(), TWO).headers == (("X-New", "Key old"),)


def test_a_token_in_the_body() -> None:
    verifier = signatures.body_token(path=("meta", "from", "key"))
    signed = verifier.sign(request(b'{"meta":{"of":1},"n":2}'), TWO)
    assert json.loads(signed.body) == {"meta": {"of": 1, "from": {"key": "old"}}, "n": 2}
    assert verifier(signed, TWO) is None
    assert verifier.sign(signed, TWO) is signed, "who has it already stays as he is, byte for byte"
    with pytest.raises(PayloadMalformed):
        verifier.sign(request(b"no JSON"), TWO)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a":{"key":"new"}}', None),
        (b'{"a":{"key":"third"}}', "the token does not match"),
        (b'{"a":{"key":""}}', "no token under a.key"),
        (b'{"a":{"key":5}}', "no token under a.key"),
        (b'{"a":{}}', "no token under a.key"),
        (b'{"a":5}', "no token under a.key"),
        (b"[]", "no token under a.key"),
    ],
)
def test_what_is_no_token_in_the_body_is_named(body: bytes, reason: str | None) -> None:
    assert signatures.body_token(path=("a", "key"))(request(body), TWO) == reason


def test_a_body_that_cannot_be_read_has_no_token() -> None:
    verifier = signatures.body_token()
    assert (verifier(request(b"no JSON"), TWO) or "").startswith("no token in the body: ")
    assert verifier(request(b'{"token":"old"}'), {}) == "no token is configured"


# Name and password


def basic(pair: str, word: str = "Basic ") -> tuple[tuple[str, str], ...]:
    return (("Authorization", word + base64.b64encode(pair.encode()).decode()),)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (basic("till:new"), None),
        (basic("till:new", "bASIC "), None),
        (basic("till:third"), "name or password does not match"),
        (basic("desk:new"), "name or password does not match"),
        (basic("till:new", "Bearer"), "no basic authentication"),
        ((), "no basic authentication"),
        ((("Authorization", "Basic ?"),), "no basic authentication"),
    ],
)
def test_name_and_password(headers: tuple[tuple[str, str], ...], reason: str | None) -> None:
    verifier = signatures.basic_auth()
    assert verifier(request(headers=headers, settings={"username": "till"}), TWO) == reason
    named = TWO | {"username": ("desk2", "till")}
    assert verifier(request(headers=headers), named) == reason, "a name may be a secret too"


def test_without_a_name_or_a_password_nobody_comes_in() -> None:
    verifier, none = signatures.basic_auth(), "no username or no password is configured"
    for pair in ("till:", ":", "None:new", ":new"):
        assert verifier(request(headers=basic(pair), settings={"username": "till"}), {}) == none
        for username in (None, "", 5):
            assert verifier(request(headers=basic(pair), settings={"username": username}), TWO) == none
    both = request(headers=basic("till:new"), settings={"username": "till"})
    assert verifier(both, TWO | {"username": ("desk",)}) is None, "the setting goes before a secret"
    assert verifier(replace(both, settings={"username": 5}), TWO | {"username": ("till",)}) is None


# The path


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ("/new", None),
        ("/n%65w", None),
        ("/new?a=/old", None),
        ("/third", "the secret in the path does not match"),
        ("", "the secret in the path does not match"),
        ("/", "the secret in the path does not match"),
        ("?/new", "the secret in the path does not match"),
        ("/new/more", "the secret in the path does not match"),
    ],
)
def test_the_secret_in_the_path(tail: str, reason: str | None) -> None:
    asked = replace(request(), url=HOOK + tail)
    assert signatures.path_secret()(asked, TWO) == reason
    assert signatures.path_secret()(asked, {}) == "no path_secret is configured"
    assert signatures.path_secret()(replace(asked, connection=""), TWO) == "no path_secret is configured"


def test_a_secret_of_any_letters_is_signed_into_the_path() -> None:
    secrets = {"path_secret": ("a/b?c d",)}
    signed = signatures.path_secret().sign(request(), secrets)
    assert signed.url == f"{HOOK}/a%2Fb%3Fc%20d" and signatures.path_secret()(signed, secrets) is None


# Standard Webhooks

SHARED = "whsec_" + base64.b64encode(b"s" * 24).decode()
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
STANDARD = signatures.standard_webhooks()


def standard(version: str, text: str, family: str = "webhook", **more: str) -> tuple[tuple[str, str], ...]:
    told = {"id": "msg_1", "timestamp": f"{SECONDS}", "signature": f"{version},{text}"} | more
    return tuple((f"{family}-{name}", value) for name, value in told.items())


def ours(family: str = "webhook") -> tuple[tuple[str, str], ...]:
    signed = STANDARD.sign(request(headers=(("webhook-id", "msg_1"),)), {"signing_secret": (SHARED,)})
    return tuple((name.replace("webhook", family), value) for name, value in signed.headers)


@pytest.mark.parametrize("family", ["webhook", "svix"])
@pytest.mark.parametrize("missing", ["id", "timestamp", "signature"])
def test_each_of_the_three_headers_is_needed(family: str, missing: str) -> None:
    secrets = {"signing_secret": (SHARED,)}
    assert STANDARD(request(headers=ours(family)), secrets) is None
    empty = tuple((name, "" if name.endswith(missing) else value) for name, value in ours(family))
    reason = f"{family}-id, {family}-timestamp or {family}-signature is missing"
    assert STANDARD(request(headers=empty), secrets) == reason
    if missing != "signature":
        left = tuple(pair for pair in ours(family) if not pair[0].endswith(missing))
        assert STANDARD(request(headers=left), secrets) == reason


def test_it_signs_under_the_id_that_is_there_or_one_of_its_own() -> None:
    secrets = {"signing_secret": ("whpk_" + PUBLIC, SHARED)}
    assert dict(ours())["webhook-id"] == "msg_1"
    signed = STANDARD.sign(request(), secrets)
    assert signed.header("webhook-id") == "msg_sample" and STANDARD(signed, secrets) is None
    with pytest.raises(ValueError, match="signing_secret holds no key to sign with"):
        STANDARD.sign(request(), {"signing_secret": ("whpk_" + PUBLIC,)})


def test_a_public_key_verifies_v1a_and_nothing_else_does() -> None:
    over = f"msg_1.{SECONDS}.".encode() + b"{}"
    text = base64.b64encode(PRIVATE.sign(over)).decode()
    good, keys = request(headers=standard("v1a", text)), {"signing_secret": ("whpk_" + PUBLIC,)}
    assert STANDARD(good, keys) is None
    assert STANDARD(replace(good, body=b"[]"), keys) == "no signature matches"
    assert STANDARD(request(headers=standard("v1", text)), keys) == "no signature matches"
    assert STANDARD(request(headers=standard("v2", text)), keys) == "no signature matches"
    assert STANDARD(request(headers=standard("v1a", "?")), keys) == "no signature matches"
    for other in ("whsk_" + PUBLIC, "whsec_" + PUBLIC, "12345" + PUBLIC, "whpk_?"):
        assert STANDARD(good, {"signing_secret": (other,)}) == "no signature matches", other


def test_an_empty_key_matches_nothing() -> None:
    """Not even a signature that is made with an empty key."""
    import hashlib
    import hmac

    empty = hmac.new(b"", f"msg_1.{SECONDS}.".encode() + b"{}", hashlib.sha256).digest()
    asked = request(headers=standard("v1", base64.b64encode(empty).decode()))
    for key in ("whsec_", "whpk_", "whsk_", "whsec_?"):
        assert STANDARD(asked, {"signing_secret": (key,)}) == "no signature matches"


# Chosen by settings


def test_a_bearer_token_counts_in_one_place() -> None:
    verifier = schemes.BearerToken()
    assert verifier(request(query=(("access_token", "new"),)), TWO) is None
    assert verifier(request(query=(("access_token", "third"),)), TWO) == "the token does not match"
    assert (
        verifier(request(query=(("access_token", "new"), ("access_token", "new"))), TWO) == "the token does not match"
    )
    both = request(headers=(("Authorization", "Bearer third"),), query=(("access_token", "new"),))
    assert verifier(both, TWO) == "the token does not match", "what the header says goes before"
    assert (
        verifier(replace(both, headers=(("Authorization", "Bearer new"),), query=(("access_token", "x"),)), TWO) is None
    )
    assert verifier(request(query=(("token", "new"),)), TWO) == "no token in Authorization"


def test_the_first_of_several_schemes_signs_where_none_is_named_rightly() -> None:
    signed = schemes.BASIC_OR_PATH.sign(request(settings={"auth": "trust me", "username": "till"}), TWO)
    assert signed.header("authorization") and signed.url == HOOK
    assert schemes.BASIC_OR_PATH.sign(request(settings={"auth": "path"}), TWO).url == f"{HOOK}/old"


@pytest.mark.parametrize(
    ("settings", "header", "prefix"),
    [
        ({}, "Authorization", "Bearer "),
        ({"header": "authorization"}, "authorization", "Bearer "),
        ({"header": "X-Token"}, "X-Token", ""),
        ({"header": "X-Token", "prefix": "JWT "}, "X-Token", "JWT "),
        ({"prefix": "JWT "}, "Authorization", "JWT "),
    ],
)
def test_where_a_token_that_runs_out_is(settings: dict[str, Any], header: str, prefix: str) -> None:
    found = schemes.scheme({"auth": "jwt"} | settings)
    assert (found.header, found.prefix, found.tolerance) == (header, prefix, 0)


def test_an_unknown_scheme_signs_as_the_usual_one_and_takes_nothing() -> None:
    signed = schemes.sign(request(settings={"auth": "trust me"}), TWO)
    assert signed.header("x-signature") and schemes.verify(signed, TWO) == "auth is no scheme that we know"
    sample = schemes.sample(TWO, HOOK, {}, b'{"a":1}')
    assert schemes.verify(sample, TWO) is None and sample.body == b'{"a":1}' and sample.url == HOOK


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, None),
        ({"auth": "bearer"}, None),
        ({"auth": "standard_webhooks"}, "w"),
        ({"auth": "standard_webhooks", "dedupe_header": "X-Id"}, "x"),
        ({"dedupe_header": "X-Id"}, "x"),
        ({"dedupe_header": "X-None"}, None),
        ({"auth": "standard_webhooks", "dedupe_header": "X-None"}, "s"),
    ],
)
def test_what_a_retry_repeats(settings: dict[str, Any], key: str | None) -> None:
    headers = (("X-Id", "x"), ("webhook-id", "w"), ("svix-id", "s"))
    assert schemes.delivery_key(request(headers=headers, settings=settings)) == key


def test_svix_has_its_own_name_for_what_a_retry_repeats() -> None:
    only = (("svix-id", "s"),)
    assert schemes.delivery_key(request(headers=only, settings={"auth": "standard_webhooks"})) == "s"
    assert schemes.delivery_key(request(headers=only)) is None


# JSON Web Tokens

JWT = jwt_signature(body_claim="", tolerance=300)


def token(**claims: Any) -> str:
    return jwt.encode({"iat": SECONDS} | claims, "old", "HS256")


def bearing(text: str, word: str = "Bearer ", **more: Any) -> Request:
    return request(headers=(("Authorization", word + text),), **more)


@pytest.fixture(autouse=True)
def short_keys(recwarn: pytest.WarningsRecorder) -> None:
    """The library warns of keys as short as these."""
    warnings.simplefilter("ignore", InsecureKeyLengthWarning)


@pytest.mark.parametrize(
    ("scheme", "covers", "timed"),
    [
        ({}, True, True),
        ({"body_claim": ""}, False, True),
        ({"body_optional": True}, False, True),
        ({"body_claim": "", "body_optional": True}, False, True),
        ({"tolerance": 0}, True, False),
        ({"tolerance": 0, "required": ("exp",)}, True, True),
        ({"tolerance": 0, "required": ("jti",)}, True, False),
        ({"required": ("exp",)}, True, True),
    ],
)
def test_a_token_says_what_it_covers_by_its_configuration(scheme: dict[str, Any], covers: bool, timed: bool) -> None:
    made = jwt_signature(**scheme)
    assert (made.covers_body, made.timed) == (covers, timed)
    with pytest.raises(AttributeError):
        made.tolerance = 0


@pytest.mark.parametrize("word", ["Bearer ", "bEARER "])
def test_the_scheme_word_may_come_in_any_case_but_must_come(word: str) -> None:
    assert JWT(bearing(token(), word), TWO) is None
    for other in ("", "Basic  ", "Bear", "JWT "):
        assert JWT(bearing(token(), other), TWO) == "no readable token in Authorization", other


def test_a_header_of_sixteen_kilobytes_is_read_and_a_longer_one_is_not() -> None:
    def padded(length: int) -> str:
        """A token in spaces, so that all of the header has this length."""
        return token().rjust(length - len("Bearer "))

    assert JWT(bearing(padded(16_384)), TWO) is None
    assert JWT(bearing(padded(16_385)), TWO) == "no readable token in Authorization"


def test_what_somebody_else_says_is_read_up_to_sixteen_kilobytes() -> None:
    # Three more letters in a claim are four in the token.
    most = next(found for more in range(12_000, 12_400) if len(found := token(a="x" * more)) == 16_384)
    assert claims_of(most)["iat"] == SECONDS
    longer = next(found for more in range(12_000, 12_400) if len(found := token(a="x" * more)) > 16_384)
    assert claims_of(longer) == {}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iat": SECONDS - 300}, None),
        ({"iat": SECONDS + 300}, None),
        ({"iat": SECONDS - 301}, "the timestamp iat is missing, too old or in the future"),
        ({"iat": SECONDS + 301}, "the timestamp iat is missing, too old or in the future"),
        ({"exp": SECONDS - 60}, None),
        ({"exp": SECONDS - 61}, "the timestamp exp is past"),
        ({"nbf": SECONDS + 60}, None),
        ({"nbf": SECONDS + 61}, "the timestamp nbf is in the future"),
        ({"exp": 10**11 - 1}, None),
        ({"exp": 10**11}, "the timestamp exp cannot be read"),
        ({"exp": True}, "the timestamp exp cannot be read"),
    ],
)
def test_the_moments_of_a_token(claims: dict[str, Any], reason: str | None) -> None:
    assert JWT(bearing(token(**claims)), TWO) == reason


def test_what_we_sign_ourselves_runs_out_after_five_minutes_and_covers_a_body_that_is_there() -> None:
    for scheme, body, covered in ((jwt_signature(), b"{}", True), (jwt_signature(), b"", False), (JWT, b"{}", False)):
        signed = scheme.sign(request(body), TWO)
        told = claims_of((signed.header("Authorization") or "").removeprefix("Bearer "))
        assert (told["iat"], told["exp"], told["jti"]) == (SECONDS, SECONDS + 300, f"sample-{SECONDS}")
        assert ("payload_hash" in told) == covered and "" not in told
        assert scheme(signed, TWO) is None


def test_a_letter_of_another_alphabet_is_no_part_of_a_token() -> None:
    """`²` is a digit to some readers, and no letter of base64url."""
    head, claims, signature = token().split(".")
    for spoiled in (f"{head}².{claims}.{signature}", f"{head}.{claims}.{signature}=", f"{head}.{claims}.{signature}ü"):
        assert JWT(bearing(spoiled), TWO) == "no readable token in Authorization"
