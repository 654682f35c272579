"""Stripe's list of events: https://docs.stripe.com/api/events/list"""

from __future__ import annotations

import time
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

KEY, NARROW_KEY = "rk_live_hub", "rk_live_payments_only"
KEPT_SECONDS = 30 * 86400
MOST, USUAL, MOST_TYPES = 100, 10, 20
FILTERS = frozenset(
    {"limit", "starting_after", "ending_before", "created[gte]", "created[lte]", "created[gt]", "created[lt]"}
) | frozenset({"type", "types[]", "delivery_success"})


class Stripe(Standin):
    """`events`: in any order; they are listed newest first. `limit`: requests a second."""

    events: list[dict[str, Any]]
    limit: int

    def reset(self) -> None:
        self.events, self.limit = [], 100
        self._second, self._asked = 0, 0

    def state(self) -> Any:
        return {"events": len(self.events), "calls": len(self.calls)}

    def add(self, event: dict[str, Any]) -> None:
        with self.lock:
            self.events.append(event)

    def answer(self, call: Call) -> Answer:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in (KEY, NARROW_KEY):
            return _error(401, "invalid_request_error", "Invalid API Key provided")
        if self._too_fast():
            return _error(429, "rate_limit", "Too many requests")
        if key == NARROW_KEY:
            return _error(403, "more_permissions_required", "The provided key does not have the required permissions")
        if (call.method, call.path) != ("GET", "/v1/events"):
            return _error(404, "invalid_request_error", "Unrecognized request URL")
        return self._listed(call)

    def _too_fast(self) -> bool:
        second = int(time.monotonic())
        self._asked = self._asked + 1 if second == self._second else 1
        self._second = second
        return self._asked > self.limit

    def _listed(self, call: Call) -> Answer:
        kinds = [value for name, value in call.pairs if name == "types[]"]
        size = int(call.query.get("limit", USUAL))
        if unknown := set(call.query) - FILTERS:
            return _error(400, "parameter_unknown", f"Received unknown parameters: {', '.join(sorted(unknown))}")
        if not 1 <= size <= MOST or len(kinds) > MOST_TYPES:
            return _error(400, "invalid_request_error", "This value must be less than or equal to its limit")
        first, last = int(call.query.get("created[gte]", 0)), int(call.query.get("created[lte]", 1 << 60))
        oldest = max(first, int(time.time()) - KEPT_SECONDS)
        rows = [each for each in self.events if oldest <= each["created"] <= last]
        rows = [each for each in rows if not kinds or each["type"] in kinds]
        rows.sort(key=lambda each: (each["created"], each["id"]), reverse=True)
        if after := call.query.get("starting_after"):
            known = [number for number, each in enumerate(rows) if each["id"] == after]
            if not known:
                return _error(400, "resource_missing", f"No such event: '{after}'")
            rows = rows[known[0] + 1 :]
        return Answer(200, {"object": "list", "url": "/v1/events", "has_more": len(rows) > size, "data": rows[:size]})


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message, "type": "invalid_request_error"}})


if __name__ == "__main__":
    run(Stripe)
