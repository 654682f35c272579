"""Every link of the contract leads on: what one call answers is what the next one takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from chalicelib.api.contract import document
from chalicelib.api.routes import ROUTES
from tests.api import contract
from tests.api.attempts import NAMED
from tests.api.client import Answer, Api
from tests.api.examples import ROUTE
from tests.api.test_attempts import Seeds, seeded, visitors

VIEWS = {view.replace(".", "_"): view for view in ROUTE}
LAST = ("connections.remove", "audiences.remove", "rules.remove", "erasures.start", "erasures.listing")
"""What ends something comes after all that needs it, and the certificate after the erasure."""
TAKEN = {200, 201, 202, 409, 410, 422}
"""Also that it cannot be done to this one: a source has no history to bring. Never that there is no such thing."""


def links() -> list[tuple[str, str, Mapping[str, str]]]:
    """(view, view to which it leads, what is taken from where), in an order in which all can be followed."""
    found = [
        (view, VIEWS[link["operationId"]], link["parameters"])
        for view, (method, path) in ROUTE.items()
        for answer in contract.whole()["paths"][path][method.lower()]["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    return sorted(found, key=lambda link: [LAST.index(each) + 1 if each in LAST else 0 for each in link[:2]])


def taken(expression: str, parts: Mapping[str, str], answer: Any) -> str:
    """What a runtime expression names: https://spec.openapis.org/oas/v3.1.1#runtime-expressions"""
    if expression.startswith("$request.path."):
        return parts[expression.removeprefix("$request.path.")]
    for part in expression.removeprefix("$response.body#/").split("/"):
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    assert isinstance(answer, str), (expression, answer)
    return answer


def called(api: Api, seeds: Seeds, view: str, parts: Mapping[str, str]) -> Answer:
    """As the story called it, with these parts of its path. Of the queries only the one that must be."""
    method, path = ROUTE[view]
    asked = seeds.calls.get(view, {})
    url = re.sub(r"\{(\w+)\}", lambda part: quote(parts[part[1]], safe=""), path)
    raw = json.dumps(asked["body"]).encode() if "body" in asked else b""
    query = urlencode(asked["query"], doseq=True) if view == "lookup.find" else ""
    return api.send(method, f"{url}?{query}", raw)


def own_parts(seeds: Seeds, view: str) -> dict[str, str]:
    _, path = ROUTE[view]
    whose = next((kind for below, kind in NAMED.items() if path.startswith(below)), "")
    return {"id": seeds.ids[whose][0]} if whose else {}


def test_every_link_leads_on(api: Api) -> None:
    seeds = seeded(api)
    chat, partner, till, _ = seeds.ids["connections"]
    others = {"reconcile.backfill": partner, "missed.start": till, "erasures.start": visitors(api, chat)[0]}
    answers: dict[str, Answer] = {}
    for view, leads_to, parameters in links():
        parts = {"id": others[view]} if view in others else own_parts(seeds, view)
        if view not in answers:
            answers[view] = called(api, seeds, view, parts)
            assert answers[view].status < 300, (view, answers[view].status, answers[view].raw[:500])
            api.work()
        answer = answers[view]
        following = {name: taken(expression, parts, answer.json) for name, expression in parameters.items()}
        found = called(api, seeds, leads_to, following)
        assert found.status in TAKEN, (view, leads_to, found.status, found.raw[:500])


def test_what_is_made_can_be_read_changed_and_removed_by_its_link() -> None:
    """Wherever the routes have it: no rule of the links leaves one out."""
    known = {(view, leads_to) for view, leads_to, _ in links()}
    for method, path, view, _ in ROUTES:
        made = document.operation_of(view).answers
        if method == "POST" and 201 in made and any(other == f"{path}/{{id}}" for _, other, _, _ in ROUTES):
            below = [target for _, other, target, _ in ROUTES if other == f"{path}/{{id}}"]
            assert all((view, each) in known for each in below), (view, below)
