"""Receipts as they come, each once.

A receipt appears when its webhook is taken from the inbox, which may be long after it came: retries put it off, a
worker that died does. So looking from the last one on would leave gaps. Each look goes a minute back from the last that
was answered, now and then a quarter of an hour, and seldom a day; what was shown is remembered by its id. Whatever the
outage, the first look after it goes on from before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.cli.api import Api, Query
from infra.cli.stopped import Stopped

LOOKS = ((0.0, 60), (60.0, 900), (3600.0, 86400))
"""How often in seconds, and how far back."""
LONGEST_AWAY = 30.0
PAGE = "200"
Rows = list[dict[str, Any]]


@dataclass
class Tail:
    """`show` gets new receipts, oldest first. `floor`: nothing older is looked for; `answered`: the hub's clock at the
    last look."""

    api: Api
    query: Query
    show: Callable[[Rows], None]
    clock: Callable[[], float]
    floor: datetime | None = None
    answered: datetime | None = None
    seen: dict[str, str] = field(default_factory=dict)
    looked: list[float] = field(default_factory=list)

    def begin(self, shown: int) -> None:
        """What came in the last minute is there already; then the newest are shown, so that nothing falls between the
        two. Raises Stopped."""
        self.floor = self.api.get("/v1/receipts", [*self.query, ("limit", "1")]).at - timedelta(seconds=LOOKS[0][1])
        self._remember(self._since(self.floor))
        self.looked = [self.clock()] * len(LOOKS)
        if shown:
            newest = self.api.get("/v1/receipts", [*self.query, ("limit", str(shown))]).found["receipts"]
            self._remember(newest)
            self.show(list(reversed(newest)))

    def look(self) -> None:
        """One look; what it finds is shown once it is whole. Raises Stopped, and then nothing was shown."""
        assert self.floor is not None and self.answered is not None
        now = self.clock()
        back = max(back for (every, back), last in zip(LOOKS, self.looked, strict=True) if now - last >= every)
        since = max(self.floor, self.answered - timedelta(seconds=back))
        found = self._since(since)
        new = [row for row in reversed(found) if row["id"] not in self.seen]
        self.looked = [now if reach <= back else last for (_, reach), last in zip(LOOKS, self.looked, strict=True)]
        self.show(new)
        self._remember(new)
        self._forget()

    def _since(self, since: datetime) -> Rows:
        """Newest first. A page is as old as the hub's clock when the first of them was asked for."""
        found: Rows = []
        asked = None
        for page in self.api.pages("/v1/receipts", [*self.query, ("since", _text(since)), ("limit", PAGE)]):
            asked = asked or page.at
            found += page.found["receipts"]
        self.answered = asked or self.answered
        return list({row["id"]: row for row in found}.values())

    def _remember(self, rows: Rows) -> None:
        self.seen.update((row["id"], row["received_at"]) for row in rows)

    def _forget(self) -> None:
        """What no look reaches any more."""
        assert self.answered is not None
        reach = _text(self.answered - timedelta(seconds=2 * LOOKS[-1][1]))
        self.seen = {id: at for id, at in self.seen.items() if at > reach}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def follow(tail: Tail, every: float, sleep: Callable[[float], None], note: Callable[[str], None]) -> None:
    """Until somebody stops it. A hub that does not answer is waited for."""
    away = 0.0
    while True:
        sleep(away or every)
        try:
            tail.look()
        except Stopped as stopped:
            if not stopped.passing:
                raise
            if not away:
                note(f"{stopped.wrong}: trying again until it does; nothing is left out")
            away = min(max(2 * away, every), LONGEST_AWAY)
            continue
        if away:
            note("the hub answers again")
        away = 0.0
