"""Every byte of every content type arrives as it was sent, and secrets stay with their connection."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests

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


def post(connection_id: str, token: str = TOKEN, body: bytes = b"{}", **more: Any) -> Request:
    headers = (("Content-Type", "application/json"), ("Authorization", f"Bearer {token}"), *more.pop("headers", ()))
    url = f"https://hub.example.nl/hooks/{connection_id}"
    return Request("POST", url, headers, body, instants.now(), connection=connection_id, **more)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"x" * 300_000, bytes(range(256)) * 2000])
def test_every_byte_is_kept(hook: str, body: bytes) -> None:
    sent = post(hook, body=body, headers=(("X-Twice", "one"), ("X-Twice", "two")), query=(("a", "1"), ("a", "2")))
    receive(DynamoTable(), hook, sent)
    (message,) = queues.drain(queues.INBOX)
    found = arrivals.from_message(message[0])
    assert found.body == body and found.query == sent.query
    assert [value for name, value in found.headers if name == "X-Twice"] == ["one", "two"]


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
