"""How a command ends before its time: what is wrong, what to do next, and the exit code."""

from __future__ import annotations

OK, FAILED, USAGE, UNREACHABLE, INTERRUPTED, NOBODY_READS = 0, 1, 2, 3, 130, 141
"""The last two as a shell tells them: ended by Ctrl-C, and by a reader that went away."""


class Stopped(Exception):
    """`todo`: what to do next. `document`: what the API said, if it said anything. `passing`: later it may do."""

    def __init__(self, wrong: str, todo: str, code: int = FAILED, *, passing: bool = False, document: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.todo = todo
        self.code = code
        self.passing = passing
        self.document = document


def mistyped(wrong: str, todo: str) -> Stopped:
    return Stopped(wrong, todo, USAGE)
