"""A token that a system gives for a while, in exchange for what an integrator entered once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.kit.http import Http


@dataclass(frozen=True)
class Token:
    """`seconds`: how long it may be used from now. `base_url`: where this account's API is, if that
    is only told here. `kept`: secrets for the next time, such as a refresh token that changes; they
    take the place of those of the connection."""

    value: str = field(repr=False)
    seconds: int
    base_url: str = ""
    kept: Mapping[str, str] = field(default_factory=dict, repr=False)


Grant = Callable[["Http"], Token]
"""Ask for a token: `http` has no authentication of its own, and goes to the destination's `grant_url`, or
to the setting `base_url`. Raises the delivery errors; Unauthorized stops the connection."""
