"""The hook: what it costs to refuse, what it keeps, and that every byte arrives."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from chalicelib.errors import ConnectionUnknown, RequestRefused, SignatureInvalid, TooLarge
from chalicelib.ingest import arrival as arrivals
from chalicelib.ingest.receive import receive
from chalicelib.kit.request import MAX_BODY, Request
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import aws, connections, ids, queues, secrets
from chalicelib.store.table import DynamoTable
from infra.local.hub import Hub
from tests.drive import Integrator, eventually

TOKEN = "the right token"


@pytest.fixture
def hook(memory_aws: dict[str, str]) -> str:
    """A generic connection with a bearer token; its id."""
    connection_id = ids.mint("con")
    kept = {"token": (secrets.encrypt(connection_id, "token", TOKEN),)}
    connections.save(
        DynamoTable(), Connection(id=connection_id, provider="generic", settings={"auth": "bearer"}, secrets=kept)
    )
    return connection_id


@pytest.fixture
def calls() -> Iterator[Counter[str]]:
    """Every AWS request from here on, by operation."""
    counted: Counter[str] = Counter()

    def observe(service: str, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
        if answer is None:
            counted[f"{service}.{operation}"] += 1

    aws.observers.append(observe)
    yield counted
    aws.observers.remove(observe)


def post(connection_id: str, token: str = TOKEN, body: bytes = b"{}", **more: Any) -> Request:
    headers = (("Content-Type", "application/json"), ("Authorization", f"Bearer {token}"), *more.pop("headers", ()))
    url = f"https://hub.example.nl/hooks/{connection_id}"
    return Request("POST", url, headers, body, instants.now(), connection=connection_id, **more)


def refusal(connection_id: str, request: Request) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        receive(DynamoTable(), connection_id, request)
    return refused.value


def test_fifty_bad_signatures_cost_one_note(hook: str, calls: Counter[str]) -> None:
    for number in range(50):
        assert isinstance(refusal(hook, post(hook, f"wrong {number}")), SignatureInvalid)
    writes = {name: count for name, count in calls.items() if name.split(".")[1] not in ("get_item", "decrypt")}
    writes.pop("secretsmanager.get_secret_value", None)
    assert writes == {"dynamodb.put_item": 1}
    assert calls["dynamodb.get_item"] == 1 and calls["kms.decrypt"] == 1
    (note,) = connections.refusals(DynamoTable(), hook)
    assert note["reason"] and "wrong" not in note["reason"]


def test_made_up_ids_cost_nothing_and_look_like_a_bad_signature(hook: str, calls: Counter[str]) -> None:
    secrets.pepper()
    calls.clear()
    for made_up in ("con_" + "a" * 26, "con_", "", "x" * 4000, "con_" + hook[4:-1] + "é", hook[:-1] + "#"):
        found = refusal(made_up, post(made_up))
        assert isinstance(found, ConnectionUnknown)
        assert (found.status, found.title) == (SignatureInvalid.status, SignatureInvalid.title)
    assert not calls


def test_an_id_of_ours_that_was_never_registered_costs_one_cached_read(hook: str, calls: Counter[str]) -> None:
    stranger = ids.mint("con")
    for _ in range(20):
        assert isinstance(refusal(stranger, post(stranger)), ConnectionUnknown)
    assert calls == {"dynamodb.get_item": 1}


def test_a_warm_hook_sends_one_message_and_reads_nothing(hook: str, calls: Counter[str]) -> None:
    receive(DynamoTable(), hook, post(hook))
    calls.clear()
    receive(DynamoTable(), hook, post(hook))
    assert calls == {"sqs.send_message": 1}


def test_too_large_is_refused_before_anything_is_read(hook: str, calls: Counter[str]) -> None:
    with pytest.raises(TooLarge):
        receive(DynamoTable(), hook, post(hook, body=b"x" * (MAX_BODY + 1)))
    assert not calls


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"x" * 300_000, bytes(range(256)) * 2000])
def test_every_byte_is_kept(hook: str, body: bytes) -> None:
    sent = post(hook, body=body, headers=(("X-Twice", "one"), ("X-Twice", "two")), query=(("a", "1"), ("a", "2")))
    receive(DynamoTable(), hook, sent)
    (message,) = queues.drain(queues.INBOX)
    found = arrivals.from_message(message[0])
    assert found.body == body and found.query == sent.query
    assert [value for name, value in found.headers if name == "X-Twice"] == ["one", "two"]


def test_a_body_that_does_not_compress_goes_by_s3(hook: str, calls: Counter[str]) -> None:
    import random

    body = random.Random(1).randbytes(400_000)
    receive(DynamoTable(), hook, post(hook, body=body))
    assert calls["s3.put_object"] == 1
    ((message, _),) = queues.drain(queues.INBOX)
    assert message.startswith("s3:inbox/") and arrivals.from_message(message).body == body


def test_what_authenticates_is_not_kept(hook: str) -> None:
    secret_headers = (("Cookie", "session=hush"), ("X-Api-Key", "hush"), ("X-Some-Token", "hush"))
    sent = post(hook, headers=secret_headers)
    receive(DynamoTable(), hook, replace(sent, url=f"{sent.url}/hush"))
    ((message, _),) = queues.drain(queues.INBOX)
    found = arrivals.from_message(message)
    assert "hush" not in str(found) and TOKEN not in str(found)
    assert found.url == sent.url


def test_a_second_secret_works_beside_the_first(hook: str) -> None:
    table = DynamoTable()
    current = connections.get(table, hook)
    assert current
    both = (*current.secrets["token"], secrets.encrypt(hook, "token", "new"))
    connections.save(
        table, type(current)(id=hook, provider="generic", settings=current.settings, secrets={"token": both}, ver=2)
    )
    for token in (TOKEN, "new"):
        assert receive(table, hook, post(hook, token)).status == 200
    refusal(hook, post(hook, "old"))


def test_a_ciphertext_of_another_connection_is_unreadable(hook: str) -> None:
    other = secrets.encrypt(ids.mint("con"), "token", TOKEN)
    with pytest.raises(aws.AwsRefused):
        secrets.decrypt(hook, "token", other)


def test_an_arrival_survives_its_encoding_and_nothing_else_is_one(hook: str) -> None:
    for bad in ("", "nonsense", "s3:inbox/none", base64.b64encode(b"\x00\x01").decode(), "é"):
        with pytest.raises(ValueError):
            arrivals.from_message(bad)


TYPES = (
    "application/json",
    "application/vnd.x+json",
    "text/plain",
    "text/xml",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/cloudevents+json",
    "image/png",
    "nonsense",
    "",
)


@pytest.mark.embedded
@pytest.mark.parametrize("accept", [None, "application/json", "*/*"])
def test_any_bytes_of_any_type_arrive_unchanged_over_http(hub: Hub, accept: str | None) -> None:
    who = Integrator(hub.url, hub.admin_key)
    made = who.connect("generic", "raw", settings={"auth": "bearer"}, secrets={"token": TOKEN})
    body = b"\xff\xfe\x00" + bytes(range(256))
    for media_type in TYPES:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": media_type, "Accept": accept}
        answer = requests.post(made["hook_url"], data=body, headers=headers, timeout=10)
        assert answer.status_code == 200, (media_type, answer.text)
    found = eventually(
        lambda: len(rows := who.get("/v1/receipts", connection=made["id"])["receipts"]) == len(TYPES) and rows
    )
    for row in found:
        shown = who.get(f"/v1/receipts/{row['id']}")
        assert base64.b64decode(shown["body_base64"]) == body
    who.call("DELETE", f"/v1/connections/{made['id']}")


@pytest.mark.embedded
def test_outside_a_bad_signature_and_an_unknown_connection_look_alike(hub: Hub) -> None:
    who = Integrator(hub.url, hub.admin_key)
    made = who.connect("generic", "quiet", settings={"auth": "bearer"}, secrets={"token": TOKEN})
    answers = [
        requests.post(url, data=b"{}", headers={"Authorization": "Bearer wrong"}, timeout=10)
        for url in (made["hook_url"], made["hook_url"][:-1] + "2", hub.url + "/hooks/nonsense")
    ]
    seen = {(each.status_code, each.text, each.headers["Content-Type"]) for each in answers}
    assert len(seen) == 1 and answers[0].status_code == 401
    assert json.loads(answers[0].text)["title"] == "Signature invalid"
    shown = who.get(f"/v1/connections/{made['id']}")
    assert shown["refusals"]
    assert requests.post(made["hook_url"], data=b"x" * (MAX_BODY + 1), timeout=10).status_code == 413
    who.call("DELETE", f"/v1/connections/{made['id']}")
    assert (
        requests.post(
            made["hook_url"], data=b"{}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        ).status_code
        == 401
    )
