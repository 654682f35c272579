"""Draad itself: the hub on the embedded AWS, with a signed generic source and one destination.

SIGKILL takes the hub's own processes, `http` and `workers`. The process `aws` stands for AWS, which does not die with
a function; its memory is told apart.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from bench.peers.crm import IN
from bench.peers.job import SECRET
from bench.peers.programs import PeerFailed
from bench.peers.running import Peer, Place, Running
from bench.stage import MAPPING
from infra.local.embedded import make_venv
from infra.local.errors import LocalRunFailed
from infra.local.hub import Hub
from tests.drive import Integrator
from tests.standins.partner import SECRET as PARTNER_SECRET
from tests.standins.pipedrive import CUSTOMER_FIELD, TOKEN

OWN = ("http", "workers")
VISIBILITY_SECONDS = 30
"""After which a message that a killed worker had in hand comes back. On AWS it is 360: the same, only later."""
SWEEP_SECONDS = 5
UNHURRIED = {"rate_limit": 1000}
"""What vendors allow is lifted here: measured is the hub."""


@dataclass(frozen=True)
class Destination:
    provider: str
    settings: Callable[[str], Mapping[str, Any]]
    secrets: Mapping[str, str]


CRM = Destination("pipedrive", lambda url: {"base_url": url, "customer_field": CUSTOMER_FIELD}, {"api_token": TOKEN})
WEBHOOK = Destination("webhook", lambda url: {"url": url + IN}, {"signing_secret": PARTNER_SECRET})


@contextmanager
def run(destination: Destination, place: Place) -> Iterator[Running]:
    env = {"": {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1", "DRAAD_SWEEP_SECONDS": str(SWEEP_SECONDS)}}
    try:
        with Hub(state=place.folder / "state", env=env, visibility_seconds=VISIBILITY_SECONDS) as hub:
            hook = _connected(Integrator(hub.url, hub.admin_key), destination, place.crm)
            yield Running(
                hook, partial(_pids, hub, *OWN), partial(_kill, hub), hub.wait_until_up, partial(_pids, hub, "aws")
            )
    except LocalRunFailed as wrong:
        raise PeerFailed(str(wrong)) from wrong


def _connected(who: Integrator, destination: Destination, crm: str) -> str:
    source = who.connect("generic", settings={"own_system": True}, secrets={"signing_secret": SECRET}, mapping=MAPPING)
    settings = {**destination.settings(crm), **UNHURRIED}
    who.connect(destination.provider, settings=settings, secrets=dict(destination.secrets))
    return str(source["hook_url"])


def _pids(hub: Hub, *names: str) -> list[int]:
    return [hub.children[name].pid for name in names]


def _kill(hub: Hub) -> None:
    """All at once; the hub's supervisor starts them again, as Lambda does."""
    for name in OWN:
        hub.children[name].send(signal.SIGKILL)


def _ready(tell: Callable[[str], None]) -> None:
    try:
        make_venv(tell)
    except LocalRunFailed as wrong:
        raise PeerFailed(str(wrong)) from wrong


def _peer(name: str, title: str, destination: Destination) -> Peer:
    told = f"Chalice {version('chalice')}"
    stores = "the inbox queue, then the table; a delivery is a row until it ends"
    return Peer(name, title, told, "MIT", stores, _ready, partial(run, destination))


TO_CRM = _peer("draad", "Draad, to a CRM", CRM)
TO_WEBHOOK = _peer("draad-webhook", "Draad, to a webhook", WEBHOOK)
