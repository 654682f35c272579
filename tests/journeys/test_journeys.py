"""Whole journeys over HTTP: any order, doubled, many at once, workers killed; people see the same.

Every permutation of a journey is played for a customer of its own, all of them at once and
interleaved by eight senders, with webhooks doubled and the workers killed in between.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.journeys.cast import Cast, Journey, assembled, groups, sms, sms_sent, whatsapp_text

pytestmark = pytest.mark.embedded

PERMUTATIONS = int(os.environ.get("DRAAD_PERMUTATIONS", "8"))
NIGHTLY = 50
ASKED = "Is de trui in de winkel ook afgeprijsd?"


@pytest.fixture(scope="module")
def cast(hub: Hub) -> Iterator[Cast]:
    with assembled(Integrator(hub.url, hub.admin_key)) as made:
        yield made


def entries(cast: Cast, identity: str) -> list[dict[str, Any]]:
    found = cast.who.customer(identity)
    try:
        return cast.who.entries(found["id"]) if found else []
    except AssertionError as moved:
        if "no such customer" not in str(moved):
            raise
        return []  # his id was a number's that turned out to be shared, a moment ago


def shown(cast: Cast, identity: str) -> dict[str, Any]:
    found = cast.who.customer(identity)
    assert found, identity
    whole: dict[str, Any] = cast.who.get(f"/v1/customers/{found['id']}")
    return whole


# --- The sweater: browse, chat, mail and WhatsApp by a handed-over token, call, order, return, survey by text


def mobile(k: int) -> str:
    return f"+3161{k:07d}"


def sweater(cast: Cast, k: int) -> Sequence[Sent]:
    mail, one, two = f"jan{k}@example.nl", cast.token(f"ch-{k}", "email"), cast.token(f"ch-{k}", "whatsapp")
    visit = {
        "id": f"v-{k}",
        "anonymousId": f"a-{k}",
        "properties": {"path": "/truien"},
        "timestamp": "2026-09-01T09:00:00Z",
    }
    asked = {"conversationId": f"ch-{k}", "anonymousId": f"a-{k}", "message": {"id": f"m-{k}", "text": ASKED}}
    returned = {"event": "return.created", "receipt": f"R-{k}", "order_ref": str(600000 + k), "loyalty": None}
    survey = {"event": "survey.sent", "survey": f"sv-{k}", "to": mobile(k), "scale": [0, 10], "receipt": f"R-{k}"}
    order = drive.order(600000 + k, 900000 + k, mail, "", "2026-09-02T20:15:00+02:00")
    order["billing_address"]["phone"] = None
    return [
        drive.generic(cast.hooks["web"], visit),
        drive.generic(cast.hooks["chat"], asked | {"prechat": {"email": mail}, "ts": "2026-09-01T09:05:00Z"}),
        drive.postmark(cast.hooks["mail"], mail, "2026-09-01T10:10:00+00:00", "Graag per mail", name=f"m{k}@mail.example",
                       subject=f"Re: uw chat [#H:{one}]"),
        whatsapp_text(cast, f"NL.{k}", mobile(k), f"wamid.{k}", 1788264000, f"Verder via WhatsApp [H:{two}]"),
        drive.call(cast.hooks["voice"], f"CA{k}", mobile(k), "Wed, 02 Sep 2026 08:30:00 +0000"),
        drive.shopify(cast.hooks["shop"], "orders/create", order),
        drive.generic(cast.hooks["pos"], returned | {"store": "Utrecht", "at": "2026-09-05T14:02:11+02:00"}),
        drive.generic(cast.hooks["pos"], survey | {"at": "2026-09-05T13:05:00Z"}),
        sms(cast, f"SM{k}", mobile(k), "2026-09-05T13:10:00.000Z", "9"),
    ]  # fmt: skip


def sweater_settled(cast: Cast, k: int) -> bool:
    return len(entries(cast, f"shop:tc/{900000 + k}")) == 9


def sweater_check(cast: Cast, k: int) -> None:
    found = shown(cast, f"shop:tc/{900000 + k}")
    known = {
        each["identity"].replace(str(drive.BUSINESS_ACCOUNT), "B"): each["assurance"] for each in found["identities"]
    }
    wanted = {
        f"web:tc/a-{k}",
        f"email:jan{k}@example.nl",
        f"whatsapp:B/NL.{k}",
        f"phone:{mobile(k)}",
        f"shop:tc/{900000 + k}",
    }
    assert wanted <= known.keys() and known[f"email:jan{k}@example.nl"] == "A3"
    told = entries(cast, f"shop:tc/{900000 + k}")
    assert groups([each for each in told if each["type"] != "visit"]) == [
        ["09-01T09:05", "09-01T10:10", "09-01T12:00"],
        ["09-02T08:30"],
        ["09-02T18:15", "09-05T12:02", "09-05T13:05", "09-05T13:10"],
    ]
    assert found["preferred_channel"] == "voice"
    assert found["satisfaction"].keys() == {"store"}, found["satisfaction"]
    store = found["satisfaction"]["store"]
    assert (store["score"], store["raw"], store["scale"], store["collected_via"]) == (90, 9, [0, 10], "sms")
    assert found["open_question"]["text"] == ASKED
    assert found["former_ids"] and not found["conflicts"] and found["verified"]
    destinations(cast, found, told, partner={"order.created", "return.created"})


def destinations(cast: Cast, found: dict[str, Any], told: list[dict[str, Any]], partner: set[str]) -> None:
    """One live record, and each event once, but for what is never sent."""
    ids = {each["id"] for each in told if each["type"] not in ("identify", "consent")}
    kept = cast.crm.kept()
    assert sorted(each for each in kept if each in ids) == sorted(ids), "each event once in the CRM"
    assert records(cast, found) >= 1
    types = {each["type"] for each in cast.partner.taken.values() if each["data"]["id"] in ids}
    assert types == partner


def records(cast: Cast, found: dict[str, Any]) -> int:
    mine = {found["id"], *found["former_ids"]}
    with cast.crm.lock:
        rows = [row["properties"] for row in cast.crm.objects["contacts"].values()]
    return sum(row.get("hub_customer_id") in mine for row in rows)


# --- A landline of two and a company's mailbox


def household(cast: Cast, k: int) -> Sequence[Sent]:
    landline, baker, first = f"+3120{k:07d}", f"info@bakker{k}.example", 100000 + 10 * k

    def order(step: int, day: int, **more: Any) -> Sent:
        made = drive.order(
            first + step, first + step, more.get("mail", ""), more.get("phone", ""), f"2026-09-{day:02d}T10:00:00+02:00"
        )
        for part in (made, made["customer"], made["billing_address"]):
            for name in ("email", "contact_email", "phone"):
                if name in part and not part[name]:
                    part[name] = None
        return drive.shopify(cast.hooks["shop"], "orders/create", made)

    calls = {"To": "+31201112233", "CallStatus": "completed", "Direction": "inbound", "CallDuration": "60"}
    return [
        order(1, 1, mail=f"anna{k}@example.nl", phone=landline),
        order(2, 2, mail=f"piet{k}@example.nl", phone=landline),
        drive.call(cast.hooks["voice"], f"CB{k}", landline, "Thu, 03 Sep 2026 08:30:00 +0000"),
        drive.twilio(cast.hooks["voice"], CallSid=f"CC{k}", From=landline, Digits=str(first + 2),
                     Timestamp="Thu, 03 Sep 2026 09:30:00 +0000", **calls),
        drive.postmark(cast.hooks["mail"], baker, "2026-09-04T10:00:00+00:00", f"factuur {first + 3}", name=f"b{k}@mail.example"),
        order(3, 5, mail=baker),
        order(4, 6, mail=baker),
        drive.twilio(cast.hooks["voice"], CallSid=f"CD{k}", From="anonymous", Timestamp="Mon, 07 Sep 2026 09:30:00 +0000", **calls),
    ]  # fmt: skip


def household_times(cast: Cast, k: int) -> list[list[str]]:
    first = 100000 + 10 * k
    return [
        [each["occurred_at"][5:16] for each in reversed(entries(cast, f"shop:tc/{first + n}"))] for n in range(1, 5)
    ]


HOUSEHOLD = [["09-01T08:00"], ["09-02T08:00", "09-03T09:30"], ["09-04T10:00", "09-05T08:00"], ["09-06T08:00"]]


def household_settled(cast: Cast, k: int) -> bool:
    return household_times(cast, k) == HOUSEHOLD


def household_check(cast: Cast, k: int) -> None:
    first, landline = 100000 + 10 * k, f"+3120{k:07d}"
    assert household_times(cast, k) == HOUSEHOLD
    assert cast.who.get("/v1/customers", identity=f"phone:{landline}")["match"] == "candidate"
    people = [shown(cast, f"shop:tc/{first + n}") for n in range(1, 5)]
    assert len({each["id"] for each in people}) == 4
    assert [each["preferred_channel"] for each in people] == [None, "voice", "email", None]
    for each in people[:2]:
        possible = cast.who.get(f"/v1/customers/{each['id']}/possible")["entries"]
        assert [entry["occurred_at"][5:16] for entry in possible] == ["09-03T08:30"]
    letters = entries(cast, f"shop:tc/{first + 3}")
    assert len({each["conversation"] for each in letters}) == 1
    assert all(records(cast, each) for each in people)


# --- Click and collect: a status before its order, a doubled event, the night of two half past twos, a corrected rating


def collect(cast: Cast, k: int) -> Sequence[Sent]:
    number, phone = 850000 + k, f"+3164{k:07d}"
    created = drive.order(number, number, "", phone, "2026-10-24T23:10:00Z")
    created.update(email=None, contact_email=None)
    created["customer"] = created["customer"] | {"email": None}
    ready = created | {"updated_at": "2026-10-25T00:40:00Z", "status": "ready"}
    picked = {"event": "order.picked_up", "order_ref": str(number), "at": "2026-10-25T10:05:00+01:00"}
    survey = {"event": "survey.sent", "survey": f"sw-{k}", "to": phone, "scale": [1, 5], "order_ref": str(number)}
    out = {
        "Direction": "outbound-api",
        "From": "+31201112233",
        "To": phone,
        "CallStatus": "completed",
        "CallDuration": "90",
    }
    ticket = cast.desk.add_ticket(
        id=70_000_000 + k,
        requester_id=int(cast.desk.add_user(name="Rule")),
        custom_fields=[{"id": 360001, "value": str(number)}],
    )
    return [
        drive.shopify(cast.hooks["shop"], "orders/updated", ready, event=f"ev1-{k}"),
        drive.shopify(cast.hooks["shop"], "orders/create", created, event=f"ev2-{k}"),
        drive.shopify(cast.hooks["shop"], "orders/create", created, event=f"ev2-{k}"),
        sms_sent(cast, f"SR{k}", phone, "2026-10-25T00:30:00.000Z", "Uw bestelling ligt klaar"),
        sms(cast, f"SS{k}", phone, "2026-10-25T01:30:00.000Z", "STATUS"),
        drive.generic(cast.hooks["pos"], picked),
        drive.generic(cast.hooks["pos"], survey | {"at": "2026-10-25T10:30:00+01:00"}),
        sms(cast, f"ST{k}", phone, "2026-10-25T09:40:00.000Z", "2"),
        sms(cast, f"SU{k}", phone, "2026-10-25T09:41:00.000Z", "1"),
        drive.zendesk(cast.hooks["desk"], "ticket.created", detractor(ticket), {}, "2026-10-25T09:45:00Z"),
        drive.twilio(cast.hooks["voice"], CallSid=f"CE{k}", Timestamp="Sun, 25 Oct 2026 11:00:00 +0000", **out),
    ]


def detractor(ticket: str) -> dict[str, Any]:
    """A ticket that a rule of the desk made of a bad score; the order's number is in a field of it."""
    moment = {"created_at": "2026-10-25T09:45:00Z", "updated_at": "2026-10-25T09:45:00Z"}
    rule = {"requester_id": "999", "actor_id": "-1", "via": {"channel": "rule"}}
    return {"id": ticket, "status": "NEW", "subject": "Score 1", "description": "Score 1"} | moment | rule


COLLECT = [
    [f"10-{at}" for at in ("24T23:10", "25T00:30", "25T00:40", "25T01:30", "25T09:05", "25T09:30", "25T09:40")]
    + ["10-25T09:41", "10-25T09:45"],
    ["10-25T11:00"],
]


def collect_settled(cast: Cast, k: int) -> bool:
    return len(entries(cast, f"shop:tc/{850000 + k}")) == 10


def collect_check(cast: Cast, k: int) -> None:
    found = shown(cast, f"shop:tc/{850000 + k}")
    told = entries(cast, f"shop:tc/{850000 + k}")
    assert groups(told) == COLLECT
    assert found["preferred_channel"] == "sms"
    assert found["satisfaction"].keys() == {"store"}, found["satisfaction"]
    store = found["satisfaction"]["store"]
    assert (store["score"], store["raw"], store["answers"], store["collected_via"]) == (0, 1, 1, "sms")
    destinations(cast, found, told, partner={"order.created", "order.ready", "fulfilment.picked_up"})


# --- An agent's wrong link of a loyalty card to somebody else of nearly the same name


def namesakes(cast: Cast, k: int) -> Sequence[Sent]:
    one, phone, mail = 300000 + 2 * k, f"+3165{k:07d}", f"ahmad{k}@example.nl"
    ahmed = drive.order(one, one, "", phone, "2026-09-01T10:00:00+02:00")
    ahmad = drive.order(one + 1, one + 1, mail, "", "2026-09-04T10:00:00+02:00")
    for each in (ahmed, ahmad):
        for part in (each, each["customer"], each["billing_address"]):
            part.update({name: None for name in ("email", "contact_email", "phone") if name in part and not part[name]})
    ahmad["billing_address"]["phone"] = None
    card = {"event": "purchase.created", "loyalty": f"L-{k}"}
    return [
        drive.shopify(cast.hooks["shop"], "orders/create", ahmed),
        whatsapp_text(cast, f"NL.4{k}", phone, f"wamid.4{k}", 1788336000, "Wanneer komt het?"),
        drive.call(cast.hooks["voice"], f"CF{k}", phone, "Thu, 03 Sep 2026 08:30:00 +0000"),
        drive.shopify(cast.hooks["shop"], "orders/create", ahmad),
        drive.postmark(cast.hooks["mail"], mail, "2026-09-05T10:00:00+00:00", "Graag een factuur", name=f"n{k}@mail.example"),
        drive.postmark(cast.hooks["mail"], mail, "2026-09-06T10:00:00+00:00", "Dank", name=f"o{k}@mail.example"),
        drive.generic(cast.hooks["pos"], card | {"receipt": f"RA-{k}", "customer": str(one + 1), "at": "2026-09-07T10:00:00+02:00"}),
        drive.generic(cast.hooks["pos"], card | {"receipt": f"RB-{k}", "customer": None, "at": "2026-09-09T10:00:00+02:00"}),
    ]  # fmt: skip


def namesakes_times(cast: Cast, k: int) -> list[list[str]]:
    one = 300000 + 2 * k
    return [[each["occurred_at"][5:13] for each in reversed(entries(cast, f"shop:tc/{one + n}"))] for n in (0, 1)]


NAMESAKES = [["09-01T08", "09-02T08", "09-03T08"], ["09-04T08", "09-05T10", "09-06T10", "09-07T08", "09-09T08"]]


def namesakes_settled(cast: Cast, k: int) -> bool:
    return namesakes_times(cast, k) == NAMESAKES


def namesakes_check(cast: Cast, k: int) -> None:
    assert namesakes_times(cast, k) == NAMESAKES
    people = [shown(cast, f"shop:tc/{300000 + 2 * k + n}") for n in (0, 1)]
    assert people[0]["id"] != people[1]["id"] and not any(each["conflicts"] for each in people)
    for each in people:
        told = entries(cast, f"shop:tc/{300000 + 2 * k + people.index(each)}")
        destinations(cast, each, told, partner={"order.created"})


JOURNEYS = [
    Journey("namesakes", namesakes, namesakes_settled, namesakes_check),
    Journey("sweater", sweater, sweater_settled, sweater_check),
    Journey("household", household, household_settled, household_check),
    Journey("collect", collect, collect_settled, collect_check),
]


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda each: each.name)
def test_in_the_given_order(cast: Cast, journey: Journey) -> None:
    for sent in journey.works(cast, 1):
        assert sent.go() in (200, 204)
        time.sleep(0.05)
    settle(cast, [(journey, 1)], 20)
    whose = anchors(journey, 1)
    assert [records(cast, shown(cast, each)) for each in whose] == [1] * len(whose), "one live record each"


def test_a_wrong_link_is_a_conflict_then_forced_then_taken_back_and_replays_change_nothing(cast: Cast) -> None:
    """An agent links the card before its second purchase; an admin forces it; both see it in the audit."""
    who, k = cast.who, 5
    works, pair = namesakes(cast, k), {"a": f"loyalty:tc/L-{k}", "b": f"phone:+3165{k:07d}", "reason": "his card"}
    for sent in works[:-1]:
        assert sent.go() in (200, 204)
    eventually(lambda: namesakes_times(cast, k) == [NAMESAKES[0], NAMESAKES[1][:-1]])
    linked = who.call("POST", "/v1/links", 201, json=pair)
    assert [each["kind"] for each in linked["conflicts"]] == ["anchor"], "two accounts of one shop stay apart"
    assert all(shown(cast, f"shop:tc/{300010 + n}")["conflicts"] for n in (0, 1))
    assert works[-1].go() in (200, 204)
    eventually(lambda: namesakes_settled(cast, k))
    who.call("DELETE", f"/v1/links/{linked['id']}")
    forced = who.call("POST", "/v1/links", 201, json=pair | {"force": True})
    assert len(forced["customers"]["after"]) == 1
    eventually(lambda: len(entries(cast, "shop:tc/300010")) == 8)
    eventually(lambda: sorted(map(len, shown_on(cast, k))) == [0, 8], 30, 0.5)
    who.call("DELETE", f"/v1/links/{forced['id']}")
    settle(cast, [(JOURNEYS[0], k)], 20)
    own = [sorted(each["id"] for each in entries(cast, f"shop:tc/{300010 + n}")) for n in (0, 1)]
    assert sorted(map(len, own)) == [3, 5]
    eventually(lambda: [sorted(record) for record in shown_on(cast, k)] == own, 30, 0.5)
    for n in (0, 1):
        audit = who.get(f"/v1/customers/{shown(cast, f'shop:tc/{300010 + n}')['id']}/audit")["entries"]
        assert [each["action"] for each in audit if each["action"] in ("force", "undo")][:2] == ["undo", "force"]
    before = [entries(cast, f"shop:tc/{300010 + n}") for n in (0, 1)]
    for name in ("shop", "whatsapp", "voice", "mail", "pos"):
        asked = {"connection": cast.ids[name], "since": "2026-01-01T00:00:00.000Z"}
        job = who.call("POST", "/v1/receipts/replay", 202, json=asked)["job"]
        eventually(lambda job=job: who.get(f"/v1/jobs/{job}")["status"] == "done")
    assert [entries(cast, f"shop:tc/{300010 + n}") for n in (0, 1)] == before
    settle(cast, [(JOURNEYS[0], k)], 20)


def shown_on(cast: Cast, k: int) -> list[list[str]]:
    """What the CRM shows on the record of each of the two, by our event ids."""
    with cast.crm.lock:
        rows = {
            row["properties"].get("email") or row["properties"].get("phone"): key
            for key, row in cast.crm.objects["contacts"].items()
        }
        return [cast.crm.events_of(rows[each]) for each in (f"+3165{k:07d}", f"ahmad{k}@example.nl")]


def test_permuted_doubled_at_once_and_with_workers_killed(cast: Cast, hub: Hub) -> None:
    play(cast, hub, 10, PERMUTATIONS, 7)


@pytest.mark.nightly
def test_many_permutations(cast: Cast, hub: Hub) -> None:
    play(cast, hub, 1_000, NIGHTLY, 8)


def play(cast: Cast, hub: Hub, first: int, permutations: int, seed: int) -> None:
    """All journeys together, every customer in an order of his own. Whoever was two customers for a
    while may have two records: how a merge reaches a destination is its policy."""
    rng = random.Random(seed)
    played = [(journey, k) for journey in JOURNEYS for k in range(first, first + permutations)]
    works: list[list[Sent]] = []
    for journey, k in played:
        mine = [sent for sent in journey.works(cast, k) for _ in range(rng.choice((1, 1, 2)))]
        works.append(rng.sample(mine, len(mine)))
    rng.shuffle(works)
    queue = interleaved(rng, works)
    third = len(queue) // 3
    with ThreadPoolExecutor(8) as senders, requests.Session() as session:
        for part in (queue[:third], queue[third : 2 * third], queue[2 * third :]):
            assert all(code in (200, 204) for code in senders.map(lambda sent: sent.go(session), part))
            hub.kill("workers")
    settle(cast, played, 240)
    sent = {id for receipt in receipts(cast) for id in receipt}
    assert sent == seen(cast, played), "what was accepted is on a timeline, possible or waiting, and each once"
    for id in cast.ids.values():
        parked = cast.who.get("/v1/deliveries", status="parked", connection=id)["deliveries"]
        assert [(each["reason"], each["occurred_at"], each["response_excerpt"]) for each in parked] == []
        assert cast.who.get("/v1/receipts", verdict="failed", connection=id)["receipts"] == []


def receipts(cast: Cast) -> Iterator[list[str]]:
    """Ids of the events of every receipt."""
    for connection in cast.ids.values():
        for receipt in paged(cast, "/v1/receipts", "receipts", connection=connection):
            assert receipt["verdict"] in ("accepted", "duplicate", "ignored"), receipt
            yield [each["id"] for each in cast.who.get(f"/v1/receipts/{receipt['id']}")["events"]]


def seen(cast: Cast, played: list[tuple[Journey, int]]) -> set[str]:
    """Ids of the events that people see of all that was played on these connections."""
    found = {each["id"] for connection in cast.ids.values() for each in waiting(cast, connection)}
    for identity in {each for journey, k in [*everything(), *played] for each in anchors(journey, k)}:
        if customer := cast.who.customer(identity):
            told = cast.who.entries(customer["id"])
            assert len({each["id"] for each in told}) == len(told)
            found |= {each["id"] for each in told}
            found |= {each["id"] for each in cast.who.get(f"/v1/customers/{customer['id']}/possible")["entries"]}
    return found


def anchors(journey: Journey, k: int) -> list[str]:
    numbers = {
        "sweater": [900000 + k],
        "household": [100000 + 10 * k + n for n in range(1, 5)],
        "collect": [850000 + k],
        "namesakes": [300000 + 2 * k + n for n in (0, 1)],
    }
    return [f"shop:tc/{number}" for number in numbers[journey.name]]


def everything() -> list[tuple[Journey, int]]:
    """What the tests before this one may have played."""
    return [(journey, k) for journey in JOURNEYS for k in (1, 5, *range(10, 10 + PERMUTATIONS))]


def waiting(cast: Cast, connection: str) -> Iterator[dict[str, Any]]:
    yield from paged(cast, "/v1/waiting", "entries", connection=connection)


def paged(cast: Cast, path: str, name: str, **params: Any) -> Iterator[dict[str, Any]]:
    following = None
    while following is not False:
        page = cast.who.get(path, limit=200, **params, **({"next": following} if following else {}))
        yield from page[name]
        following = page["next"] or False


def interleaved(rng: random.Random, works: list[list[Sent]]) -> list[Sent]:
    left = [list(each) for each in works]
    found = []
    while left:
        one = rng.choice(left)
        found.append(one.pop())
        if not one:
            left.remove(one)
    return found


def settle(cast: Cast, played: list[tuple[Journey, int]], seconds: float = 60) -> None:
    """Wait until every one is whole and told, then look at each; what is late says who it is."""
    left = list(played)

    def done() -> bool:
        left[:] = [(journey, k) for journey, k in left if not journey.settled(cast, k)]
        return not left

    eventually(done, seconds, 1)
    deadline = time.monotonic() + seconds
    for journey, k in played:
        while True:
            try:
                journey.check(cast, k)
                break
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
