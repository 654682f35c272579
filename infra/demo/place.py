"""Which hub the demo plays to: the one that runs, or one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from infra.demo.api import Api
from infra.demo.errors import DemoFailed
from infra.demo.tell import Tell
from infra.local.embedded import free_port
from infra.local.errors import LocalRunFailed
from infra.local.hub import Hub, must_be_free
from infra.local.state import ROOT

ENV = {"": {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1", "DRAAD_SWEEP_SECONDS": "2"}}
VISIBILITY_SECONDS = 30
OWN_STATE = ROOT / ".draad" / "demo"


@dataclass(frozen=True)
class Place:
    """`own`: started by us. `logs`: where its workers write, as far as we know."""

    api: Api
    own: bool
    logs: str


@contextmanager
def place(tell: Tell, *, keep: bool) -> Iterator[Place]:
    """A hub that answers. `keep`: whether the data of a hub of our own outlive it.

    Raises DemoFailed and LocalRunFailed.
    """
    port = _port()
    url = (os.environ.get("DRAAD_URL") or f"http://127.0.0.1:{port}").rstrip("/")
    if is_hub(url):
        tell.line(f"hub      {url} is running: playing to it")
        yield Place(running(url), own=False, logs="the terminal of `make run`")
    elif os.environ.get("DRAAD_URL"):
        raise DemoFailed(f"No hub answers at {url}: start one with `make run`, or leave DRAAD_URL out.")
    else:
        with _own(tell, port, keep) as found:
            yield found


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise DemoFailed(f"PORT is {text!r}: use a whole number from 1 to 65535.")
    return int(text)


def is_hub(url: str) -> bool:
    try:
        return "queues" in requests.get(f"{url}/health", timeout=20).json()
    except (requests.RequestException, ValueError):
        return False


def running(url: str) -> Api:
    """With the first key that the hub accepts: the one named, or one that a state folder keeps."""
    keys = [os.environ.get("DRAAD_ADMIN_KEY", "").strip(), *map(_kept_key, _folders())]
    for key in dict.fromkeys(filter(None, keys)):
        api = Api(url, key)
        if api.ask("GET", "/v1/keys").ok:
            return api
    raise DemoFailed(f"The hub at {url} accepts no key that is known here: set DRAAD_ADMIN_KEY to the one it printed.")


def _folders() -> tuple[Path, ...]:
    return Path(os.environ.get("DRAAD_STATE") or ROOT / ".draad"), OWN_STATE


def _kept_key(folder: Path) -> str:
    path = folder / "admin-key"
    return path.read_text("utf-8").strip() if path.exists() else ""


@contextmanager
def _own(tell: Tell, port: int, keep: bool) -> Iterator[Place]:
    state = OWN_STATE if keep else None
    tell.line(f"hub      none on port {port}: starting one, with its data in {_shown(state)}")
    hub = Hub(state=state, port=_free(port), env=ENV, visibility_seconds=VISIBILITY_SECONDS)
    with hub:
        tell.line(f"hub      {hub.url} answers")
        logs = str(hub.state.folder / "workers.log") if keep else "to see it, run this again beside a `make run`"
        yield Place(Api(hub.url, hub.admin_key), own=True, logs=logs)
    fate = f"kept in {_shown(state)}; `rm -r {_shown(state)}` forgets them" if keep else "removed"
    tell.line(f"hub      stopped; its data are {fate}")


def _shown(state: Path | None) -> str:
    return str(state.relative_to(ROOT)) if state else "a temporary folder"


def _free(port: int) -> int:
    try:
        must_be_free(port)
    except LocalRunFailed:
        return free_port()
    return port
