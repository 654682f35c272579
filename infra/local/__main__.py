"""`make run`: the hub on this machine until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from infra.local.errors import LocalRunFailed
from infra.local.hub import Hub
from infra.local.state import ROOT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def tell(text: str) -> None:
    print(text, flush=True)


def number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise LocalRunFailed(f"{name} is {text!r}: use a whole number, at most {most}.")
    return int(text)


def hub_from_env() -> Hub:
    return Hub(
        state=Path(os.environ.get("DRAAD_STATE") or ROOT / ".draad"),
        port=number("PORT", 8000, 65535) or 8000,
        aws_port=number("DRAAD_AWS_PORT", 0, 65535),
        admin_key=os.environ.get("DRAAD_ADMIN_KEY", "").strip(),
        visibility_seconds=number("DRAAD_VISIBILITY_SECONDS", 360, 43200),
        tell=tell,
        logs=False,
        app=os.environ.get("DRAAD_LOCAL_APP") or "app",
    )


def run() -> None:
    """Raises LocalRunFailed; ends by KeyboardInterrupt."""
    hub = hub_from_env()
    try:
        hub.start()
        tell("next     README.md, Your first webhook: three curl commands, with this key")
        tell(f"admin key {hub.admin_key}")
        tell(f"ready {hub.url}")
        threading.Event().wait()
    finally:
        tell("stopping")
        hub.stop()


def interrupt(*_: object) -> None:
    """Once: whoever presses Ctrl-C twice would lose what the embedded AWS is saving."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    for each in SIGNALS:
        signal.signal(each, interrupt)
    try:
        run()
    except LocalRunFailed as wrong:
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        tell("stopped; the data is kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
