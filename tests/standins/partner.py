"""A partner that takes Standard Webhooks, verified with the official library."""

from __future__ import annotations

import json
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.standins.server import Answer, Call, Standin, run

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Partner(Standin):
    """Keeps each webhook-id once (`taken`), and every delivery (`deliveries`)."""

    secrets: list[str]
    taken: dict[str, dict[str, Any]]
    deliveries: list[dict[str, Any]]

    def reset(self) -> None:
        self.secrets = [SECRET]
        self.taken = {}
        self.deliveries = []

    def set(self, *, secrets: list[str] | None = None, **told: Any) -> None:
        super().set(**told)
        with self.lock:
            self.secrets = secrets or self.secrets

    def state(self) -> Any:
        return {"taken": self.taken, "deliveries": self.deliveries, "repeats": self.repeats}

    @property
    def repeats(self) -> int:
        """Deliveries beyond the first of each id."""
        return len([each for each in self.deliveries if each["verified"]]) - len(self.taken)

    def kept(self) -> list[str]:
        return list(self.taken)

    def types(self) -> list[str]:
        return [each["type"] for each in self.taken.values()]

    def answer(self, call: Call) -> Answer:
        if call.method != "POST":
            return Answer(405, {"error": "POST only"})
        message = call.headers.get("webhook-id", "")
        verified = any(_verified(secret, call) for secret in self.secrets)
        self.deliveries.append({"id": message, "verified": verified, "repeat": message in self.taken})
        if not verified:
            return Answer(401, {"error": "signature invalid"})
        self.taken.setdefault(message, json.loads(call.body))
        return Answer(200, {"taken": message})


def _verified(secret: str, call: Call) -> bool:
    try:
        Webhook(secret).verify(call.body, call.headers)
    except WebhookVerificationError:
        return False
    return True


if __name__ == "__main__":
    run(Partner)
