"""The process `aws`: ministack on loopback, made to lose less.

ministack keeps everything in memory, saves on SIGTERM, and forgets the stream. Here the stream
is saved too, so that what fan-out has not read survives a restart; and on Linux a forked copy
saves the state every half minute, so that SIGKILL costs at most what came after that.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import os
import sys
import threading
import time
import warnings
from typing import Any

from infra.local.lifeline import end_with_parent

SNAPSHOT_SECONDS = float(os.environ.get("DRAAD_SNAPSHOT_SECONDS", "30"))
LAST = ("dynamodb_streams", "dynamodb", "sqs")
"""Saved in this order after the rest: a snapshot cut short then repeats work and never loses it."""


def keep_stream(streams: Any, table: Any) -> None:
    """Teach ministack's persistence about stream records."""

    def get_state() -> dict[str, Any]:
        return {"records": copy.deepcopy(table._stream_records), "trimmed": copy.deepcopy(table._stream_trimmed)}

    def load_persisted_state(found: dict[str, Any]) -> None:
        table._stream_records.update(found.get("records", {}))
        table._stream_trimmed.update(found.get("trimmed", {}))

    streams.get_state = get_state
    streams.load_persisted_state = load_persisted_state


def snapshots(server: Any, table: Any) -> None:
    """Save whenever the table changed; long savings are made rarer."""
    seen = table._stream_seq_counter
    wait = SNAPSHOT_SECONDS
    while True:
        time.sleep(wait)
        loop = getattr(server, "_MAIN_LOOP", None)
        if table._stream_seq_counter == seen or loop is None:
            continue
        seen = table._stream_seq_counter
        started = time.monotonic()
        between_two_requests = asyncio.run_coroutine_threadsafe(_save(server), loop)
        os.waitpid(between_two_requests.result(), 0)
        wait = max(SNAPSHOT_SECONDS, 20 * (time.monotonic() - started))


async def _save(server: Any) -> int:
    """Fork; the copy saves what it sees and ends. The parent gets the copy's process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    try:
        os.closerange(3, 65536)  # or this copy would keep the port after its parent was killed
        os.nice(10)
        save = server._build_persistence_save_dict()
        last = {name: save.pop(name) for name in LAST if name in save}
        server.save_all(save | last)
    finally:
        os._exit(0)


def main() -> None:
    end_with_parent()
    server = importlib.import_module("ministack.app")
    table = importlib.import_module("ministack.services.dynamodb")
    keep_stream(importlib.import_module("ministack.services.dynamodb_streams"), table)
    if server.PERSIST_STATE and SNAPSHOT_SECONDS and sys.platform == "linux":
        threading.Thread(target=snapshots, args=(server, table), name="snapshots", daemon=True).start()
    server.main()


if __name__ == "__main__":
    main()
