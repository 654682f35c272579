"""What the document says in words, and what all its routes share."""

from __future__ import annotations

from typing import Any

SUMMARY = "Every webhook on one timeline per customer, and every other system told."
ABOUT = """Send a key with each call: `Authorization: Bearer draad_…`. A key has scopes; a call that needs another one is
answered 403. Hooks take no key: the provider's signature is the authentication.

Whatever is refused is answered with problem details (RFC 9457), also where a path or a method does not exist
(404, 405 with `Allow`). Names of wrong fields are in `errors`.

Lists take `limit` and go on with `next`, which survives whatever is added or merged meanwhile; the same URL is in the
header `Link`. A key may ask so many times a minute: `RateLimit-Policy` says how many, `RateLimit` how many are left,
and a 429 when to come back."""
TAGS = (
    "Customers",
    "Conversations",
    "Links and cuts",
    "Providers",
    "Connections",
    "Receipts",
    "Deliveries",
    "Reconcile",
    "Audiences",
    "Privacy",
    "Rules and settings",
    "Keys and magic links",
    "Jobs",
    "Health",
)
"""In this order; others come after."""
KEY = {"type": "http", "scheme": "bearer", "description": "An API key, or a magic link's token."}
PROBLEMS = {
    401: "No key, or one that is unknown or revoked",
    403: "The key lacks the scope",
    404: "Unknown, or somebody else's",
    409: "Somebody changed it meanwhile, or it is not ready",
    410: "The customer was erased",
    413: "The body is too large",
    415: "The body is of no JSON type",
    422: "The input is wrong: `errors` names each field",
    429: "The key asked too often: `Retry-After` says when to come back",
    500: "Our mistake",
    503: "Try again",
}
PROBLEM_HEADERS = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}
TEXT: dict[str, Any] = {"type": "string"}
SCHEMAS: dict[str, Any] = {
    "Problem": {
        "title": "Problem",
        "description": "Problem details (RFC 9457)",
        "type": "object",
        "properties": {
            "type": {"type": "string", "const": "about:blank"},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": TEXT,
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"pointer": TEXT | {"description": "JSON Pointer of the field"}, "detail": TEXT},
                    "required": ["pointer", "detail"],
                },
            },
        },
        "required": ["type", "title", "status"],
    }
}
HEADERS: dict[str, Any] = {
    "RateLimit": {
        "description": "How many requests this key has left at least, and in how many seconds it has all of them again",
        "required": True,
        "schema": {"type": "string", "pattern": '^"key";r=\\d+;t=\\d+$'},
    },
    "RateLimit-Policy": {
        "description": "How many requests a key may make in how many seconds, counted over all of the hub's workers",
        "required": True,
        "schema": {"type": "string", "pattern": '^"key";q=\\d+;w=\\d+$'},
    },
    "Link": {
        "description": 'Where a list goes on: `<…>; rel="next"`, relative to the URL that was asked; absent on the last page',
        "required": False,
        "schema": {"type": "string", "pattern": '^<[^>]+>; rel="next"$'},
    },
    "ETag": {"description": "Send it in If-None-Match", "required": True, "schema": TEXT},
    "Cache-Control": {"required": True, "schema": TEXT},
    "Content-Disposition": {"required": True, "schema": TEXT},
    "Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "string", "pattern": "^[1-9]\\d*$"}},
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
}
