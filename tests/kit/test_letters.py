"""A carrier's mail as an event: whose it is, who vouches for it, which tokens it redeems. Total on any headers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import letters
from chalicelib.kit.letters import Letter

OWN = {"own_addresses": ["@tc.example"], "authserv_ids": ["mx1.tc.example"]}
HEADERS = {
    "Received": "from out3.tc.example (out3.tc.example [198.51.100.80]) by mx.carrier.example; Tue, 1 Sep 2026 10:10:07 +0000",
    "Authentication-Results": "mx1.tc.example; dmarc=pass header.from=example.nl",
    "From": "Jan <jan@example.nl>",
    "To": "support+H.tok1@tc.example, support+H.tok2@tc.example",
    "Date": "Tue, 1 Sep 2026 12:10:00 +0200",
    "Message-ID": "<a@example.nl>",
}


def letter(settings: dict[str, Any] | None = None, **more: str) -> Letter:
    found = HEADERS | {name.replace("_", "-"): value for name, value in more.items()}
    return Letter(tuple((name, value) for name, value in found.items() if value), OWN | (settings or {}), "Hallo")


def tokens(found: Letter) -> list[str]:
    return [ref.value for ref in letters.received(found, "inbound", True).refs if ref.kind == "token"]


def test_a_token_behind_the_plus_is_redeemed_by_its_writer_only() -> None:
    assert tokens(letter()) == ["tok1", "tok2"]
    assert tokens(letter(Auto_Submitted="auto-replied")) == []
    assert tokens(letter(From="sanne@tc.example", To="jan@example.nl", Cc="support+H.tok1@tc.example")) == []
    assert tokens(letter(To="support+h.tok1@tc.example, support+H.x@tc.example")) == []


@pytest.mark.parametrize(
    "more, direction, people",
    [
        ({}, "in", ["email:jan@example.nl"]),
        ({"From": "sanne@tc.example", "To": "jan@example.nl"}, "out", ["email:jan@example.nl"]),
        ({"From": "sanne@tc.example", "To": "jan@example.nl, piet@example.nl"}, "out", []),
        ({"From": "sanne@tc.example", "To": "lotte@tc.example"}, "internal", []),
        ({"From": "jan@example.nl, piet@example.nl"}, "in", []),
        ({"From": ""}, "in", []),
        ({"From": "MAILER-DAEMON@example.nl"}, "in", []),
    ],
)
def test_whose_it_is(more: dict[str, str], direction: str, people: list[str]) -> None:
    event = letters.received(letter(**more), "inbound", True)
    assert (event.direction, [each.text for each in event.identities]) == (direction, people)


def test_two_authors_headers_are_no_author() -> None:
    twice = Letter((("From", "bank@bank.example"), ("From", "a@mailhost.example")), {})
    assert twice.author == ("", "")


def test_what_the_carrier_took_out_of_the_headers_counts_instead_of_them() -> None:
    parsed = {"From": [("=?utf-8?q?Jan?=", "jan@example.nl")], "To": [("", "support@tc.example")]}
    found = Letter(
        (("To", "x+H.tok9@tc.example"), ("Cc", "y+H.tok2@tc.example")), OWN, parsed=parsed, hashes=("H.Tok1",)
    )
    assert found.author == ("Jan", "jan@example.nl") and found.addresses("To") == ["support@tc.example"]
    assert found.tags == ["H.Tok1", "H.tok2"]
    two = {"From": [("", "jan@example.nl"), ("", "piet@example.nl")]}
    assert Letter((), OWN, parsed=two).author == ("", "")


def test_a_mail_without_an_id_is_known_by_what_its_copies_have() -> None:
    assert letter(Message_ID="").id == letter(Message_ID="", Received="x").id != letter(Message_ID="", Subject="x").id


@pytest.mark.parametrize(
    "received, more, expected",
    [
        (HEADERS["Received"], {}, True),
        (HEADERS["Received"].replace("carrier.example", "elsewhere.example"), {}, False),
        (HEADERS["Received"].replace("out3.tc.example [", "mailhost.example ["), {}, False),
        (
            HEADERS["Received"].replace("out3.tc.example [", "o.relay.example ["),
            {"forwarders": ["relay.example"]},
            True,
        ),
        (HEADERS["Received"], {"forwarders": ["relay.example"]}, False),
        (HEADERS["Received"], {"authserv_ids": []}, False),
        ("", {}, False),
    ],
)
def test_only_results_of_who_handed_it_over_count(received: str, more: dict[str, Any], expected: bool) -> None:
    found = letter(more, Received=received)
    assert letters.passed(found, letters.believed(found, re.compile(r"\sby mx\.carrier\.example"))) is expected


@pytest.mark.parametrize(
    "address, networks, expected",
    [
        ("198.51.100.80", ["198.51.100.80"], True),
        (" 198.51.100.80\r\n", ["no network", "198.51.100.0/24"], True),
        ("2001:db8::1", ["198.51.100.0/24", "2001:db8::/32"], True),
        ("198.51.101.80", ["198.51.100.0/24"], False),
        ("198.51.100.80", [], False),
        ("", ["0.0.0.0/0"], False),
        ("x", ["x"], False),
    ],
)
def test_networks(address: str, networks: list[str], expected: bool) -> None:
    assert letters.within(address, networks) is expected


def test_patterns_of_settings() -> None:
    assert letters.captured({"p": r"(\d+)"}, "p", "fax 12 en 13") == "12"
    assert letters.captured({}, "p", "fax 12", r"fax (\d+)") == "12"
    assert (letters.captured({}, "p", "fax 12"), letters.captured({"p": r"x(\d)"}, "p", "fax 12")) == ("", "")
    with pytest.raises(PayloadMalformed, match="p: "):
        letters.captured({"p": "(("}, "p", "x")


names = st.sampled_from(["From", "To", "Cc", "Date", "Received", "Subject", "Message-ID", "References", "Reply-To"])
values = st.lists(st.sampled_from([*'<>"();,:=\\ \t@+.', "a@example.nl", "=?utf-8?q?=C3?=", "H.tok1"]) | st.text()).map(
    "".join
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(names, values), max_size=12), values)
def test_any_headers_are_an_event_or_malformed(headers: list[tuple[str, str]], said: str) -> None:
    found = Letter(tuple(headers), OWN, said, said, envelope=(said,))
    try:
        event = letters.received(found, "inbound", letters.passed(found, letters.believed(found)))
    except PayloadMalformed:
        return
    assert event.object and len(event.identities) <= 1
