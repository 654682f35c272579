"""A REST API event as API Gateway gives it to the function, all bodies as base64.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

HOST = "hub.example.nl"
STAGE = "api"


def rest_event(
    method: str,
    resource: str,
    parameters: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
    binary: bool = True,
) -> dict[str, Any]:
    """`resource` is the route with its braces; `parameters` fill them. `binary`: the body as base64."""
    path = resource.format(**parameters)
    sent = {"Host": HOST, "accept": "*/*", "X-Forwarded-Proto": "https", **(headers or {})}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": _context(method, resource, path),
        "body": (base64.b64encode(body).decode() if binary else body.decode()) if body else None,
        "isBase64Encoded": binary and bool(body),
    }


def _context(method: str, resource: str, path: str) -> dict[str, Any]:
    return {
        "resourceId": "abc123",
        "resourcePath": resource,
        "httpMethod": method,
        "path": f"/{STAGE}{path}",
        "accountId": "000000000000",
        "protocol": "HTTP/1.1",
        "stage": STAGE,
        "domainName": HOST,
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "apiId": "a1b2c3d4e5",
        "identity": {"sourceIp": "203.0.113.9", "userAgent": "shop/1.0"},
    }
