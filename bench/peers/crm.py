"""The CRM that everybody tells: a stand-in in a process of its own, which counts the posts of each event.

Others post an event to `/in`. The hub speaks the stand-in's own API. Counted is alike: a POST that was answered 2xx
and whose body has an event's key in it.

The bench talks with it by lines of JSON, so that it can be told to come back while its port is closed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.peers.job import keys_in
from infra.local.state import ROOT
from tests.standins.pipedrive import Pipedrive
from tests.standins.server import Answer, Call

IN = "/in"


class CountingCrm(Pipedrive):
    """`posts`: how often each event was taken; `first`: when, by the machine's monotonic clock."""

    def reset(self) -> None:
        super().reset()
        self.search_lag = 0.0
        self.posts: Counter[str] = Counter()
        self.first: dict[str, float] = {}

    def answer(self, call: Call) -> Answer:
        answer = Answer(body={"taken": True}) if call.path == IN else super().answer(call)
        if call.method == "POST" and 200 <= answer.status < 300:
            for key in keys_in(call.body):
                self.posts[key] += 1
                self.first.setdefault(key, time.monotonic())
        return answer


def told(crm: CountingCrm, what: str, options: dict[str, Any]) -> Any:
    """One command of the bench."""
    if what == "down":
        crm.refuse(None)
    elif what == "up":
        crm.accept()
    elif what == "behave":
        crm.behave(**options)
    elif what == "reset":
        crm.clear()
    elif what == "url":
        return crm.url
    elif what == "tell":
        with crm.lock:
            return {"posts": dict(crm.posts), "first": dict(crm.first)}
    elif what == "count":
        return len(crm.posts)
    else:
        raise ValueError(f"no command {what!r}")
    return None


def main() -> None:
    crm = CountingCrm()
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(told(crm, asked.pop("what"), asked)), flush=True)


class Crm:
    """The bench's end of the line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url: str = self.ask("url")

    def ask(self, what: str, **options: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"what": what, **options}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def count(self) -> int:
        """Events that came at least once."""
        return int(self.ask("count"))


@contextmanager
def running() -> Iterator[Crm]:
    command = [sys.executable, "-m", "bench.peers.crm"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Crm(process)
        finally:
            process.kill()


if __name__ == "__main__":
    main()
