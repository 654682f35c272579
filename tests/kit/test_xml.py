"""XML: text by names, and nothing that XML can do beyond that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.xml import DEEPEST, MOST_ELEMENTS, parse_xml


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("<xml><A><![CDATA[<b>&]]></A><B>1</B><C/></xml>", {"A": "<b>&", "B": "1", "C": ""}),
        ("<xml><A><B>1</B><B>2</B><B>3</B></A></xml>", {"A": {"B": ["1", "2", "3"]}}),
        ('<?xml version="1.0" encoding="UTF-8"?>\n<x a="1"><É>ü</É></x>', {"É": "ü"}),
        ("<x>text</x>", {}),
        ("<x/>", {}),
    ],
)
def test_reads(body: str, found: dict[str, Any]) -> None:
    assert parse_xml(body.encode()) == found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"{}",
        b"<a><b></a>",
        b"\xff\xfe",
        b"<a>\xff</a>",
        b"<a>\x00</a>",
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b'<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
        b"<a>&nothing;</a>",
        b"<a>" * (DEEPEST + 3) + b"</a>" * (DEEPEST + 3),
        b"<a>" + b"<b/>" * (2 * MOST_ELEMENTS) + b"</a>",
        b"<a>" * 100_000,
    ],
)
def test_refuses(body: bytes) -> None:
    with pytest.raises(PayloadMalformed, match=r"XML"):
        parse_xml(body)


pieces = st.sampled_from(
    [b"<a>", b"</a>", b"<b/>", b"<![CDATA[", b"]]>", b"<!DOCTYPE a [", b"&amp;", b"&x;", b"\xff", b"x"]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(pieces, max_size=30).map(b"".join)))
def test_garbage(body: bytes) -> None:
    try:
        assert isinstance(parse_xml(b"<x>" + body + b"</x>"), dict)
        parse_xml(body)
    except PayloadMalformed as wrong:
        assert str(wrong)
