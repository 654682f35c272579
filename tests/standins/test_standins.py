"""The stand-ins behave like the vendor: what the other tests prove rests on this."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import Partner
from tests.standins.server import Standin
from tests.standins.twilio import Twilio
from tests.standins.zendesk import ACCESS, Zendesk

ACCOUNT = "AC00000000000000000000000000000001"
UPSERT = "/crm/v3/objects/contacts/batch/upsert"
ROOT = Path(__file__).parent.parent.parent
PROFILE = {"source": "draad", "type": "customer", "identifiers": [{"type": "user_id", "value": "501"}]}


def ask(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if raw else None
    finally:
        connection.close()


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    standin = HubSpot()
    yield standin
    standin.stop()


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    standin = Twilio()
    yield standin
    standin.stop()


@pytest.fixture
def zendesk() -> Iterator[Zendesk]:
    standin = Zendesk()
    yield standin
    standin.stop()


def desk(standin: Standin, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return ask(standin.url, method, path, body, Authorization=f"Bearer {ACCESS}")


def crm(standin: Standin, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return ask(standin.url, method, path, body, Authorization=f"Bearer {TOKEN}")


def contact(key: str, **properties: str) -> dict[str, Any]:
    return {"id": key, "idProperty": "hub_customer_id", "properties": properties}


def test_hubspot_wants_its_token(hubspot: HubSpot) -> None:
    status, told = ask(hubspot.url, "GET", "/crm/v3/objects/contacts/1", Authorization="Bearer other")
    assert (status, told["category"]) == (401, "INVALID_AUTHENTICATION")


def test_hubspot_upserts_by_a_unique_property_only(hubspot: HubSpot) -> None:
    status, told = crm(hubspot, "POST", UPSERT, {"inputs": [contact("c1", email="a@example.nl")]})
    assert (status, told["results"][0]["new"]) == (201, True)
    status, told = crm(hubspot, "POST", UPSERT, {"inputs": [contact("c1", phone="+31612345678")]})
    assert (status, told["results"][0]["new"]) == (200, False)
    assert told["results"][0]["properties"]["email"] == "a@example.nl"
    by_phone = {"id": "+31612345678", "idProperty": "phone", "properties": {}}
    assert crm(hubspot, "POST", UPSERT, {"inputs": [by_phone]})[0] == 400
    assert hubspot.created == 1


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [contact("c1"), contact("c1")],
        [contact(f"c{number}") for number in range(101)],
        [contact("c1", nonsense="x")],
        [contact("c1", email="no address")],
        [contact("")],
    ],
)
def test_hubspot_refuses_a_bad_batch_whole(hubspot: HubSpot, inputs: list[Any]) -> None:
    status, told = crm(hubspot, "POST", UPSERT, {"inputs": inputs})
    assert (status, told["category"]) == (400, "VALIDATION_ERROR")
    assert hubspot.writes == 0


def test_hubspot_answers_207_when_some_are_refused(hubspot: HubSpot) -> None:
    taken = hubspot.add_contact(email="a@example.nl")
    inputs = [contact("c1", email="A@example.nl"), contact("c2", email="b@example.nl")]
    status, told = crm(hubspot, "POST", UPSERT, {"inputs": inputs})
    assert (status, told["numErrors"], len(told["results"])) == (207, 1, 1)
    assert told["errors"][0]["message"] == f"Contact already exists. Existing ID: {taken}"
    assert crm(hubspot, "POST", "/crm/v3/objects/contacts", {"properties": {"email": "a@example.nl"}})[0] == 409


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("notes", {"hs_note_body": "x"}),
        ("notes", {"hs_timestamp": "2026-09-01T09:00:00Z", "hs_note_body": "x" * 65_537}),
        ("calls", {"hs_timestamp": "2026-09-01T09:00:00Z", "hs_call_direction": "in"}),
        ("communications", {"hs_timestamp": "2026-09-01T09:00:00Z", "hs_communication_logged_from": "CRM"}),
    ],
)
def test_hubspot_checks_engagements(hubspot: HubSpot, kind: str, properties: dict[str, str]) -> None:
    status, told = crm(hubspot, "POST", f"/crm/v3/objects/{kind}", {"properties": properties})
    assert (status, told["category"]) == (400, "VALIDATION_ERROR")


def test_hubspot_shows_an_activity_only_once_associated(hubspot: HubSpot) -> None:
    person = hubspot.add_contact(hub_customer_id="c1")
    properties = {"hs_timestamp": "2026-09-01T09:00:00Z", "hub_event_id": "e1"}
    _, note = crm(hubspot, "POST", "/crm/v3/objects/notes", {"properties": properties})
    assert hubspot.kept() == []
    path = f"/crm/v4/objects/notes/{note['id']}/associations/default/contacts"
    assert crm(hubspot, "PUT", f"{path}/999")[0] == 404
    for _ in range(2):
        assert crm(hubspot, "PUT", f"{path}/{person}")[0] == 200
    assert hubspot.kept() == ["e1"]
    assert hubspot.events_of(person) == ["e1"]
    assert crm(hubspot, "POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": person})[0] == 204
    assert (hubspot.kept(), hubspot.forgotten) == ([], [person])
    assert crm(hubspot, "POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": person})[0] == 404


def test_hubspot_search_lags_and_reading_does_not(hubspot: HubSpot) -> None:
    person = hubspot.add_contact(hub_customer_id="c1")
    wanted = {"filterGroups": [{"filters": [{"propertyName": "hub_customer_id", "value": "c1"}]}]}
    assert crm(hubspot, "POST", "/crm/v3/objects/contacts/search", wanted)[1]["total"] == 0
    assert crm(hubspot, "GET", "/crm/v3/objects/contacts/c1?idProperty=hub_customer_id")[1]["id"] == person
    hubspot.set(search_lag=0)
    assert crm(hubspot, "POST", "/crm/v3/objects/contacts/search", wanted)[1]["total"] == 1


def test_hubspot_limits_its_rate(hubspot: HubSpot) -> None:
    hubspot.set(limit=3)
    answers = [crm(hubspot, "GET", "/crm/v3/objects/contacts/1") for _ in range(4)]
    assert [status for status, _ in answers] == [404, 404, 404, 429]
    assert answers[-1][1]["policyName"] == "TEN_SECONDLY_ROLLING"


def test_twilio_tells_the_times_of_its_own_messages(twilio: Twilio) -> None:
    twilio.message("SM8", "2026-09-05T13:10:00.000Z", "2026-09-05T13:11:00.000Z", status="delivered")
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages"
    basic = base64.b64encode(f"{ACCOUNT}:twilio-auth-token".encode()).decode()
    status, told = ask(twilio.url, "GET", f"{path}/SM8.json", Authorization=f"Basic {basic}")
    assert (status, told["date_created"]) == (200, "Sat, 05 Sep 2026 13:10:00 +0000")
    assert told["date_updated"] == "Sat, 05 Sep 2026 13:11:00 +0000"
    assert ask(twilio.url, "GET", f"{path}/SM9.json", Authorization=f"Basic {basic}")[1]["code"] == 20404
    assert ask(twilio.url, "GET", f"{path}/SM8.json", Authorization="Basic x")[1]["code"] == 20003
    twilio.behave("status", status=429, headers={"Retry-After": "2"}, times=1)
    assert ask(twilio.url, "GET", f"{path}/SM8.json", Authorization=f"Basic {basic}")[0] == 429
    assert ask(twilio.url, "GET", f"{path}/SM8.json", Authorization=f"Basic {basic}")[0] == 200


def test_outages_end_by_count_and_touch_only_what_they_name(twilio: Twilio) -> None:
    twilio.behave("status", status=503, path="/Messages/", times=1)
    assert ask(twilio.url, "GET", "/other")[0] == 404
    assert [ask(twilio.url, "GET", "/Messages/")[0] for _ in range(2)] == [503, 404]
    twilio.behave("status", status=500)
    assert ask(twilio.url, "GET", "/")[0] == 500
    twilio.behave()
    assert ask(twilio.url, "GET", "/")[0] == 404


def test_a_dropped_answer_did_the_work(hubspot: HubSpot) -> None:
    hubspot.behave("drop", times=1)
    with pytest.raises((HTTPException, OSError)):
        crm(hubspot, "POST", UPSERT, {"inputs": [contact("c1")]})
    assert hubspot.created == 1
    hubspot.behave("reset", times=1)
    with pytest.raises((HTTPException, OSError)):
        crm(hubspot, "POST", UPSERT, {"inputs": [contact("c2")]})
    assert hubspot.created == 1


def test_a_refused_port_comes_back_with_what_it_held(hubspot: HubSpot) -> None:
    hubspot.add_contact(hub_customer_id="c1")
    hubspot.refuse(None)
    with pytest.raises(ConnectionRefusedError):
        crm(hubspot, "GET", "/crm/v3/objects/contacts/501")
    hubspot.accept()
    assert crm(hubspot, "GET", "/crm/v3/objects/contacts/501")[0] == 200


def test_the_partner_refuses_what_is_not_signed() -> None:
    with Partner() as partner:
        assert ask(partner.url, "POST", "/hook", {"type": "order.created"})[0] == 401
        assert partner.state()["taken"] == {}


def test_zendesk_wants_its_token_and_knows_its_paths(zendesk: Zendesk) -> None:
    assert ask(zendesk.url, "GET", "/api/v2/users/1", Authorization="Bearer other")[0] == 401
    assert ask(zendesk.url, "GET", "/api/v2/users/1", Authorization="Basic x")[0] == 401
    for path in ("/api/v2/users/1", "/api/v2/tickets/1.json", "/api/v2/nothing", "/other", "/api/v2/__class__"):
        assert desk(zendesk, "GET", path)[0] == 404


@pytest.mark.parametrize(
    ("user", "wrong"),
    [
        ({}, "base"),
        ({"email": "a@example.nl"}, "name"),
        ({"name": "A", "email": "no address"}, "email"),
        ({"name": "A", "phone": "06 12345678"}, "phone"),
        ({"name": "A", "nonsense": "x"}, "nonsense"),
        ({"name": "A", "email": "TAKEN@example.nl"}, "email"),
        ({"name": "A", "external_id": "CUS_1"}, "external_id"),
    ],
)
def test_zendesk_refuses_a_bad_user(zendesk: Zendesk, user: dict[str, Any], wrong: str) -> None:
    zendesk.add_user(name="T", email="taken@example.nl", external_id="cus_1")
    status, told = desk(zendesk, "POST", "/api/v2/users", {"user": user})
    assert (status, told["error"], list(told["details"])) == (422, "RecordInvalid", [wrong])
    assert zendesk.created == 1


def test_zendesk_takes_whoever_has_the_address(zendesk: Zendesk) -> None:
    """Why nothing but a mail address is sent there: the holder would get another external id."""
    person = zendesk.add_user(name="T", email="t@example.nl", external_id="cus_1")
    path = "/api/v2/users/create_or_update"
    assert desk(zendesk, "POST", path, {"user": {"email": "T@example.nl"}})[1]["user"]["external_id"] == "cus_1"
    assert desk(zendesk, "POST", path, {"user": {"email": "nobody@example.nl"}})[0] == 422
    status, told = desk(zendesk, "POST", path, {"user": {"email": "t@example.nl", "external_id": "cus_2"}})
    assert (status, told["user"]["id"], zendesk.people()) == (200, int(person), ["cus_2"])


def test_zendesk_adds_a_second_address_and_mails_unless_told(zendesk: Zendesk) -> None:
    person = zendesk.add_user(name="T", email="t@example.nl")
    desk(zendesk, "PUT", f"/api/v2/users/{person}", {"user": {"email": "second@example.nl"}})
    _, told = desk(zendesk, "GET", f"/api/v2/users/{person}.json?include=identities")
    assert told["user"]["email"] == "t@example.nl"
    assert [each["value"] for each in told["identities"]] == ["t@example.nl", "second@example.nl"]
    desk(zendesk, "POST", "/api/v2/users", {"user": {"name": "Q", "email": "q@example.nl", "skip_verify_email": True}})
    assert zendesk.mails == ["t@example.nl"]


def test_zendesk_deletes_in_two_steps(zendesk: Zendesk) -> None:
    person = zendesk.add_user(name="T", external_id="cus_1")
    assert desk(zendesk, "DELETE", f"/api/v2/deleted_users/{person}")[0] == 404
    assert desk(zendesk, "DELETE", f"/api/v2/users/{person}")[0] == 200
    assert (zendesk.people(), zendesk.forgotten) == ([], [])
    assert desk(zendesk, "PUT", f"/api/v2/users/{person}", {"user": {"name": "T"}})[0] == 404
    assert desk(zendesk, "DELETE", f"/api/v2/deleted_users/{person}")[0] == 200
    assert zendesk.forgotten == [person]


@pytest.mark.parametrize(
    ("profile", "event"),
    [
        ({}, {}),
        ({"source": "draad", "type": "customer", "identifiers": []}, {"source": "s", "type": "t", "properties": {}}),
        (PROFILE, {"source": "s", "type": "t"}),
        (PROFILE, {"source": "zendesk", "type": "t", "properties": {}}),
    ],
)
def test_zendesk_refuses_a_bad_event(zendesk: Zendesk, profile: dict[str, Any], event: dict[str, Any]) -> None:
    person = zendesk.add_user(name="T")
    told = {"profile": profile, "event": event}
    assert desk(zendesk, "POST", f"/api/v2/users/{person}/events", told)[0] == 400
    assert zendesk.kept() == []


def test_zendesk_keeps_events_by_page_and_plan(zendesk: Zendesk) -> None:
    person = zendesk.add_user(name="T")
    path = f"/api/v2/users/{person}/events"
    for number in range(3):
        event = {"source": "draad", "type": "call", "created_at": f"2026-09-0{number + 1}T09:00:00.000Z"}
        told = {"profile": PROFILE, "event": event | {"properties": {"event_id": f"e{number}"}}}
        assert desk(zendesk, "POST", path, told) == (202, None)
    _, page = desk(zendesk, "GET", f"{path}?page%5Bsize%5D=2")
    assert (len(page["events"]), page["meta"]) == (2, {"has_more": True, "after_cursor": "2"})
    _, page = desk(zendesk, "GET", f"{path}?filter%5Bstart_time%5D=2026-09-02&filter%5Bend_time%5D=2026-09-03")
    assert [each["properties"]["event_id"] for each in page["events"]] == ["e1"]
    assert zendesk.kept() == ["e0", "e1", "e2"]
    zendesk.set(plan_has_events=False)
    assert desk(zendesk, "GET", path)[0] == 403


def test_zendesk_comments_are_public_unless_told_and_closed_tickets_are_closed(zendesk: Zendesk) -> None:
    number = zendesk.add_ticket(requester_id=int(zendesk.add_user(name="T")))
    path = f"/api/v2/tickets/{number}"
    for comment in ({"body": "draad:e1"}, {"body": "draad:e2", "public": False}):
        status, told = desk(zendesk, "PUT", path, {"ticket": {"comment": comment}})
        assert (status, told["audit"]["events"][0]["type"]) == (200, "Comment")
    assert zendesk.kept() == ["e2"]
    assert desk(zendesk, "PUT", path, {"ticket": {"comment": {"body": "x" * 65_536}}})[0] == 422
    zendesk.close_ticket(number)
    assert desk(zendesk, "PUT", path, {"ticket": {"comment": {"body": "late"}}})[0] == 422


def test_zendesk_takes_a_key_for_a_new_ticket_only(zendesk: Zendesk) -> None:
    body = {"ticket": {"subject": "S", "comment": {"body": "B"}}}
    key = {"Authorization": f"Bearer {ACCESS}", "Idempotency-Key": "k1"}
    made = [ask(zendesk.url, "POST", "/api/v2/tickets", body, **key) for _ in range(2)]
    assert made[0] == made[1] and made[0][0] == 201 and len(zendesk.tickets) == 1
    body["ticket"]["subject"] = "other"
    assert ask(zendesk.url, "POST", "/api/v2/tickets", body, **key)[1]["error"] == "IdempotentRequestError"


def test_zendesk_limits_its_rate(zendesk: Zendesk) -> None:
    person = zendesk.add_user(name="T")
    zendesk.set(user_limit=1)
    path = f"/api/v2/users/{person}"
    assert desk(zendesk, "PUT", path, {"user": {"name": "U"}})[0] == 200
    connection = HTTPConnection(urlsplit(zendesk.url).netloc, timeout=5)
    connection.request("PUT", path, json.dumps({"user": {"name": "V"}}), {"Authorization": f"Bearer {ACCESS}"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Retry-After"], answer.headers["Content-Type"]) == (429, "7", "text/plain")
    answer.read()
    connection.close()
    zendesk.set(limit=2)
    assert desk(zendesk, "GET", path)[1]["error"] == "APIRateLimitExceeded"


CRMS = ["hubspot", "partner", "zendesk"]
SENDERS = ["instagram", "line", "messenger", "postmark", "ses", "telegram", "twilio", "whatsapp"]


@pytest.mark.parametrize("name", CRMS + SENDERS)
def test_each_runs_as_its_own_process(name: str) -> None:
    command = [sys.executable, "-m", f"tests.standins.{name}", "--port", "0"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert ask(url, "GET", "/_standin/state")[0] == 200
        assert ask(url, "POST", "/_standin/behave", {"mode": "status", "status": 503})[0] == 204
        assert ask(url, "GET", "/")[0] == 503
        assert ask(url, "POST", "/_standin/reset")[0] == 204
        assert ask(url, "GET", "/")[0] in (401, 403, 404, 405)
        assert ask(url, "POST", "/_standin/behave", {"mode": "refuse", "seconds": 0.3})[0] == 204
        _wait_until_refused(url)
        _wait_until_answered(url)
    finally:
        running.kill()
        running.communicate()


def _wait_until_refused(url: str) -> None:
    while True:
        try:
            ask(url, "GET", "/")
        except OSError:
            return


def _wait_until_answered(url: str) -> None:
    while True:
        try:
            ask(url, "GET", "/")
        except OSError:
            continue
        return
