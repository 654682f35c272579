"""Silvasoft's REST API: relations, by mail address and GUID; 401 for a wrong key and for a spent hour.

https://developers.silvasoft.nl/documentation/listrelations/
https://developers.silvasoft.nl/documentation/response-format-common-responses/
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

USERNAME, KEY = "hub@tc.example", "sv-4f9c2e7a81d3"
QUERY = {"RelationEmail", "RelationGUID", "RelationName", "RelationNumber", "RelationType", "Limit", "Offset"}
CONTACT = {"Email", "Phone", "FirstName", "LastName", "Sex"}
RELATION = {"Address_City", "Address_Street", "Address_PostalCode", "Address_CountryCode", "Address_Unit"} | {
    "IsCustomer",
    "IsSupplier",
    "CustomerNumber",
    "Relation_Contact",
    "Email",
    "Phone",
}
COMPANY = {"Name", "RegistrationNumber", "TaxIdentificationNumber"}
ON_EXISTING = {"OnExistingRelationEmail", "OnExistingRelationNumber"}
PATH = re.compile(r"/rest/(?P<what>[a-z]+)/\Z")
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")

Row = dict[str, Any]


class Silvasoft(Standin):
    """`left`: requests that this hour still has; None: any number. `writes_nothing`: answers an empty object."""

    lie: Any = {"errorCode": "TECHNICAL", "errorMessage": "lies with a 200"}

    def reset(self) -> None:
        self.relations: dict[int, Row] = {}
        self.left: int | None = None
        self.writes_nothing = False
        self.updates = 0
        self._guids = itertools.count(90501)

    def set(self, **told: Any) -> None:
        for name in ("left", "writes_nothing"):
            if name in told:
                setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {"relations": self.relations, "updates": self.updates, "calls": len(self.calls)}

    def people(self) -> list[str]:
        """Mail addresses: there is no place for an id of ours."""
        with self.lock:
            return [self._mail(each) for each in self.relations.values()]

    def add_relation(self, **told: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            return str(self._make(told)["RelationGUID"])

    def remove_relation(self, guid: int) -> None:
        with self.lock:
            del self.relations[guid]

    def answer(self, call: Call) -> Answer:
        if (call.headers.get("apikey"), call.headers.get("username")) != (KEY, USERNAME):
            return _refusal(401, "UNAUTHORIZED", "Invalid authentication credentials")
        if self.left is not None:
            if self.left == 0:
                return _refusal(401, "UNAUTHORIZED", "Ratelimit exceeded")
            self.left -= 1
        found = PATH.match(call.path)
        match call.method, found["what"] if found else "":
            case "GET", "listrelations":
                return self._list(call.query)
            case "POST", "addprivaterelation":
                return self._add(call.json)
            case "PUT", "updaterelation":
                return self._update(call.json)
        return Answer(404, b"")

    def _list(self, query: dict[str, str]) -> Answer:
        if unknown := sorted(set(query) - QUERY):
            return _refusal(400, "VALIDATION", f"Unknown parameter {unknown[0]}")
        rows = list(self.relations.values())
        if "RelationGUID" in query:
            rows = [each for each in rows if str(each["RelationGUID"]) == query["RelationGUID"]]
        if wanted := query.get("RelationEmail", "").lower():
            rows = [each for each in rows if wanted in self._mail(each).lower()]
        return Answer(200, rows[: min(int(query.get("Limit", 200)), 200)] or {})

    def _add(self, told: Row) -> Answer:
        if wrong := self._wrong(told, RELATION | ON_EXISTING):
            return _refusal(400, "VALIDATION", wrong)
        mail = self._mail(told).lower()
        there = [each for each in self.relations.values() if mail and self._mail(each).lower() == mail]
        if there and told.get("OnExistingRelationEmail") == "ABORT":
            return _refusal(400, "VALIDATION", "Relation already exists")
        if not there and not told["Relation_Contact"][0].get("LastName") and not mail:
            return _refusal(400, "VALIDATION", "A relation needs a name or an address")
        if self.writes_nothing:
            return Answer(200, {})
        return Answer(200, there[0] if there else self._make({k: v for k, v in told.items() if k not in ON_EXISTING}))

    def _update(self, told: Row) -> Answer:
        row = self.relations.get(told.get("RelationGUID", 0))
        if row is None:
            return _refusal(400, "VALIDATION", "RelationGUID does not exist")
        if wrong := self._wrong(told, RELATION | {"RelationGUID"} | (COMPANY & set(row))):
            return _refusal(400, "VALIDATION", wrong)
        if self.writes_nothing:
            return Answer(200, {})
        row |= told
        self.updates += 1
        return Answer(200, row)

    def _wrong(self, told: Row, known: set[str]) -> str:
        contacts = told.get("Relation_Contact", [])
        if unknown := sorted(set(told) - known):
            return f"Unknown parameter {unknown[0]}"
        if len(contacts) != 1 or set(contacts[0]) - CONTACT or not all(contacts[0].values()):
            return "One contact, of known parameters that are not empty"
        mail = contacts[0].get("Email", "")
        return "" if not mail or MAIL.match(mail) else "Email is not valid"

    def _make(self, told: Row) -> Row:
        guid = next(self._guids)
        self.relations[guid] = {"CustomerNumber": guid - 90000, "createdOn": 1788339600} | told | {"RelationGUID": guid}
        return self.relations[guid]

    def _mail(self, row: Row) -> str:
        contacts = row.get("Relation_Contact") or [{}]
        return str(contacts[0].get("Email") or row.get("Email") or "")


def _refusal(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"errorCode": code, "errorMessage": message})


if __name__ == "__main__":
    run(Silvasoft)
