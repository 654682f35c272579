"""XML that providers send, read without anything that XML can do beyond holding text."""

from __future__ import annotations

from typing import Any

from chalicelib.errors import PayloadMalformed

MOST_ELEMENTS = 5000
DEEPEST = 8


def parse_xml(body: bytes) -> dict[str, Any]:
    """The children of the root: name → text, or for an element with children their object; several of one name
    are a list. Attributes are left out. Raises PayloadMalformed, also for any DTD or entity of its own."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.ElementTree import fromstring

    if body.count(b"<") > 2 * MOST_ELEMENTS:
        raise PayloadMalformed(f"XML of more than {MOST_ELEMENTS} elements")
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as wrong:
        raise PayloadMalformed(f"not XML: {str(wrong)[:120]}") from wrong
    found = _read(root, 0)
    return found if isinstance(found, dict) else {}


def _read(element: Any, depth: int) -> Any:
    if not len(element):
        return element.text or ""
    if depth >= DEEPEST:
        raise PayloadMalformed("XML nested too deeply")
    found: dict[str, Any] = {}
    for child in element:
        value = _read(child, depth + 1)
        before = found.get(child.tag)
        found[child.tag] = (
            value if before is None else [*before, value] if isinstance(before, list) else [before, value]
        )
    return found
