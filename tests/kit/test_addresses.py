import json
import socket
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import Delayed, Rejected
from chalicelib.kit import addresses

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "ssrf.json").read_text())


def judged(host: str, answers: list[str] | None = None, **options: bool) -> list[str]:
    allow = options.get("allow_private", False)
    return addresses.judged(
        addresses.canonical(host), 443, allow_private=allow, deadline=5, resolve=lambda *_: answers or []
    )


def test_enough_bad_addresses_are_known() -> None:
    assert len(set(VECTORS["forbidden"])) >= 69


@pytest.mark.parametrize("address", VECTORS["forbidden"])
def test_forbidden_addresses_are_named_in_the_refusal(address: str) -> None:
    assert addresses.verdict(address)
    with pytest.raises(Rejected) as refused:
        judged("name.example", [address])
    assert address in refused.value.reason


@pytest.mark.parametrize("address", VECTORS["allowed"])
def test_addresses_beside_the_forbidden_networks_are_allowed(address: str) -> None:
    assert judged("name.example", [address]) == [address]
    assert judged(address) == [address]


@pytest.mark.parametrize(("host", "means"), VECTORS["hostile_spellings"])
def test_hostile_spellings_are_read_and_refused(host: str, means: str) -> None:
    try:
        assert addresses.canonical(host) == means
    except Rejected:
        assert "%" in means
    with pytest.raises(Rejected):
        judged(host)


@pytest.mark.parametrize(("host", "answers"), VECTORS["forbidden_names"])
def test_one_forbidden_answer_refuses_the_name(host: str, answers: list[str]) -> None:
    with pytest.raises(Rejected):
        judged(host, answers)
    with pytest.raises(Rejected):
        judged(host, answers[::-1])


@pytest.mark.parametrize("host", VECTORS["no_hosts"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(Rejected):
        addresses.canonical(host)


def test_private_is_allowed_on_request_and_metadata_never() -> None:
    assert judged("127.0.0.1", allow_private=True) == ["127.0.0.1"]
    assert judged("localhost", allow_private=True) == ["127.0.0.1"]
    assert judged("crm.example", ["10.1.2.3", "::1"], allow_private=True) == ["10.1.2.3", "::1"]
    for never in ("169.254.169.254", "0.0.0.0", "100.100.100.200", "::ffff:127.0.0.1", "fe80::1"):
        with pytest.raises(Rejected):
            judged("crm.example", [never], allow_private=True)


def test_names_are_folded_before_they_are_asked() -> None:
    assert addresses.canonical("Bücher.Example.") == "xn--bcher-kva.example"
    assert addresses.canonical("[2606:4700:4700:0::1111]") == "2606:4700:4700::1111"


def test_a_name_without_answers_is_delayed() -> None:
    with pytest.raises(Delayed):
        judged("gone.example", [])


def test_a_resolver_that_fails_or_hangs_is_delayed() -> None:
    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    def hangs(host: str, port: int) -> list[str]:
        import threading

        threading.Event().wait(2)
        return ["93.184.216.34"]

    for resolve, deadline in ((fails, 5.0), (hangs, 0.05)):
        with pytest.raises(Delayed, match="does not resolve"):
            addresses.judged("a.example", 443, allow_private=False, deadline=deadline, resolve=resolve)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_way_to_write_an_ipv4_address_is_one_address(number: int) -> None:
    plain = str(ip_address(number))
    octal = ".".join(f"0{int(part):o}" for part in plain.split("."))
    for spelling in (plain, str(number), hex(number), octal, plain + "."):
        assert addresses.canonical(spelling) == plain


@settings(deadline=None)
@given(st.ip_addresses())
def test_what_is_allowed_lies_in_no_forbidden_network(address: object) -> None:
    judged_address = ip_address(str(address))
    rows = [ip_network(text) for text, _ in addresses.LOCAL + addresses.FORBIDDEN]
    inside = any(row.version == judged_address.version and judged_address in row for row in rows)
    assert bool(addresses.verdict(str(address))) == inside


@settings(deadline=None)
@given(st.text(max_size=80))
def test_canonical_is_total_and_stable(host: str) -> None:
    try:
        once = addresses.canonical(host)
    except Rejected:
        return
    assert addresses.canonical(once) == once
