"""Peak memory of each function: each in a process of its own, at work on the embedded AWS one call at a time, as in Lambda.

What is read is the process's peak resident memory. Besides what must fit, a function's memory decides how much of a
processor it gets in Lambda: a whole one at 1,769 MB.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.drain import Town, town, until, webhooks
from infra.local.processes import Child
from tests import drive
from tests.drive import Integrator, eventually
from tests.standins.partner import SECRET

WORKERS = ("context", "fanout", "deliver", "jobs")
USUAL, LARGE, LARGE_TEXT = 200, 40, 230_000
HISTORY = 400
"""Entries of the one customer whose pages are looked at."""
STARTED_SECONDS = 60


@dataclass(frozen=True)
class Used:
    """Megabytes (2^20 bytes), at most: when it was started, and in all that it did."""

    function: str
    started: float
    most: float


def measured() -> list[Used]:
    """Linux only: elsewhere nothing is said about a process's peak."""
    if not Path("/proc/self/status").exists():
        return []
    env = {"": {"DRAAD_WORKERS": "1"}, "workers": {"DRAAD_FUNCTIONS": "sweep", "DRAAD_SWEEP_SECONDS": "5"}}
    with town(env) as place, processes(place) as pids:
        started = {name: peak(pid) for name, pid in pids.items()}
        work(place)
        return [Used(name, started[name], peak(pid)) for name, pid in pids.items()]


@contextmanager
def processes(place: Town) -> Iterator[dict[str, int]]:
    """Function → process. The hub's own workers have the sweep alone."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pids = {name: started(stack, place, folder / name, name).pid for name in WORKERS}
        own = {"api_handler": place.hub.children["http"].pid, "sweep": place.hub.children["workers"].pid}
        yield own | pids


def started(stack: ExitStack, place: Town, folder: Path, name: str) -> Child:
    folder.mkdir()
    env = place.hub.env | {"DRAAD_FUNCTIONS": name}
    child = Child(name, [sys.executable, "-m", "infra.local.pollers", "app", str(folder)], env, folder / "log")
    stack.callback(child.stop)
    child.start()
    eventually((folder / "workers-ready").exists, STARTED_SECONDS)
    return child


def peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:"))


def work(place: Town) -> None:
    """What takes most: large bodies ten at a time, long pages, and each kind of job over all of it."""
    burst = webhooks(place, 0, USUAL)
    for each in burst:
        place.send(each)
    large = [said(place, f"large-{number}", number, "x" * LARGE_TEXT) for number in range(LARGE)]
    busy = [said(place, f"busy-{number}", 900_000, f"Question {number}") for number in range(HISTORY)]
    for sent in (*large, *busy):
        if sent.go() != 200:
            raise RuntimeError("a webhook was refused")
    until(lambda: place.waiting() == 0)
    everything = USUAL + LARGE + HISTORY
    until(lambda: place.entries() == everything)
    who = Integrator(place.hub.url, place.hub.admin_key)
    look(who)
    jobs(place, who)
    until(lambda: len(place.partner.came) >= everything)


def said(place: Town, id: str, customer: int, text: str) -> drive.Sent:
    body: Mapping[str, Any] = {
        "id": id,
        "type": "message",
        "channel": "whatsapp",
        "at": "2026-09-04T10:00:00Z",
        "text": text,
        "identities": [{"kind": "phone", "value": f"+31613{customer:06d}", "assurance": "A2"}],
        "refs": [],
    }
    return drive.generic(place.chat, body)


def look(who: Integrator) -> None:
    customer = who.customer("phone:+31613900000")
    if customer is None:
        raise RuntimeError("the busy customer is not there")
    for path in ("", "/timeline?limit=200", "/sync", "/possible"):
        who.get(f"/v1/customers/{customer['id']}{path}")
    for receipt in who.get("/v1/receipts", limit=200)["receipts"][:LARGE]:
        who.get(f"/v1/receipts/{receipt['id']}")
    who.get("/v1/deliveries", limit=200)


def jobs(place: Town, who: Integrator) -> None:
    found = {each["name"]: each["id"] for each in who.get("/v1/connections")["connections"]}
    anew = who.connect(
        "webhook", "anew", settings={"url": place.partner.url + "/in"}, secrets={"signing_secret": SECRET}
    )
    begun = [
        who.call("POST", f"/v1/connections/{anew['id']}/backfill", 202, json={}),
        who.call("POST", "/v1/reconcile", 202, json={"connection": anew["id"]}),
        who.call(
            "POST", "/v1/receipts/replay", 202, json={"connection": found["chat"], "since": "2026-01-01T00:00:00Z"}
        ),
    ]
    for each in begun:
        eventually(_ended(who, each["job"]), 300, 0.5)


def _ended(who: Integrator, job: str) -> Callable[[], bool]:
    return lambda: who.get(f"/v1/jobs/{job}")["status"] in ("done", "failed")


def table(found: list[Used], configured: int) -> str:
    head = ("| function | started, MB | at most, MB | of its memory |", "|---|---|---|---|")
    rows = (
        f"| {each.function} | {each.started:.0f} | {each.most:.0f} | {each.most / configured:.0%} |" for each in found
    )
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    print(table(measured(), int(os.environ.get("MEMORY", "512"))))
