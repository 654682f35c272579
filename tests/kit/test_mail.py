"""Mail headers: whose word counts, what makes a thread, which moment is meant. Total on everything else."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import mail
from chalicelib.model.event import Ref

GOOD = "mx.example.net; dkim=pass header.d=example.nl; dmarc=pass (p=REJECT) header.from=example.nl"
PASSES = [
    GOOD,
    "MX.example.net 1; dmarc=pass header.from=Example.NL",
    'mx.example.net; dmarc=pass reason="good; really" header.from=example.nl',
    "mx.example.net;\r\n\tdmarc = pass (p=none (sp=none) \\) dis=none) header.from = example.nl",
    "mx.example.net; dmarc/1=PASS header.from=jan@example.nl policy.dmarc=none",
    '"mx.example.net"; dmarc=pass header.from="example.nl"',
]
FAILS = [
    "",
    "mx.example.net",
    "mx.example.net; none",
    "mx.example.net; dmarc=fail header.from=example.nl",
    "mx.example.net; dmarc=none header.from=example.nl",
    "mx.example.net; dmarc=pass",
    "mx.example.net; dmarc=pass header.from=example.nl.attacker.example",
    "mx.example.net; dmarc=pass header.from=sub.example.nl",
    "mx.example.net; dmarc=pass smtp.mailfrom=example.nl",
    "mx.example.net; dkim=pass header.from=example.nl",
    "mx.example.net; spf=fail (dmarc=pass header.from=example.nl)",
    "mx.example.net; spf=fail (a; dmarc=pass header.from=example.nl) smtp.mailfrom=x",
    'mx.example.net; spf=fail smtp.mailfrom="a; dmarc=pass header.from=example.nl"',
    "mx.example.net; dmarc=fail header.from=example.nl; dmarc=pass header.from=example.nl",
    "mx.example.net; dmarc=pass header.from=example.nl (never closed",
    'mx.example.net; dmarc=pass header.from=example.nl x="open',
    "mx.example.net; dmarc=pass header.from=example.nl) (",
    "dmarc=pass header.from=example.nl; mx.example.net",
    "; dmarc=pass header.from=example.nl",
    "mx.example.net.attacker.example; dmarc=pass header.from=example.nl",
    "mx.example.net; x-dmarc=pass header.from=example.nl",
    "i=1; mx.example.net; dmarc=pass header.from=example.nl",
    GOOD + " " * 5000,
]
SERVERS = {"mx.example.net"}


def passed(*values: str, name: str = "Authentication-Results") -> bool:
    return mail.dmarc_passed([(name, value) for value in values], SERVERS, "example.nl")


@pytest.mark.parametrize("value", PASSES)
def test_passes(value: str) -> None:
    assert passed(value) and passed(value, name="AUTHENTICATION-RESULTS")
    assert not mail.dmarc_passed([("Authentication-Results", value)], {"other.example.net"}, "example.nl")
    assert not mail.dmarc_passed([("Authentication-Results", value)], set(), "example.nl")
    assert not passed(value, name="ARC-Authentication-Results")


@pytest.mark.parametrize("value", FAILS)
def test_does_not_pass(value: str) -> None:
    assert not passed(value)


def test_only_the_topmost_results_of_a_server_count() -> None:
    forged, other = GOOD, "mx.attacker.example; dmarc=pass header.from=example.nl"
    assert not passed("mx.example.net; dmarc=fail header.from=example.nl", forged)
    assert not passed("mx.example.net; dkim=pass header.d=example.nl", forged)
    assert passed(other, GOOD) and not passed(other)


@pytest.mark.parametrize(
    "headers, ours, expected",
    [
        ({}, False, ["thread:own"]),
        ({}, True, ["thread:own"]),
        ({"In-Reply-To": "<b>", "References": "<a> <b>"}, False, ["thread:a"]),
        ({"In-Reply-To": "<b>", "References": "<a>\t<b>"}, True, ["thread:a", "message:own"]),
        ({"In-Reply-To": "<b>"}, False, ["thread:b", "message:b"]),
        ({"In-Reply-To": "<b>"}, True, ["thread:b", "message:b", "message:own"]),
        ({"References": "a@x,b@x"}, False, ["thread:a@x"]),
        ({"In-Reply-To": "Your message of Tuesday", "References": ""}, False, ["thread:own"]),
        (
            {"In-Reply-To": "Message from Jan <jan@x> of today", "References": " "},
            False,
            ["thread:jan@x", "message:jan@x"],
        ),
    ],
)
def test_threads(headers: dict[str, str], ours: bool, expected: list[str]) -> None:
    assert [ref.text for ref in mail.thread_refs("own", list(headers.items()), ours)] == expected


@pytest.mark.parametrize(
    "value, expected",
    [
        ("jan@example.nl", [("", "jan@example.nl")]),
        ("Jan de Vries <Jan@Example.nl>", [("Jan de Vries", "Jan@Example.nl")]),
        (
            '"Vries, Jan de" <jan@example.nl>, piet@example.nl',
            [("Vries, Jan de", "jan@example.nl"), ("", "piet@example.nl")],
        ),
        ("jan@example.nl (de Vries, Jan)", [("", "jan@example.nl")]),
        (
            "=?utf-8?q?x=3Cbank=40bank=2Enl=3E?= <a@attacker.example>",
            [("=?utf-8?q?x=3Cbank=40bank=2Enl=3E?=", "a@attacker.example")],
        ),
        ('"bank@bank.nl" <a@attacker.example>', [("bank@bank.nl", "a@attacker.example")]),
        ("<bank@bank.nl> <a@attacker.example>", [("<bank@bank.nl>", "a@attacker.example")]),
        ("Team: jan@example.nl, piet@example.nl;", [("", "jan@example.nl"), ("", "piet@example.nl")]),
        ("bank@bank.nl a@attacker.example", []),
        ("undisclosed-recipients:;", []),
        ("jan@example.nl (never closed", []),
        ('"open <jan@example.nl>', []),
        ("", []),
    ],
)
def test_addresses(value: str, expected: list[tuple[str, str]]) -> None:
    assert mail.addresses(value) == expected


def test_a_reply_that_names_no_references_meets_ours_that_it_answers() -> None:
    ours = mail.thread_refs("c", [("References", "<a> <b>")], True)
    reply = mail.thread_refs("d", [("In-Reply-To", "<c>")], False)
    assert set(ours) & set(reply) == {Ref("message", "c")}


@pytest.mark.parametrize(
    "value, found",
    [
        ("<A.b@X>", ["A.b@X"]),
        (" <a@x> <b@x>,<a@x>", ["a@x", "b@x"]),
        ("a@x", ["a@x"]),
        ("<" + "a" * 251 + ">", []),
        ("<a b@x>", ["b@x"][:0]),
        ("nothing here", []),
        ("<a\u0000b@x>", []),
        ("", []),
    ],
)
def test_message_ids(value: str, found: list[str]) -> None:
    assert mail.message_ids(value) == found


@pytest.mark.parametrize(
    "headers, actor",
    [
        ([], ""),
        ([("Return-Path", "<jan@x>"), ("Auto-Submitted", "no"), ("Precedence", "normal")], ""),
        ([("Return-Path", "<>"), ("Auto-Submitted", "no")], "system"),
        ([("return-path", "")], "system"),
        ([("Return-Path", "<jan@x>"), ("Return-Path", "<>")], ""),
        ([("Auto-Submitted", "auto-replied; owner-email=x")], "bot"),
        ([("Auto-Submitted", "Auto-Generated (rejected)")], "bot"),
        ([("X-Auto-Response-Suppress", "DR, OOF")], "bot"),
        ([("X-Auto-Response-Suppress", "None")], ""),
        ([("Precedence", "Bulk")], "bot"),
        ([("Precedence", "list")], "bot"),
    ],
)
def test_mail_that_nobody_wrote(headers: list[tuple[str, str]], actor: str) -> None:
    assert mail.automatic(headers) == actor


TAKEN = "by mx.example; Tue,  1 Sep 2026 10:10:07 +0000 (UTC)"


@pytest.mark.parametrize(
    "date, received, expected",
    [
        ("Tue, 1 Sep 2026 12:10:00 +0200", TAKEN, "2026-09-01T10:10:00.000Z"),
        ("Tue, 1 Sep 2026 12:10:00 +02:00", "", "2026-09-01T10:10:00.000Z"),
        ("Sun, 30 Aug 2026 12:10:00 +0200", TAKEN, "2026-08-30T10:10:00.000Z"),
        ("Tue, 1 Sep 2026 12:10:00", "", "2026-09-01T12:10:00.000Z"),
        ("Fri, 1 Sep 2062 12:10:00 +0200", TAKEN, "2026-09-01T10:10:07.000Z"),
        ("Sat, 1 Aug 2026 12:10:00 +0200", TAKEN, "2026-09-01T10:10:07.000Z"),
        ("yesterday", TAKEN, "2026-09-01T10:10:07.000Z"),
        ("", TAKEN, "2026-09-01T10:10:07.000Z"),
    ],
)
def test_moments(date: str, received: str, expected: str) -> None:
    assert mail.moment(date, received) == expected


def test_without_any_moment_it_is_malformed() -> None:
    with pytest.raises(PayloadMalformed, match="Date"):
        mail.moment("yesterday", "by mx.example")


@pytest.mark.parametrize(
    "received, host",
    [
        ("from helo.example (Real.example. [192.0.2.1])\t(using TLS) by x; d", "real.example"),
        ("from helo.example (real.example [IPv6:2001:db8::1]) by x", "real.example"),
        ("from helo.example (unknown [192.0.2.1]) by x", "unknown"),
        ("from helo.example ([192.0.2.1]) by x", ""),
        ("from helo.example by x", ""),
        ("by x (a.example [1]) from y", ""),
        ("", ""),
    ],
)
def test_who_handed_over(received: str, host: str) -> None:
    assert mail.handed_over_by(received) == host


@pytest.mark.parametrize(
    "server, home",
    [
        ("mx.google.com", "google.com"),
        ("mx1.tc.example", "tc.example"),
        ("mail.tc.co.uk", "tc.co.uk"),
        ("tc.co.uk", "tc.co.uk"),
        ("mail.example", "mail.example"),
        ("gateway.tc.example", "gateway.tc.example"),
    ],
)
def test_the_domain_that_speaks_for_a_server(server: str, home: str) -> None:
    assert mail.home_of(server) == home
    assert mail.under(f"out.{home}", home) and mail.under(home, home) and not mail.under(f"x{home}", home)
    assert not mail.under("", "") and not mail.under("host", "")


def test_lists_of_own_addresses() -> None:
    own = [" Support@TC.example ", "@shop.example", ""]
    assert all(mail.listed(each, own) for each in ("support@tc.example", "SUPPORT+H.k3@tc.example", "x@shop.example"))
    assert not any(
        mail.listed(each, own) for each in ("jan@tc.example", "x@eshop.example", "x@a.shop.example", "", "@")
    )
    assert mail.tag_of("support+H.k3+b@tc.example") == "H.k3+b" and mail.tag_of("a@b+c") == ""
    assert mail.untagged("support+H.k3@tc.example") == "support@tc.example" and mail.untagged("+a@x") == "+a@x"


def test_attachments_are_references() -> None:
    raw = bytes(range(256))
    found = mail.attachment("a" * 300, "image/png", base64.encodebytes(raw).decode(), 1, "<i@x>")
    assert found == {
        "name": "a" * 255,
        "media_type": "image/png",
        "size": 256,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "content_id": "i@x",
    }
    assert mail.attachment("x", "", "***", 3) == {"name": "x", "size": 3}
    assert mail.attachment("", "", "", True) == {}


def test_order_numbers_are_typed() -> None:
    assert mail.order_refs("", "order 8001") == ()
    found = mail.order_refs(r"(\d{4})", "8001 8002", "8001 8003 8004 8005 8006")
    assert found == tuple(Ref("order", f"800{number}", "", True) for number in (1, 2, 3, 4, 5))
    with pytest.raises(PayloadMalformed, match="order_pattern"):
        mail.order_refs("(", "8001")


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from([*'<>"();=\\ \t@.', "mx.example.net", "dmarc=pass", "header.from=example.nl"]) | st.text())
)
def test_no_header_raises(parts: list[str]) -> None:
    value = "".join(parts)
    server, found = mail.results(value)
    assert isinstance(server, str) and all(each.method or each.result for each in found)
    assert all(1 <= len(each) <= 250 for each in mail.message_ids(value))
    mail.thread_refs("own", [("References", value), ("In-Reply-To", value)], True)
    for read in (mail.handed_over_by, mail.home_of, mail.domain_of, mail.tag_of, mail.untagged):
        assert isinstance(read(value), str)
    assert all(address for _, address in mail.addresses(value))
    mail.automatic([(name, value) for name in ("Return-Path", "Auto-Submitted", "Precedence")])
    mail.attachment(value, value, value, None, value)
    mail.listed(value, [value])
    assert mail.moment(value, TAKEN)
