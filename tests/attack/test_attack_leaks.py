"""A story with planted secrets and people, told well and told badly: nothing of it in a log, on the screen or in a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import SECRET, Answer, Api, event, key_with, person, signature
from tests.attack import corpus, planted, world
from tests.attack.tally import Tally

NOW = "2026-09-01T09:00:00.000Z"
PEOPLE = (
    "marieke.plant@example.nl",
    "+31655544433",
    "Marieke van der Plant",
    "NL91ABNA0417164300",
    "geheim verhaal 4711",
)
HUSH = ("hush-signing-secret", "hush-token", "hush-password", "hush-api-key")


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"), checked=False)


def planted_event(number: int) -> dict[str, Any]:
    mail, phone, name, account, words = PEOPLE
    people = [person("email", mail), person("phone", phone)]
    return event(number, NOW, *people, name=name, refs=[{"kind": "order", "value": account}]) | {"text": words}


def told_well(api: Api) -> dict[str, str]:
    """As customers and colleagues use it: a message, a look-up, a link, a hand-over, an erasure."""
    secrets = {"signing_secret": HUSH[0], "token": HUSH[1], "password": HUSH[2]}
    shop = api.connect(secrets=secrets)["id"]
    api.connect(
        provider="webhook",
        mapping=None,
        settings={"url": "https://partner.example/"},
        secrets={"signing_secret": "whsec_" + "YWJj" * 8},
    )
    for number in range(3):
        api.post(shop, planted_event(number), secret=HUSH[0])
    api.work()
    (found,) = api.get("/v1/customers", identity=f"email:{PEOPLE[0]}")["customers"]
    api.get(f"/v1/customers/{found['id']}/timeline")
    api.call("POST", "/v1/magic-links", 201, {"customer": found["id"]})
    return {"shop": shop, "customer": str(found["id"])}


def told_badly(api: Api, shop: str, customer: str) -> list[Answer]:
    """The same with mistakes at every step: wrong signature, cut off, other types, made-up ids, wrong fields."""
    raw = json.dumps(planted_event(9)).encode()
    answers = [api.send("POST", f"/hooks/{shop}", raw, [("X-Signature", signature(raw, SECRET))], key="")]
    good = [("X-Signature", signature(raw[:-3], HUSH[0]))]
    answers.append(api.send("POST", f"/hooks/{shop}", raw[:-3], good, key=""))
    for line in corpus.lines("spoiled"):
        body = json.dumps(planted_event(10) | {"at": line.value, "people": line.value}).encode()
        answers.append(api.send("POST", f"/hooks/{shop}", body, [("X-Signature", signature(body, HUSH[0]))], key=""))
    api.work()
    for method, path, asked in (
        (
            "POST",
            "/v1/connections",
            {"provider": "generic", "name": PEOPLE[2], "secrets": {"signing_secret": [HUSH[0], 5]}},
        ),
        (
            "POST",
            "/v1/connections",
            {"provider": "generic", "secrets": {"api_key": HUSH[3]}, "settings": {"password": HUSH[2]}},
        ),
        (
            "PATCH",
            f"/v1/connections/{shop}",
            {"secrets": {"unknown": {"a": HUSH[2]}, "token": [HUSH[1], 5]}, "settings": {"url": HUSH[3]}},
        ),
        ("POST", f"/v1/connections/{shop}/rotate", {"secrets": {"signing_secret": {"x": HUSH[0]}}}),
        ("POST", f"/v1/customers/{customer}/erase", {"reason": {"who": PEOPLE[0]}}),
        ("POST", "/v1/links", {"a": "email:x@example.nl", "b": 5, "reason": [PEOPLE[2]]}),
        ("POST", "/v1/keys", {"name": {"a": HUSH[1]}, "scopes": ["read"]}),
    ):
        answers.append(api.send(method, path, json.dumps(asked).encode(), [("Content-Type", "application/json")]))
    answers.append(api.send("GET", "/v1/customers/x", key=HUSH[1]))
    answers.append(api.send("GET", f"/v1/receipts?next={PEOPLE[0]}"))
    return answers


def test_no_log_and_no_refusal_holds_a_secret_or_a_person(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    with world.everything_logged() as logged:
        made = told_well(api)
        answers = told_badly(api, **made)
        broken(api, made["shop"])
        answers.append(api.send("POST", f"/v1/customers/{made['customer']}/erase", b"{}"))
        api.work()
    screen = "".join(capfd.readouterr())
    secrets = [*PEOPLE, *HUSH, SECRET, api.key]
    lines = "\n".join(logged) + screen
    tally = Tally("the search for secrets and people")
    refusals = [answer for answer in answers if answer.status >= 400]
    for answer in answers:
        tally.add("planted", answer.status)
    tally.facts |= {"planted": len(secrets), "log lines": len(logged), "refusals": len(refusals)}
    tally.keep()
    assert logged, "something is logged, so the search has something to read"
    assert planted.found_in(lines, secrets) == []
    for answer in refusals:
        assert planted.found_in(answer.raw.decode("utf-8", "replace"), secrets) == [], answer.raw[:500]
    assert len(refusals) >= 8 and not [answer for answer in answers if answer.status >= 500]


def broken(api: Api, shop: str) -> None:
    """A message that no worker can read, and a mistake of our own: both are logged, with nothing of what was in them."""
    from chalicelib.api import answers

    found = answers.guarded(lambda: fails(PEOPLE[0], HUSH[0]))
    assert found.status_code == 500 and planted.found_in(str(found.body), [*PEOPLE, *HUSH]) == []


def fails(*quoted: str) -> Any:
    raise KeyError(*quoted)


def test_the_search_finds_what_is_there() -> None:
    for text in ('{"a": "marieke.plant@example.nl"}', "?e=marieke.plant%40example.nl", "MARIEKE.PLANT@EXAMPLE.NL"):
        assert planted.found_in(text, PEOPLE) == ["mari…"], text
    assert planted.found_in("Authorization: Bearer hush-token", HUSH) == ["hush…"]
    assert planted.found_in("nothing", [*PEOPLE, *HUSH]) == []


def test_the_repository_holds_no_secret_of_a_real_provider() -> None:
    """In the corpora, which are made up: forms that scanners of others take for live keys."""
    text = "".join(path.read_text("utf-8") for path in Path(corpus.FOLDER).glob("*.jsonl"))
    for form in ("sk_live_", "xoxb-", "AKIA", "-----BEGIN PRIVATE", "ghp_", "EAAG"):
        assert form not in text
