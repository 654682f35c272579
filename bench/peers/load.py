"""The load: senders that post signed webhooks and wait for each answer, as providers do.

What is not answered 2xx is sent again until it is, or until patience ends. Connections stay open.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.peers.job import SIGNATURE, Job

AGAIN_SECONDS = 0.2
TIMEOUT = 30.0


@dataclass(frozen=True)
class Sent:
    """`began`: of the first try; `ended`: of the try that was acked. Both by the machine's monotonic clock."""

    key: str
    began: float
    ended: float
    tries: int
    acked: bool


@dataclass(frozen=True)
class Plan:
    """`apart`: seconds from one webhook to the next, all senders together; 0: as fast as they are answered.
    `patience`: how long one webhook is tried."""

    url: str
    senders: int
    apart: float = 0.0
    patience: float = 90.0


class Wire:
    """A connection of one sender. Broken ones are made anew."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.path = parts.netloc, parts.path
        self._open: http.client.HTTPConnection | None = None

    def post(self, job: Job) -> int:
        """The status; 0 for no answer."""
        try:
            self._open = self._open or http.client.HTTPConnection(self.host, timeout=TIMEOUT)
            headers = {"Content-Type": "application/json", SIGNATURE: job.signature}
            self._open.request("POST", self.path, job.body, headers)
            answer = self._open.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0
        return answer.status

    def close(self) -> None:
        if self._open:
            self._open.close()
        self._open = None


def send(plan: Plan, jobs: Sequence[Job], acked: Callable[[int], None] = lambda count: None) -> list[Sent]:
    """`acked` is told after each ack how many there are. Jobs begin in their order."""
    waiting, count, lock = iter(enumerate(jobs)), itertools.count(1), threading.Lock()
    begun = time.monotonic()

    def work() -> list[Sent]:
        wire, done = Wire(plan.url), list[Sent]()
        while True:
            with lock:
                number, job = next(waiting, (0, None))
            if job is None:
                wire.close()
                return done
            time.sleep(max(0.0, begun + number * plan.apart - time.monotonic()))
            done.append(_until_acked(plan, wire, job))
            if done[-1].acked:
                acked(next(count))

    with ThreadPoolExecutor(plan.senders) as pool:
        futures = [pool.submit(work) for _ in range(plan.senders)]
        return [each for future in futures for each in future.result()]


def _until_acked(plan: Plan, wire: Wire, job: Job) -> Sent:
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        status = wire.post(job)
        now = time.monotonic()
        if 200 <= status < 300 or now - began > plan.patience:
            return Sent(job.key, began, now, tries, 200 <= status < 300)
        time.sleep(AGAIN_SECONDS)
