"""The lists of the stand-ins are as strict as their vendors': pages, cursors, limits, keys."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.standins import shopify, stripe, zendesk


def get(url: str, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(answer.read())
    finally:
        connection.close()


def test_events_newest_first_by_type_and_within_thirty_days() -> None:
    with stripe.Stripe() as pays:
        assert isinstance(pays, stripe.Stripe)
        now, key = int(time.time()), f"Bearer {stripe.KEY}"
        for number, kind in enumerate(("a.b", "c.d", "a.b", "a.b")):
            pays.add({"id": f"evt_{number}", "type": kind, "created": now - 60 * number})
        pays.add({"id": "evt_old", "type": "a.b", "created": now - stripe.KEPT_SECONDS - 60})

        def names(query: str) -> list[str]:
            return [each["id"] for each in get(pays.url, f"/v1/events?{query}", Authorization=key)[2]["data"]]

        def status(query: str, key: str = key) -> int:
            return get(pays.url, f"/v1/events?{query}", Authorization=key)[0]

        assert names("types[]=a.b&types[]=x.y") == ["evt_0", "evt_2", "evt_3"]
        assert names("limit=2") == ["evt_0", "evt_1"] and names("limit=2&starting_after=evt_1") == ["evt_2", "evt_3"]
        assert names(f"created[gte]={now - 130}&created[lte]={now - 50}") == ["evt_1", "evt_2"]
        many = "&".join("types[]=a" for _ in range(21))
        assert [status(each) for each in ("limit=101", "limit=0", "since=1", "starting_after=evt_x", many)] == [400] * 5
        assert status("", f"Bearer {stripe.NARROW_KEY}") == 403 and status("", "Bearer x") == 401
        pays.limit = 0
        assert status("") == 429


def test_orders_by_a_cursor_that_goes_with_no_filter() -> None:
    with shopify.Shopify() as shop:
        assert isinstance(shop, shopify.Shopify)
        for number in (1, 2, 3):
            moment = f"2026-09-0{number}T10:00:00+02:00"
            shop.add({"id": number, "updated_at": moment, "cancelled_at": moment if number == 2 else None})
        path, key = "/admin/api/2026-10/orders.json", shopify.TOKEN

        def ask(query: str) -> tuple[int, dict[str, str], Any]:
            return get(shop.url, f"{path}?{query}", X_Shopify_Access_Token=key)

        assert [each["id"] for each in ask("")[2]["orders"]] == [1, 3], "only open ones, unless any are asked for"
        first = ask("status=any&limit=2&updated_at_max=2026-09-02T08:00:00Z")
        assert [each["id"] for each in first[2]["orders"]] == [1, 2] and "link" not in first[1]
        _, headers, page = ask("status=any&limit=2")
        following = headers["link"].partition("page_info=")[2].partition(">")[0]
        assert len(page["orders"]) == 2 and 'rel="next"' in headers["link"]
        assert [each["id"] for each in ask(f"limit=2&page_info={following}")[2]["orders"]] == [3]
        assert ask(f"page_info={following}&status=any")[0] == 400 and ask("limit=251")[0] == 400
        assert get(shop.url, path)[0] == 401
        shop.bucket = 0
        refused = ask("")
        assert (refused[0], refused[1]["retry-after"]) == (429, "2.0")


def test_an_export_goes_on_from_a_second_and_ten_times_a_minute() -> None:
    with zendesk.Zendesk() as desk:
        assert isinstance(desk, zendesk.Zendesk)
        now, ticket = int(time.time()), desk.add_ticket()
        for ago in (300, 200, 200, 100, 5):
            desk.add_update(ticket, now - ago, 9, body=f"{ago}")
        desk.exported_at_once = 2

        def ask(start: int, more: str = "&include=comment_events") -> tuple[int, dict[str, str], Any]:
            path = f"/api/v2/incremental/ticket_events.json?start_time={start}{more}"
            return get(desk.url, path, Authorization=f"Bearer {zendesk.ACCESS}")

        first, second = ask(now - 400)[2], ask(now - 200)[2]
        assert (first["count"], first["end_time"], first["end_of_stream"]) == (2, now - 200, False)
        assert second["ticket_events"][0] == first["ticket_events"][1], "the last second is given again"
        last = ask(now - 100)[2]
        assert (last["count"], last["end_of_stream"]) == (1, True), "nothing of the last minute"
        assert "Comment" not in json.dumps(ask(now - 100, "")[2]["ticket_events"][0]["child_events"])
        assert ask(now)[0] == 422
        answers = [ask(now - 100) for _ in range(6)]
        assert [each[0] for each in answers[-2:]] == [200, 429] and answers[-1][1]["retry-after"] == "7"
