"""How people talked, told by the events that an hour's receipts became: satisfaction, channel switches, first answers.

A switch belongs to the event with which a conversation goes on elsewhere, a first answer to the agent's event that
ends a customer's wait: so each is counted once, by whatever pages their conversation is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chalicelib.context import overview, resolve, satisfaction, timeline
from chalicelib.context.conversations import CONVERSATIONS
from chalicelib.context.overview import ANSWERS, ASKS, Entry
from chalicelib.context.timeline import Wanted
from chalicelib.model import instants, tally
from chalicelib.model.event import Event
from chalicelib.model.tally import Tally
from chalicelib.store import events
from chalicelib.store.receipts import Produced
from chalicelib.store.table import Item, Table, live

SHOWN = (*sorted(ASKS), "satisfaction")
"""Types that are read: a number is an answer to a survey only where that is seen."""
LOOKED_BACK = 200
"""Entries of a conversation that are looked at. Where an older part of it goes on, that counts as new."""
MOST_REFS, MOST_HOMES = 25, 20


def arrived(table: Table, produced: Sequence[Produced]) -> Tally:
    """Volumes, and the answers to surveys whose own system says what was answered."""
    told = ((each.pk, each.id) for each in produced if each.type == "satisfaction" and each.direction == "in")
    volumes = tally.of_events((each.channel, each.type, each.direction) for each in produced)
    return tally.added([volumes, tally.of_answers(_answers(table, told))])


def of_events(table: Table, produced: Iterable[Produced]) -> Tally:
    """Answers that were texted, switches and first answers. An event that is there no more told nothing."""
    keys = [(each.pk, each.sk) for each in produced if each.pk and each.type in ANSWERS]
    items = [item for item in table.batch_get(keys).values() if live(item)]
    said = {item["sk"]: events.from_item(item) for item in items}
    texted = [item for item in items if satisfaction.may_answer(said[item["sk"]])]
    answers = tally.of_answers(_answers(table, ((item["pk"], said[item["sk"]].id) for item in texted)))
    return tally.added([answers, *_conversations(table, items)])


def _answers(table: Table, told: Iterable[tuple[str, str]]) -> list[tuple[str, int]]:
    at_home = ((home, event) for home, event in told if home.startswith("N#"))
    return [found for home, event in at_home if (found := satisfaction.answered(table, home, event))]


def _conversations(table: Table, items: Sequence[Item]) -> Iterable[Tally]:
    """Each conversation is read once, as it was with the last of these events."""
    threads = sorted({str(item["th"]) for item in items if "th" in item})
    views = resolve.read_all(table, CONVERSATIONS, threads)
    told: dict[tuple[str, ...], list[str]] = {}
    for item in items:
        if thread := str(item.get("th", "")):
            view = views.get(thread)
            refs = tuple(sorted(view.nodes)) if view and view.customer else (thread,)
            told.setdefault(refs, []).append(item["sk"])
    for refs, sort_keys in told.items():
        yield in_conversation(_entries(table, refs, max(sort_keys)), {key.rpartition("#")[2] for key in sort_keys})


def _entries(table: Table, refs: Sequence[str], last: str) -> list[Entry]:
    """What was said in a conversation up to and with this sort key, oldest first."""
    here = [item for ref in refs[:MOST_REFS] for item in table.query(f"R#{ref}").items if live(item)]
    homes = sorted({item["sk"][2:] for item in here if item["sk"].startswith("P#")})[:MOST_HOMES]
    nodes: Mapping[str, Item] = {
        pk[2:]: item for (pk, _), item in table.batch_get([(f"N#{node}", "-") for node in homes]).items()
    }
    wanted = Wanted(limit=LOOKED_BACK, before=f"{last}~", types=SHOWN, conversations=tuple(refs))
    waiting = [each for each in here if _waits(each) and each["sk"] <= last and each["ty"] in SHOWN]
    found = {each["sk"]: each for each in (*waiting, *timeline.page(table, nodes, wanted).items)}
    return [Entry(events.from_item(found[key]), found[key]["pk"][2:], "") for key in sorted(found)]


def _waits(item: Item) -> bool:
    return item["sk"].startswith("E#") and "placed" not in item and "hm" not in item


def in_conversation(entries: Sequence[Entry], ids: set[str]) -> Tally:
    """What the events with these ids made of a conversation, whose entries are oldest first."""
    waits = [seconds for event, seconds in first_answers(entries) if event in ids]
    return tally.of_talk(((before, after) for event, before, after in switches(entries) if event in ids), waits)


def switches(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """(event, channel before, channel after) wherever a new part of it is on another channel than the part before.
    Going back to a part that is there already is none; nor is answering a survey."""
    seen: set[tuple[str, str]] = set()
    found, before = [], ""
    talked = [each for each in entries if each.event.type in ANSWERS and not overview.is_answer(each.event, entries)]
    for entry in talked:
        part = entry.event.channel, entry.event.address or entry.home
        if part in seen:
            continue
        seen.add(part)
        if before not in ("", entry.event.channel):
            found.append((entry.event.id, before, entry.event.channel))
        before = entry.event.channel
    return found


def first_answers(entries: Sequence[Entry]) -> list[tuple[str, float]]:
    """(event, seconds) of each agent's answer to something unanswered, since the first thing that was."""
    found: list[tuple[str, float]] = []
    asked: Event | None = None
    for entry in entries:
        event = entry.event
        if asked is None and overview.asks(event, entries):
            asked = event
        elif asked is not None and overview.answers(event):
            waited = instants.to_ms(event.occurred_at) - instants.to_ms(asked.occurred_at)
            found.append((event.id, waited / 1000))
            asked = None
    return found
