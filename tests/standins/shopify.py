"""Shopify's list of orders: https://shopify.dev/docs/api/admin-rest/latest/resources/order

Pages by a cursor in the Link header: https://shopify.dev/docs/api/usage/pagination-rest
"""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import datetime
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

TOKEN = "shpat_hub"
PATH = re.compile(r"/admin/api/\d{4}-(01|04|07|10)/orders\.json\Z")
MOST, USUAL = 250, 50
BUCKET, LEAK = 40, 2.0
WITH_CURSOR = frozenset({"limit", "page_info", "fields"})


class Shopify(Standin):
    """`orders`: as they are now. `bucket`: requests at once; it leaks two a second."""

    orders: list[dict[str, Any]]
    bucket: int

    def reset(self) -> None:
        self.orders, self.bucket = [], BUCKET
        self._level, self._at = 0.0, time.monotonic()

    def state(self) -> Any:
        return {"orders": len(self.orders), "calls": len(self.calls)}

    def add(self, order: dict[str, Any]) -> None:
        with self.lock:
            self.orders = [each for each in self.orders if each["id"] != order["id"]] + [order]

    def answer(self, call: Call) -> Answer:
        if call.headers.get("x-shopify-access-token") != TOKEN:
            return Answer(
                401, {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}
            )
        if self._full():
            wrong = {"errors": "Exceeded 2 calls per second for api client. Reduce request rates to resume."}
            return Answer(429, wrong, {"Retry-After": "2.0"})
        if call.method != "GET" or not PATH.match(call.path):
            return Answer(404, {"errors": "Not Found"})
        return self._listed(call)

    def _full(self) -> bool:
        now = time.monotonic()
        self._level, self._at = max(0.0, self._level - (now - self._at) * LEAK), now
        if self._level + 1 > self.bucket:
            return True
        self._level += 1
        return False

    def _listed(self, call: Call) -> Answer:
        asked, size = dict(call.query), int(call.query.get("limit", USUAL))
        if not 1 <= size <= MOST:
            return Answer(400, {"errors": {"limit": "must be between 1 and 250"}})
        if "page_info" in asked:
            if set(asked) - WITH_CURSOR:
                return Answer(400, {"errors": {"page_info": "cannot be combined with filters"}})
            asked = json.loads(base64.urlsafe_b64decode(asked["page_info"]))
        rows = [each for each in self.orders if _fits(each, asked)]
        rows = [each for each in sorted(rows, key=lambda one: one["id"]) if each["id"] > asked.get("after", 0)]
        page, headers = rows[:size], {}
        if len(rows) > size:
            cursor = base64.urlsafe_b64encode(json.dumps(asked | {"after": page[-1]["id"]}).encode()).decode()
            headers["Link"] = f'<{self.url}{call.path}?limit={size}&page_info={cursor}>; rel="next"'
        return Answer(200, {"orders": page}, headers)


def _fits(order: dict[str, Any], asked: dict[str, Any]) -> bool:
    at = datetime.fromisoformat(order["updated_at"])
    closed = order.get("closed_at") or order.get("cancelled_at")
    return (
        (asked.get("status") == "any" or not closed)
        and ("updated_at_min" not in asked or at >= datetime.fromisoformat(asked["updated_at_min"]))
        and ("updated_at_max" not in asked or at <= datetime.fromisoformat(asked["updated_at_max"]))
    )


if __name__ == "__main__":
    run(Shopify)
