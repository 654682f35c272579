"""The demo proves what it says: it runs again and again, and whoever loses or doubles something is found out."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.demo import load, place
from infra.demo.api import Api
from infra.demo.connections import FEED_TYPES, Connected, Registry, shop
from infra.demo.errors import DemoFailed
from infra.demo.ledger import Ledger, Played, Receipts, Told, placed, told, wanted
from infra.demo.payloads import Customer
from infra.demo.place import Place
from infra.demo.play import play
from infra.demo.story import Clock, Step, story
from infra.demo.systems import Systems, systems
from infra.demo.tell import Tell
from infra.local.embedded import free_port
from infra.local.hub import Hub
from infra.local.state import ROOT
from tests.standins.server import Answer, Call, Standin

EVENTS = [f"evt_{number}" for number in range(5)]
KEYS = ("shop", "web", "whatsapp", "phone", "store", "carrier", "desk")
HOOKS = Connected({key: key for key in KEYS}, {key: f"http://127.0.0.1:1/hooks/{key}" for key in KEYS}, KEYS)
CLOCK = Clock(datetime(2026, 9, 2, 14, 0, tzinfo=UTC))
LEDGER = re.compile(
    r"^ledger +([\d,]+) sent \(distinct\) = ([\d,]+) on the timeline \+ ([\d,]+) possible \+ ([\d,]+) waiting"
    r" \+ ([\d,]+) parked   (OK|NOT OK)$",
    re.MULTILINE,
)


def balanced() -> Ledger:
    """Five events of six webhooks: everything as it must be."""
    receipts = Receipts()
    for event in (*EVENTS, EVENTS[0]):
        receipts.add("duplicate" if event in receipts.events else "accepted", [event])
    timeline, possible = Counter(EVENTS[:4]), {EVENTS[4]}
    destination = told("crm", EVENTS[:4], Counter(EVENTS[:4]), 1)
    return Ledger(Played(6, 6, 5), receipts, placed(receipts.events, timeline, possible), [destination])


def test_what_adds_up_is_ok() -> None:
    ledger = balanced()
    assert ledger.mistakes() == []
    lines = list(ledger.lines())
    assert lines[-1] == "ledger   5 sent (distinct) = 4 on the timeline + 1 possible + 0 waiting + 0 parked   OK"
    assert lines[0] == "webhooks 6 sent, 6 acked, 6 receipts (5 accepted, 1 duplicate)"


def test_what_is_waiting_or_parked_is_not_lost() -> None:
    receipts = Receipts()
    receipts.add("accepted", [EVENTS[0]])
    receipts.add("accepted", [EVENTS[1]])
    receipts.add("malformed", [])
    places = placed(receipts.events, Counter([EVENTS[0]]))
    places.waiting = 1
    ledger = Ledger(Played(3, 3, 3), receipts, places, [])
    assert ledger.mistakes() == []
    assert list(ledger.lines())[-1].endswith("1 on the timeline + 0 possible + 1 waiting + 1 parked   OK")


def spoilt(ledger: Ledger, what: str) -> Ledger:
    match what:
        case "an event is on no timeline":
            ledger.places.timeline -= 1
        case "an event is on a timeline twice":
            ledger.places = placed(ledger.receipts.events, Counter([*EVENTS[:4], EVENTS[0]]), {EVENTS[4]})
        case "somebody else's event":
            ledger.places = placed(ledger.receipts.events, Counter([*EVENTS[:4], "evt_other"]), {EVENTS[4]})
        case "an acked webhook without a receipt":
            ledger.played = replace(ledger.played, webhooks=7, acked=7)
        case "a webhook that was not acked":
            ledger.played = replace(ledger.played, webhooks=7)
        case "an event that no receipt tells of":
            ledger.played = replace(ledger.played, facts=6)
        case "more events than were sent":
            ledger.played = replace(ledger.played, facts=4)
    return ledger


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("an event is on no timeline", ["events lost: 1", "events with a receipt that are nowhere: 1"]),
        ("an event is on a timeline twice", ["lines of a timeline doubled: 1"]),
        ("somebody else's event", ["entries that this run did not send: 1"]),
        ("an acked webhook without a receipt", ["acked webhooks without a receipt: 1"]),
        ("a webhook that was not acked", ["webhooks that were not acked: 1"]),
        ("an event that no receipt tells of", ["events lost: 1"]),
        ("more events than were sent", ["events more than were sent: 1"]),
    ],
)
def test_what_does_not_add_up_is_not_ok(what: str, said: list[str]) -> None:
    ledger = spoilt(balanced(), what)
    assert ledger.mistakes() == said
    assert any(line.endswith("NOT OK") for line in ledger.lines())


@pytest.mark.parametrize(
    ("got", "contacts", "said"),
    [
        (EVENTS[:4], 1, []),
        (EVENTS[:3], 1, ["crm lacks 1 activity"]),
        ([*EVENTS[:4], EVENTS[0], EVENTS[0]], 1, ["crm has 2 activities doubled"]),
        (EVENTS, 1, ["crm has 1 activity that it must not have"]),
        (EVENTS[:4], 0, ["crm has 0 contacts for 1 customer"]),
        (EVENTS[:4], 2, ["crm has 2 contacts for 1 customer"]),
        (EVENTS[:4], None, []),
    ],
)
def test_a_destination_that_lacks_or_doubles_something_is_found_out(
    got: list[str], contacts: int | None, said: list[str]
) -> None:
    ledger = balanced()
    ledger.told = [told("crm", EVENTS[:4], Counter(got), contacts)]
    assert ledger.mistakes() == said
    assert list(ledger.lines())[2].endswith("NOT OK") == bool(said)


def test_sums_hide_no_mistake() -> None:
    """One customer lacks what the other has doubled: the totals agree, and yet it is not OK."""
    both = Told("crm")
    both.add(told("crm", EVENTS[:2], Counter([EVENTS[0]]), 1))
    both.add(told("crm", EVENTS[2:4], Counter([EVENTS[2], EVENTS[3], EVENTS[3]]), 1))
    assert both.mistakes() == ["crm lacks 1 activity", "crm has 1 activity doubled"]
    assert both.line() == "crm      2 contacts, 3 activities of 4, 1 double"


@pytest.mark.parametrize(
    ("type_", "types", "origin", "due"),
    [
        ("order", (), "con_1", True),
        ("identify", (), "con_1", False),
        ("consent", ("consent",), "con_1", True),
        ("message", FEED_TYPES, "con_1", False),
        ("return", FEED_TYPES, "con_1", True),
        ("ticket", (), "con_own", False),
    ],
)
def test_who_must_be_told_of_what(type_: str, types: tuple[str, ...], origin: str, due: bool) -> None:
    assert wanted(types, ("con_own",), {"type": type_, "connection": origin}) is due


def steps() -> list[Step]:
    return story(Customer(38_400_001), CLOCK, HOOKS)


def test_the_story_is_out_of_order_and_doubled_and_true_to_its_count() -> None:
    told_of = steps()
    moments = [each.at for each in told_of]
    assert moments != sorted(moments) and sum(each.repeats for each in told_of) >= 3
    assert all(CLOCK.yesterday(0, 0) <= each < CLOCK.now for each in moments)
    assert {each.via for each in told_of} == set(KEYS)
    order = next(number for number, each in enumerate(told_of) if "order" in each.what and each.via == "shop")
    assert next(number for number, each in enumerate(told_of) if each.what.startswith("return")) < order
    assert all(each.facts <= 2 * len({sent.body for sent in each.sends}) for each in told_of)


def test_a_crowd_is_shuffled_doubled_and_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WINDOW", 40)
    crowd = load.Crowd(20_000_000, 60, CLOCK)
    sent = list(crowd.webhooks(HOOKS))
    first = [(via, each.body) for via, each, fresh in sent if fresh]
    assert len(first) == len(set(first)) == 60 * load.A_DAY
    assert len(first) * 1.05 < len(sent) < len(first) * 1.2
    in_order = [(via, each.body) for who in crowd for via, each in load.day(who, CLOCK, HOOKS)]
    assert sorted(first) == sorted(in_order) and first != in_order


def test_two_customers_share_nothing() -> None:
    one, other = Customer(38_400_001), Customer(38_400_002)
    assert not set(one.identities) & set(other.identities)
    assert re.fullmatch(r"\+316[1-5]\d{7}", one.phone)


class OldHub(Standin):
    """A hub of which only keys and magic links are asked; `links`: what it answers to those."""

    links: Any = None

    def reset(self) -> None:
        self.links = None

    def answer(self, call: Call) -> Answer:
        if call.path == "/health":
            return Answer(body={"status": "ok", "queues": {}})
        if call.path == "/v1/keys":
            return Answer(200 if call.headers["authorization"] == "Bearer right" else 401, {})
        return Answer(200, {"url": self.links}) if self.links else Answer(404, {})


@pytest.fixture
def old_hub() -> Iterator[OldHub]:
    hub = OldHub()
    yield hub
    hub.stop()


def test_a_magic_link_where_there_is_one(old_hub: OldHub) -> None:
    api = Api(old_hub.url, "right")
    assert api.link("cus_1") == ""
    old_hub.links = "https://hub.example.nl/customers/cus_1#token"
    assert api.link("cus_1") == "https://hub.example.nl/customers/cus_1#token"
    old_hub.links = "customers/cus_1#token"
    assert api.link("cus_1") == f"{old_hub.url}/customers/cus_1#token"
    assert old_hub.calls[-1].json == {"customer": "cus_1"}


def test_the_key_is_the_one_named_or_the_one_kept(
    old_hub: OldHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DRAAD_STATE", str(tmp_path))
    monkeypatch.setattr(place, "OWN_STATE", tmp_path / "demo")
    monkeypatch.setenv("DRAAD_ADMIN_KEY", "wrong")
    with pytest.raises(DemoFailed, match="set DRAAD_ADMIN_KEY"):
        place.running(old_hub.url)
    (tmp_path / "admin-key").write_text("right\n")
    assert place.running(old_hub.url).key == "right"


def test_no_hub_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAAD_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DemoFailed, match="No hub answers"), place.place(Tell(io.StringIO()), keep=False):
        raise AssertionError("there is no hub")


def test_what_comes_and_goes_is_for_terminals_only() -> None:
    out = io.StringIO()
    tell = Tell(out)
    for number in range(100):
        tell.progress(f"{number} sent")
    tell.line("done")
    assert out.getvalue() == "0 sent\ndone\n"


@pytest.fixture(scope="module")
def api(hub: Hub) -> Iterator[Api]:
    """A hub without connections, and without any again afterwards."""
    found = Api(hub.url, hub.admin_key)
    for _ in range(2):
        for each in list(found.pages("/v1/connections", "connections")):
            found.call("DELETE", f"/v1/connections/{each['id']}")
        if not _:
            yield found


def demo(hub: Hub, *given: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.demo", *given],
        cwd=ROOT,
        env=dict(os.environ) | {"DRAAD_URL": hub.url, "DRAAD_ADMIN_KEY": hub.admin_key},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    with process:
        said, wrong = process.communicate(timeout=120)
    assert "Traceback" not in wrong, wrong
    return process.returncode, said + wrong


@pytest.mark.embedded
def test_the_command_tells_the_story_and_ends_with_a_ledger_that_is_ok(hub: Hub, api: Api) -> None:
    code, said = outcome(demo(hub))
    assert code == 0, said
    facts = sum(each.facts for each in steps())
    assert LEDGER.findall(said) == [(str(facts), str(facts), "0", "0", "0", "OK")]
    assert "so are now 3 fulfilments and 1 return that waited" in said
    assert "so are now 2 messages and 2 visits of the unnamed visitor" in said
    assert f"{hub.url}/customers/cus_" in said
    assert "\r" not in said and "\x1b" not in said
    assert len(list(api.pages("/v1/connections", "connections"))) == 9


def told_by_the_hub(api: Api, around: Systems) -> list[dict[str, Any]]:
    """The whole timeline of the customer whom the CRM knows."""
    (contact,) = around.crm.state()["contacts"].values()
    return api.entries(contact["hub_customer_id"])


@pytest.mark.embedded
def test_it_runs_again_with_a_new_customer_and_each_system_has_each_event_once(hub: Hub, api: Api) -> None:
    before = {each["id"] for each in api.pages("/v1/connections", "connections")}
    out = io.StringIO()
    with systems() as around:
        assert play(Place(api, own=False, logs=""), around, Tell(out)), out.getvalue()
        entries = told_by_the_hub(api, around)
        crm, partner = Counter(around.crm.kept()), Counter(around.feed.kept())
        desk = Counter(around.desk.kept())
    everything = [each for each in entries if each["type"] not in ("identify", "consent")]
    assert crm == Counter(each["id"] for each in everything)
    assert desk == Counter(each["id"] for each in everything if each["source"] != "zendesk")
    assert partner == Counter(each["id"] for each in everything if each["type"] in FEED_TYPES)
    assert {each["channel"] for each in entries} >= {"web", "webchat", "whatsapp", "voice", "email", "sms", "store"}
    assert len(before) in (0, 9), "the same connections as before"
    assert len(list(api.pages("/v1/connections", "connections"))) == 9


@pytest.mark.embedded
def test_a_destination_that_takes_nothing_makes_it_fail(hub: Hub, api: Api) -> None:
    out = io.StringIO()
    with systems() as around:
        around.feed.behave("status", status=422)
        assert not play(Place(api, own=False, logs="workers.log"), around, Tell(out), patience=8)
    said = out.getvalue()
    assert "partner lacks 6 activities" in said and "NOT OK" in said
    assert "NOT in step after 8 s" in said and "/sync" in said and "workers.log" in said


@pytest.mark.embedded
def test_many_at_once_add_up(hub: Hub, api: Api) -> None:
    code, said = outcome(demo(hub, "--load", "10"))
    assert code == 0, said
    assert LEDGER.findall(said) == [("50", "50", "0", "0", "0", "OK")]
    assert re.search(r"^crm +10 contacts, 50 activities of 50, 0 doubles$", said, re.MULTILINE)
    assert re.search(r"^partner +30 activities of 30, 0 doubles$", said, re.MULTILINE)
    assert re.search(
        r"^rates +\d+ webhooks/s acked, [\d.]+ events/s on timelines, [\d.]+ deliveries/s", said, re.MULTILINE
    )


@pytest.mark.embedded
def test_ctrl_c_ends_it_clean(hub: Hub, api: Api) -> None:
    process = demo(hub)
    assert process.stdout is not None
    for line in process.stdout:
        if "carrier" in line:
            break
    process.send_signal(signal.SIGINT)
    code, said = outcome(process)
    assert code == 130 and said.endswith("stopped\n")


@pytest.mark.embedded
def test_somebody_elses_destination_is_not_told_of_made_up_customers(hub: Hub, api: Api) -> None:
    own = api.connect("webhook", "my partner", settings={"url": "https://partner.example.nl/in"})
    try:
        with systems() as around, pytest.raises(DemoFailed, match="my partner"):
            play(Place(api, own=False, logs=""), around, Tell(io.StringIO()))
    finally:
        api.call("DELETE", f"/v1/connections/{own['id']}")


@pytest.mark.embedded
def test_a_connection_is_found_by_its_name_and_mended(hub: Hub, api: Api) -> None:
    first = Registry(api, "demo mended").register(shop())
    made = api.get(f"/v1/connections/{first}")
    assert Registry(api, "demo mended").register(shop()) == first
    assert api.get(f"/v1/connections/{first}") == made
    api.call("PATCH", f"/v1/connections/{first}", json={"settings": {"accounts": "unverified"}})
    api.call("POST", f"/v1/connections/{first}/pause")
    assert Registry(api, "demo mended").register(shop()) == first
    found = api.get(f"/v1/connections/{first}")
    assert (found["status"], found["settings"]["accounts"]) == ("active", "verified")
    api.call("DELETE", f"/v1/connections/{first}")
