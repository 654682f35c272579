"""Who may call what: every route without a key, with the wrong one, and with somebody else's id."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chalicelib.api.answers import ANY_KEY, IMPLIED
from chalicelib.api.routes import ROUTES
from chalicelib.store import keys
from chalicelib.store.keys import SCOPES
from tests.api.client import Api, key_with

CLOSED = [(method, path, scope) for method, path, _, scope in ROUTES if scope]
NAMED = sorted({(method, path) for method, path, _ in CLOSED if "{" in path})
MADE_UP = [
    "con_aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "cus_1795470033451kd2q53j23eofkcdi2jgfkmahfi",
    "rcp_ktknY29uX3Fu.opajlvpkrm",
    "del_ktknY29uX3Fu.opajlvpkrm",
    "job_aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "0123456789abcdef",
    "..",
    "%00",
    "%C3%A9%F0%9F%92%A9",
    "a" * 3000,
]


def called(path: str, value: str = "x") -> str:
    return re.sub(r"\{\w+\}", value, path)


def test_without_a_key_nothing_but_health_and_hooks_answers(api: Api) -> None:
    for method, path, _ in CLOSED:
        for key in ("", "draad_wrong", "é", "x" * 5000):
            answer = api.send(method, called(path), key=key)
            assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json"), (method, path)
            assert answer.json["title"] == "API key missing or unknown"


@pytest.mark.parametrize("given", ["Basic {}", "{}", "Bearer", "Bearer  ", "Token {}"])
def test_a_key_goes_as_bearer_only(api: Api, given: str) -> None:
    found = api.send("GET", "/v1/providers", headers=[("Authorization", given.format(api.key))], key="")
    assert found.status == 401
    assert api.send("GET", "/v1/providers", headers=[("authorization", f"bearer {api.key}")], key="").status == 200


def test_a_key_without_the_scope_is_refused_before_anything_is_looked_up(api: Api) -> None:
    for held in SCOPES:
        key = key_with(held)
        for method, path, scope in CLOSED:
            answer = api.send(method, called(path), key=key)
            if scope == ANY_KEY or scope in IMPLIED.get(held, (held,)):
                assert answer.status not in (401, 403, 500, 503), (held, method, path, answer.raw)
            else:
                assert (answer.status, answer.json["title"]) == (403, "This key lacks the scope"), (held, method, path)


def test_somebody_elses_id_is_404(api: Api) -> None:
    for method, path in NAMED:
        for value in MADE_UP:
            answer = api.send(method, called(path, value), b"{}")
            assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json"), (
                method,
                path,
                value,
                answer.raw,
            )


def test_a_key_is_shown_once_stored_hashed_and_revoked_at_once(api: Api) -> None:
    made = api.call("POST", "/v1/keys", 201, {"name": "till", "scopes": ["integrate", "read", "read"]})
    assert made["scopes"] == ["integrate", "read"] and made["key"].startswith("draad_") and len(made["key"]) > 40
    assert api.send("GET", "/v1/connections", key=made["key"]).status == 200
    listed = api.get("/v1/keys")["keys"]
    assert [each["name"] for each in listed] == ["test", "till"]
    stored = json.dumps([listed, api.table.query("KEY").items])
    assert made["key"] not in stored and made["key"].removeprefix("draad_") not in stored
    api.call("DELETE", f"/v1/keys/{made['id']}")
    assert api.send("GET", "/v1/connections", key=made["key"]).status == 401
    assert [each["revoked"] for each in api.get("/v1/keys")["keys"]] == [False, True]
    for wrong in (made["id"][:8], made["id"] + "0", ""):
        assert api.send("DELETE", f"/v1/keys/{wrong or 'x'}").status == 404


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({"scopes": ["root", "read", ""]}, ["/scopes/0", "/scopes/2"]),
        ({"scopes": []}, ["/scopes"]),
        ({"scopes": "read"}, ["/scopes"]),
        ({"name": 5, "scopes": [1], "owner": "x"}, ["/name", "/owner", "/scopes/0"]),
        ({"name": "n" * 201, "scopes": ["x"]}, ["/name", "/scopes/0"]),
    ],
)
def test_a_key_that_is_not_minted(api: Api, asked: dict[str, Any], pointers: list[str]) -> None:
    assert api.refused("POST", "/v1/keys", asked) == pointers
    assert len(keys.everyone(api.table)) == 1


def test_checking_a_key_loads_no_pynamodb(api: Api) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from chalicelib.store import keys; from chalicelib.api import routes, answers, hooks;"
        "from chalicelib.store.table import DynamoTable\n"
        "try: keys.find(DynamoTable(), 'draad_x')\n"
        "except Exception as wrong: assert 'pynamodb' not in sys.modules, wrong\n"
        "slow = {'pynamodb', 'requests', 'cryptography', 'phonenumbers', 'boto3', 'pydantic'} & set(sys.modules)\n"
        "print('loaded', sorted(slow))"
    )
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "loaded []\n"


def test_whoever_may_start_long_work_may_watch_it(api: Api) -> None:
    settings = {"settings": {"url": "https://x.example/"}, "secrets": {"signing_secret": "whsec_" + "YWJj" * 8}}
    told = api.call("POST", "/v1/connections", 201, {"provider": "webhook", **settings})["id"]
    key, window = key_with("integrate"), {"connection": told, "since": "2026-09-01T00:00:00Z"}
    for path, body in (
        ("/v1/receipts/replay", window),
        ("/v1/deliveries/redrive", window),
        ("/v1/reconcile", {"connection": told}),
        (f"/v1/connections/{told}/backfill", {}),
    ):
        job = api.call("POST", path, 202, body, key=key)["job"]
        assert api.call("GET", f"/v1/jobs/{job}", key=key)["id"] == job, path
        assert api.send("GET", f"/v1/jobs/{job}", key=key_with("read")).status == 403
