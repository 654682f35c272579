"""A batch of which a part cannot be read: the others become events, and the receipt says which one did not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from chalicelib.errors import PartlyMalformed, PayloadMalformed
from chalicelib.model.event import Event

Part = TypeVar("Part")
MOST_NAMED = 100
"""A body of 4 MB holds more than a million empty parts; the reasons of all would be more memory than a function has."""


def each_part(parts: Iterable[tuple[str, Part]], read: Callable[[Part], Iterable[Event]]) -> Iterator[Event]:
    """The events of every (name, part), in order; a part is read whole or not at all.

    Raises PartlyMalformed at the end, naming the parts that could not be read (the first 100); where there is but
    one part, PayloadMalformed with its reason.
    """
    flaws: list[tuple[str, str]] = []
    count = more = 0
    for name, part in parts:
        count += 1
        try:
            found = list(read(part))
        except PayloadMalformed as wrong:
            if len(flaws) < MOST_NAMED:
                flaws.append((name, str(wrong)))
            else:
                more += 1
            continue
        yield from found
    if flaws and count == 1:
        raise PayloadMalformed(flaws[0][1])
    if flaws:
        raise PartlyMalformed(flaws, count, more)
