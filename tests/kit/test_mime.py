"""Raw mail: charsets that lie, files as references, nothing that a broken or hostile mail can raise."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import mime

PDF = b"%PDF-1.4\r\n\x00\xff\xfe\n\r bestelling"
MAIL = (
    b"Received: from a by b;\r\n\tTue, 1 Sep 2026 10:10:07 +0000\r\n"
    b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.nl>\r\nSubject: =?utf-8?B?" + base64.b64encode("Été".encode()) + b"?=\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=buiten\r\n\r\nvoorwoord\r\n--buiten\r\n"
    b'Content-Type: multipart/alternative; boundary="bin nen"\r\n\r\n--bin nen\r\n'
    b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHo=EBzo =80\r\n"
    b"--bin nen\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Ho\xc3\xabzo</p>\r\n--bin nen--\r\n--buiten\r\n"
    b"Content-Type: application/pdf; name*=utf-8''factuur%20%C3%A9.pdf\r\nContent-ID: <f1@example.nl>\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(PDF) + b"\r\n--buiten\r\n"
    b"Content-Type: message/rfc822\r\n\r\nSubject: binnenin\r\n\r\nNiet van hem.\r\n--buiten--\r\nnawoord\r\n"
)


def test_a_mail() -> None:
    found = mime.read(MAIL)
    assert found.headers[0] == ("Received", "from a by b;\tTue, 1 Sep 2026 10:10:07 +0000")
    assert dict(found.headers)["From"] == "=?utf-8?q?Zo=C3=AB?= <zoe@example.nl>"
    assert mime.words(dict(found.headers)["Subject"]) == "Été"
    assert (found.plain, found.markup) == ("Hoëzo €", "<p>Hoëzo</p>")
    pdf, inner = found.files
    assert pdf == {
        "name": "factuur é.pdf",
        "media_type": "application/pdf",
        "size": len(PDF),
        "sha256": hashlib.sha256(PDF).hexdigest(),
        "content_id": "f1@example.nl",
    }
    assert inner == {"media_type": "message/rfc822"}


@pytest.mark.parametrize(
    "raw, charset, text",
    [
        (b"caf\xe9", "iso-8859-1", "café"),
        (b"\x93caf\xe9\x94 \x80", "ISO-8859-1", "“café” €"),
        ("café".encode(), "iso-8859-1", "café"),
        ("café".encode(), "us-ascii", "café"),
        (b"caf\xe9", "utf-8", "café"),
        (b"caf\xe9", "", "café"),
        ("café".encode(), "", "café"),
        ("café".encode("cp850"), "cp850", "café"),
        ("日本".encode("iso-2022-jp"), "ISO-2022-JP", "日本"),
        (b"caf\xe9", '"windows-1252"', "café"),
        (b"a\\N{x}", "unicode_escape", "a\\N{x}"),
        (b"aaaa-", "punycode", "aaaa-"),
        (b"+2AA-", "utf-7", "+2AA-"),
        (b"x", "utf-99", "x"),
        (b"x", "../../x", "x"),
        (b"\x81\x8d", "utf-8", "\x81\x8d"),
        (b"", "utf-8", ""),
    ],
)
def test_charsets_that_lie(raw: bytes, charset: str, text: str) -> None:
    assert mime.decoded(raw, charset) == text


@pytest.mark.parametrize(
    "value, text",
    [
        ("=?utf-8?q?a=C3?= =?UTF-8?q?=A9b?= c", "aéb c"),
        ("=?utf-8*nl?q?a_b?=", "a b"),
        ("=?iso-8859-1?q?=E9?=\t=?utf-8?b?w6k=?= =?utf-8?b?w6k?=", "ééé"),
        ("=?utf-8?b?!!!?=", ""),
        ("=?onbekend?q?=E9?=", "é"),
        ("=?utf-8?x?a?= =? ?= =?", "=?utf-8?x?a?= =? ?= =?"),
        ("gewoon", "gewoon"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert mime.words(value) == text


def test_what_is_beyond_the_bounds_is_malformed() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (at, at) for at in range(61))
    within = b"Content-Type: message/rfc822\n\n" * 61
    long = nested[: nested.index(b"boundary=b50")] + b"\n" * (mime.MOST_LOOKS // 50)
    for raw in (b"a: b\n\n" + b"\n" * mime.MOST_LINES, nested, within, long, b"", b"\n\n", b"geen mail"):
        with pytest.raises(PayloadMalformed):
            mime.read(raw)


def test_the_deepest_mail_within_the_bounds_is_read() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (at, at) for at in range(60))
    within = b"Content-Type: message/rfc822\n\n" * 60
    assert mime.read(nested + within + b"Subject: x\n\ndiep").files


def test_a_multipart_without_its_boundary_is_text() -> None:
    assert mime.read(b"Content-Type: multipart/mixed; boundary=x\n\nHallo").plain == "Hallo"
    assert mime.read(b"Content-Type: multipart/mixed\n\nHallo").plain == "Hallo"


pieces = st.sampled_from(
    b'Content-Type:|multipart/mixed;|boundary=|"x"|x|\r\n|\n|\n\n|--x|--x--|;|name*0*=|filename*=|utf-8\'\'|%ff|(|)|<|>|"|\\|\x00'
    b"|\xff|charset=|base64|uuencode|x-uuencode|begin 644 a|Content-Transfer-Encoding:|Content-Disposition:|attachment"
    b"|message/rfc822|From:|=?utf-8?q?a=C3?=|=?unicode_escape?q?\\N?=|=?punycode?b?aaaa?=|,| |\t|=|filename=|text/html"
    b"|message/external-body|quoted-printable|=\n|=4".split(b"|")
)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(pieces, max_size=60).map(b"".join)))
def test_garbage(raw: bytes) -> None:
    try:
        found = mime.read(raw)
    except PayloadMalformed as wrong:
        assert str(wrong)
        return
    texts = [found.plain, found.markup, *(text for pair in found.headers for text in pair)]
    texts += [mime.words(value) for _, value in found.headers] + [str(each) for each in found.files]
    assert all(isinstance(text.encode(), bytes) for text in texts)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mail_spoiled(choice: st.DataObject) -> None:
    at = choice.draw(st.integers(0, len(MAIL)))
    mime.read(b"X: y\n" + MAIL[:at] + choice.draw(pieces) + MAIL[at + choice.draw(st.integers(0, 9)) :])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.text(max_size=20))
def test_any_bytes_in_any_charset_are_text(raw: bytes, charset: str) -> None:
    mime.decoded(raw, charset).encode()
    assert mime.decoded("Zoë €".encode(), "utf-8") == "Zoë €"


@given(st.text(max_size=40, alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_was_encoded_is_decoded(text: str) -> None:
    coded = base64.b64encode(text.encode()).decode()
    assert mime.words(f"=?utf-8?b?{coded}?=") == text
