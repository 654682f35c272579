"""Node-RED: a flow with a function, an answer and a request; customers and entries in SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.peers import install
from bench.peers.crm import IN
from bench.peers.job import SECRET
from bench.peers.programs import Program, plain_env
from bench.peers.running import Peer, Place, Running
from infra.local.embedded import free_port

FLOWS = Path(__file__).with_name("flows")
SCRIPT = install.folder_of(install.NODE_RED) / "node_modules" / "node-red" / "red.js"


@contextmanager
def run(place: Place) -> Iterator[Running]:
    port = free_port()
    settings = shutil.copy(FLOWS / "node-red-settings.js", place.folder / "settings.js")
    shutil.copy(FLOWS / "node-red.json", place.folder / "flow.json")
    env = plain_env(
        PEER_PORT=str(port),
        PEER_FOLDER=str(place.folder),
        PEER_FLOW=str(place.folder / "flow.json"),
        PEER_STORE=str(place.folder / "store.sqlite"),
        PEER_SECRET=SECRET,
        PEER_CRM=place.crm + IN,
    )
    command = [str(install.node()), str(SCRIPT), "--settings", str(settings), "--userDir", str(place.folder)]
    program = Program("node-red", command, env, place.folder, port, "/ready")
    program.start()
    try:
        program.wait_until_ready()
        yield Running(f"http://127.0.0.1:{port}/hook", lambda: [program.pid], program.kill, program.again)
    finally:
        program.stop()


PEER = Peer(
    "node-red",
    "Node-RED",
    install.NODE_RED.version,
    install.NODE_RED.licence,
    "its SQLite file; what is on its way to the CRM is in memory",
    partial(install.ensure, install.NODE_RED),
    run,
)
