from typing import Any

import pytest

from chalicelib.errors import Rejected, Unknown
from chalicelib.kit import sending
from chalicelib.model.identity import Identity
from chalicelib.model.message import Message

PHONE = Identity("phone", "+31612345678")


def message(**told: Any) -> Message:
    return Message(**{"key": "k1", "channel": "email", "to": PHONE, "text": "Hello."} | told)


@pytest.mark.parametrize(
    ("thread", "reply_to", "expected"),
    [
        ("", "", {}),
        ("m1@x.nl", "", {"In-Reply-To": "<m1@x.nl>", "References": "<m1@x.nl>"}),
        ("", "<m3@x.nl>", {"In-Reply-To": "<m3@x.nl>", "References": "<m3@x.nl>"}),
        ("<m1@x.nl>", "m1@x.nl", {"In-Reply-To": "<m1@x.nl>", "References": "<m1@x.nl>"}),
        ("m1@x.nl", "m3@x.nl", {"In-Reply-To": "<m3@x.nl>", "References": "<m1@x.nl> <m3@x.nl>"}),
        ("5bxk4w7digest", "m3@x.nl", {"In-Reply-To": "<m3@x.nl>", "References": "<m3@x.nl>"}),
        ("m1@x.nl\r\nBcc: a@x.nl", "", {}),
    ],
)
def test_a_mail_names_the_thread_that_it_goes_on(thread: str, reply_to: str, expected: dict[str, str]) -> None:
    assert sending.thread_headers(message(thread=thread, reply_to=reply_to)) == expected


@pytest.mark.parametrize(
    ("configured", "own", "expected"),
    [
        ("TC <service@tc.example>", "", ("TC <service@tc.example>", "")),
        ("TC <Service@tc.example>", "email:service@tc.example", ("TC <Service@tc.example>", "")),
        ("service@tc.example", "email:orders@tc.example", ("service@tc.example", "orders@tc.example")),
        ("", "email:orders@tc.example", ("orders@tc.example", "")),
    ],
)
def test_replies_go_to_the_address_of_the_conversation(configured: str, own: str, expected: tuple[str, str]) -> None:
    assert sending.sender(message(own=own), configured) == expected


@pytest.mark.parametrize("own", ["", "orders@tc.example", "line:bot/U1", "nonsense"])
def test_what_is_no_contact_point_of_ours_is_no_sender(own: str) -> None:
    assert sending.own_address(message(own=own)) == ""
    with pytest.raises(Rejected):
        sending.sender(message(own=own), "")


def test_keys_are_uuids_that_never_change() -> None:
    assert (
        sending.uuid_key(message())
        == sending.uuid_key(message(text="Other."))
        == "5035ecfe-9903-5255-8bfc-7fcb2d3b4d3d"
    )
    assert sending.uuid_key(message(key="k2")) != sending.uuid_key(message())


@pytest.mark.parametrize("told", [{"text": ""}, {"text": " \n"}, {"template": "t"}])
def test_without_text_nothing_goes(told: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        sending.words(message(**told))


def test_free_text_needs_an_open_window() -> None:
    assert sending.free_words(message()) == sending.words(message(free=False)) == "Hello."
    with pytest.raises(Rejected, match="only a template may go"):
        sending.free_words(message(free=False))


def test_an_address_of_another_kind_is_refused() -> None:
    assert sending.address(message(), "whatsapp", "phone") == "+31612345678"
    with pytest.raises(Rejected, match="line, not phone"):
        sending.address(message(), "line")


def test_moments() -> None:
    assert sending.began(message(since="2026-09-05T13:10:00.500Z")) == 1_788_613_800.5
    assert sending.seconds("Sat, 05 Sep 2026 13:10:00 +0000") == 1_788_613_800.0
    assert [sending.seconds(wrong) for wrong in ("", "soon", "Sat, 99 Sep 2026 13:10:00 +0000")] == [None] * 3
    with pytest.raises(Unknown):
        sending.began(message())


@pytest.mark.parametrize(("subject", "expected"), [("Re: x", "Re: x"), (" a\r\n b\t", "a b")])
def test_a_subject_is_one_line(subject: str, expected: str) -> None:
    assert sending.subject(message(subject=subject)) == expected


def test_a_mail_without_subject_does_not_go() -> None:
    with pytest.raises(Rejected):
        sending.subject(message(subject="\n"))
