"""The arithmetic of the proof: what was sent is somewhere, once, and each system has what it must have.

Everything here is pure: sets and counts in, sentences out. Nobody's word is taken for it: `sent`
is what the player sent, the rest is what the hub and the systems answered when asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from infra.demo.tell import count

PARKED = ("malformed", "failed")
ON_REQUEST = frozenset({"identify", "consent"})
"""Event types that are never sent as activities, unless a subscription names them."""


@dataclass(frozen=True)
class Played:
    """What the player did. `facts`: distinct events among the webhooks that were acked."""

    webhooks: int
    acked: int
    facts: int


@dataclass
class Receipts:
    """What the hub says arrived. `events`: ids of all that became of it."""

    verdicts: Counter[str] = field(default_factory=Counter)
    events: set[str] = field(default_factory=set)

    def add(self, verdict: str, events: Iterable[str]) -> None:
        self.verdicts[verdict] += 1
        if verdict not in PARKED:
            self.events.update(events)

    @property
    def total(self) -> int:
        return self.verdicts.total()

    @property
    def parked(self) -> int:
        return sum(self.verdicts[each] for each in PARKED)


@dataclass
class Places:
    """Where events are, counted. `twice`: lines of a timeline beyond the first of an event.
    `strange`: entries of these customers that this run did not send."""

    timeline: int = 0
    possible: int = 0
    waiting: int = 0
    twice: int = 0
    strange: int = 0

    def add(self, other: Places) -> None:
        for name in ("timeline", "possible", "waiting", "twice", "strange"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def placed(events: Collection[str], timeline: Counter[str], possible: Collection[str] = ()) -> Places:
    """Of one customer, or of several together. `events`: ids of all that this run sent."""
    ours = Counter({each: times for each, times in timeline.items() if each in events})
    elsewhere = {each for each in possible if each in events and each not in ours}
    return Places(
        timeline=len(ours),
        possible=len(elsewhere),
        twice=ours.total() - len(ours),
        strange=timeline.total() - ours.total(),
    )


@dataclass
class Told:
    """What one destination has of some customers, against what it must have."""

    name: str
    customers: int = 0
    contacts: int = 0
    due: int = 0
    got: int = 0
    missing: int = 0
    doubled: int = 0
    unwanted: int = 0
    repeats: int = 0
    """Came again under a key by which the system drops them."""
    has_contacts: bool = True

    def add(self, other: Told) -> None:
        for name in ("customers", "contacts", "due", "got", "missing", "doubled", "unwanted", "repeats"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def line(self) -> str:
        contact = f"{count(self.contacts, 'contact')}, " if self.has_contacts else ""
        activities = f"{count(self.got, 'activity', 'activities')} of {self.due:,}, {count(self.doubled, 'double')}"
        dropped = f", {count(self.repeats, 'repeat')} dropped" if self.repeats else ""
        return f"{self.name:8} {contact}{activities}{dropped}"

    def mistakes(self) -> list[str]:
        wrong = {
            "lacks {}": self.missing,
            "has {} doubled": self.doubled,
            "has {} that it must not have": self.unwanted,
        }
        found = [
            f"{self.name} {words.format(count(number, 'activity', 'activities'))}"
            for words, number in wrong.items()
            if number
        ]
        if self.has_contacts and self.contacts != self.customers:
            found.append(f"{self.name} has {count(self.contacts, 'contact')} for {count(self.customers, 'customer')}")
        return found


def told(name: str, due: Collection[str], got: Mapping[str, int], contacts: int | None) -> Told:
    """Of one customer. `got`: event id → how often; `contacts` None: the system keeps none."""
    return Told(
        name,
        customers=1,
        contacts=contacts or 0,
        due=len(due),
        got=sum(1 for each in due if got.get(each)),
        missing=sum(1 for each in due if not got.get(each)),
        doubled=sum(times - 1 for times in got.values() if times > 1),
        unwanted=sum(1 for each, times in got.items() if times and each not in due),
        has_contacts=contacts is not None,
    )


def wanted(types: Collection[str], without: Collection[str], entry: Mapping[str, str]) -> bool:
    """Whether a timeline entry is due at a destination. `types`: the only ones, if any; `without`:
    connections of the destination itself, whose events it told us."""
    if entry["connection"] in without or (entry["type"] in ON_REQUEST and entry["type"] not in types):
        return False
    return not types or entry["type"] in types


@dataclass
class Ledger:
    """*sent (distinct) = on the timeline + possible + waiting + parked*, and who was told."""

    played: Played
    receipts: Receipts
    places: Places
    told: list[Told]
    more: list[str] = field(default_factory=list)
    """What else is wrong, in words."""

    @property
    def found(self) -> int:
        return self.places.timeline + self.places.possible + self.places.waiting + self.receipts.parked

    def mistakes(self) -> list[str]:
        """Empty when everything adds up."""
        played, receipts, places = self.played, self.receipts, self.places
        pairs = (
            (played.webhooks - played.acked, "webhooks that were not acked"),
            (played.acked - receipts.total, "acked webhooks without a receipt"),
            (receipts.total - played.acked, "receipts of nothing that was sent"),
            (played.facts - self.found, "events lost"),
            (self.found - played.facts, "events more than were sent"),
            (len(receipts.events) - (self.found - receipts.parked), "events with a receipt that are nowhere"),
            (places.twice, "lines of a timeline doubled"),
            (places.strange, "entries that this run did not send"),
        )
        found = [f"{words}: {number:,}" for number, words in pairs if number > 0]
        return found + [each for destination in self.told for each in destination.mistakes()] + self.more

    def lines(self) -> Iterable[str]:
        played, receipts, places = self.played, self.receipts, self.places
        verdicts = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(receipts.verdicts.items()))
        yield f"webhooks {played.webhooks:,} sent, {played.acked:,} acked, {receipts.total:,} receipts ({verdicts})"
        yield from (each.line() for each in self.told)
        verdict = "NOT OK" if self.mistakes() else "OK"
        yield (
            f"ledger   {played.facts:,} sent (distinct) = {places.timeline:,} on the timeline + {places.possible:,} possible"
            f" + {places.waiting:,} waiting + {receipts.parked:,} parked   {verdict}"
        )
        yield from (f"         {mistake}" for mistake in self.mistakes())
