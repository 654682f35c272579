"""Handover tokens in what people send: `[H:token]` in a text, `[#H:token]` in a subject, `H.token`
behind the plus of a mail address or in a link's parameter."""

from __future__ import annotations

from chalicelib.kit.lazily import pattern

LONGEST, MOST = 64, 3
"""Letters of a token; tokens looked at in one event."""
_BRACKETED = pattern(r"\[#?H:([A-Za-z0-9_-]{4,64})\]")
_BARE = pattern(r"\AH\.([A-Za-z0-9_-]{4,64})\Z")


def in_texts(*texts: str) -> tuple[str, ...]:
    """Tokens in order of appearance, each once, at most MOST. Total for any text."""
    found = [match for text in texts for match in _BRACKETED.findall(text)]
    return tuple(dict.fromkeys(found))[:MOST]


def bare(text: str) -> str:
    """The token that a parameter or a plus address is; empty for anything else."""
    match = _BARE.match(text)
    return match[1] if match else ""


def for_text(token: str) -> str:
    return f"[H:{token}]"


def for_subject(token: str) -> str:
    return f"[#H:{token}]"


def for_parameter(token: str) -> str:
    return f"H.{token}"
