"""WhatsApp Cloud's messages: https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages"""

from __future__ import annotations

import re
from typing import Any

from tests.standins.graph import Graph
from tests.standins.server import Answer, run

KNOWN = {"messaging_product", "recipient_type", "to", "recipient", "type", "text", "template", "context"} | {
    "biz_opaque_callback_data"
}
USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,128}\Z")
LONGEST, LONGEST_KEY = 4096, 512

Row = dict[str, Any]


class WhatsApp(Graph):
    """`templates`: how many values each approved one takes, by name and language."""

    account = "106540352242922"
    window = (400, 131047, 0, "(#131047) Re-engagement message")

    def reset(self) -> None:
        super().reset()
        self.templates = {"order_ready/nl": 2, "hello/nl": 0}

    def message(self, told: Row) -> Answer:
        kind = told.get("type", "")
        wrong = self.unexpected(told, KNOWN, {"messaging_product", "type", str(kind)})
        if wrong or told["messaging_product"] != "whatsapp":
            return self._invalid(wrong or "messaging_product")
        person = self._person(told)
        if not person or len(told.get("biz_opaque_callback_data", "")) > LONGEST_KEY:
            return self._invalid("to" if not person else "biz_opaque_callback_data")
        refused = self._wrong_template(told["template"]) if kind == "template" else self._wrong_text(told["text"])
        if refused := refused or self.not_for(person, free=kind != "template"):
            return refused
        made = self.keep("wamid.HBgL", to=person, key=told.get("biz_opaque_callback_data", ""))
        contact = {"input": person, "wa_id": person} if person.isdigit() else {"input": person, "user_id": person}
        return Answer(200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": made}]})

    def _person(self, told: Row) -> str:
        number = re.sub(r"[+\s()-]", "", str(told.get("to", "")))
        if "to" in told:
            return number if number.isdigit() else ""
        person = str(told.get("recipient", ""))
        return person if USER_ID.match(person) else ""

    def _wrong_text(self, told: Row) -> Answer | None:
        wrong = self.unexpected(told, {"body", "preview_url"}, {"body"})
        return self._invalid(f"text.{wrong or 'body'}") if wrong or len(told["body"]) > LONGEST else None

    def _wrong_template(self, told: Row) -> Answer | None:
        if wrong := self.unexpected(told, {"name", "language", "components"}, {"name", "language"}):
            return self._invalid(f"template.{wrong}")
        wanted = self.templates.get(f"{told['name']}/{told['language'].get('code')}")
        if wanted is None:
            return self.error(404, 132001, 0, "(#132001) Template name does not exist in the translation")
        body = next((each for each in told.get("components", []) if each["type"] == "body"), {"parameters": []})
        given = [each["text"] for each in body["parameters"] if each["type"] == "text"]
        if len(given) != wanted:
            return self.error(400, 132000, 0, "(#132000) Number of parameters does not match the expected number")
        return None

    def _invalid(self, name: str) -> Answer:
        return self.error(400, 100, 0, f"(#100) Invalid parameter: {name}")


if __name__ == "__main__":
    run(WhatsApp)
