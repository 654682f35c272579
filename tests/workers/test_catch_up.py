"""What a provider never delivered is asked for, found once, and takes the way of a webhook."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib.model import instants
from chalicelib.settings import settings
from chalicelib.store import aws, connections, jobs, rates
from chalicelib.workers import jobs as worker
from chalicelib.workers import missed, sweep
from chalicelib.workers.rounds import Round
from tests import drive
from tests.api.client import Api, key_with
from tests.faults import FaultTable, Killed
from tests.standins import shopify, stripe, zendesk

SIGNING = "whsec_catch_up"
MAIL = "sanne@example.nl"
HOURS = 3600


@pytest.fixture
def api(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "1")
    settings.cache_clear()
    rates.forget()
    yield Api(key_with("admin"))
    settings.cache_clear()


@pytest.fixture
def pays() -> Iterator[stripe.Stripe]:
    with stripe.Stripe() as running:
        assert isinstance(running, stripe.Stripe)
        yield running


@pytest.fixture
def shop() -> Iterator[shopify.Shopify]:
    with shopify.Shopify() as running:
        assert isinstance(running, shopify.Shopify)
        yield running


@pytest.fixture
def desk() -> Iterator[zendesk.Zendesk]:
    with zendesk.Zendesk() as running:
        assert isinstance(running, zendesk.Zendesk)
        yield running


def paid(number: int, ago: int = 2 * HOURS) -> dict[str, Any]:
    """A payment's event, so many seconds ago."""
    thing = {"id": f"pi_{number}", "object": "payment_intent", "amount": 1000 + number, "currency": "eur"}
    thing |= {"customer": "cus_sanne", "receipt_email": MAIL, "metadata": {}, "status": "succeeded"}
    return {"id": f"evt_{number}", "object": "event", "created": int(time.time()) - ago - number, "livemode": True,
            "type": "payment_intent.succeeded", "pending_webhooks": 1, "data": {"object": thing}}  # fmt: skip


def connect(api: Api, provider: str, url: str, secrets: dict[str, str], **more: Any) -> str:
    asked = {"provider": provider, "name": provider, "settings": {"base_url": url, **more}, "secrets": secrets}
    made: str = api.call("POST", "/v1/connections", 201, asked)["id"]
    return made


def till(api: Api, pays: stripe.Stripe, key: str = stripe.KEY, **more: Any) -> str:
    secrets = {"signing_secret": SIGNING} | ({"api_key": key} if key else {})
    return connect(api, "stripe", pays.url, secrets, accounts="verified", **more)


def tell(api: Api, connection: str, event: dict[str, Any]) -> None:
    sent = drive.stripe(f"/hooks/{connection}", event, SIGNING)
    assert api.send("POST", sent.url, sent.body, sent.headers.items(), key="").status == 200
    api.work()


def ask(api: Api, connection: str, **window: str) -> dict[str, Any]:
    """Ask by hand; the job when it is done."""
    job = api.call("POST", f"/v1/connections/{connection}/catch-up", 202, window)["job"]
    finish(api, job)
    found: dict[str, Any] = api.get(f"/v1/jobs/{job}")
    return found


def finish(api: Api, job: str) -> None:
    """As the queue does, without waiting for its delays."""
    api.work()
    for _ in range(100):
        found = jobs.get(api.table, job)
        assert found
        if found.status != jobs.RUNNING:
            break
        rates.forget()
        worker.run(api.table, job)
    api.work()


def receipts(api: Api, connection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/receipts", connection=connection, limit=200)["receipts"]
    return found


def entries(api: Api, identity: str) -> list[dict[str, Any]]:
    customers = api.get("/v1/customers", identity=identity)["customers"]
    return api.get(f"/v1/customers/{customers[0]['id']}/timeline", limit=200)["entries"] if customers else []


def test_what_was_not_delivered_is_found_and_what_was_is_left_alone(api: Api, pays: stripe.Stripe) -> None:
    connection, all_of_them = till(api, pays), [paid(number) for number in range(5)]
    for each in all_of_them:
        pays.add(each)
    for each in all_of_them[::2]:
        tell(api, connection, each)
    before = receipts(api, connection)
    job = ask(api, connection)
    assert job["counts"] == {"looked at": 5, "known": 3, "found": 2} and job["errors"] == []
    assert len(entries(api, f"email:{MAIL}")) == 5
    found = [each for each in receipts(api, connection) if each["missed"]]
    assert {each["delivery_key"] for each in found} == {"evt_1", "evt_3"}
    assert {each["verdict"] for each in found} == {"accepted"}
    assert len(receipts(api, connection)) == len(before) + 2
    shown = api.get(f"/v1/receipts/{found[0]['id']}")
    assert json.loads(shown["body"])["object"] == "event" and stripe.KEY not in json.dumps(shown)
    told = api.get(f"/v1/connections/{connection}")["catch_up"]
    assert (told["looked_at"], told["found"], told["reason"]) == (5, 2, None)


def test_again_and_late_webhooks_change_nothing(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    for number in range(3):
        pays.add(paid(number))
    ask(api, connection)
    before = entries(api, f"email:{MAIL}")
    assert len(before) == 3
    again = ask(api, connection)
    assert again["counts"] == {"looked at": 3, "known": 3}
    tell(api, connection, pays.events[0])
    assert receipts(api, connection)[0]["verdict"] == "duplicate"
    assert entries(api, f"email:{MAIL}") == before


def test_a_page_that_is_taken_twice_makes_each_receipt_once(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    for number in range(3):
        pays.add(paid(number))
    job = api.call("POST", f"/v1/connections/{connection}/catch-up", 202, {})["job"]
    found = jobs.get(api.table, job)
    assert found
    for _ in range(2):
        missed.run(api.table, found)
    finish(api, job)
    assert len(receipts(api, connection)) == 3 and len(entries(api, f"email:{MAIL}")) == 3


@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["before", "after"])
def test_killed_at_any_storage_call_it_finds_all_once(api: Api, pays: stripe.Stripe, after: bool) -> None:
    """The message of the killed worker is taken again."""
    kill_at, dead = 0, True
    while dead:
        kill_at += 1
        pays.reset()
        who = f"{kill_at}.{after}"
        connection, told = till(api, pays), [about(paid(number), who) for number in range(3)]
        for each in told:
            pays.add(each)
        tell(api, connection, told[1])
        job = api.call("POST", f"/v1/connections/{connection}/catch-up", 202, {})["job"]
        rates.forget()
        dead = killed(api, job, kill_at, after)
        finish(api, job)
        assert len(entries(api, f"email:{who}@example.nl")) == 3, kill_at
        assert sorted(each["missed"] for each in receipts(api, connection)) == [False, True, True], kill_at
        counts = api.get(f"/v1/jobs/{job}")["counts"]
        assert counts["looked at"] == 3 and (dead or counts["found"] == 2), kill_at
    assert kill_at > 8


def killed(api: Api, job: str, kill_at: int, after: bool) -> bool:
    try:
        worker.run(FaultTable(api.table, kill_at, after), job)
    except Killed:
        return True
    return False


def about(event: dict[str, Any], who: str) -> dict[str, Any]:
    thing = event["data"]["object"] | {"id": f"{event['id']}.{who}", "customer": who}
    return event | {"data": {"object": thing | {"receipt_email": f"{who}@example.nl"}}}


def test_pages_follow_each_other_and_the_cursor_resumes(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    for number in range(120):
        pays.add(paid(number))
    job = ask(api, connection)
    assert job["counts"] == {"looked at": 120, "found": 120} and job["done"] == 120
    asked = [call.query.get("starting_after") for call in pays.calls]
    assert len(asked) == 3 and asked[0] is None and asked[1] != asked[2]


def test_a_message_leaves_the_rest_of_a_page_to_the_next(
    api: Api, pays: stripe.Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed, "BUDGET", -1.0)
    connection = till(api, pays)
    for number in range(7):
        pays.add(paid(number))
    job = ask(api, connection)
    assert job["counts"] == {"looked at": 7, "found": 7} and len(receipts(api, connection)) == 7


def test_only_the_window_is_asked_for(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    for number, ago in enumerate((2 * HOURS, 30 * HOURS, 100 * HOURS, 10)):
        pays.add(paid(number, ago))
    now = instants.now_ms()
    since, until = (instants.from_ms(now - hours * HOURS * 1000) for hours in (40, 20))
    assert ask(api, connection, since=since, until=until)["counts"] == {"looked at": 1, "found": 1}
    assert ask(api, connection)["counts"] == {"looked at": 2, "known": 1, "found": 1}, "what is on its way is left"


def test_a_provider_that_is_busy_is_asked_later(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    pays.add(paid(1))
    pays.behave("status", status=429, headers={"Retry-After": "90"}, times=2)
    started = api.call("POST", f"/v1/connections/{connection}/catch-up", 202, {})["job"]
    found = jobs.get(api.table, started)
    assert found
    turn = missed.run(api.table, found)
    assert (turn.delay, turn.cursor, turn.done) == (90, "0|", 0)
    pays.behave()
    finish(api, started)
    assert api.get(f"/v1/jobs/{started}")["counts"]["found"] == 1


def test_one_that_never_answers_is_given_up_and_told(
    api: Api, pays: stripe.Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = till(api, pays)
    monkeypatch.setattr(missed, "MOST_WAITS", 3)
    pays.behave("status", status=503)
    job = ask(api, connection)
    assert job["status"] == "done" and "HTTP 503" in job["errors"][0] and len(pays.calls) == 0
    assert "HTTP 503" in api.get(f"/v1/connections/{connection}")["catch_up"]["reason"]


@pytest.mark.parametrize(("key", "why"), [("rk_wrong", "HTTP 401"), (stripe.NARROW_KEY, "HTTP 403")])
def test_a_refused_key_is_shown_and_asked_again_only_when_changed(
    api: Api, pays: stripe.Stripe, key: str, why: str
) -> None:
    connection = till(api, pays, key)
    age(api, connection, 2 * HOURS)
    sweep.take()
    api.work()
    shown = api.get(f"/v1/connections/{connection}")
    assert why in shown["catch_up"]["reason"] and why in shown["refusals"][0]["reason"]
    assert key not in json.dumps(shown)
    before = len(pays.calls)
    due(api, connection)
    sweep.take()
    api.work()
    assert len(pays.calls) == before
    api.call("POST", f"/v1/connections/{connection}/rotate", 200, {"secrets": {"api_key": stripe.KEY}})
    pays.add(paid(1, HOURS))
    sweep.take()
    api.work()
    assert len(entries(api, f"email:{MAIL}")) == 1
    assert api.get(f"/v1/connections/{connection}")["catch_up"]["reason"] is None


def test_an_answer_that_is_no_list_is_no_empty_list(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    pays.behave("lie")
    job = ask(api, connection)
    assert job["errors"] == ["not a list of events"]
    assert api.get(f"/v1/connections/{connection}")["catch_up"]["until"] is None


def test_pages_that_go_round_end(api: Api, pays: stripe.Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = till(api, pays)
    pays.behave("lie", body={"object": "list", "has_more": True, "data": [paid(1)]})
    assert ask(api, connection)["errors"] == ["the page after this one is itself"]
    monkeypatch.setattr(missed, "MOST_TURNS", 1)
    pays.behave()
    for number in range(120):
        pays.add(paid(number))
    assert ask(api, connection)["errors"] == ["there is no end to its pages"]


def test_what_is_known_costs_one_read_and_no_write(
    api: Api, pays: stripe.Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = till(api, pays)
    for number in range(30):
        pays.add(paid(number))
    ask(api, connection)
    job = jobs.get(api.table, api.call("POST", f"/v1/connections/{connection}/catch-up", 202, {})["job"])
    asked, call = [], aws.call

    def counted(service: str, operation: str, **given: Any) -> Any:
        asked.append(operation)
        return call(service, operation, **given)

    monkeypatch.setattr(aws, "call", counted)
    assert job and missed.run(api.table, job).done == 30
    assert asked.count("get_item") <= 30 + 5 and asked.count("batch_get_item") == 0
    assert asked.count("put_item") <= 2 and "send_message" not in asked


def test_what_cannot_be_read_is_named_and_costs_no_other(api: Api, pays: stripe.Stripe) -> None:
    connection, broken = till(api, pays), paid(1)
    broken["data"]["object"].pop("id")
    for each in (paid(0), broken, paid(2)):
        pays.add(each)
    job = ask(api, connection)
    assert job["counts"] == {"looked at": 3, "found": 2, "unreadable": 1}
    assert job["errors"] == ["evt_1: id is missing"]


def test_who_was_erased_is_not_brought_back(api: Api, pays: stripe.Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAAD_ERASE_SETTLE_SECONDS", "0")
    settings.cache_clear()
    connection = till(api, pays)
    pays.add(paid(0))
    tell(api, connection, pays.events[0])
    customer = api.get("/v1/customers", identity=f"email:{MAIL}")["customers"][0]["id"]
    api.call("POST", f"/v1/customers/{customer}/erase", 202, {"reason": "asked"})
    api.work()
    pays.add(paid(1))
    assert ask(api, connection)["counts"] == {"looked at": 2, "known": 2}
    assert entries(api, f"email:{MAIL}") == []


def age(api: Api, connection: str, seconds: int) -> None:
    """As if it had been there for so long."""
    found = connections.get(api.table, connection)
    assert found
    born = instants.from_ms(instants.now_ms() - seconds * 1000)
    assert connections.save(api.table, msgspec.structs.replace(found, created_at=born, ver=found.ver + 1))


def state(api: Api, connection: str) -> dict[str, Any]:
    found = api.table.get((f"C#{connection}", "MISSED"))
    assert found
    return dict(found)


def due(api: Api, connection: str, **more: Any) -> None:
    from chalicelib.store.table import Put

    api.table.write(Put(state(api, connection) | {"due": 0} | more))


def passes(api: Api) -> list[jobs.Job]:
    return [each for each in jobs.newest(api.table, "", "~", 50) if each.kind == "catch-up"][::-1]


def test_the_sweep_asks_by_itself_first_all_then_what_is_recent(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    age(api, connection, 10 * 24 * HOURS)
    pays.add(paid(0, 50 * HOURS))
    sweep.take()
    api.work()
    assert len(entries(api, f"email:{MAIL}")) == 1
    sweep.take()
    assert len(passes(api)) == 1, "it is not due before a quarter of an hour"
    pays.add(paid(1, HOURS // 2))
    due(api, connection)
    sweep.take()
    api.work()
    first, second = passes(api)
    assert (first.params["full"], second.params["full"]) == (True, False)
    assert hours(first) == pytest.approx(73, abs=0.1) and 1.1 < hours(second) < 1.3
    assert len(entries(api, f"email:{MAIL}")) == 2
    due(api, connection, night=0)
    sweep.take()
    assert passes(api)[-1].params["full"] is True


def hours(job: jobs.Job) -> float:
    return (instants.to_ms(job.params["until"]) - instants.to_ms(job.params["since"])) / 3_600_000


def test_a_recent_pass_begins_where_the_last_finished_one_ended(api: Api, pays: stripe.Stripe) -> None:
    """The hub, or the provider, was away for a day: no gap is left."""
    connection = till(api, pays)
    age(api, connection, 9 * 24 * HOURS)
    sweep.take()
    api.work()
    caught = api.table.get((f"C#{connection}", "CAUGHT"))
    assert caught
    from chalicelib.store.table import Put

    yesterday = instants.from_ms(instants.now_ms() - 30 * HOURS * 1000)
    api.table.write(Put(caught | {"until": yesterday}))
    ask(api, connection, since=instants.from_ms(instants.now_ms() - 2 * HOURS * 1000))
    due(api, connection)
    sweep.take()
    assert hours(passes(api)[-1]) == pytest.approx(31, abs=0.2), "one that was asked for by hand moves no mark"


def test_two_sweeps_begin_one_pass(api: Api, pays: stripe.Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = till(api, pays)
    age(api, connection, 5 * HOURS)
    found, claim, begun = connections.everyone(api.table), Round.claim, [False]

    def another_first(turn: Round, *given: Any, **more: Any) -> bool:
        monkeypatch.setattr(Round, "claim", claim)
        begun[0] = missed.start_due(api.table, found) == 1
        return claim(turn, *given, **more)

    monkeypatch.setattr(Round, "claim", another_first)
    assert missed.start_due(api.table, found) == 0 and begun == [True] and len(passes(api)) == 1


def test_a_pass_that_runs_holds_the_next_one_up_but_not_for_ever(api: Api, pays: stripe.Stripe) -> None:
    connection = till(api, pays)
    age(api, connection, 5 * HOURS)
    sweep.take()
    due(api, connection)
    sweep.take()
    assert len(passes(api)) == 1
    due(api, connection, at=0)
    sweep.take()
    assert len(passes(api)) == 2


@pytest.mark.parametrize("why", ["switched off", "no key", "disabled", "too young"])
def test_nothing_is_asked_of_one_that_is(api: Api, pays: stripe.Stripe, why: str) -> None:
    connection = till(
        api, pays, "" if why == "no key" else stripe.KEY, catch_up="off" if why == "switched off" else "on"
    )
    if why != "too young":
        age(api, connection, 5 * HOURS)
    if why == "disabled":
        api.call("DELETE", f"/v1/connections/{connection}")
    sweep.take()
    api.work()
    assert pays.calls == [] and passes(api) == []


def test_mistakes_are_told_field_by_field(api: Api, pays: stripe.Stripe) -> None:
    known, keyless = till(api, pays), till(api, pays, "")
    other = connect(api, "feedback_form", "https://x.example", {"token": "t" * 20})

    def refused(connection: str, **asked: Any) -> list[str]:
        body = json.dumps(asked).encode()
        answer = api.send(
            "POST", f"/v1/connections/{connection}/catch-up", body, [("Content-Type", "application/json")]
        )
        assert answer.status == 422, answer.raw
        return answer.pointers

    assert refused(known, since="yesterday") == ["/since"]
    assert refused(known, since="2026-01-01T00:00:00Z") == ["/since"], "the provider keeps thirty days"
    assert refused(known, since=instants.now()) == ["/until"]
    assert refused(known, until="2026-01-01T00:00:00Z") == ["/until"]
    assert refused(known, before="x") == ["/before"]
    assert refused(keyless) == ["/secrets"]
    assert refused(other) == [""]
    api.call("POST", "/v1/connections/con_unknown/catch-up", 404, {})
    assert "catch_up" not in api.get(f"/v1/connections/{other}")
    assert [api.get(f"/v1/connections/{each}")["catch_up"]["by_itself"] for each in (known, keyless)] == [True, False]
    assert api.get("/v1/providers/stripe")["catches_up"] is True
    assert api.get("/v1/providers/feedback_form")["catches_up"] is False


def test_an_order_that_no_webhook_told_of_and_its_last_change(api: Api, shop: shopify.Shopify) -> None:
    secrets = {"client_secret": drive.SHOP_SECRET, "access_token": shopify.TOKEN}
    connection = connect(api, "shopify", shop.url, secrets, shop_domain=drive.SHOP, accounts="verified")
    at = {ago: instants.from_ms((int(time.time()) - ago * HOURS) * 1000) for ago in (8, 7, 6, 5)}
    orders = [drive.order(number, 900, MAIL, "+31612345678", at[8]) for number in range(1, 61)]
    for each in orders:
        shop.add(each)
    shipped = orders[0] | {"updated_at": at[5], "note": "changed since"}
    shipped["fulfillments"] = [{"id": 71, "order_id": 1, "name": "#1-F1", "created_at": at[7], "updated_at": at[7]}]
    shipped["refunds"] = [{"id": 72, "order_id": 1, "created_at": at[6], "transactions": []}]
    sent = drive.shopify(f"/hooks/{connection}", "orders/create", orders[0])
    assert api.send("POST", sent.url, sent.body, sent.headers.items(), key="").status == 200
    api.work()
    before = entries(api, f"email:{MAIL}")
    shop.add(shipped)
    job = ask(api, connection)
    assert job["counts"] == {"looked at": 63, "known": 1, "found": 62} and len(shop.calls) == 2
    after = entries(api, f"email:{MAIL}")
    assert len(after) == 63 and before[0] in after, "what was told once is not told anew as it is now"
    assert ask(api, connection)["counts"] == {"looked at": 63, "known": 63}


def test_a_shop_that_is_asked_too_fast_says_when(api: Api, shop: shopify.Shopify) -> None:
    secrets = {"client_secret": drive.SHOP_SECRET, "access_token": shopify.TOKEN}
    connection = connect(api, "shopify", shop.url, secrets, shop_domain=drive.SHOP)
    shop.bucket = 0
    found = jobs.get(api.table, api.call("POST", f"/v1/connections/{connection}/catch-up", 202, {})["job"])
    assert found and missed.run(api.table, found).delay >= 2


def ticket(desk: zendesk.Zendesk, at: int) -> tuple[str, int]:
    user = int(desk.add_user(name="Sanne", email=MAIL, role="end-user"))
    moment = f"{instants.from_ms(at * 1000)[:19]}Z"
    number = desk.add_ticket(requester_id=user, submitter_id=user, subject="Ruilen", description="Kan ik ruilen?",
                             created_at=moment, updated_at=moment, via={"channel": "email"})  # fmt: skip
    return number, user


def test_a_ticket_and_comments_of_another_form_meet_their_webhooks(api: Api, desk: zendesk.Zendesk) -> None:
    secrets = {"signing_secret": drive.DESK_SECRET, "api_token": zendesk.TOKEN}
    connection = connect(api, "zendesk", desk.url, secrets, subdomain="tc", agent_email=zendesk.EMAIL)
    at = int(time.time()) - 9 * HOURS
    number, user = ticket(desk, at)
    desk.add_update(number, at, user, made=True, body="Kan ik ruilen?")
    words = [desk.add_update(number, at + 600 * n, user, body=f"antwoord {n}") for n in (1, 2, 3)]
    desk.exported_at_once = 2
    told = words[1]["child_events"][0]
    detail = {name: str(value) for name, value in desk.tickets[number].items() if not isinstance(value, dict | list)}
    comment = {
        "id": str(told["id"]),
        "body": told["body"],
        "is_public": True,
        "author": {"id": str(user), "is_staff": False},
    }
    moment = instants.from_ms(words[1]["timestamp"] * 1000 + 437)
    body = {"type": "zen:event-type:ticket.comment_added", "id": "01K40000000000000000000012", "time": moment,
            "detail": detail | {"via": {"channel": "email"}}, "event": {"comment": comment}}  # fmt: skip
    sent = drive.zendesk_signed(f"/hooks/{connection}", body)
    assert api.send("POST", sent.url, sent.body, sent.headers.items(), key="").status == 200
    api.work()
    job = ask(api, connection)
    assert job["errors"] == [] and job["counts"]["found"] == 3
    shown = entries(api, f"desk:tc/{user}")
    assert sorted(each["text"] for each in shown) == ["Kan ik ruilen?", "antwoord 1", "antwoord 2", "antwoord 3"]
    again = ask(api, connection)
    assert "found" not in again["counts"] and len(entries(api, f"desk:tc/{user}")) == 4


def test_an_export_goes_on_after_a_second_that_fills_a_page(api: Api, desk: zendesk.Zendesk) -> None:
    secrets = {"signing_secret": drive.DESK_SECRET, "api_token": zendesk.TOKEN}
    connection = connect(api, "zendesk", desk.url, secrets, subdomain="tc", agent_email=zendesk.EMAIL)
    at = int(time.time()) - 9 * HOURS
    number, user = ticket(desk, at)
    for n in (0, 60, 60, 120):
        desk.add_update(number, at + n, user, body=f"antwoord {n}")
    desk.exported_at_once = 1
    ask(api, connection)
    assert sorted(each["text"] for each in entries(api, f"desk:tc/{user}")) == [f"antwoord {n}" for n in (0, 120, 60)]


def test_an_export_is_asked_at_the_desks_pace(api: Api, desk: zendesk.Zendesk) -> None:
    """Ten a minute are allowed, eight are asked: the ninth page waits its turn."""
    secrets = {"signing_secret": drive.DESK_SECRET, "api_token": zendesk.TOKEN}
    connection = connect(api, "zendesk", desk.url, secrets, subdomain="tc", agent_email=zendesk.EMAIL)
    at = int(time.time()) - 9 * HOURS
    number, user = ticket(desk, at)
    for n in range(30):
        desk.add_update(number, at + 60 * n, user, body=f"antwoord {n}")
    desk.exported_at_once = 2
    job = jobs.get(api.table, api.call("POST", f"/v1/connections/{connection}/catch-up", 202, {})["job"])
    for _ in range(20):
        assert job
        turn = missed.run(api.table, job)
        job = jobs.turn(api.table, job, turn)
        if turn.delay:
            break
    exports = [call for call in desk.calls if "incremental" in call.path]
    assert turn.delay > 1 and len(exports) == 8
