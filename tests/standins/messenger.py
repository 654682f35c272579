"""Messenger's Send API: https://developers.facebook.com/docs/messenger-platform/reference/send-api/"""

from __future__ import annotations

from typing import Any

from tests.standins.graph import Graph
from tests.standins.server import Answer, run

LONGEST, LONGEST_KEY = 2000, 1000
TYPES = {"RESPONSE", "UPDATE", "UTILITY"}

Row = dict[str, Any]


class Messenger(Graph):
    """`templates`: how many values each approved one takes, by name and language."""

    account = "104923907983682"

    def reset(self) -> None:
        super().reset()
        self.templates = {"order_ready/nl": 2, "hello/nl": 0}

    def message(self, told: Row) -> Answer:
        wrong = self.unexpected(told, {"recipient", "messaging_type", "message"}, {"recipient", "message"})
        person = str(told.get("recipient", {}).get("id", ""))
        if wrong or not person.isdigit():
            return self.error(400, 100, 0, f"(#100) Invalid parameter: {wrong or 'recipient'}")
        if told.get("messaging_type") not in TYPES:
            return self.error(400, 100, 2018000, "(#100) Param messaging_type must be one of the known types")
        utility, said = told["messaging_type"] == "UTILITY", told["message"]
        refused = self._wrong_template(said) if utility else self._wrong_text(said)
        if refused := refused or self.not_for(person, free=not utility):
            return refused
        made = self.keep("m_", to=person, key=said.get("metadata", ""))
        return Answer(200, {"recipient_id": person, "message_id": made})

    def _wrong_text(self, told: Row) -> Answer | None:
        wrong = self.unexpected(told, {"text", "metadata"}, {"text"})
        long = len(told.get("text", "").encode()) > LONGEST or len(told.get("metadata", "")) >= LONGEST_KEY
        return (
            self.error(400, 100, 0, f"(#100) Invalid parameter: message[{wrong or 'text'}]") if wrong or long else None
        )

    def _wrong_template(self, told: Row) -> Answer | None:
        shown = told.get("template", {})
        if wrong := self.unexpected(told, {"template"}, {"template"}):
            return self.error(400, 100, 0, f"(#100) Invalid parameter: message[{wrong}]")
        wanted = self.templates.get(f"{shown.get('name')}/{shown.get('language', {}).get('code')}")
        given = [each["text"] for part in shown.get("components", []) for each in part["parameters"]]
        if wanted != len(given):
            return self.error(400, 100, 2018320, "(#100) No approved template of this name, language and parameters")
        return None


if __name__ == "__main__":
    run(Messenger)
