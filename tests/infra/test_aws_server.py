"""What our process of the embedded AWS adds to ministack: its queries look at no more than their page may hold."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.store.table import DynamoTable, _range
from infra.local import aws_server
from tests.schedule import MemoryTable

KEYS = st.text(st.sampled_from("ab#é\U0001f600"), max_size=4)
ENDS = st.text(st.sampled_from("ab#é"), min_size=1, max_size=3)


def asked(begins: str, after: str, before: str, **more: Any) -> dict[str, Any]:
    """As DynamoTable.query asks."""
    condition, values = _range("sk", begins, after, before)
    named = {":h": {"S": "P"}} | {name: {"S": value} for name, value in values.items()}
    return {"KeyConditionExpression": "#h = :h" + condition, "ExpressionAttributeValues": named, **more}


def page(items: dict[str, int], data: dict[str, Any]) -> list[str]:
    """As ministack makes one: all of the partition, filtered, sorted, cut."""
    at = {name: value["S"] for name, value in data["ExpressionAttributeValues"].items()}
    low, high = at.get(":a"), at.get(":z")
    between = "BETWEEN" in data["KeyConditionExpression"]
    found = [key for key in items if key.startswith(at.get(":b", ""))]
    found = [key for key in found if low is None or key > low or (between and key == low)]
    found = [key for key in found if high is None or key < high or (between and key == high)]
    found.sort(reverse=not data["ScanIndexForward"])
    if start := data.get("ExclusiveStartKey"):
        last = start["sk"]["S"]
        found = [key for key in found if (key > last if data["ScanIndexForward"] else key < last)]
    return found[: data.get("Limit")]


@given(
    st.sets(KEYS, max_size=12),
    st.sampled_from(list(itertools.product((False, True), repeat=3))),
    st.tuples(ENDS, ENDS, ENDS),
    st.booleans(),
    st.none() | st.integers(1, 4),
    st.none() | KEYS,
)
@settings(max_examples=400, deadline=None)
def test_a_page_is_the_same_out_of_what_it_may_hold(
    keys: set[str],
    ends: tuple[bool, bool, bool],
    texts: tuple[str, str, str],
    forward: bool,
    limit: int | None,
    start: str | None,
) -> None:
    items = {key: number for number, key in enumerate(sorted(keys, reverse=True))}
    more: dict[str, Any] = {"ScanIndexForward": forward} | ({"Limit": limit} if limit else {})
    if start is not None:
        more["ExclusiveStartKey"] = {"pk": {"S": "P"}, "sk": {"S": start}}
    begins, after, before = (text if given else "" for given, text in zip(ends, texts, strict=True))
    data = asked(begins, after, before, **more)
    assert data["KeyConditionExpression"] in aws_server.RANGES
    fewer = aws_server.within(items, data)
    assert page(fewer, data) == page(items, data)
    assert not limit or len(fewer) <= limit
    assert all(items[key] == fewer[key] for key in fewer)


def test_a_condition_that_is_not_ours_is_left_alone() -> None:
    items = {"a": 1, "b": 2}
    data = asked("", "", "", Limit=1)
    assert aws_server.within(items, data | {"KeyConditionExpression": "pk = :h"}) == items
    assert aws_server.within(items, data | {"FilterExpression": "x = :x"}) == items


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_partition_is_whole_again_after_a_query(ends: str) -> None:
    whole = {f"{number:04d}": number for number in range(aws_server.FEW + 1)}
    few = {"0001": 1}
    tables = {"t": {"items": {"P": whole, "F": few}}}
    seen: list[int] = []

    def plain(data: dict[str, Any]) -> str:
        seen.append(len(tables["t"]["items"]["P"]))
        if ends == "badly":
            raise KeyError("as any mistake")
        return "answer"

    module = SimpleNamespace(_query=plain, _tables=tables, _normalize_table_name=lambda name: name)
    aws_server.look_less_far(module)
    for more in ({"TableName": "t"}, {"TableName": "t", "IndexName": "gsi"}, {"TableName": "none"}):
        try:
            assert module._query(asked("", "", "", ScanIndexForward=True, Limit=3, **more)) == "answer"
        except KeyError:
            assert ends == "badly"
    assert seen == [3, len(whole), len(whole)]
    assert tables["t"]["items"] == {"P": whole, "F": few} and tables["t"]["items"]["P"] is whole


@pytest.mark.parametrize(("asked", "left"), [([(b"x-amz-target", b"DynamoDB_20120810.GetItem")], 1), ([], 2)])
def test_only_clients_of_json_are_spared_what_browsers_need(asked: list[tuple[bytes, bytes]], left: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"x-amzn-requestid", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(aws_server.as_aws_answers(app)({"type": "http", "headers": asked}, None, send))
    assert [len(each.get("headers", ())) for each in sent] == [left, 0]
    assert sent[0]["headers"][-1] == (b"x-amzn-requestid", b"1") and sent[1]["body"] == b"{}"


@pytest.mark.embedded
def test_a_long_partition_is_read_as_in_memory(live_stage: dict[str, str]) -> None:
    """By the real one: pages, ranges and prefixes of more items than are looked at whole."""
    tables = MemoryTable(), DynamoTable()
    for table in tables:
        table.batch_put([{"pk": "P", "sk": f"{number % 7}#{number:04d}"} for number in range(3 * aws_server.FEW)])
        table.batch_put([{"pk": "Q", "sk": "0"}])
    asks: list[dict[str, Any]] = [
        {},
        {"limit": 7},
        {"limit": 7, "forward": False},
        {"begins": "3#"},
        {"after": "2#0100", "before": "5#0009", "limit": 50},
        {"after": "6#0200", "forward": False},
        {"before": "1#0100", "forward": False, "limit": 33},
    ]
    for each in asks:
        memory, real = (joined(table, each) for table in tables)
        assert memory == real and real, each


def joined(table: Any, ask: dict[str, Any]) -> list[str]:
    """Three pages, one after the other."""
    found, start = [], None
    for _ in range(3):
        page = table.query("P", start=start, **ask)
        found += [item["sk"] for item in page.items]
        start = page.next
        if start is None:
            break
    return found
