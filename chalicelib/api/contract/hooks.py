"""The contract of hooks: where the providers themselves call."""

from __future__ import annotations

from typing import Any

from chalicelib.api.answers import PROBLEM
from chalicelib.api.routes import HOOK_METHODS

TAG = "Hooks"
ABOUT = """The `hook_url` of a connection: what a provider calls with a webhook or to shake hands. It takes no key: the
provider's signature is the authentication, and an unknown connection and a bad signature look alike. Any body of any
type up to 4 MB; some providers add up to six segments to the path. What a 2xx says is what the provider wants to hear.
`/hooks/probe` is no connection: it answers how many bytes of the body arrived and their SHA-256, and keeps nothing."""
SUMMARIES = {
    "GET": "A handshake, or a webhook of a provider that calls with GET",
    "POST": "A webhook",
    "HEAD": "Whether the hook is there",
    "OPTIONS": "A handshake of a provider that asks for leave first",
    "PUT": "A webhook of a provider that calls with PUT",
}
PROBLEMS = (413, 500, 503)
REFUSED = {
    "description": "The connection is unknown, or the signature is wrong",
    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def paths() -> dict[str, Any]:
    parameter = {"name": "connection_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    operations = {method.lower(): _operation(method) for method in HOOK_METHODS}
    return {"/hooks/{connection_id}": {"parameters": [parameter], **operations}}


def _operation(method: str) -> dict[str, Any]:
    content: dict[str, Any] = {} if method == "HEAD" else {"content": {"*/*": {}}}
    body: dict[str, Any] = {"requestBody": {"content": {"*/*": {}}}} if method in ("POST", "PUT") else {}
    return {
        "operationId": f"hook_{method.lower()}",
        "tags": [TAG],
        "summary": SUMMARIES[method],
        "description": ABOUT,
        "security": [],
        **body,
        "responses": {
            "2XX": {"description": "Kept, or understood", **content},
            "401": REFUSED,
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in PROBLEMS},
        },
    }
