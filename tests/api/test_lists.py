"""Lists: whatever the limit, equal timestamps and inserts in between, nothing is skipped or doubled."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.api import answers, paging
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import connections, deliveries, ids, jobs, receipts
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty
from tests.api.client import Api, event, person
from tests.schedule import MemoryTable

NOW = "2026-09-01T09:00:00.000Z"
JAN = person("email", "jan@example.nl")
few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
moments = st.sampled_from(["T09:00:00.000Z", "T09:00:00.001Z", "T23:59:59.999Z"])
days = st.sampled_from(["2026-08-31", "2026-09-01"])


@pytest.fixture
def quick(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The same API over a table in memory, for lists long enough to be looked at a thousand times."""
    memory = MemoryTable()
    memory.batch_put(api.table.query("KEY").items)
    monkeypatch.setattr(answers, "DynamoTable", lambda: memory)
    return Api(api.key, memory)


def emptied(api: Api) -> list[str]:
    """Nothing but the key and three connections."""
    for key in [key for key in api.table.rows if key[0] != "KEY"]:
        del api.table.rows[key]
    deliveries._marked.clear()
    who = ["con_0", "con_1", "con_2"]
    for each in who:
        connections.save(api.table, Connection(id=each, provider="webhook", created_at=NOW))
    return who


def once(found: list[str], expected: Any) -> None:
    assert Counter(found) == Counter(expected)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_a_timeline_with_equal_timestamps(api: Api, limit: int) -> None:
    shop = api.connect()["id"]
    web = person("web", "a-71", scope="site")
    homes = [[JAN], [JAN, web], [JAN, person("phone", "+31612345678")]]
    at = ["2026-08-31T23:59:59.999Z", NOW, NOW, "2026-09-01T09:00:00.001Z"]
    api.record(shop, *(event(n, at[n % 4], *homes[n % 3]) for n in range(12)))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    entries = api.pages(f"/v1/customers/{found['id']}/timeline", "entries", limit=limit)
    once([each["text"] for each in entries], [f"message {n}" for n in range(12)])
    order = [(each["occurred_at"], each["id"]) for each in entries]
    assert order == sorted(order, reverse=True)
    filtered = api.pages(f"/v1/customers/{found['id']}/timeline", "entries", limit=limit, since=NOW, until=at[3])
    once([each["occurred_at"] for each in filtered], [NOW] * 6)


def test_a_timeline_survives_inserts_and_a_merge_between_pages(api: Api) -> None:
    shop = api.connect()["id"]
    mobile = person("phone", "+31612345678")
    api.record(shop, *(event(n, f"2026-09-01T09:00:00.{n:03d}Z", JAN) for n in range(6)))
    api.record(shop, event(50, "2026-09-01T09:00:00.001Z", mobile))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    path = f"/v1/customers/{found['id']}/timeline"
    first = api.get(path, limit=3)
    api.record(shop, event(90, "2026-09-01T10:00:00Z", JAN), event(91, "2026-09-01T09:00:00.001Z", JAN, mobile))
    rest = api.pages(path, "entries", limit=2, next=first["next"])
    assert [each["text"] for each in first["entries"]] == ["message 5", "message 4", "message 3"]
    once([each["text"] for each in rest], [f"message {n}" for n in (2, 1, 0, 50, 91)])


KEEPS = (
    deliveries.parked,
    deliveries.held,
    lambda table, duty, attempt: deliveries.delivered(table, duty, attempt, "", ""),
)
STATES = ("parked", "held", "delivered")
made_deliveries = st.lists(st.tuples(st.integers(0, 2), days, moments, st.integers(0, 2)), max_size=14)


@given(made_deliveries, st.integers(1, 5))
@few
def test_deliveries_of_all_connections(quick: Api, made: list[tuple[int, str, str, int]], limit: int) -> None:
    who = emptied(quick)
    kept: dict[str, str] = {}
    for number, (connection, day, time, state) in enumerate(made):
        duty = Duty(who[connection], ACTIVITY, "n", f"E#{day}{time}#e{number % 4}")
        KEEPS[state](quick.table, duty, Attempt(1, NOW, NOW))
        kept[deliveries.public_id({"pk": duty.key[0], "sk": duty.key[1]})] = (
            f"{STATES[state]} {duty.key[1]} {who[connection]}"
        )
    for status in ("", *STATES):
        wanted = {id: about.split() for id, about in kept.items() if about.startswith(status)}
        shown = quick.pages("/v1/deliveries", "deliveries", limit=limit, status=status)
        once([each["id"] for each in shown], list(wanted))
        assert [each["occurred_at"] for each in shown] == sorted(
            (sk[:24] for _, sk, _ in wanted.values()), reverse=True
        )
        later = quick.pages("/v1/deliveries", "deliveries", limit=limit, status=status, since=NOW)
        once([each["id"] for each in later], [id for id, (_, sk, _) in wanted.items() if sk >= NOW])
        mine = quick.pages("/v1/deliveries", "deliveries", limit=limit, status=status, connection=who[1])
        once([each["id"] for each in mine], [id for id, (_, _, whose) in wanted.items() if whose == who[1]])


@pytest.mark.parametrize("status", ["", "parked"])
def test_pages_within_bounds_on_the_real_table(api: Api, status: str) -> None:
    for number in range(4):
        connections.save(api.table, Connection(id=f"con_{number % 2}", provider="webhook", created_at=NOW))
        deliveries.parked(
            api.table, Duty(f"con_{number % 2}", ACTIVITY, "n", f"E#{NOW}#e{number}"), Attempt(1, NOW, NOW)
        )
    shown = api.pages("/v1/deliveries", "deliveries", limit=1, status=status, since=NOW)
    once([each["event"] for each in shown], ["e0", "e1", "e2", "e3"])
    items = keep_receipts(api, ["con_0", "con_1"], [(0, 1, 3), (1, 1, 2), (0, 2, 3), (1, 86_400_000, 3)])
    for verdict, count in (("", 4), ("failed", 3)):
        found = api.pages("/v1/receipts", "receipts", limit=1, verdict=verdict, since=items[3]["sk"][:24])
        assert len({each["id"] for each in found}) == len(found) == count


VERDICTS = ("accepted", "duplicate", "malformed", "failed")


def keep_receipts(api: Api, who: list[str], rows: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """(connection, milliseconds ago, verdict) each."""
    base = instants.now_ms()
    items = [
        receipts.item_of(
            arrival_id=f"arr_{number:03d}",
            connection=who[connection],
            received_at=instants.from_ms(base - ago),
            packed=b"x",
            verdict=VERDICTS[verdict],
        )
        for number, (connection, ago, verdict) in enumerate(rows)
    ]
    api.table.batch_put(items)
    return items


ages = st.sampled_from([0, 1, 86_400_000, 2 * 86_400_000 + 5])


@given(st.lists(st.tuples(st.integers(0, 2), ages, st.integers(0, 3)), max_size=14), st.integers(1, 5))
@few
def test_receipts_of_all_connections(quick: Api, rows: list[tuple[int, int, int]], limit: int) -> None:
    who = emptied(quick)
    items = keep_receipts(quick, who, rows)
    for verdict in ("", *VERDICTS):
        wanted = [item for item in items if verdict in ("", item["vd"])]
        shown = quick.pages("/v1/receipts", "receipts", limit=limit, verdict=verdict)
        once([each["id"] for each in shown], [id_of(each) for each in wanted])
        order = [each["received_at"] for each in shown]
        assert order == sorted(order, reverse=True)
        mine = quick.pages("/v1/receipts", "receipts", limit=limit, connection=who[1], verdict=verdict)
        once([each["id"] for each in mine], [id_of(each) for each in wanted if f"#{who[1]}#" in each["pk"]])


def id_of(item: dict[str, Any]) -> str:
    return receipts.public_id(item["pk"], item["sk"])


def test_a_filter_that_matches_little_ends_and_goes_on(quick: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_READ", 3)
    who = emptied(quick)
    rows = [(number % 2, number * 1000, 1 if number in (8, 13, 17) else 0) for number in range(20)]
    items = keep_receipts(quick, who, rows)
    first = quick.get("/v1/receipts", verdict="duplicate", limit=2)
    assert first["receipts"] == [] and first["next"]
    shown = quick.pages("/v1/receipts", "receipts", verdict="duplicate", limit=2)
    assert [each["id"] for each in shown] == [id_of(items[number]) for number in (8, 13, 17)]


@pytest.mark.parametrize("path", ["/v1/deliveries?status=delayed", "/v1/receipts?verdict=duplicate"])
@pytest.mark.parametrize("limit", [1, 5, 200])
def test_a_filter_that_matches_little_reads_ever_larger_pages(
    quick: Api, monkeypatch: pytest.MonkeyPatch, path: str, limit: int
) -> None:
    """A page of its own for every few of two thousand rows took six hundred requests."""
    who = emptied(quick)
    keep_receipts(quick, who, [(0, number, 0) for number in range(1500)])
    for number in range(1500):
        duty = Duty(who[0], ACTIVITY, "n", f"E#{NOW}#e{number}")
        deliveries.delivered(quick.table, duty, Attempt(1, NOW, NOW), "", "")
    asked: list[int] = []
    query = MemoryTable.query
    monkeypatch.setattr(MemoryTable, "query", lambda *rest, **more: asked.append(1) or query(*rest, **more))
    found = quick.get(f"{path}&connection={who[0]}&limit={limit}")
    assert not found["deliveries" if "deliveries" in path else "receipts"] and len(asked) < 30


def test_a_receipt_that_comes_between_two_pages_moves_nothing(api: Api) -> None:
    who = [ids.mint("con")]
    connections.save(api.table, Connection(id=who[0], provider="generic", created_at=NOW))
    items = keep_receipts(api, who, [(0, 5000 + number, 0) for number in range(4)])
    first = api.get("/v1/receipts", limit=2)
    keep_receipts(api, who, [(0, 0, 0)])
    rest = api.get("/v1/receipts", limit=200, next=first["next"])["receipts"]
    assert [each["id"] for each in first["receipts"] + rest] == [id_of(item) for item in items]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_waiting_events(api: Api, limit: int) -> None:
    shops = [api.connect(name=name)["id"] for name in ("one", "two", "three")]
    for place, shop in enumerate(shops[:2]):
        orphans = [event(n, NOW, refs=[{"kind": "order", "value": f"{place}{n}"}]) for n in range(4)]
        api.record(shop, *orphans, event(9, "2026-08-01T09:00:00Z", refs=[{"kind": "order", "value": "x"}]))
    shown = api.pages("/v1/waiting", "entries", limit=limit)
    once([(each["connection"], each["text"]) for each in shown], [
        (shop, f"message {n}") for shop in shops[:2] for n in (0, 1, 2, 3, 9)
    ])  # fmt: skip
    assert len(api.pages("/v1/waiting", "entries", limit=limit, connection=shops[0], since=NOW)) == 4
    assert api.pages("/v1/waiting", "entries", limit=limit, connection=shops[2]) == []
    placed = event(10, NOW, JAN, refs=[{"kind": "order", "value": "01"}])
    api.record(shops[0], placed)
    left = api.pages("/v1/waiting", "entries", limit=limit, connection=shops[0])
    once([each["text"] for each in left], [f"message {n}" for n in (0, 2, 3, 9)])


@pytest.mark.parametrize("name", ["channel", "type"])
def test_a_word_that_is_none_is_refused_though_it_would_not_count(api: Api, name: str) -> None:
    """Fuzzing found that it was ignored, so that a typing error looked like a filter."""
    assert api.refused("GET", f"/v1/waiting?{name}=smokesignals") == [f"/{name}"]
    assert api.get(f"/v1/waiting?{name}=")["entries"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_connections_registered_at_once(api: Api, limit: int) -> None:
    made = [Connection(id=ids.mint("con"), provider="generic", created_at=NOW) for _ in range(6)]
    for each in made:
        connections.save(api.table, each)
    shown = api.pages("/v1/connections", "connections", limit=limit)
    assert [each["id"] for each in shown] == sorted(each.id for each in made)
    first = api.get("/v1/connections", limit=3)
    api.call("DELETE", f"/v1/connections/{first['connections'][2]['id']}")
    rest = api.get("/v1/connections", limit=50, next=first["next"])
    assert [each["id"] for each in rest["connections"]] == sorted(each.id for each in made)[3:]


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_jobs_that_failed(api: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instants, "now", lambda: NOW)
    made = [jobs.start(api.table, "replay", {"receipts": []}) for _ in range(5)]
    for job in made[:3]:
        jobs.fail(api.table, job, "KeyError at record.py:7")
    once([each["id"] for each in api.pages("/v1/jobs", "jobs", limit=limit)], [job.id for job in made])
    failed = api.pages("/v1/jobs", "jobs", limit=limit, status="failed")
    once([each["id"] for each in failed], [job.id for job in made[:3]])
    assert failed[0]["errors"] == ["KeyError at record.py:7"]


LISTS = ["/v1/receipts", "/v1/deliveries", "/v1/waiting", "/v1/connections", "/v1/jobs"]


BAD = ("limit=0", "limit=201", "limit=x", "next=%21%21", "next=WyJhIiwiYiIsImMiXQ", "next=Wzdd")


@pytest.mark.parametrize("path", LISTS)
def test_bad_limits_and_cursors(api: Api, path: str) -> None:
    for query in BAD:
        assert api.refused("GET", f"{path}?{query}") == [f"/{query.partition('=')[0]}"]


@pytest.mark.parametrize("digits", ["0000019999", "000001" + "9" * 5000, "00201", "1000000", "0", ""])
def test_a_limit_is_what_it_says_however_it_is_written(api: Api, digits: str) -> None:
    """Zeros before it hid a page without end, and with more digits than Python reads, a 500."""
    assert api.refused("GET", f"/v1/receipts?limit={digits}") == ["/limit"]


def test_a_cursor_that_was_made_up(api: Api) -> None:
    for path in LISTS[:2]:
        for cursor in (["2026-99-99T00:00:00.000Z#x", "y"], ["x", "y"], ["9999", ""]):
            assert api.refused("GET", f"{path}?next={answers.next_cursor(*cursor)}") == ["/next"]


def test_a_filter_that_is_no_word_of_ours(api: Api) -> None:
    for path, name in (("/v1/receipts", "verdict"), ("/v1/deliveries", "status"), ("/v1/jobs", "status")):
        assert api.refused("GET", f"{path}?{name}=bad") == [f"/{name}"]


def test_since_far_away(api: Api) -> None:
    made = api.connect()["id"]
    for path in LISTS[:3]:
        for since in ("1970-01-02T00:00:00Z", "9999-12-31T00:00:00Z"):
            for query in (f"?since={since}", f"?since={since}&connection={made}", "?connection=con_nobody"):
                assert api.get(path + query)["next"] is None


def test_ranges(api: Api) -> None:
    made = api.connect()["id"]
    for path in ("/v1/receipts/replay", "/v1/deliveries/redrive"):
        assert api.refused("POST", path, {}) == ["/connection", "/since"]
        assert api.refused("POST", path, {"connection": 1, "since": 2, "until": 3, "x": 4}) == [
            "/connection",
            "/since",
            "/until",
            "/x",
        ]
        assert api.refused("POST", path, {"connection": "con_x", "since": NOW}) == ["/connection"]
        assert api.refused("POST", path, {"connection": made, "since": "now"}) == ["/since"]
        assert api.refused("POST", path, {"connection": made, "since": NOW, "until": "2026-08-31"}) == ["/until"]
        job = api.call("POST", path, 202, {"connection": made, "since": NOW})["job"]
        api.work()
        assert api.get(f"/v1/jobs/{job}")["status"] == "done"


def test_silent_connections_cost_a_bounded_number_of_requests(quick: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends early rather than look through a month of each; whoever goes on finds everything once."""
    from chalicelib.api import receipts as listed

    monkeypatch.setattr(listed, "MOST_ASKED", 8)
    who, day = emptied(quick), 86_400_000
    kept = keep_receipts(quick, who, [(n % 3, back * day + n, 0) for n, back in enumerate((0, 1, 1, 5, 9, 20))])
    asked: list[int] = []
    query = MemoryTable.query
    monkeypatch.setattr(MemoryTable, "query", lambda *rest, **more: asked.append(1) or query(*rest, **more))
    since = instants.from_ms(instants.now_ms() - 25 * day)
    first = quick.get("/v1/receipts", since=since)
    assert len(asked) < 30 and first["next"]
    once([each["id"] for each in quick.pages("/v1/receipts", "receipts", since=since)], map(id_of, kept))
