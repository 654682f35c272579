"""How often a key may ask: what the headers say is what happens, shared by all workers, for few writes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.api import answers
from chalicelib.model import instants
from chalicelib.settings import read
from chalicelib.store import quotas
from tests.api.client import Answer, Api, key_with
from tests.schedule import MemoryTable, replaced

RATE = re.compile(r'"key";r=(\d+);t=(\d+)')


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    quotas._mine.clear()
    yield
    quotas._mine.clear()


def limited(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(answers, "settings", lambda: read({"DRAAD_RATE_LIMIT": str(limit)}))


def told(answer: Answer) -> tuple[int, int]:
    found = RATE.fullmatch(answer.headers["RateLimit"])
    assert found
    return int(found[1]), int(found[2])


class Counted(MemoryTable):
    writes = 0

    def write(self, action: object) -> bool:
        self.writes += 1
        return super().write(action)


def spent(seed: int, limit: int, workers: int, asks: int) -> tuple[list[int], int]:
    """Moments (ms) at which requests were let through, of workers that each remember for themselves; and writes."""
    rng, table, clock = random.Random(seed), Counted(), 1_000_000
    memories: list[dict[str, quotas._Mine]] = [{} for _ in range(workers)]
    allowed: list[int] = []
    for _ in range(asks):
        clock += rng.choice((0, 1, 20, 500))
        with replaced((instants, "now_ms", lambda now=clock: now), (quotas, "_mine", rng.choice(memories))):
            if not quotas.take(table, "k", limit).wait:
                allowed.append(clock)
    return allowed, table.writes


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 5))
def test_whoever_asks_a_key_gets_no_more_than_its_limit(seed: int, limit: int, workers: int) -> None:
    allowed, writes = spent(seed, limit, workers, 800)
    for moment in allowed:
        assert sum(moment <= each < moment + quotas.WINDOW for each in allowed) <= 2 * limit + workers * quotas.HANDFUL
    lasted = allowed[-1] - allowed[0] + 1
    assert len(allowed) <= limit * (lasted / quotas.WINDOW + 1) + workers * min(quotas.HANDFUL, limit)
    assert writes <= len(allowed)


def test_a_busy_key_costs_a_write_for_every_handful() -> None:
    table = Counted()
    for _ in range(1000):
        assert quotas.take(table, "k", 6000).wait == 0
    assert table.writes == 1000 / quotas.HANDFUL


def test_who_is_refused_writes_and_reads_nothing_until_his_time() -> None:
    table, clock = Counted(), [1_000_000]
    with replaced((instants, "now_ms", lambda: clock[0])):
        while not (left := quotas.take(table, "k", 60)).wait:
            pass
        writes = table.writes
        table.get = None
        for _ in range(100):
            assert quotas.take(table, "k", 60).wait == left.wait
        assert table.writes == writes
        del table.get
        clock[0] += left.wait * 1000
        assert quotas.take(table, "k", 60).wait == 0


def test_the_headers_count_down_and_the_refusal_says_when_to_come_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 8)
    clock = [instants.now_ms()]
    monkeypatch.setattr(instants, "now_ms", lambda: clock[0])
    left = []
    while (answer := api.send("GET", "/v1/keys")).status == 200:
        assert answer.headers["RateLimit-Policy"] == '"key";q=8;w=60'
        left.append(told(answer)[0])
    assert left == [7, 6, 5, 4, 3, 2, 1, 0]
    assert (answer.status, answer.headers["Content-Type"]) == (429, "application/problem+json")
    assert answer.json["title"] == "Too many requests" and told(answer) == (0, 60)
    wait = int(answer.headers["Retry-After"])
    assert 0 < wait <= 60
    clock[0] += wait * 1000
    assert api.send("GET", "/v1/keys").status == 200


def test_a_refused_view_also_says_what_is_left_and_who_has_no_key_is_told_nothing(api: Api) -> None:
    assert told(api.send("GET", "/v1/connections/con_x"))[0] == 5999
    assert "RateLimit" not in api.send("GET", "/v1/keys", key="").headers
    assert "RateLimit" not in api.send("GET", "/health", key="").headers


def test_keys_and_magic_links_have_a_limit_each(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.api.client import event, person

    made = api.connect()
    api.record(made["id"], event(1, "2026-09-01T09:00:00Z", person("email", "jan@example.nl")))
    customer = api.get("/v1/customers", identity="email:jan@example.nl")["customers"][0]["id"]
    links = [api.call("POST", "/v1/magic-links", 201, {"customer": customer, "expires_in": 60 + n}) for n in range(2)]
    limited(monkeypatch, 4)
    for key in (key_with("read"), *(each["token"] for each in links)):
        asked = [api.send("GET", f"/v1/customers/{customer}", key=key).status for _ in range(5)]
        assert asked == [200, 200, 200, 200, 429]
    stored = [item["pk"] for item in api.table.query(f"RATE#{quotas.name_of('x')}").items]
    assert stored == [] and all(each["token"] not in repr(quotas._mine) for each in links)


def test_no_limit_means_no_header_and_no_write(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 0)
    api.checked = False
    answer = api.send("GET", "/v1/keys")
    assert answer.status == 200 and "RateLimit" not in answer.headers and quotas._mine == {}


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "1000000"])
def test_a_limit_that_is_none(value: str) -> None:
    with pytest.raises(Exception, match="DRAAD_RATE_LIMIT"):
        read({"DRAAD_RATE_LIMIT": value})
