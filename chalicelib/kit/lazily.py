"""Regular expressions that are compiled when they are first used: one compiled at import costs every cold start a tenth
of a millisecond, and most of a provider's are never needed in a container's life."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

METHODS = ("match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split")


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As re.compile, for module level. What is wrong in it shows at its first use: tests use each."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))


class _Pattern:
    def __init__(self, text: str | bytes, flags: int) -> None:
        self._made = (text, flags)

    def __getattr__(self, name: str) -> Any:
        """Only for what is not there yet: afterwards the methods are the compiled one's own."""
        text, flags = self._made
        made = re.compile(text, flags)
        vars(self).update({method: getattr(made, method) for method in METHODS})
        return getattr(made, name)
