"""What an event makes of its conversation does not depend on the pages in which it is looked at."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.context import overview, talk
from chalicelib.context.overview import Entry
from chalicelib.model import instants, tally
from chalicelib.model.event import Event

PHONE, MAIL = "phone:+31612345678", "email:jan@example.nl"
START = 1_790_000_000_000


def said(minute: int, channel: str, text: str = "Waar blijft mijn trui?", **more: Any) -> Entry:
    told = {"type": "message", "address": PHONE, "object": f"{minute}", "id": f"e{minute:04d}"} | more
    return Entry(
        Event(channel=channel, text=text, occurred_at=instants.from_ms(START + minute * 60_000), **told), "n", ""
    )


def answered(minute: int, channel: str, **more: Any) -> Entry:
    return said(minute, channel, "Morgen!", direction="out", actor="agent", **more)


def test_a_wait_begins_with_the_first_thing_that_nobody_answered() -> None:
    told = [
        answered(0, "webchat"),
        said(1, "webchat"),
        said(3, "webchat", "Hallo?"),
        answered(5, "webchat"),
        answered(6, "webchat"),
        said(10, "whatsapp"),
        said(11, "whatsapp", "U spreekt met de bot", actor="bot", direction="out"),
        answered(30, "email"),
    ]
    assert talk.first_answers(told) == [("e0005", 240.0), ("e0030", 1200.0)]


def test_a_number_for_a_survey_and_a_note_between_agents_are_no_question() -> None:
    survey = said(1, "sms", "", type="satisfaction", direction="out", actor="system", details={"scale": [0, 10]})
    note = said(3, "sms", "hij belt nooit", type="note", direction="internal", actor="agent")
    assert talk.first_answers([survey, said(2, "sms", "9"), note, answered(4, "sms")]) == []
    assert talk.switches([said(0, "whatsapp"), survey, said(2, "sms", "9")]) == [], "and no channel that he went to"


def test_a_conversation_goes_on_elsewhere_once_for_each_part() -> None:
    told = [
        said(0, "webchat", address="web:tc/a-1"),
        answered(1, "webchat", address="web:tc/a-1"),
        said(2, "whatsapp"),
        said(3, "webchat", address="web:tc/a-1"),
        said(4, "email", address=MAIL, type="email"),
        said(5, "order", type="order"),
        answered(6, "whatsapp"),
    ]
    assert talk.switches(told) == [("e0002", "webchat", "whatsapp"), ("e0004", "whatsapp", "email")]


def test_the_timeline_says_the_same_of_where_it_went() -> None:
    told = [said(0, "webchat", address="web:tc/a-1"), said(2, "whatsapp"), said(4, "email", address=MAIL)]
    moved = overview.switches(overview.segments(told))
    assert [(each["from"], each["to"]) for each in moved] == [(one, other) for _, one, other in talk.switches(told)]


channels = st.sampled_from(["webchat", "whatsapp", "email", "voice"])
lines = st.lists(st.tuples(channels, st.booleans(), st.sampled_from([PHONE, MAIL])), max_size=20)


@given(lines, st.data())
def test_page_by_page_is_as_all_at_once(drawn: list[tuple[str, bool, str]], data: st.DataObject) -> None:
    told = [
        (answered if agent else said)(minute, channel, address=address)
        for minute, (channel, agent, address) in enumerate(drawn)
    ]
    ids = [each.event.id for each in told]
    pages: dict[int, set[str]] = {}
    for id in ids:
        pages.setdefault(data.draw(st.integers(0, 4)), set()).add(id)
    parts = []
    for page in pages.values():
        last = max(page)
        parts.append(talk.in_conversation([each for each in told if each.event.id <= last], page))
    assert tally.added(parts) == talk.in_conversation(told, set(ids))
