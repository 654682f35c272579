"""Certificates that requests name: asked for after all cheap checks, once, within bounds; and confirmations."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import destinations, sources
from chalicelib.errors import FetchDelayed
from chalicelib.ingest import certificates
from chalicelib.kit import wire
from chalicelib.kit.request import Request
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.model.connection import Connection
from chalicelib.settings import settings
from chalicelib.store import connections, ids, secrets
from tests.api.client import Api, key_with
from tests.standins.server import Answer, Call, Standin


class Vendor(Standin):
    """`/certs/…` is a certificate that says its own name; nothing else is there. `/confirm` answers with XML."""

    def reset(self) -> None:
        self.calls.clear()

    def state(self) -> Any:
        return len(self.calls)

    def answer(self, call: Call) -> Answer:
        if call.path.startswith("/certs/"):
            return Answer(200, call.path.encode())
        return Answer(200, b"<Confirmed/>", {"Content-Type": "text/xml"}) if call.path == "/confirm" else Answer(404)

    @property
    def asked(self) -> list[str]:
        return [call.path for call in self.calls]


def signing(vendor: Vendor) -> Source:
    """A provider that is believed when the certificate says the name that the request says."""

    def certificate(request: Request) -> str:
        return vendor.url + (request.header("x-cert") or "") if request.header("x-cheap") == "right" else ""

    def verify(request: Request, known: Secrets) -> str | None:
        return None if request.header("x-cert") in known.get("certificate", ()) else "no certificate"

    def fetch(request: Request, known: Secrets) -> Iterator[Fetch]:
        if request.body == b"confirm":
            yield Fetch("subscription", "/confirm", vendor.url, {"Accept": "text/xml"}, confirms=True)

    return Source(
        name="Signer",
        channel="web",
        types={},
        normalize=lambda request: iter(()),
        verify=verify,
        certificate=certificate,
        fetch=fetch,
        secrets={"certificate": Setting("Certificate")},
    )


@pytest.fixture
def vendor(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "1")
    monkeypatch.setenv("DRAAD_LOCAL", "1")
    settings.cache_clear()
    with Vendor() as running:
        yield running
    wire.close_all()


@pytest.fixture
def hook(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sources, "slugs", lambda: ("signer",))
    monkeypatch.setattr(sources, "load", lambda slug: signing(vendor))
    monkeypatch.setattr(destinations, "slugs", lambda: ())
    return f"/hooks/{connection()}"


def connection(**more: Any) -> str:
    id = ids.mint("con")
    connections.save(Api().table, Connection(id=id, provider="signer", **more))
    return id


def sent(hook: str, cert: str, cheap: str = "right", body: bytes = b"{}") -> int:
    return Api().send("POST", hook, body, [("X-Cert", cert), ("X-Cheap", cheap)], key="").status


def test_one_look_up_for_each_address(hook: str, vendor: Vendor) -> None:
    for _ in range(20):
        assert sent(hook, "/certs/a") == 200
    assert sent(hook, "/certs/b") == 200
    assert vendor.asked == ["/certs/a", "/certs/b"]


def test_none_where_a_cheap_check_fails(hook: str, vendor: Vendor) -> None:
    assert sent(hook, "/certs/a", "wrong") == 401 and vendor.asked == []


def test_a_configured_certificate_is_the_only_one(hook: str, vendor: Vendor) -> None:
    id = ids.mint("con")
    kept = {"certificate": (secrets.encrypt(id, "certificate", "/certs/own"),)}
    connections.save(Api().table, Connection(id=id, provider="signer", secrets=kept))
    assert (sent(f"/hooks/{id}", "/certs/own"), sent(f"/hooks/{id}", "/certs/a"), vendor.asked) == (200, 401, [])


def test_an_address_without_a_certificate_is_asked_once_and_refused(hook: str, vendor: Vendor) -> None:
    assert [sent(hook, "/nothing") for _ in range(5)] == [401] * 5 and vendor.asked == ["/nothing"]


def test_while_nobody_can_tell_the_provider_is_asked_to_send_again(
    hook: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.behave("status", status=500, times=1)
    answer = Api().send("POST", hook, b"{}", [("X-Cert", "/certs/a"), ("X-Cheap", "right")], key="")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert sent(hook, "/certs/a") == 503 and vendor.asked == []
    clock = time.monotonic
    monkeypatch.setattr(certificates.time, "monotonic", lambda: clock() + certificates.AGAIN_SECONDS)
    assert sent(hook, "/certs/a") == 200 and vendor.asked == ["/certs/a"]


def test_a_slow_vendor_does_not_hold_the_hook(hook: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "DEADLINE_SECONDS", 0.2)
    vendor.behave("slow", delay=1.0)
    began = time.monotonic()
    assert sent(hook, "/certs/a") == 503 and time.monotonic() - began < 0.9


def test_made_up_addresses_are_not_asked_for_without_end(
    hook: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sent(hook, "/certs/a") == 200
    for number in range(50):
        assert sent(hook, f"/made-up/{number}") in (401, 503)
    assert len(vendor.asked) == certificates.MOST_ASKED
    assert sent(hook, "/certs/a") == 200
    clock = time.monotonic
    monkeypatch.setattr(certificates.time, "monotonic", lambda: clock() + 60)
    assert sent(hook, "/certs/b") == 200


def test_what_is_kept_has_an_end_and_certificates_stay_longest(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "MOST_ASKED", 1000)
    monkeypatch.setattr(certificates, "MOST_KEPT", 4)
    assert certificates.look_up(f"{vendor.url}/certs/a") == "/certs/a"
    for number in range(10):
        assert certificates.look_up(f"{vendor.url}/made-up/{number}") == ""
    assert certificates.look_up(f"{vendor.url}/certs/a") == "/certs/a"
    assert vendor.asked.count("/certs/a") == 1
    vendor.behave("status", status=500)
    for number in range(10):
        with pytest.raises(FetchDelayed):
            certificates.look_up(f"{vendor.url}/down/{number}")


def test_what_is_no_certificate_is_none(vendor: Vendor) -> None:
    vendor.behave("status", status=200, body="é" * 10, times=1)
    assert certificates.look_up(f"{vendor.url}/certs/a") == ""
    vendor.behave("status", status=200, body="x" * (certificates.LONGEST + 1), times=1)
    assert certificates.look_up(f"{vendor.url}/certs/b") == ""


def test_private_addresses_are_never_asked(hook: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "0")
    settings.cache_clear()
    assert sent(hook, "/certs/a") == 401 and vendor.asked == []


def test_threads_ask_once(vendor: Vendor) -> None:
    found: list[str] = []
    work = [
        threading.Thread(target=lambda: found.append(certificates.look_up(f"{vendor.url}/certs/a"))) for _ in range(8)
    ]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert found == ["/certs/a"] * 8 and vendor.asked == ["/certs/a"]


def test_a_confirmation_is_given_once_and_not_by_the_hook(hook: str, vendor: Vendor) -> None:
    api = Api(key_with("admin"))
    assert sent(hook, "/certs/a", body=b"confirm") == 200 and vendor.asked == ["/certs/a"]
    api.work()
    assert vendor.asked == ["/certs/a", "/confirm"]
    (receipt,) = api.get("/v1/receipts")["receipts"]
    assert receipt["verdict"] == "ignored"
    assert api.get(f"/v1/receipts/{receipt['id']}")["fetched"] == {"subscription": {"status": 200}}
    api.call("POST", f"/v1/receipts/{receipt['id']}/replay", 202)
    api.work()
    assert vendor.asked == ["/certs/a", "/confirm"]
