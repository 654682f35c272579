"""Whoever has a JWT for a signature: every way to lie about the algorithm, at the source's own verifier."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import sources
from chalicelib.kit.jwt import JwtSignature
from chalicelib.kit.request import Request
from tests.attack.tally import Tally
from tests.sources.source_fixtures import Case, cases

ALL = [case for slug in sources.slugs() for case in cases(slug) if isinstance(case.verifier, JwtSignature)]
DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def part(told: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def opened(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def made(head: dict[str, Any], claims: Any, key: bytes, algorithm: str = "HS256") -> str:
    over = f"{part(head)}.{part(claims)}"
    raw = hmac.new(key, over.encode(), DIGESTS[algorithm]).digest()
    return f"{over}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def forged(case: Case, head: dict[str, Any], claims: dict[str, Any]) -> dict[str, str]:
    """Name → token. Every one of them carries right claims; what signs it is not what was agreed."""
    (key,) = case.secrets[case.verifier.key_name][:1]
    mine = {"kty": "oct", "k": base64.urlsafe_b64encode(b"mine").decode()}
    body = f"{part(claims)}"
    tokens = {f"alg {name}": f"{part(head | {'alg': name})}.{body}." for name in ("none", "None", "NONE", "nOnE", "")}
    tokens |= {f"{name}, signature kept": token + "AAAA" for name, token in tokens.items()}
    tokens |= {"an empty key": made(head, claims, b""), "a key of its own": made(head | {"jwk": mine}, claims, b"mine")}
    tokens |= {"the name of the key as key": made(head, claims, case.verifier.key_name.encode())}
    tokens |= {
        f"another digest, {name}": made(head | {"alg": name}, claims, key.encode(), name)
        for name in DIGESTS
        if name not in case.verifier.algorithms
    }
    tokens |= {"a demand that nobody knows": made(head | {"crit": ["x"], "x": 1}, claims, key.encode())}
    tokens |= {"a list of algorithms": made(head | {"alg": list(DIGESTS)}, claims, key.encode())}
    tokens |= {"RS256 by name, a shared key": made(head | {"alg": "RS256"}, claims, key.encode())}
    tokens |= {"the digest's name in lower case": made(head | {"alg": "hs256"}, claims, key.encode())}
    return tokens | {"a key by path": made(head | {"kid": "../../../dev/null"}, claims, b"")}


def with_token(case: Case, request: Request, token: str) -> Request:
    name = case.verifier.header.lower()
    kept = tuple(pair for pair in request.headers if pair[0].lower() != name)
    return replace(request, headers=(*kept, (case.verifier.header, case.verifier.prefix + token)))


def test_there_are_sources_that_sign_so() -> None:
    assert len({case.slug for case in ALL}) >= 2


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.slug}/{case.path.stem}")
def test_no_lie_about_the_algorithm_is_believed(case: Case) -> None:
    tally = Tally("tokens of sources")
    right = case.request.header(case.verifier.header) or ""
    head, claims, _ = (right[len(case.verifier.prefix) :]).split(".")
    assert case.source.verify(case.request, case.secrets) is None
    for name, token in forged(case, opened(head), opened(claims)).items():
        reason = case.source.verify(with_token(case, case.request, token), case.secrets)
        tally.add("algorithm confusion", "refused" if reason else "ACCEPTED")
        assert reason, name
    tally.keep()
