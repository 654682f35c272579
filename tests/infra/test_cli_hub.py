"""The command line as people use it: a program of its own, against a whole running hub."""

from __future__ import annotations

import json
import os
import pty
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.hub import Hub
from infra.local.state import ROOT
from tests import drive
from tests.drive import Integrator, eventually
from tests.standins.partner import SECRET as PARTNER_SECRET
from tests.standins.partner import Partner

SECRET = "till-signing-secret"
MAIL = "cli.jan@example.nl"


class Program:
    """`python -m infra.cli` with the key of a hub in its environment."""

    def __init__(self, hub: Hub, key: str = "") -> None:
        self.env = os.environ | {"DRAAD_URL": hub.url, "DRAAD_KEY": key or hub.admin_key, "PARTNER": PARTNER_SECRET}
        self.env |= {"PYTHONUNBUFFERED": "1", "TERM": "xterm"}
        self.env.pop("COLUMNS", None)

    def start(self, *words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.cli", *words],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run(self, *words: str, keyboard: str = "", expect: int = 0) -> tuple[str, str]:
        with self.start(*words) as started:
            out, err = started.communicate(keyboard, timeout=120)
        assert started.returncode == expect, (words, started.returncode, out, err)
        return out, err

    def json(self, *words: str, keyboard: str = "") -> Any:
        return json.loads(self.run(*words, "--json", keyboard=keyboard)[0])

    def on_terminal(self, *words: str) -> tuple[str, str]:
        """(stdout, what a terminal got on stderr)."""
        outer, inner = pty.openpty()
        with self.start(*words, stderr=inner) as started:
            os.close(inner)
            seen = bytearray()
            try:
                while part := os.read(outer, 4096):
                    seen += part
            except OSError:  # Linux says so when the other end is closed
                pass
            out, _ = started.communicate(timeout=60)
        os.close(outer)
        assert started.returncode == 0, (words, out, seen)
        return out, seen.decode()


@contextmanager
def lines_of(started: subprocess.Popen[str]) -> Iterator[tuple[queue.Queue[str], queue.Queue[str]]]:
    """What it prints, as it prints it; ended by Ctrl-C."""
    found: tuple[queue.Queue[str], queue.Queue[str]] = (queue.Queue(), queue.Queue())
    readers = [
        threading.Thread(target=lambda out=out, into=into: [into.put(line) for line in out], daemon=True)
        for out, into in zip((started.stdout, started.stderr), found, strict=True)
    ]
    for reader in readers:
        reader.start()
    try:
        yield found
    finally:
        started.send_signal(signal.SIGINT)
        code = started.wait(20)
        for reader in readers:
            reader.join(5)
        for each in (started.stdin, started.stdout, started.stderr):
            if each:
                each.close()
    assert code == 130


def said(number: int) -> dict[str, Any]:
    return {
        "message": {"id": f"cli-{number}", "text": f"vraag {number}"},
        "ts": "2026-09-01T11:05:00+02:00",
        "anonymousId": "a-cli",
        "prechat": {"email": MAIL},
        "conversationId": "cli-1",
    }


def mapping(folder: Path) -> str:
    told = drive.CHAT_MAPPING | {
        "identities": [
            {"kind": "web", "scope": "'tc'", "value": "anonymousId"},
            {"kind": "email", "value": "prechat.email", "assurance": "A2"},
        ]
    }
    path = folder / "mapping.json"
    path.write_text(json.dumps(told))
    return str(path)


@pytest.fixture(scope="module")
def hub(own_hub: Hub) -> Hub:
    return own_hub


@pytest.fixture
def program(hub: Hub) -> Iterator[Program]:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so for whatever a shell runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Program(hub)
    who = Integrator(hub.url, hub.admin_key)
    for each in who.get("/v1/connections")["connections"]:
        who.call("DELETE", f"/v1/connections/{each['id']}")


def test_an_integrator_gets_from_nothing_to_an_erased_customer(hub: Hub, program: Program, tmp_path: Path) -> None:
    options = ["--name", "till chat", "--mapping", mapping(tmp_path), "--secret", "signing_secret"]
    made = program.json("connections", "create", "generic", *options, keyboard=f"{SECRET}\n")
    assert made["secrets"] == {"signing_secret": 1}
    assert "verified" in program.run("connections", "test", "till chat")[0]

    receipt = tailed(hub, program, made["hook_url"])
    out, _ = program.run("replay", receipt)
    assert "1 of 1" in out

    with Partner() as partner:
        options = ["--setting", f"url={partner.url}/in", "--secret-from", "signing_secret=env:PARTNER"]
        program.run("connections", "create", "webhook", "--name", "partner", *options)
        out, drawn = program.on_terminal("backfill", "partner", "--since", "2026-08-01")
        assert "done" in out and "\r\x1b[2Kbackfill  " in drawn and "█" in drawn
        eventually(lambda: len(partner.taken) == 3, 30)
        rows = eventually(lambda: program.json("deliveries", "list", "--status", "delivered")["deliveries"], 20)
        assert len(rows) == 3
        assert "in step" in program.run("drift", "--connection", "partner")[0]
        keys(hub, program)
        erased(program, partner)


def tailed(hub: Hub, program: Program, hook: str) -> str:
    """Three webhooks, one of them after an outage; the id of the first one's receipt."""
    with lines_of(program.start("receipts", "tail", "-f", "--connection", "till chat", "--json", "--every", "0.5")) as (
        out,
        err,
    ):
        assert json.loads(out.get(timeout=30))["test"] is True
        assert drive.generic(hook, said(1), SECRET).go() == 200
        first = json.loads(out.get(timeout=30))
        assert (first["verdict"], first["events"][0]["type"]) == ("accepted", "message")
        assert drive.generic(hook, said(2), SECRET).go() == 200
        second = json.loads(out.get(timeout=30))
        hub.hold("http")
        assert "no hub answers" in err.get(timeout=30)
        hub.release("http")
        hub.wait_until_up()
        assert drive.generic(hook, said(3), SECRET).go() == 200
        third = json.loads(out.get(timeout=60))
        assert "answers again" in err.get(timeout=30)
    assert len({each["id"] for each in (first, second, third)}) == 3 and out.empty()
    return str(first["id"])


def keys(hub: Hub, program: Program) -> None:
    made = program.json("keys", "create", "--name", "cli test", "--scope", "integrate")
    other = Program(hub, made["key"])
    assert "Generic webhook" in other.run("providers")[0]
    assert "lacks the scope" in other.run("keys", "list", expect=1)[1]
    assert other.json("backfill", "partner")["status"] == "done"
    program.run("keys", "revoke", made["id"])
    assert program.run("keys", "list", "--get", f"keys[?id == '{made['id']}'].revoked")[0] == "true\n"


def erased(program: Program, partner: Partner) -> None:
    customer = program.json("customers", "find", f"email:{MAIL}")["customers"][0]["id"]
    assert "vraag 3" in program.run("customers", "timeline", customer)[0]
    _, err = program.run("erase", customer, keyboard="no\n", expect=1)
    assert "nothing was erased" in err
    out, err = program.run("erase", customer, "--reason", "asked by himself", keyboard=f"{customer}\n")
    assert MAIL in err and MAIL not in out
    assert "certificate" in out and "table and index" in out and "asked by himself" in out
    assert program.run("customers", "find", f"email:{MAIL}")[0] == "nobody\n"
    program.run("customers", "show", customer, expect=1)
    assert partner.deliveries
