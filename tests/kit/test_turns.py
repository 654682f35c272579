"""Turns of a talk: whose they are, which way they go, and what one channel may say instead."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.kit import turns
from chalicelib.kit.entries import parts
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.turns import Turn

AT = 1788264000000
TURN = Turn("messenger", "10", "77", False, "2026-09-01T12:00:00.000Z", {})


def posted(*news: dict[str, Any]) -> Request:
    return sample_request("https://hub.example.nl/hooks/con_1", {}, {"entry": [{"id": "10", "messaging": list(news)}]})


def news(sender: str, recipient: str, **told: Any) -> dict[str, Any]:
    return {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": AT, **told}


def found(request: Request, account: str = "") -> list[tuple[str, Turn]]:
    batch = parts(request.object, *turns.LISTS)
    told = [each for part in batch for each in turns.turns(request, part, turns.TYPES, "messenger", account)]
    return [(kind, turn) for kind, turn, _ in told]


def test_a_turn_knows_its_person_whichever_way_it_goes() -> None:
    echo = news("10", "77", message={"mid": "b", "is_echo": True})
    told = found(posted(news("77", "10", message={"mid": "a"}), echo))
    assert [(turn.account, turn.person, turn.out) for _, turn in told] == [("10", "77", False), ("10", "77", True)]


@pytest.mark.parametrize(
    "told",
    [
        news("10", "10", message={"mid": "a"}),
        news("", "", message={"mid": "a"}),
        news("77", "10", message={"mid": "a", "is_self": True}),
        news("77", "10", message="a"),
        news("77", "10", read={"watermark": 1}),
        {"message": {"mid": "a"}},
    ],
)
def test_what_is_no_talk_is_no_turn(told: dict[str, Any]) -> None:
    assert found(posted(told)) == []


def test_a_turn_of_another_account_is_left_out() -> None:
    assert found(posted(news("77", "10", message={"mid": "a"})), "11") == []
    assert len(found(posted(news("77", "10", message={"mid": "a"})), "10")) == 1


def test_names_are_asked_for_whoever_says_something_once_and_by_number_only() -> None:
    said = [news(who, "10", message={"mid": who}) for who in ("77", "78", "77", "x/y", "٣")]
    more = [news("79", "10", reaction={"mid": "a"}), news("10", "80", message={"mid": "e", "is_echo": True})]
    assert turns.nameless(posted(*said, *more), "messenger", "") == ["77", "78"]


def test_a_channel_may_say_more_or_something_else_of_a_message() -> None:
    told = {"mid": "a", "text": "Ja", "quick_reply": {"payload": "YES"}, "app_id": 5}
    usual = turns.message(posted(), TURN, told, {})
    assert usual.details == {"choice": "YES", "app_id": "5"} and usual.text == "Ja" and usual.object == "a"
    other = turns.message(posted(), TURN, told, {"choice": "", "story": {"id": "s"}}, summary="Yes", identities=())
    assert other.details == {"app_id": "5", "story": {"id": "s"}}
    assert other.summary == "Yes" and other.identities == ()


def test_a_deleted_message_has_no_words() -> None:
    gone = turns.message(posted(), TURN, {"mid": "a", "text": "Ja", "is_deleted": True}, {})
    assert (gone.text, gone.summary, gone.version) == ("", "Message deleted", "deleted")
    assert gone.details == {"status": "deleted"}
