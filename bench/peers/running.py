"""What a scenario knows of whoever does the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """`hook`: where webhooks go. `pids`: the processes whose memory counts, their children being counted with them;
    `beside`: processes that stand for a service of others, told apart. `kill`: SIGKILL to all of `pids` at once;
    `revive`: start again what was killed, and return when it answers."""

    hook: str
    pids: Callable[[], Sequence[int]]
    kill: Callable[[], None]
    revive: Callable[[], None]
    beside: Callable[[], Sequence[int]] = tuple


@dataclass(frozen=True)
class Place:
    """`folder`: empty, for its data and logs. `crm`: the URL of the CRM."""

    folder: Path
    crm: str


@dataclass(frozen=True)
class Peer:
    """`name`: on the command line. `stores`: what is durable when it acks. `run`: raises PeerFailed."""

    name: str
    title: str
    version: str
    licence: str
    stores: str
    install: Callable[[Callable[[str], None]], None]
    run: Callable[[Place], AbstractContextManager[Running]]
