"""Faxes: a thread of a day between two numbers, and none with a number that is withheld."""

from __future__ import annotations

import pytest

from chalicelib.kit import faxes
from chalicelib.kit.faxes import Fax

AT = "2026-09-01T12:00:00.000Z"


def test_a_fax_has_its_sender_and_the_thread_of_its_day() -> None:
    first = faxes.entry(Fax("1", AT, "020 765 4321", "+31201234567"), "received")
    later = faxes.entry(Fax("2", "2026-09-01T18:00:00.000Z", "+31207654321", "0201234567"), "received")
    assert first.address == "fax:+31207654321" and first.own_address == "fax:+31201234567"
    assert first.identities[0].assurance == 2 and first.refs == later.refs and len(first.refs) == 1


def test_a_number_that_nobody_vouches_for_is_asserted() -> None:
    assert faxes.entry(Fax("1", AT, "+31207654321", attested=False), "fax").identities[0].assurance == 1


@pytest.mark.parametrize("number", ["", "anonymous", "+266696687"])
def test_a_withheld_number_is_nobodys_and_no_thread(number: str) -> None:
    found = faxes.entry(Fax("1", AT, number, "+31201234567"), "received")
    assert found.identities == () and found.refs == () and found.address == ""
