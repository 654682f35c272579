"""What an agent must know before the customer says hello: the open question, the conversations that
are going on, and how he likes to be reached. Pure functions of his newest entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chalicelib.context import satisfaction
from chalicelib.model import instants
from chalicelib.model.event import NOT_CONTACTABLE, Event

HALF_LIFE_MS = 90 * 86_400_000
NEWEST = 50
"""Entries that are looked at."""
TALK = frozenset({"message", "email", "call", "fax", "ticket", "note"})
"""Types that make a conversation rather than a fact about an order."""
ANSWERS = frozenset({"message", "email", "call", "fax"})
ASKS = ANSWERS | {"ticket"}
IN_VAIN = frozenset({"no-answer", "busy", "failed", "canceled"})
"""States of a call in which nobody spoke."""


@dataclass(frozen=True)
class Entry:
    """`home`: the node that it lies at; `conversation`: its public id, empty for none."""

    event: Event
    home: str
    conversation: str


def is_answer(event: Event, entries: Sequence[Entry]) -> bool:
    """Whether a text answers a survey that was sent to the same address."""
    raw = satisfaction.number(event.text) if satisfaction.may_answer(event) else None
    if raw is None:
        return False
    here = satisfaction.address_of(event)
    for each in (entry.event for entry in entries if satisfaction.sends_survey(entry.event)):
        low, high = satisfaction.scale_of(each.details) or (1.0, 0.0)
        inside = low <= raw <= high and satisfaction.answers(each.occurred_at, event.occurred_at)
        if inside and satisfaction.address_of(each) == here:
            return True
    return False


def asks(event: Event, entries: Sequence[Entry]) -> bool:
    """Whether this is something that a customer said and nobody need take for a token or an answer."""
    said = event.direction == "in" and event.actor == "customer" and event.type in ASKS and bool(event.text.strip())
    return said and not any(ref.kind == "token" for ref in event.refs) and not is_answer(event, entries)


def answers(event: Event) -> bool:
    """Whether an agent said something to the customer; a call in vain said nothing."""
    said = event.actor == "agent" and event.direction == "out" and event.type in ANSWERS
    return said and not (event.type == "call" and event.details.get("status") in IN_VAIN)


def open_question(entries: Sequence[Entry]) -> Event | None:
    """The newest thing that was asked, unless an agent said something since. Newest entry first."""
    for entry in entries:
        event = entry.event
        if answers(event):
            return None
        if asks(event, entries):
            return event
    return None


@dataclass(frozen=True)
class Segment:
    """One identity's part of one thread on one channel."""

    channel: str
    started_at: str
    last_at: str
    address: str
    agent: str
    handover: bool
    entries: int


def segments(entries: Sequence[Entry]) -> list[Segment]:
    """Of one conversation, oldest first. A new one begins where channel or thread changes hands."""
    found: dict[tuple[str, str], list[Event]] = {}
    for entry in sorted(entries, key=_order):
        event = entry.event
        found.setdefault((event.channel, event.address or entry.home), []).append(event)
    made = [_segment(channel, here) for (channel, _), here in found.items()]
    return sorted(made, key=lambda each: (each.started_at, each.channel))


def _order(entry: Entry) -> tuple[str, str]:
    return entry.event.occurred_at, entry.event.id


def _segment(channel: str, here: Sequence[Event]) -> Segment:
    agents = [str(each.details["agent"]) for each in here if each.details.get("agent")]
    return Segment(
        channel=channel,
        started_at=here[0].occurred_at,
        last_at=here[-1].occurred_at,
        address=next((each.address for each in here if each.address), ""),
        agent=agents[-1] if agents else "",
        handover=any(ref.kind == "token" for each in here for ref in each.refs),
        entries=len(here),
    )


def switches(parts: Sequence[Segment]) -> list[dict[str, Any]]:
    """Where a conversation went on elsewhere."""
    return [
        {"at": b.started_at, "from": a.channel, "to": b.channel, "by": "handover" if b.handover else "reference"}
        for a, b in pairwise(parts)
        if a.channel != b.channel
    ]


def conversations(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Those in which people talked, the newest first."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.conversation:
            grouped.setdefault(entry.conversation, []).append(entry)
    talks = {id: here for id, here in grouped.items() if any(each.event.type in TALK for each in here)}
    return [_conversation(id, here) for id, here in talks.items()]


def _conversation(id: str, here: Sequence[Entry]) -> dict[str, Any]:
    parts = segments(here)
    asked = open_question(here)
    moved = switches(parts)
    return {
        "id": id,
        "channel": parts[-1].channel,
        "started_at": parts[0].started_at,
        "last_at": max(each.event.occurred_at for each in here),
        "handover_from": moved[-1]["from"] if moved else None,
        "switches": moved,
        "open_question": question(asked),
    }


def question(event: Event | None) -> dict[str, Any] | None:
    if event is None:
        return None
    about = {"event": event.id, "at": event.occurred_at, "type": event.type, "channel": event.channel}
    return {**about, "text": event.text, "sensitive": event.sensitive}


def preferred_channel(entries: Sequence[Entry], explicit: str = "") -> str:
    """The channel he named; else the one with the greatest weight of what he began himself, each
    segment halved every 90 days, the most recent where they are equal. Empty: nothing to go by."""
    if explicit:
        return explicit
    begun = _begun(entries)
    if not begun:
        return ""
    newest = max(at for _, at in begun)
    weights: dict[str, float] = {}
    for channel, at in begun:
        weights[channel] = weights.get(channel, 0.0) + 2.0 ** ((at - newest) / HALF_LIFE_MS)
    latest = {channel: max(at for each, at in begun if each == channel) for channel in weights}
    return max(weights, key=lambda channel: (round(weights[channel], 9), latest[channel], channel))


def _begun(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """(channel, ms) of the customer's own part of each thread, on channels with a reply address."""
    first: dict[tuple[str, str], Event] = {}
    for entry in sorted(entries, key=_order):
        event = entry.event
        own = event.direction == "in" and event.actor == "customer" and event.type in ANSWERS
        thread = next((ref.text for ref in event.refs if ref.kind == "thread"), entry.conversation or event.id)
        if own and event.channel not in NOT_CONTACTABLE and not is_answer(event, entries):
            first.setdefault((thread, event.channel), event)
    return [(each.channel, instants.to_ms(each.occurred_at)) for each in first.values()]


def told(entries: Sequence[Entry], explicit: str) -> dict[str, Any]:
    """All of it, for the screen-pop."""
    return {
        "preferred_channel": preferred_channel(entries, explicit) or None,
        "open_question": question(open_question(entries)),
        "conversations": conversations(entries),
    }
