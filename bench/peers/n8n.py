"""n8n: a workflow of five nodes; customers and entries in SQLite. As it comes, and tuned.

Tuned: the older engine of expressions, and no log of what succeeded.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from bench.peers import install
from bench.peers.crm import IN
from bench.peers.job import SECRET
from bench.peers.programs import PeerFailed, Program, plain_env
from bench.peers.running import Peer, Place, Running
from infra.local.embedded import free_port

FLOW = Path(__file__).with_name("flows") / "n8n.json"
SCRIPT = install.folder_of(install.N8N) / "node_modules" / "n8n" / "bin" / "n8n"
WORKFLOW = "draadBenchPeer01"
TUNED_ENV = {"N8N_EXPRESSION_ENGINE": "legacy", "EXECUTIONS_DATA_SAVE_ON_SUCCESS": "none"}
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE customer (id TEXT PRIMARY KEY, seen TEXT NOT NULL);
CREATE TABLE entry (id TEXT PRIMARY KEY, customer TEXT NOT NULL, told TEXT NOT NULL);
"""
MINUTES = 300.0


def _env(place: Place, port: int, more: Mapping[str, str]) -> dict[str, str]:
    return plain_env(
        PATH=f"{install.node().parent}{os.pathsep}{os.environ.get('PATH', '')}",  # n8n starts another `node` for code
        N8N_USER_FOLDER=str(place.folder),
        N8N_LISTEN_ADDRESS="127.0.0.1",
        N8N_PORT=str(port),
        N8N_RUNNERS_BROKER_PORT=str(free_port()),
        N8N_DIAGNOSTICS_ENABLED="false",
        N8N_VERSION_NOTIFICATIONS_ENABLED="false",
        N8N_TEMPLATES_ENABLED="false",
        N8N_PERSONALIZATION_ENABLED="false",
        N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS="true",
        N8N_DISABLED_MODULES="mcp-registry",
        N8N_COMMUNITY_PACKAGES_ENABLED="false",
        N8N_LOG_LEVEL="warn",
        NODE_FUNCTION_ALLOW_BUILTIN="crypto,node:sqlite,sqlite",
        **more,
    )


def _tell(place: Place, env: Mapping[str, str], *arguments: str) -> None:
    """A command of n8n's own. Raises PeerFailed."""
    log = place.folder / "n8n-setup.log"
    with log.open("ab") as output:
        command = [str(install.node()), str(SCRIPT), *arguments]
        try:
            done = subprocess.run(
                command, cwd=place.folder, env=dict(env), stdout=output, stderr=output, timeout=MINUTES, check=False
            )
        except subprocess.TimeoutExpired as slow:
            raise PeerFailed(f"`n8n {arguments[0]}` took over {MINUTES:.0f} s") from slow
    if done.returncode:
        raise PeerFailed(f"`n8n {arguments[0]}` failed: {install.last_line(log)}")


def _set_up(place: Place, env: Mapping[str, str]) -> None:
    """Tables, the workflow with this run's places in it, and the workflow published."""
    store = place.folder / "store.sqlite"
    with closing(sqlite3.connect(store)) as made:
        made.executescript(TABLES)
    told = FLOW.read_text("utf-8")
    for name, value in (("PEER_SECRET", SECRET), ("PEER_STORE", str(store)), ("PEER_CRM", place.crm + IN)):
        told = told.replace(name, value)
    flow = place.folder / "flow.json"
    flow.write_text(told, "utf-8")
    _tell(place, env, "import:workflow", f"--input={flow}")
    _tell(place, env, "publish:workflow", f"--id={WORKFLOW}")


@contextmanager
def run(more: Mapping[str, str], place: Place) -> Iterator[Running]:
    port = free_port()
    env = _env(place, port, more)
    _set_up(place, env)
    program = Program("n8n", [str(install.node()), str(SCRIPT), "start"], env, place.folder, port, "/healthz/readiness")
    program.start()
    try:
        program.wait_until_ready()
        yield Running(f"http://127.0.0.1:{port}/webhook/hook", lambda: [program.pid], program.kill, program.again)
    finally:
        program.stop()


def _peer(name: str, title: str, more: Mapping[str, str]) -> Peer:
    stores = "a row in SQLite; what is on its way to the CRM is in memory, its execution logged"
    ensure = partial(install.ensure, install.N8N)
    return Peer(name, title, install.N8N.version, install.N8N.licence, stores, ensure, partial(run, more))


PLAIN = _peer("n8n", "n8n", {})
TUNED = _peer("n8n-tuned", "n8n, tuned", TUNED_ENV)
