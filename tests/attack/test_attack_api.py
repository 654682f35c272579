"""Every route under hostile queries, cursors, ids, bodies and tokens: refused as declared, never 5xx, nothing told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib.api.routes import ROUTES
from tests.api import contract
from tests.api.client import Answer, Api, key_with
from tests.api.test_attempts import Seeds, seeded
from tests.attack import corpus, planted, world
from tests.attack.corpus import Line
from tests.attack.tally import Tally, full, share

SHARE = {"queries": 3, "cursors": 4, "ids": 3, "bodies": 3, "fields": 2, "tokens": 3}
"""Of each corpus for one route in `make test`."""
OUR_EXAMPLE = "such as email:jan@example.nl"
"""What a refusal advises whoever asks for no identity: the address is that of the story, too."""
FAREWELL = ("DELETE", "erase", "revoke")
IDS = re.compile(r"\{(\w+)\}")
Sending = tuple[str, str, str, bytes, list[tuple[str, str]]]
"""(kind, method, path, body, headers)"""


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"), checked=False)


def routes() -> list[tuple[str, str, str]]:
    """(method, path, view); what ends something comes last, so that there is something before."""
    found = [(method, path, view) for method, path, view, scope in ROUTES if scope]
    return sorted(found, key=lambda each: any(word in " ".join(each) for word in FAREWELL))


def chosen(found: list[Line], name: str, turn: int) -> list[Line]:
    return corpus.some(found, share(SHARE[name]), turn)


def parameters(method: str, path: str) -> list[str]:
    """Names that the contract declares for the query."""
    told = contract.whole()["paths"][path][method.lower()]
    return [each["name"] for each in told["parameters"] if each.get("in") == "query"]


def filled(path: str, seeds: Seeds, other: str = "") -> str:
    """With ids that there are; `other` in their place."""
    kind = path.split("/")[2] if "{" in path else ""
    known = (seeds.ids.get(kind) or ["x"])[0]
    return IDS.sub(lambda part: quote(other or known, safe="", errors="surrogatepass"), path)


def escaped(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def asked(turn: int, method: str, path: str, seeds: Seeds) -> Iterator[Sending]:
    """Hostile parameters and ids."""
    real = filled(path, seeds)
    for name in parameters(method, path):
        kind = "cursors" if name == "next" else "queries"
        for line in chosen(corpus.of_kind("queries", kind), kind, turn):
            yield kind, method, f"{real}?{name}={escaped(line.text)}", b"", []
    for line in chosen(corpus.of_kind("queries", "queries"), "ids", turn) if "{" in path else []:
        if line.text.strip("/"):
            yield "ids", method, filled(path, seeds, line.text), b"{}", []


def bodies(turn: int, method: str, path: str, view: str, seeds: Seeds) -> Iterator[Sending]:
    if method not in ("POST", "PATCH"):
        return
    real = filled(path, seeds)
    for line in chosen(list(corpus.lines("bodies")), "bodies", turn):
        yield line.kind, method, real, line.body, line.headers
    taken = seeds.calls.get(view, {}).get("body") or {}
    for place in sorted(taken) if isinstance(taken, dict) else ():
        for line in chosen(list(corpus.lines("spoiled")), "fields", turn + len(place)):
            raw = json.dumps(taken | {place: line.value}).encode()
            yield line.kind, method, real, raw, [("Content-Type", "application/json")]


def test_no_input_makes_a_route_fail(api: Api) -> None:
    with world.everything_logged() as logged:
        seeds = seeded(api)
        tally, failures = Tally("API, with a key"), []
        for turn, (method, path, view) in enumerate(routes()):
            for kind, *sending in [*asked(turn, method, path, seeds), *bodies(turn, method, path, view, seeds)]:
                answer = sent(api, *sending)
                tally.add(kind, answer.status)
                if wrong := world.problem_of(answer) or leaked(api, answer):
                    failures.append(f"{method} {sending[1][:120]} {kind} {sending[2][:80]!r}: {wrong}")
    failures += [f"in the log: {each}" for each in planted.found_in("\n".join(logged), told(api))]
    tally.keep()
    assert failures == [], f"{len(failures)} of {sum(tally.inputs.values())}:\n" + "\n".join(failures[:40])
    assert sum(tally.inputs.values()) > 500
    assert api.get("/v1/me")["name"] == "test", "the key still is one: nothing was merely refused for want of it"


def sent(api: Api, method: str, path: str, body: bytes, headers: list[tuple[str, str]]) -> Answer:
    try:
        return api.send(method, path, body, headers)
    except Exception as wrong:
        return Answer(599, {}, f"{type(wrong).__name__}: {wrong}".encode())


def told(api: Api) -> list[str]:
    return [api.key, *planted.STORY]


def leaked(api: Api, answer: Answer) -> str:
    """What a refusal says must not be a secret, nor anybody's name or number."""
    if answer.status < 400:
        return ""
    found = planted.found_in(answer.raw.decode("utf-8", "replace").replace(OUR_EXAMPLE, ""), told(api))
    return f"the refusal says {', '.join(found)}" if found else ""


def test_no_token_opens_a_route(api: Api) -> None:
    """Forged keys and links at every route, and real ones that were changed by a letter."""
    tally, failures = Tally("API, forged tokens"), []
    link = api.call("POST", "/v1/magic-links", 201, {"console": True})["token"]
    near = [
        link[:-1],
        link + "a",
        link.upper(),
        link.replace("magic_", "draad_"),
        api.key[:-1],
        api.key + "a",
        api.key.lower(),
    ]
    lines = corpus.of_kind("queries", "tokens")
    for turn, (method, path, _, scope) in enumerate(ROUTES):
        forged = [line.text for line in chosen(lines, "tokens", turn)] + (near if full() else near[turn % 7 :][:1])
        for token in forged if scope else ():
            answer = sent_with(api, method, IDS.sub("x", path), token)
            tally.add("tokens", answer.status)
            if answer.status != 401 or world.problem_of(answer):
                failures.append(f"{method} {path} {token[:60]!r}: {answer.status}")
    tally.keep()
    assert failures == [], failures


def sent_with(api: Api, method: str, path: str, token: str) -> Answer:
    return api.send(method, path, b"", [("Authorization", f"Bearer {token}")], key="")


def test_a_forged_token_costs_one_look_up_and_a_magic_one_none(api: Api) -> None:
    for token, at_most in (("draad_nobody", 1), ("magic_x.y", 1)):
        sent_with(api, "GET", "/v1/me", token)
        with world.asked_of_aws() as calls:
            for _ in range(10):
                assert sent_with(api, "GET", "/v1/connections", token).status == 401
        assert len(calls) < at_most, calls


def test_a_job_is_seen_by_whom_its_kind_is_for(api: Api) -> None:
    """Each kind of job × each scope."""
    from chalicelib.api import jobs as view
    from chalicelib.store import jobs
    from chalicelib.store.keys import SCOPES

    keys = {scope: key_with(scope) for scope in SCOPES}
    for kind in (*view.SCOPES, "erase", "recount", "something new"):
        id = jobs.start(api.table, kind, {}).id
        for scope, key in keys.items():
            status = api.send("GET", f"/v1/jobs/{id}", key=key).status
            may = scope in ("admin", view.SCOPES.get(kind, "admin"))
            assert status == (200 if may else 403), (kind, scope, status)


def known_ids(seeds: Seeds) -> dict[str, Any]:
    return {kind: values[0] for kind, values in seeds.ids.items() if values}


@pytest.mark.nightly
def test_an_id_of_one_kind_is_none_of_another(api: Api) -> None:
    """Each real id at every route of another kind: 404, or a refusal of the body, never another object."""
    seeds = seeded(api)
    failures = []
    for method, path, _ in routes():
        if "{" not in path:
            continue
        for kind, id in known_ids(seeds).items():
            if kind == path.split("/")[2] or kind == "providers":
                continue
            answer = sent(api, method, IDS.sub(escaped(str(id)), path), b"{}", [])
            if answer.status not in (404, 410, 422):
                failures.append(f"{method} {path} with an id of {kind}: {answer.status}")
    assert failures == [], failures
