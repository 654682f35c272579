"""The stand-ins that send messages refuse what the vendor refuses, and tell what went out."""

import base64
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.standins.server import Standin

TWILIO = "AC00000000000000000000000000000001"
BASIC = base64.b64encode(f"{TWILIO}:twilio-auth-token".encode()).decode()
GRAPH = {"Authorization": "Bearer EAAGm0PX4ZCpsBAKZCtoken", "Content-Type": "application/json"}
SENDERS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "twilio.Twilio": (
        f"/2010-04-01/Accounts/{TWILIO}/Messages.json",
        {"Authorization": f"Basic {BASIC}", "Content-Type": "application/x-www-form-urlencoded"},
        {"To": "+31612345678", "From": "+31857773200", "Body": "Hello."},
    ),
    "whatsapp.WhatsApp": (
        "/v24.0/106540352242922/messages",
        GRAPH,
        {"messaging_product": "whatsapp", "to": "31612345678", "type": "text", "text": {"body": "Hello."}},
    ),
    "messenger.Messenger": (
        "/v24.0/104923907983682/messages",
        GRAPH,
        {"recipient": {"id": "7003"}, "messaging_type": "RESPONSE", "message": {"text": "Hello."}},
    ),
    "instagram.Instagram": (
        "/v24.0/17841400000000001/messages",
        GRAPH,
        {"recipient": {"id": "1784"}, "message": {"text": "Hello."}},
    ),
    "line.Line": (
        "/v2/bot/message/push",
        {"Authorization": "Bearer line-channel-access-token"},
        {"to": "U" + "a1" * 16, "messages": [{"type": "text", "text": "Hello."}]},
    ),
    "telegram.Telegram": (
        "/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage",
        {},
        {"chat_id": "987654321", "text": "Hello."},
    ),
    "postmark.Postmark": (
        "/email",
        {"X-Postmark-Server-Token": "b4b5f2ce-3a2f-4b6d-9d4d-7f0f3f2b9a11", "Accept": "application/json"},
        {"From": "service@tc.example", "To": "jan@example.nl", "Subject": "S", "TextBody": "Hello."},
    ),
}
"""By stand-in: a path, headers and a message that is taken."""

WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("twilio.Twilio", {"To": "0612345678"}, 400, "21211"),
    ("twilio.Twilio", {"To": "whatsapp:+31612345678"}, 400, "21606"),
    ("twilio.Twilio", {"From": "+15550000000"}, 400, "21606"),
    ("twilio.Twilio", {"Body": ""}, 400, "21602"),
    ("twilio.Twilio", {"Body": "x" * 1601}, 400, "21617"),
    ("twilio.Twilio", {"ContentSid": "HX1"}, 400, "21656"),
    ("twilio.Twilio", {"Nonsense": "x"}, 400, "21600"),
    ("whatsapp.WhatsApp", {"messaging_product": ""}, 400, "messaging_product"),
    ("whatsapp.WhatsApp", {"to": "nobody"}, 400, "to"),
    ("whatsapp.WhatsApp", {"text": {"body": "x" * 4097}}, 400, "text.body"),
    ("whatsapp.WhatsApp", {"text": {"body": "x", "nonsense": 1}}, 400, "text.nonsense"),
    ("whatsapp.WhatsApp", {"nonsense": 1}, 400, "nonsense"),
    ("whatsapp.WhatsApp", {"type": "template"}, 400, "template"),
    ("whatsapp.WhatsApp", {"biz_opaque_callback_data": "x" * 513}, 400, "biz_opaque_callback_data"),
    ("messenger.Messenger", {"messaging_type": "MESSAGE_TAG"}, 400, "messaging_type"),
    ("messenger.Messenger", {"recipient": {"id": "jan"}}, 400, "recipient"),
    ("messenger.Messenger", {"message": {"text": "x" * 2001}}, 400, "text"),
    ("messenger.Messenger", {"messaging_type": "UTILITY", "message": {"template": {"name": "x"}}}, 400, "approved"),
    ("instagram.Instagram", {"message": {"text": "é" * 501}}, 400, "text"),
    ("instagram.Instagram", {"message": {"text": "x", "metadata": "k"}}, 400, "metadata"),
    ("line.Line", {"to": "jan"}, 400, "to"),
    ("line.Line", {"messages": []}, 400, "error"),
    ("line.Line", {"messages": [{"type": "text", "text": "👋" * 2501}]}, 400, "error"),
    ("telegram.Telegram", {"text": " "}, 400, "empty"),
    ("telegram.Telegram", {"text": "x" * 4097}, 400, "too long"),
    ("telegram.Telegram", {"chat_id": "1"}, 400, "chat not found"),
    ("telegram.Telegram", {"reply_parameters": {"message_id": 7}}, 400, "not found"),
    ("postmark.Postmark", {"From": "other@tc.example"}, 422, "400"),
    ("postmark.Postmark", {"TextBody": ""}, 422, "300"),
    ("postmark.Postmark", {"Metadata": {"x" * 21: "y"}}, 422, "300"),
    ("postmark.Postmark", {"Headers": [{"Name": "Message-ID", "Value": "<a@b>"}]}, 422, "300"),
]


@pytest.fixture
def standin(request: pytest.FixtureRequest) -> Iterator[Standin]:
    module, _, kind = request.param.partition(".")
    running = getattr(import_module(f"tests.standins.{module}"), kind)()
    yield running
    running.stop()


def post(standin: Standin, name: str, changed: dict[str, Any], **headers: str) -> tuple[int, str]:
    path, usual, told = SENDERS[name]
    form = "form" in usual.get("Content-Type", "")
    body = {field: value for field, value in (told | changed).items() if value is not None}
    connection = HTTPConnection(urlsplit(standin.url).netloc, timeout=5)
    try:
        connection.request("POST", path, urlencode(body) if form else json.dumps(body), usual | headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("standin, name", [(name, name) for name in names], ids=names, indirect=["standin"])


@each(*SENDERS)
def test_what_is_right_goes_out_once_for_each_request(standin: Standin, name: str) -> None:
    assert standin.sent() == []
    assert [post(standin, name, {})[0] in (200, 201) for _ in range(2)] == [True, True]
    assert len(set(standin.sent())) == 2


@each(*[name for name in SENDERS if not name.startswith("telegram")])
def test_without_the_right_credentials_nothing_goes_out(standin: Standin, name: str) -> None:
    header = next(iter(SENDERS[name][1]))
    assert post(standin, name, {}, **{header: "Bearer other"})[0] == 401
    assert standin.sent() == []


@pytest.mark.parametrize(
    "standin, name, changed, status, says",
    [(name, *one) for one in WRONG for name in one[:1]],
    indirect=["standin"],
)
def test_what_the_vendor_refuses_is_refused(
    standin: Standin, name: str, changed: dict[str, Any], status: int, says: str
) -> None:
    answered, told = post(standin, name, changed)
    assert answered == status
    assert says in told
    assert standin.sent() == []


@each("line.Line")
def test_a_key_is_taken_once_until_it_is_forgotten(standin: Any, name: str) -> None:
    key = {"X-Line-Retry-Key": "123e4567-e89b-12d3-a456-426614174000"}
    first, again = post(standin, name, {}, **key), post(standin, name, {}, **key)
    assert (first[0], again[0]) == (200, 409)
    assert json.loads(again[1])["sentMessages"] == json.loads(first[1])["sentMessages"]
    assert post(standin, name, {}, **{"X-Line-Retry-Key": "no uuid"})[0] == 400
    standin.forget_keys()
    assert post(standin, name, {}, **key)[0] == 200
    assert len(standin.sent()) == 2


@each("twilio.Twilio")
def test_free_text_outside_the_window_is_taken_and_fails_later(standin: Standin, name: str) -> None:
    standin.set(late=["whatsapp:+31612345678"])
    ends = {"To": "whatsapp:+31612345678", "From": "whatsapp:+31857773200"}
    answered, told = post(standin, name, ends)
    assert (answered, json.loads(told)["status"], standin.sent()) == (201, "queued", [])
    assert standin.state()["messages"][json.loads(told)["sid"]]["error_code"] == 63016


@each("postmark.Postmark")
def test_sent_mail_is_in_the_search_only_after_a_while(standin: Any, name: str) -> None:
    post(standin, name, {"Metadata": {"draad_key": "k"}})
    query = {"count": "10", "offset": "0", "metadata_draad_key": "k"}
    assert standin._search(query).body["Messages"] == []
    standin.settle()
    assert [each["MessageID"] for each in standin._search(query).body["Messages"]] == standin.sent()
    assert standin._search(query | {"metadata_draad_key": "other"}).body["Messages"] == []
