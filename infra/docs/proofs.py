"""How a request proves that it is the provider's, in words, read off a source's verifier."""

from __future__ import annotations

from typing import Any

from chalicelib.kit.entries import Posted
from chalicelib.kit.jwt import JwtSignature
from chalicelib.kit.public_keys import EcdsaSignature, RsaSignature
from chalicelib.kit.schemes import BearerToken, OneOf
from chalicelib.kit.signatures import BasicAuth, BodyToken, HmacSignature, PathSecret, StandardWebhooks, StaticToken
from chalicelib.kit.source import Source

OWN = "a scheme of the provider's own, with the secrets above"


def proof_of(source: Source) -> list[str]:
    """One line, or one for each scheme among which a setting chooses."""
    scheme = source.verify
    if isinstance(scheme, OneOf):
        return [f"`{scheme.name}: {name}`: {told(each)}" for name, each in scheme.schemes.items()]
    if told(scheme) == OWN and "auth" in source.settings:
        return ["the scheme that the setting `auth` names"]
    return [told(scheme)]


def told(scheme: Any) -> str:
    """Of one scheme. What is a function of the module itself has no parts to read: its page says which secret."""
    match scheme:
        case Posted():
            return told(scheme.scheme)
        case HmacSignature():
            return _hmac(scheme)
        case StaticToken():
            return f"the token `{scheme.key_name}` in {_headers(scheme.header)}"
        case BearerToken():
            return f"the bearer token `{scheme.key_name}`"
        case BodyToken():
            return f"the token `{scheme.key_name}` in the body, under `{'.'.join(scheme.path)}`"
        case BasicAuth():
            return f"basic authentication with `{scheme.username}` and `{scheme.key_name}`"
        case PathSecret():
            return f"the secret `{scheme.key_name}` at the end of the address: `{{hook_url}}/<{scheme.key_name}>`"
        case _:
            return _public(scheme)


def _hmac(scheme: HmacSignature) -> str:
    stamp = f", with a timestamp that may be {scheme.tolerance} s off" if "{ts}" in scheme.over else ""
    name = scheme.algorithm.upper().replace("SHA", "SHA-")
    return (
        f"HMAC-{name} with `{scheme.key_name}` over `{scheme.over}`, in {scheme.encoding}, "
        f"in {_headers(scheme.header)}{stamp}"
    )


def _public(scheme: Any) -> str:
    match scheme:
        case StandardWebhooks():
            return f"Standard Webhooks with `{scheme.key_name}`"
        case JwtSignature():
            return (
                f"a JWT ({', '.join(scheme.algorithms)}) signed with `{scheme.key_name}`, in {_headers(scheme.header)}"
            )
        case RsaSignature():
            return f"an RSA signature in the {scheme.place}, judged by `{scheme.key_name}`"
        case EcdsaSignature():
            return f"an ECDSA signature in `{scheme.header}`, judged by `{scheme.key_name}`"
        case _:
            return OWN


def _headers(header: str | tuple[str, ...]) -> str:
    names = (header,) if isinstance(header, str) else header
    return " or ".join(f"`{name}`" for name in names)
