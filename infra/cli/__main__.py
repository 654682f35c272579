"""`python -m infra.cli`: one command, its result on stdout, what goes wrong on stderr, the exit code as documented."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from infra.cli import api
from infra.cli.arguments import parser
from infra.cli.desk import PROGRAM, Desk
from infra.cli.screen import Screen, must_pick
from infra.cli.stopped import INTERRUPTED, NOBODY_READS, USAGE, Stopped

KEY_HINT = "a key never goes on the command line, where others see it: set DRAAD_KEY instead"
CLEAR = "the key goes over an unencrypted connection, where others can read it: use https"


def main(given: list[str] | None = None, sleep: Callable[[float], None] = time.sleep) -> int:
    words = sys.argv[1:] if given is None else given
    if any(each.partition("=")[0] == "--key" for each in words):
        print(f"error: {KEY_HINT}\nnext:  {PROGRAM} --help", file=sys.stderr)
        return USAGE
    args = parser().parse_args(words)
    pick = str(getattr(args, "get", ""))
    screen = Screen(bare=bool(pick) or getattr(args, "json", False), pick=pick)
    try:
        if pick:
            must_pick(pick)
        code = int(args.run(desk(screen, getattr(args, "url", None), sleep), args))
        sys.stdout.flush()
        return code
    except Stopped as stopped:
        return ended(screen, stopped)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return unread()


def desk(screen: Screen, url: str | None, sleep: Callable[[float], None]) -> Desk:
    """Raises Stopped."""
    found, key = api.address(url), api.key()
    if key and api.in_the_clear(found):
        screen.note(f"warning: {CLEAR}")
    return Desk(api.Api(found, key, screen.note, sleep=sleep), screen, elsewhere=f"--url {found} " if url else "")


def ended(screen: Screen, stopped: Stopped) -> int:
    """As JSON, a refusal is what the API said too."""
    try:
        if screen.bare and not screen.pick and stopped.document:
            screen.json(stopped.document)
    except BrokenPipeError:
        return unread()
    screen.complain(stopped.wrong, stopped.todo)
    return stopped.code


def unread() -> int:
    """Whoever read the output has enough of it; Python must not flush into the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS


if __name__ == "__main__":
    sys.exit(main())
