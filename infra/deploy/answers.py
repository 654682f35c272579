"""What API Gateway says by itself, and how much it takes. Chalice sets neither, and writes the API anew without the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra import gateway_responses
from infra.deploy import environment
from infra.deploy.place import Place

RATE, BURST = 1000.0, 2000
"""Requests a second, and at once, of a stage that has no limit yet. The account's own limit is ten times that, for all its
APIs together: one stage alone must not use it up."""
ALL = "*/*"


def bring(place: Place, config: environment.Config, api: str, fresh: bool, rate: float, burst: int, dry: bool) -> str:
    """`fresh`: Chalice has written the API anew, or nobody knows whether the last run came to its end."""
    changed = [
        *_responses(place, api, environment.api_stage(config, place.stage), fresh, dry),
        *_limits(place, api, environment.api_stage(config, place.stage), rate, burst, dry),
    ]
    return ("would change " if dry else "changed ") + ", ".join(changed) if changed else "unchanged"


def missing(place: Place, api: str) -> list[dict[str, Any]]:
    """Answers that are not as ours."""
    found = {each["responseType"]: each for each in _all(place, api)}
    asked = gateway_responses.puts(api)
    return [each for each in asked if not _same(found.get(each["responseType"], {}), each)]


def _all(place: Place, api: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.client("apigateway").get_gateway_responses(restApiId=api, limit=500)["items"]
    return found


def _same(found: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    names = ("statusCode", "responseParameters", "responseTemplates")
    return all(found.get(name) == asked[name] for name in names)


def _responses(place: Place, api: str, stage: str, fresh: bool, dry: bool) -> list[str]:
    asked = missing(place, api)
    if dry or not (asked or fresh):
        return ["answers"] if asked else []
    client = place.client("apigateway")
    for each in asked:
        client.put_gateway_response(**each)
    client.create_deployment(restApiId=api, stageName=stage)
    return ["answers"]


def _limits(place: Place, api: str, stage: str, rate: float, burst: int, dry: bool) -> list[str]:
    """Those that somebody set by hand stay, unless others are asked for."""
    client = place.client("apigateway")
    try:
        found = client.get_stage(restApiId=api, stageName=stage).get("methodSettings", {}).get(ALL, {})
    except client.exceptions.NotFoundException:
        return ["limits"]
    now = found.get("throttlingRateLimit", -1.0), found.get("throttlingBurstLimit", -1)
    has = now[0] > 0 and now[1] > 0
    asked = rate or (now[0] if has else RATE), burst or (now[1] if has else BURST)
    if asked == now:
        return []
    if not dry:
        paths = {"rateLimit": f"{asked[0]:g}", "burstLimit": str(asked[1])}
        client.update_stage(
            restApiId=api,
            stageName=stage,
            patchOperations=[
                {"op": "replace", "path": f"/{ALL}/throttling/{name}", "value": value} for name, value in paths.items()
            ],
        )
    return [f"limits ({asked[0]:g} a second, {asked[1]} at once)"]
