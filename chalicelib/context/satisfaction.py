"""Satisfaction: what customers answered, by the survey's own scale, and about which channel.

A survey is known by its sending. An inbound text that is only a number in its scale, on the same
address, within seven days after the newest sending, is its answer, whichever of the two arrives
first: both are written under the address before the other is looked for. The latest answer counts.
Moments are the events' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.context import conversations
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import CONTACT_POINTS
from chalicelib.settings import settings
from chalicelib.store import events
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import ABSENT, EXISTS, Delete, Item, Put, Table, Update, equal, live, now_seconds

WINDOW = timedelta(days=7)
SENT, SAID = "S#", "T#"
"""Under an address: surveys that were sent to it, and numbers that came from it."""
KEPT = "S#"
"""At a node: the latest answer to a survey."""
SUBJECTS = frozenset({"order", "receipt", "case", "thread"})
SHOWN = 5
"""Newest surveys of a customer whose subject is looked up."""
_NUMBER = re.compile(r"\s*([0-9]{1,3})(?:[.,]([0-9]))?\s*\Z", re.ASCII)


def number(text: str) -> float | None:
    """The number that a text is and nothing else."""
    found = _NUMBER.match(text[:20]) if len(text) <= 20 else None
    return float(f"{found[1]}.{found[2] or 0}") if found else None


def sends_survey(event: Event) -> bool:
    return event.type == "satisfaction" and event.direction == "out" and scale_of(event.details) is not None


def may_answer(event: Event) -> bool:
    texting = event.type == "message" and event.direction == "in" and event.actor == "customer"
    return texting and number(event.text) is not None


def scale_of(details: Mapping[str, Any]) -> tuple[float, float] | None:
    """(lowest, highest) of a details object; None for one without a scale."""
    given = details.get("scale")
    if not isinstance(given, list | tuple) or len(given) != 2:
        return None
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in given):
        return None
    low, high = float(given[0]), float(given[1])
    return (low, high) if low < high else None


def score_of(raw: float, low: float, high: float) -> int:
    """0 to 100."""
    return round((raw - low) / (high - low) * 100)


def address_of(event: Event) -> str:
    known = (each.text for each in event.identities if each.kind in CONTACT_POINTS)
    return event.address or next(known, "")


def answers(sent: str, said: str) -> bool:
    """Whether what was said at one moment may answer what was sent at the other."""
    return sent < said <= instants.from_ms(instants.to_ms(sent) + int(WINDOW.total_seconds() * 1000))


def keep(table: Table, event: Event, home: str, days: int = 0) -> None:
    """Whatever an event that is at home on the node `home` says of satisfaction. Runs again harmlessly.
    `days`: how long a survey's sending and what may answer it are kept."""
    if event.type == "satisfaction" and event.direction == "in":
        _keep_direct(table, event, home)
    elif (sends_survey(event) or may_answer(event)) and address_of(event):
        pk = f"R#{ref_id(Ref('address', address_of(event)))}"
        item = _sent(pk, event) if sends_survey(event) else _said(pk, event, home)
        table.write(Put(item | {"x": now_seconds() + events.kept_seconds(days)}))
        _settle(table, pk, event)


def survey_of(event: Event) -> Ref:
    named = next((ref for ref in event.refs if ref.kind == "survey"), None)
    return named or Ref("event", event.id)


def _until() -> int:
    return now_seconds() + settings().event_retention_days * 86400


def _sent(pk: str, event: Event) -> Item:
    low, high = scale_of(event.details) or (0.0, 0.0)
    survey = survey_of(event)
    return {
        "pk": pk,
        "sk": f"{SENT}{event.occurred_at}#{event.id}",
        "ref": [survey.kind, survey.value, survey.scope],
        "lo": str(low),
        "hi": str(high),
        "sub": [ref_id(ref) for ref in event.refs if ref.kind in SUBJECTS and not ref.typed],
        "sc": _word(event.details.get("subject_channel")),
    }


def _said(pk: str, event: Event, home: str) -> Item:
    thread = events.thread_of(event)
    return {
        "pk": pk,
        "sk": f"{SAID}{event.occurred_at}#{event.id}",
        "n": str(number(event.text)),
        "hm": home,
        "ch": event.channel,
        "th": [thread.kind, thread.value, thread.scope] if thread else [],
    }


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _when(item: Item) -> str:
    return str(item["sk"][2:26])


def _settle(table: Table, pk: str, event: Event) -> None:
    """Until nothing came in between: whoever is second settles for both."""
    items: list[Item] = []
    while True:
        found = [item for item in table.query(pk).items if live(item)]
        if [item["sk"] for item in found] == [item["sk"] for item in items]:
            return
        items = found
        sendings = [item for item in items if item["sk"].startswith(SENT)]
        texts = [item for item in items if item["sk"].startswith(SAID)]
        _converse(table, event, sendings, texts)
        _write(table, sendings, texts)


def _fits(sending: Item, said: Item) -> bool:
    inside = float(sending["lo"]) <= float(said["n"]) <= float(sending["hi"])
    return inside and answers(_when(sending), _when(said))


def _converse(table: Table, event: Event, sendings: Sequence[Item], texts: Sequence[Item]) -> None:
    """A thread in which a survey was answered is one conversation with what the survey is about."""
    for sending in sendings:
        for said in texts:
            if event.id in (sending["sk"][27:], said["sk"][27:]) and said["th"] and _fits(sending, said):
                conversations.link(table, event, (Ref(*said["th"]), Ref(*sending["ref"])))


def assigned(sendings: Sequence[Item], texts: Sequence[Item]) -> dict[tuple[str, str], tuple[Item, Item]]:
    """(home, survey) → (sending, latest answer)."""
    found: dict[tuple[str, str], tuple[Item, Item]] = {}
    for said in sorted(texts, key=lambda item: str(item["sk"])):
        before = [sending for sending in sendings if _when(sending) < _when(said)]
        newest = max(before, key=lambda item: str(item["sk"]), default=None)
        if newest and _fits(newest, said):
            found[said["hm"], ref_id(Ref(*newest["ref"]))] = newest, said
    return found


def _write(table: Table, sendings: Sequence[Item], texts: Sequence[Item]) -> None:
    wanted = assigned(sendings, texts)
    ours = {said["sk"][27:] for said in texts}
    surveys = {ref_id(Ref(*sending["ref"])) for sending in sendings}
    keys = [(f"N#{home}", f"{KEPT}{survey}") for home in {said["hm"] for said in texts} for survey in surveys]
    known = table.batch_get(keys)
    for key in keys:
        existing = known.get(key)
        pair = wanted.get((key[0][2:], key[1][2:]))
        if pair:
            _replace(table, _answer(key, *pair), existing, ours)
        elif existing and existing["eid"] in ours:
            table.write(Delete(key, equal(eid=existing["eid"])))


def _answer(key: tuple[str, str], sending: Item, said: Item) -> Item:
    return {
        "pk": key[0],
        "sk": key[1],
        "raw": said["n"],
        "lo": sending["lo"],
        "hi": sending["hi"],
        "at": _when(said),
        "eid": said["sk"][27:],
        "ch": said["ch"],
        "sub": sending["sub"],
        "sc": sending["sc"],
        "sent": _when(sending),
        "x": sending["x"],
    }


def _keep_direct(table: Table, event: Event, home: str) -> None:
    """An answer that the survey's own system tells whole."""
    raw, scale = event.details.get("score"), scale_of(event.details)
    if not isinstance(raw, int | float) or isinstance(raw, bool) or scale is None:
        return
    item: Item = {
        "pk": f"N#{home}",
        "sk": f"{KEPT}{ref_id(survey_of(event))}",
        "raw": str(float(raw)),
        "lo": str(scale[0]),
        "hi": str(scale[1]),
        "at": event.occurred_at,
        "eid": event.id,
        "ch": event.channel,
        "sub": [ref_id(ref) for ref in event.refs if ref.kind in SUBJECTS and not ref.typed],
        "sc": _word(event.details.get("subject_channel")),
        "sent": event.occurred_at,
        "x": _until(),
    }
    _replace(table, item, table.get((item["pk"], item["sk"])), frozenset())


def _replace(table: Table, item: Item, existing: Item | None, ours: Iterable[str]) -> None:
    """Put it unless a later answer is there. `ours`: answers whose survey is settled here, so that
    a later one of them that is kept here now belongs to another survey."""
    while existing is None or (existing["eid"] != item["eid"] and _gives_way(existing, item, ours)):
        # the mark first: nobody looks for an answer at a node without it, and a worker may die here
        table.write(Update((item["pk"], "-"), {"sat": True}, when=EXISTS))
        if table.write(Put(item, equal(eid=existing["eid"]) if existing else ABSENT)):
            return
        existing = table.get((item["pk"], item["sk"]))


def _gives_way(existing: Item, item: Item, ours: Iterable[str]) -> bool:
    return (existing["at"], existing["eid"]) < (item["at"], item["eid"]) or existing["eid"] in ours


@dataclass(frozen=True)
class Score:
    """One survey's latest answer. `channel`: what it is about; `collected_via`: how it was given."""

    channel: str
    score: int
    raw: float
    scale: tuple[float, float]
    collected_via: str
    at: str
    event: str


def of_nodes(table: Table, nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Per channel: the latest score with its raw value and scale, how it was collected, and the
    average and number of the surveys about that channel."""
    items = [item for node in nodes for item in table.query(f"N#{node}", begins=KEPT).items if live(item)]
    items.sort(key=lambda item: (str(item["at"]), str(item["eid"])), reverse=True)
    scores = [_score(table, item, look=place < SHOWN) for place, item in enumerate(items)]
    found: dict[str, dict[str, Any]] = {}
    for channel in sorted({each.channel for each in scores}):
        here = [each for each in scores if each.channel == channel]
        found[channel] = _shown(here[0]) | {
            "average": round(sum(each.score for each in here) / len(here)),
            "answers": len(here),
        }
    return found


def answered(table: Table, home: str, event: str) -> tuple[str, int] | None:
    """(channel that it is about, score) of the survey whose latest answer this event is; None where it is none,
    or where a later one took its place. `home`: the partition of the event."""
    found = (item for item in table.query(home, begins=KEPT).items if item["eid"] == event and live(item))
    score = next((_score(table, item, look=True) for item in found), None)
    return (score.channel, score.score) if score else None


def _shown(score: Score) -> dict[str, Any]:
    return {
        "score": score.score,
        "raw": _plain(score.raw),
        "scale": [_plain(each) for each in score.scale],
        "collected_via": score.collected_via,
        "at": score.at,
        "event": score.event,
    }


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _score(table: Table, item: Item, *, look: bool) -> Score:
    raw, low, high = (float(item[name]) for name in ("raw", "lo", "hi"))
    channel = item["sc"] or (_closed_on(table, item) if look else "") or item["ch"]
    bounded = min(max(raw, low), high)
    return Score(channel, score_of(bounded, low, high), raw, (low, high), item["ch"], item["at"], item["eid"])


def _closed_on(table: Table, item: Item) -> str:
    """The channel of the newest thing that happened under the survey's subject before it was sent."""
    found: list[tuple[str, str]] = []
    for ref in item["sub"][:3]:
        for each in table.query(f"R#{ref}").items:
            if each["sk"].startswith("E#") and each["ty"] != "satisfaction":
                found.append((each["sk"][2:26], each["ch"]))
            elif each["sk"].startswith("P#") and not each.get("vo"):
                found.append((each["at"], each["ch"]))
    return max(((at, channel) for at, channel in found if at < item["sent"]), default=("", ""))[1]
