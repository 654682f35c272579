"""What an agent sees first: pure rules over the newest entries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.context import fields, overview, satisfaction, talk
from chalicelib.context.overview import Entry
from chalicelib.model.customer import Field
from chalicelib.model.event import Event, Ref

PHONE = "phone:+31612345678"


def said(day: int, channel: str, text: str = "Waar blijft mijn trui?", **more: Any) -> Entry:
    thread = more.pop("thread", f"{channel}-{day}")
    made = Event(
        type=more.pop("type", "message"),
        channel=channel,
        object=f"{day} {channel}",
        id=f"{day} {channel}",
        occurred_at=f"2026-09-{day:02d}T10:00:00.000Z",
        text=text,
        address=more.pop("address", PHONE),
        refs=(Ref("thread", thread), *more.pop("refs", ())),
        **more,
    )
    return Entry(made, "home", more.get("conversation", f"conv_{thread}"))


def answered(day: int, channel: str = "desk", **more: Any) -> Entry:
    return said(day, channel, "Morgen!", direction="out", actor="agent", **more)


def survey(day: int, low: int = 0, high: int = 10) -> Entry:
    more = {"type": "satisfaction", "direction": "out", "actor": "system", "details": {"scale": [low, high]}}
    return said(day, "sms", "", **more)


def newest(*entries: Entry) -> list[Entry]:
    return sorted(entries, key=lambda each: each.event.occurred_at, reverse=True)


def question_of(*entries: Entry) -> str:
    found = overview.open_question(newest(*entries))
    return found.text if found else ""


def test_the_newest_thing_asked_is_open_until_an_agent_answers() -> None:
    assert question_of(said(1, "webchat", "Is er maat 41?"), said(2, "sms", "Hallo?")) == "Hallo?"
    assert question_of(said(1, "webchat"), answered(2)) == ""
    assert question_of(said(1, "webchat"), answered(2), said(3, "sms", "En nu?")) == "En nu?"
    assert question_of(answered(1), said(2, "webchat", "Nog iets")) == "Nog iets"


def test_a_ticket_of_the_customer_asks_and_one_that_an_agent_changed_does_not() -> None:
    ticket = said(1, "desk", "Mijn trui is te klein", type="ticket")
    assert question_of(ticket) == "Mijn trui is te klein"
    assert question_of(ticket, said(2, "desk", "", type="ticket", direction="internal", actor="agent")) != ""
    assert question_of(ticket, answered(2, "email", type="email")) == ""
    waits = talk.first_answers([ticket, answered(2, "email", type="email")])
    assert [seconds for _, seconds in waits] == [86_400]


def test_an_agent_who_phones_in_vain_answers_nothing() -> None:
    for state in ("no-answer", "busy", "failed", "canceled"):
        vain = said(2, "voice", "", type="call", direction="out", actor="agent", details={"status": state})
        assert question_of(said(1, "webchat", "Is er maat 41?"), vain) == "Is er maat 41?"
    spoke = said(2, "voice", "", type="call", direction="out", actor="agent", details={"status": "completed"})
    assert question_of(said(1, "webchat", "Is er maat 41?"), spoke) == ""


def test_tokens_answers_and_what_bots_and_systems_say_are_no_question() -> None:
    first = said(1, "webchat", "Is de trui ook afgeprijsd?")
    token = said(2, "whatsapp", "Verder via WhatsApp [H:abcd]", refs=(Ref("token", "abcd"),))
    bot = said(3, "webchat", "Ik zoek het op", direction="out", actor="bot")
    order = said(4, "web", "", type="order")
    assert question_of(first, token, bot, order, survey(5), said(6, "sms", "9")) == first.event.text
    assert question_of(first, said(6, "sms", "9")) == "9", "a number that nobody asked for"
    assert question_of(first, survey(5, 1, 5), said(6, "sms", "9")) == "9", "outside the scale"
    assert question_of(first, survey(1), said(9, "sms", "9")) == "9", "later than seven days"


def test_preferred_is_what_he_begins_most_and_last() -> None:
    story = [said(1, "webchat"), said(2, "email", type="email"), said(3, "whatsapp"), said(4, "voice", type="call")]
    assert overview.preferred_channel(newest(*story)) == "voice"
    assert overview.preferred_channel(newest(*story, said(5, "email", type="email"))) == "email"
    assert overview.preferred_channel(newest(*story), explicit="line") == "line"
    assert overview.preferred_channel([]) == ""


def test_shops_surveys_and_what_we_began_are_no_preference() -> None:
    assert overview.preferred_channel([said(1, "store"), said(2, "web"), said(3, "desk")]) == ""
    assert overview.preferred_channel(newest(answered(1, "voice", type="call"))) == ""
    assert overview.preferred_channel(newest(survey(1), said(2, "sms", "9"), said(1, "email", type="email"))) == "email"
    both = (said(1, "sms", thread="t"), said(2, "sms", thread="t"), said(2, "email", type="email"))
    assert overview.preferred_channel(newest(*both)) == "email", "one thread counts once"


def test_a_switch_of_channel_is_seen_with_its_reason() -> None:
    token = said(2, "whatsapp", "Verder [H:abcd]", refs=(Ref("token", "abcd"),))
    parts = overview.segments([said(1, "webchat"), token, answered(3, "whatsapp", details={"agent": "Eva"})])
    assert [(each.channel, each.handover, each.agent, each.entries) for each in parts] == [
        ("webchat", False, "", 1),
        ("whatsapp", True, "Eva", 2),
    ]
    assert overview.switches(parts) == [
        {"at": "2026-09-02T10:00:00.000Z", "from": "webchat", "to": "whatsapp", "by": "handover"}
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("9", 9), (" 10 ", 10), ("8,5", 8.5), ("7.5\n", 7.5)],
        *[(text, None) for text in ("9!", "٩", "1e3", "-1", "", "1234", "een 9", "9" * 100)],
    ],
)
def test_a_text_that_is_only_a_number(text: str, number: float | None) -> None:
    assert satisfaction.number(text) == number


@given(st.text(max_size=40))
def test_reading_a_number_is_total(text: str) -> None:
    found = satisfaction.number(text)
    assert found is None or 0 <= found < 1000


@pytest.mark.parametrize(
    "scale", [None, [], [1], [5, 1], [1, 1], ["1", "5"], [True, 5], {"low": 1}, [1, 5, 9], [float("nan"), 5]]
)
def test_a_scale_that_is_none(scale: Any) -> None:
    assert satisfaction.scale_of({"scale": scale}) is None


def test_scores_are_of_a_hundred() -> None:
    assert [satisfaction.score_of(raw, 1, 5) for raw in (1, 2, 5)] == [0, 25, 100]
    assert satisfaction.score_of(9, 0, 10) == 90


def test_a_newer_refusal_wins_over_any_source_and_a_late_consent_does_not() -> None:
    refused = Field("denied", "2026-09-07", "crm", "e7")
    late = Field("granted", "2026-09-06", "shop", "e8", priority=9)
    tie = Field("granted", "2026-09-07", "shop", "e9", priority=9)
    for order in ([refused, late, tie], [tie, late, refused]):
        assert fields.merged({"consent_email": each} for each in order)["consent_email"] == refused
    later = Field("granted", "2026-09-08", "shop", "e9")
    assert fields.merged([{"consent_email": refused}, {"consent_email": later}])["consent_email"] == later
    assert fields.merged([{"name": refused}, {"name": late}])["name"] == late, "other fields go by priority"
