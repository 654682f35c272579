"""Instagram's messages, with Instagram login:
https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api
"""

from __future__ import annotations

from typing import Any

from tests.standins.graph import Graph
from tests.standins.server import Answer, run

LONGEST = 1000

Row = dict[str, Any]


class Instagram(Graph):
    window = (400, 10, 2534022, "(#10) This message is sent outside of allowed window.")

    def message(self, told: Row) -> Answer:
        wrong = self.unexpected(told, {"recipient", "message"}, {"recipient", "message"})
        person, said = str(told.get("recipient", {}).get("id", "")), told.get("message", {})
        wrong = wrong or self.unexpected(said, {"text"}, {"text"})
        if wrong or not person.isdigit() or len(said["text"].encode()) > LONGEST:
            return self.error(400, 100, 0, f"(#100) Invalid parameter: {wrong or 'recipient or text'}")
        if refused := self.not_for(person, free=True):
            return refused
        return Answer(200, {"recipient_id": person, "message_id": self.keep("aWdfZAG1f", to=person)})


if __name__ == "__main__":
    run(Instagram)
