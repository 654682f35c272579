"""The hub's API as an integrator uses it; an answer that is not the expected one is a sentence."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import requests

from infra.demo.errors import DemoFailed
from tests.drive import Integrator


class Api(Integrator):
    def call(self, method: str, path: str, expect: int = 200, **options: Any) -> Any:
        """The decoded answer. Raises DemoFailed."""
        answer = self.ask(method, path, **options)
        if answer.status_code != expect:
            raise DemoFailed(f"{method} {self.url}{path} was answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Whatever the hub answers, once it lets this key ask again. Raises DemoFailed when nothing does."""
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            while True:
                answer = self.session.request(method, self.url + path, headers=headers, timeout=20, **options)
                if answer.status_code != 429:
                    return answer
                time.sleep(int(answer.headers["Retry-After"]))
        except requests.RequestException as wrong:
            raise DemoFailed(f"The hub at {self.url} does not answer any more ({type(wrong).__name__}).") from wrong

    def pages(self, path: str, rows: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every row of a list, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(path, limit=200, **params, **({"next": cursor} if cursor else {}))
            yield from page[rows]
            cursor = page["next"]

    def owners(self, identities: Iterable[str]) -> list[str]:
        """Ids of the customers that these identities belong to."""
        found = self.get("/v1/customers", identity=list(identities))
        return [each["id"] for each in found["customers"]] if found["match"] == "exact" else []

    def link(self, customer: str) -> str:
        """A magic link to the customer's page; empty where the hub makes none."""
        answer = self.ask("POST", "/v1/magic-links", json={"customer": customer})
        if not answer.ok:
            return ""
        found = str(answer.json().get("url") or "")
        return found if "://" in found or not found else f"{self.url}/{found.lstrip('/')}"
