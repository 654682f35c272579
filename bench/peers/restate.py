"""Restate: its server, and the job as a service in Python beside it. Both are killed, both come back."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.peers import install
from bench.peers.crm import IN
from bench.peers.job import SECRET
from bench.peers.programs import PeerFailed, Program, plain_env
from bench.peers.running import Peer, Place, Running
from infra.local.embedded import free_port

FLOW = Path(__file__).with_name("flows") / "restate_app.py"


def _binary() -> Path:
    found = sorted(
        install.folder_of(install.RESTATE).glob("node_modules/@restatedev/restate-server-*/bin/restate-server")
    )
    if not found:
        raise PeerFailed("restate has no server for this system in its package")
    return found[0]


def _server(place: Place, ingress: int, admin: int) -> Program:
    env = plain_env(
        RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{ingress}",
        RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{admin}",
        RESTATE_BIND_ADDRESS=f"127.0.0.1:{free_port()}",
        RESTATE_LISTEN_MODE="tcp",
        RESTATE_BASE_DIR=str(place.folder / "data"),
        RESTATE_NODE_NAME="bench",
        RESTATE_LOG_FILTER="warn",
        RESTATE_DISABLE_TELEMETRY="true",
    )
    command = [str(_binary()), "--no-logo"]
    return Program("restate-server", command, env, place.folder, ingress, "/restate/health")


def _service(place: Place, port: int) -> Program:
    shutil.copy(FLOW, place.folder / "restate_app.py")
    env = plain_env(PEER_SECRET=SECRET, PEER_CRM=place.crm + IN)
    python = install.python_of(install.RESTATE)
    command = [str(python), "-m", "hypercorn", "restate_app:app", "--bind", f"127.0.0.1:{port}"]
    return Program("restate-service", command, env, place.folder, port, "/health")


def _register(admin: int, service: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", admin, timeout=60)
    told = json.dumps({"uri": f"http://127.0.0.1:{service}"})
    line.request("POST", "/deployments", told, {"Content-Type": "application/json"})
    answer = line.getresponse()
    text = answer.read().decode("utf-8", "replace")
    line.close()
    if answer.status not in (200, 201):
        raise PeerFailed(f"restate took no service: {answer.status} {text[:200]}")


@contextmanager
def run(place: Place) -> Iterator[Running]:
    ingress, admin, port = free_port(), free_port(), free_port()
    programs = [_service(place, port), _server(place, ingress, admin)]

    def kill() -> None:
        for each in programs:
            each.kill()

    def revive() -> None:
        for each in programs:
            each.start()
        for each in programs:
            each.wait_until_ready()

    try:
        revive()
        _register(admin, port)
        hook = f"http://127.0.0.1:{ingress}/hooks/receive"
        yield Running(hook, lambda: [each.pid for each in programs], kill, revive)
    finally:
        for each in programs:
            each.stop()


PEER = Peer(
    "restate",
    "Restate",
    install.RESTATE.version,
    install.RESTATE.licence,
    "its log and state: the whole invocation",
    partial(install.ensure, install.RESTATE),
    run,
)
