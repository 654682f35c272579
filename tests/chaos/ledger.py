"""Every event by name, and where it is: *sent = on timelines + possible + waiting + parked*.

Pure: names and counts in, sentences out. What was sent is known by the senders; where it is, the
hub's API says; what each system has, that system says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from infra.demo.ledger import Told

TIMELINE, POSSIBLE, WAITING, PARKED = "timeline", "possible", "waiting", "parked"
PLACES = (TIMELINE, POSSIBLE, WAITING, PARKED)


@dataclass
class Found:
    """Where events are: name → how often, for each place. `strange`: events that nobody sent."""

    places: dict[str, Counter[str]] = field(default_factory=lambda: {each: Counter() for each in PLACES})
    strange: list[str] = field(default_factory=list)

    def add(self, place: str, name: str) -> None:
        self.places[place][name] += 1

    def of(self, name: str) -> list[str]:
        return [place for place in PLACES for _ in range(self.places[place][name])]


@dataclass(frozen=True)
class Ledger:
    """`sent`: name → the place where it must be. `refused`: webhooks that were never acked."""

    sent: Mapping[str, str]
    found: Found
    told: tuple[Told, ...] = ()
    refused: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, str]:
        """Every event and where it is; `lost` is acked and nowhere."""
        return {
            name: " and ".join(self.found.of(name)) or ("never acked" if name in self.refused else "lost")
            for name in self.sent
        }

    @property
    def lost(self) -> list[str]:
        """Acked and nowhere. What was never acked is still its sender's."""
        return [name for name in self.sent if not self.found.of(name) and name not in self.refused]

    @property
    def doubled(self) -> list[str]:
        return [name for name in self.sent if len(self.found.of(name)) > 1]

    def mistakes(self) -> list[str]:
        """Empty when everything adds up."""
        wrong = [f"lost: {name}" for name in self.lost]
        wrong += [f"{len(self.found.of(name))} times: {name} ({where})" for name, where in self._of(self.doubled)]
        wrong += [
            f"elsewhere: {name} is {where}, must be {self.sent[name]}"
            for name, where in self._of(self.sent)
            if self.found.of(name) and set(self.found.of(name)) != {self.sent[name]}
        ]
        wrong += [f"not sent by anybody: {each}" for each in self.found.strange]
        wrong += [f"never acked: {each}" for each in self.refused]
        return wrong + [each for told in self.told for each in told.mistakes()] + list(self.more)

    def _of(self, names: list[str] | Mapping[str, str]) -> Iterator[tuple[str, str]]:
        return ((name, self.named[name]) for name in names)

    def lines(self) -> Iterator[str]:
        sums = {place: sum(1 for name in self.sent if self.found.of(name)[:1] == [place]) for place in PLACES}
        yield from (each.line() for each in self.told)
        yield (
            f"ledger   {len(self.sent):,} sent = {sums[TIMELINE]:,} on timelines + {sums[POSSIBLE]:,} possible + "
            f"{sums[WAITING]:,} waiting + {sums[PARKED]:,} parked; {len(self.lost)} lost, {len(self.doubled)} doubled   "
            f"{'NOT OK' if self.mistakes() else 'OK'}"
        )
        yield from (f"         {each}" for each in self.mistakes())
