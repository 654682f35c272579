"""Forms: byte-true, per-part charsets, no field that a sender slipped in decides anything, total on garbage."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import multipart
from chalicelib.kit.multipart import Form, Part
from chalicelib.kit.request import Request

BINARY = b"\x00\xff\r\n--xYzZ\r\n\n--\r\r\n"


def request(body: bytes, kind: str = "multipart/form-data; boundary=xYzZY") -> Request:
    return Request("POST", "https://hub.example.nl/hooks/con_1", (("Content-Type", kind),), body, "")


def field(name: str, content: bytes, more: str = "", head: str = "") -> bytes:
    return f'--xYzZY\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{head}\r\n'.encode() + content + b"\r\n"


def test_a_form() -> None:
    body = b"".join(
        [
            field("subject", b"Een caf\x82 vraag"),
            field("text", b"Ja\x85", head="Content-Type: text/plain; charset=windows-1252\r\n"),
            field("charsets", b'{"subject":"cp850"}'),
            field("attachment1", BINARY, '; filename="bon \xe9.pdf"', "Content-Type: application/pdf\r\n"),
            field("attachment2", b"", "; filename=\"\"; filename*=utf-8''%e2%82%ac.txt"),
            field("leeg", b""),
            b"--xYzZY--\r\n",
        ]
    )
    form = multipart.checked(request(body))
    assert form.first("subject", "cp850") == "Een café vraag"
    assert form.first("text") == "Ja…"
    assert form.json("charsets") == {"subject": "cp850"}
    assert form.named("leeg")[0] == Part("leeg", b"")
    pdf, other = form.files()
    assert (pdf.content, pdf.filename, pdf.media_type) == (BINARY, "bon é.pdf", "application/pdf")
    assert other.filename in ("", "€.txt")
    assert pdf.reference(content_id="f1") == {
        "name": "bon é.pdf",
        "media_type": "application/pdf",
        "content_id": "f1",
        "size": len(BINARY),
        "sha256": hashlib.sha256(BINARY).hexdigest(),
    }


def test_url_encoded() -> None:
    form = multipart.checked(request(b"token=a&token=b&naam=Zo%C3%AB&leeg=", "application/x-www-form-urlencoded"))
    assert (form.first("token"), form.last("token"), form.only("token")) == ("a", "b", "")
    assert (form.only("naam"), form.only("leeg"), form.only("weg"), form.json("naam")) == ("Zoë", "", "", None)


def test_lines_may_end_with_a_line_feed_alone() -> None:
    form = multipart.split(b'--x\nContent-Disposition: form-data; name="a"\n\nb\r\n--x--\n', b"x")
    assert form.parts == (Part("a", b"b\r"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--xYzZY",
        b"--xYzZY--",
        field("a", b"b"),
        b"vooraf\r\n" + field("a", b"b") + b"--xYzZY--",
        field("a", b"b") + b"--xYzZY--\r\n" + field("dkim", b"none") + b"--xYzZY--",
        field("a", b"b") + b"--xYzZY--\r\nachteraf",
        field("", b"b") + b"--xYzZY--",
        b'--xYzZY\r\nContent-Disposition: attachment; name="a"\r\n\r\nb\r\n--xYzZY--',
        b"--xYzZY\r\nzonder kop\r\n--xYzZY--",
        field("a", b"b", head=f"X: {'x' * 5000}\r\n") + b"--xYzZY--",
        field("a", b"b") * 1001 + b"--xYzZY--",
        field("a", b"b", head=f"X: {'x' * 4000}\r\n") * 70 + b"--xYzZY--",
        field("a", b"b", more=";" * 60) + b"--xYzZY--",
    ],
)
def test_what_is_no_whole_form_says_why(body: bytes) -> None:
    """Among them: what a mail that writes the boundary could do to hide the fields behind its own."""
    form = multipart.read(request(body))
    assert form.mistake and not form.parts
    with pytest.raises(PayloadMalformed):
        multipart.checked(request(body))


def test_what_a_mail_writes_into_the_form_doubles_its_names_and_decides_nothing() -> None:
    written = b"Beste,\r\n" + field("dkim", b"{@bank.example : pass}")[:-2]
    form = multipart.checked(request(field("text", written) + field("dkim", b"none") + b"--xYzZY--\r\n"))
    assert (form.first("text"), form.only("dkim")) == ("Beste,", "")


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=x",
        "text/plain",
        "\ud800",
    ],
)
def test_other_media_types_are_no_form(kind: str) -> None:
    assert multipart.read(request(b"--x--", kind)).mistake


pieces = st.sampled_from(
    [
        b"--xYzZY",
        b"--xYzZY--",
        b"--",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"Content-Disposition: form-data",
        b'; name="a"',
        b"; filename*0*=x''%",
        b'; filename="',
        b"Content-Type: text/plain; charset=utf-16",
        b"\xff",
        b"\x00",
        b"a",
        b" ",
    ]
)
bodies = st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=40).map(b"".join))
kinds = st.one_of(
    st.just("multipart/form-data; boundary=xYzZY"), st.text(max_size=60).map("multipart/form-data;".__add__)
)


@settings(max_examples=500, deadline=None)
@given(bodies, kinds)
def test_garbage(body: bytes, kind: str) -> None:
    for form in (multipart.read(request(body, kind)), multipart.read(request(body, multipart.FORM))):
        assert bool(form.mistake) != bool(form.parts) or not body.strip(b"&")
        for part in form.parts:
            part.text().encode()
            str(part.reference()).encode()
            form.json(part.name)


names = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n', exclude_categories=["Cc", "Cs"]), min_size=1)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(names.filter(lambda name: bool(name.strip())), st.binary(max_size=80)), min_size=1, max_size=8)
)
def test_what_was_written_is_read(fields: list[tuple[str, bytes]]) -> None:
    form = multipart.read(request(b"".join(field(name, content) for name, content in fields) + b"--xYzZY--\r\n"))
    assert [part.content for part in form.parts] == [content for _, content in fields]


PLAIN = st.from_regex(r'[cC]ontent-[dD]isposition: form-data; name="[\w.\[\]=?%;+\\ -]{1,12}"', fullmatch=True)
TAILS = st.sampled_from(["", "", "", ";", " ", "\r\n", "\n x", '; filename="a"', "\r\nContent-Type: text/plain"])


@given(PLAIN, TAILS)
def test_a_head_that_is_read_at_once_says_what_the_parser_finds(head: str, tail: str) -> None:
    parsed = vars(multipart)["_parsed"]((head + tail).encode(), b"content")
    assert vars(multipart)["_part"]((head + tail).encode(), b"content") == parsed


def test_most_heads_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "_parsed", lambda head, content: None)
    body = b'--x\r\nContent-Disposition: form-data; name="attachment-info"\r\n\r\nhello\r\n--x--\r\n'
    assert multipart.split(body, b"x") == Form((Part("attachment-info", b"hello"),))


def test_a_large_form_takes_no_time() -> None:
    """Four megabytes of almost-boundaries: seconds here would be minutes on a small function."""
    for piece in (b"\r\n--xYzZ", b"\r\n--xYzZY", b"\r\n--xYzZY\r\n", b"\r\n--xYzZY" + b" " * 100, b"\n", b"a"):
        assert isinstance(multipart.read(request(b"--xYzZY" + piece * (4_000_000 // len(piece)))), Form)
