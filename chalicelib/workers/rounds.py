"""What is looked after by the clock: a turn every so often, one at a time, claimed before it begins.

C#c | ORG  <name>    due night (epoch s) job at ver
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.store import jobs
from chalicelib.store.table import ABSENT, Item, Key, Put, Table, equal

NIGHT = 2 * 3600
"""Second of the day (UTC) after which what is nightly is due."""
STALE_SECONDS = 6 * 3600
"""After this long a job that still runs holds the next one up no longer."""


@dataclass(frozen=True)
class Round:
    """One thing that recurs, as it stands. `now`: epoch seconds."""

    key: Key
    state: Item | None
    now: int

    def free(self, table: Table) -> bool:
        """Whether it is due, and its last job is over."""
        if self.state is None:
            return True
        if self.state["due"] > self.now:
            return False
        job = jobs.get(table, self.state["job"]) if self.now - self.state["at"] <= STALE_SECONDS else None
        return job is None or job.status != jobs.RUNNING

    @property
    def nightly(self) -> bool:
        """Whether the night's full one is due; so it is the first time."""
        return self.state is None or self.state["night"] <= self.now

    def claim(self, table: Table, job: str, seconds: int, *, full: bool) -> bool:
        """Whoever gets it begins `job`, and nobody else this one. The next is due in `seconds`."""
        night = self.state["night"] if self.state and not full else _next_night(self.now)
        ver = self.state["ver"] if self.state else 0
        fresh = {"due": self.now + seconds, "night": night, "job": job, "at": self.now, "ver": ver + 1}
        return table.write(
            Put({"pk": self.key[0], "sk": self.key[1]} | fresh, equal(ver=ver) if self.state else ABSENT)
        )


def _next_night(now: int) -> int:
    return (now - NIGHT) // 86400 * 86400 + 86400 + NIGHT
