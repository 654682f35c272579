"""Reading documents of unsure shape: what is absent or of another kind is empty, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.fields import plain


def pick(node: Any, *path: str) -> Any:
    """The value under the names of `path`, or None."""
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def text(node: Any, *path: str) -> str:
    """Text or a whole number as text; empty for everything else."""
    found = pick(node, *path)
    return found if isinstance(found, str) else plain(found)


def count(node: Any, *path: str) -> int | None:
    """A whole number from 0 that every reader of JSON keeps exact: a size, a duration; None for everything else."""
    found = pick(node, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53 else None


def objects(node: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of a list."""
    found = pick(node, *path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def texts(node: Any, *path: str) -> list[str]:
    """The texts of a list, stripped."""
    found = pick(node, *path)
    return [each.strip() for each in found if isinstance(each, str)] if isinstance(found, list) else []


def required(node: Any, *path: str) -> str:
    """Raises PayloadMalformed naming the field that is no text and no whole number."""
    found = plain(pick(node, *path))
    if not found:
        raise PayloadMalformed(f"{'.'.join(path)} is missing")
    return found


def joined(node: Any, *names: str) -> str:
    """The texts under these names, as of a person's name, with a space between those that are there."""
    return " ".join(filter(None, (text(node, name) for name in names)))


def kept(**found: Any) -> dict[str, Any]:
    """The named values that are there: no None, no empty text, list or object."""
    return {name: value for name, value in found.items() if value is not None and value not in ("", [], {})}


def mapped(node: Any, usual: Mapping[str, str], other: Any) -> dict[str, str]:
    """The texts of `node` by our names. `usual`: our name → where it is, with dots between (`caller.number`).
    `other`, a setting, says where some of them are instead; an empty place is nowhere."""
    places = {name: text(other, name) if name in _object(other) else place for name, place in usual.items()}
    return {name: text(node, *place.split(".")).strip() if place else "" for name, place in places.items()}


def words(usual: Mapping[str, str], other: Any) -> dict[str, str]:
    """Their word, in lower case → ours. `other`, a setting, says more of them, or something else."""
    return {**usual, **{word.lower(): text(other, word) for word in _object(other)}}


def _object(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}


def unescaped(text: str) -> str:
    """Text with its HTML entities resolved. The table of them is read on first use only."""
    import html

    return html.unescape(text)
