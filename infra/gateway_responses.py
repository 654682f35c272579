"""What API Gateway answers by itself, in the words of the API: problem details (RFC 9457) instead of its own.

Chalice cannot declare them. `definition()` goes into the OpenAPI document of a package, by `--merge-template` under
Resources, RestAPI, Properties, DefinitionBody. After a `chalice deploy` each of `puts()` is put, and the stage is
deployed once more: chalice writes the whole document anew each time, which takes them away.
"""

from __future__ import annotations

import json
from typing import Any

KEY = "x-amazon-apigateway-gateway-responses"
AGAIN_SECONDS = 5
KNOWN: dict[str, tuple[int, str, str]] = {
    # API Gateway's name for a path that is not there; it would answer 403.
    "MISSING_AUTHENTICATION_TOKEN": (404, "Not found", "there is nothing at this path with this method"),
    "RESOURCE_NOT_FOUND": (404, "Not found", "there is nothing at this path"),
    "REQUEST_TOO_LARGE": (413, "Body too large", "API Gateway takes 10 MB, the hub takes 4 MB"),
    "THROTTLED": (429, "Too many requests", "the account's or the stage's limit of API Gateway: wait and try again"),
    "QUOTA_EXCEEDED": (429, "Too many requests", "the quota of API Gateway is used up: wait and try again"),
    "INTEGRATION_FAILURE": (504, "Try again", "the function did not answer: send it again, the same twice is harmless"),
    "INTEGRATION_TIMEOUT": (504, "Try again", "no answer within 29 s: send it again, the same twice is harmless"),
}
"""Type → status, title, detail."""


def definition() -> dict[str, Any]:
    """For the OpenAPI document."""
    return {KEY: {kind: _response(*known) for kind, known in KNOWN.items()}}


def puts(api: str) -> list[dict[str, Any]]:
    """Parameters of `put_gateway_response`. Again is harmless."""
    return [{"restApiId": api, "responseType": kind, **_response(*known)} for kind, known in KNOWN.items()]


def _response(status: int, title: str, detail: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/problem+json"}
    if status in (429, 504):
        headers["Retry-After"] = str(AGAIN_SECONDS)
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return {
        "statusCode": str(status),
        "responseParameters": {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()},
        "responseTemplates": {"application/json": json.dumps(problem)},
    }
