"""`make demo` and `make demo-load N=1000`: the exit code says whether everything adds up."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from infra.demo import load
from infra.demo.errors import DemoFailed
from infra.demo.place import place
from infra.demo.play import play
from infra.demo.systems import systems
from infra.demo.tell import Tell
from infra.local.errors import LocalRunFailed

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOST = 1_000_000


def run(customers: int, tell: Tell) -> int:
    """Raises DemoFailed and LocalRunFailed; ends by KeyboardInterrupt."""
    with place(tell, keep=not customers) as found, systems() as around:
        good = load.play(found, around, tell, customers) if customers else play(found, around, tell)
        if found.own and not customers and tell.terminal:
            stay(tell)
    return 0 if good else 1


def stay(tell: Tell) -> None:
    """A hub of our own stays up for a look at the timeline."""
    tell.line("\nthe hub stays up until Ctrl-C")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        tell.line()


def interrupt(*_: object) -> None:
    """Once: whoever presses Ctrl-C twice would lose what a hub of our own is saving."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def arguments(given: list[str] | None) -> int:
    """How many customers at once; 0 for the story."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description=__doc__)
    parser.add_argument("--load", type=int, default=0, metavar="N", help="play this many customers at once")
    found = int(parser.parse_args(given).load)
    if not 0 <= found <= MOST:
        parser.error(f"--load takes a number from 1 to {MOST:,}")
    return found


def main(given: list[str] | None = None) -> int:
    customers = arguments(given)
    tell = Tell()
    for each in SIGNALS:
        signal.signal(each, interrupt)
    try:
        return run(customers, tell)
    except (DemoFailed, LocalRunFailed) as wrong:
        tell.line()
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        tell.line("\nstopped")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
