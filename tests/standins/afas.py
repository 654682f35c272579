"""AFAS Profit's REST connectors: persons, dossier items, GetConnectors with their filters.

https://docs.afas.help/apidoc/nl/Organisaties%20en%20personen
https://docs.afas.help/apidoc/nl/Dossiers%2C%20bijlagen%20en%20workflows
"""

from __future__ import annotations

import base64
import itertools
import re
from typing import Any
from urllib.parse import urlencode

from tests.standins.server import Answer, Call, Standin, run

TOKEN = f"<token><version>1</version><data>{'9D3C' * 16}</data></token>"
CUSTOMER_FIELD, CHANNEL_FIELD = "UC2DE284248374B083C966F9B4EEEE9E2", "U72DECD2343C904FF255A7DA5F1706A1C"
TIER_FIELD, VIP_FIELD = "U0F1E2D3C4B5A69788796A5B4C3D2E1F0", "U5B4C3D2E1F00F1E2D3C4B5A69788796A"
PERSON = {"MatchPer", "BcCo", "PadAdr", "AutoNum", "Corr", "SpNm", "ViGe", "LaNm", "FiNm", "In", "EmAd", "EmA2"} | {
    "TeNr",
    "TeN2",
    "MbNr",
    "MbN2",
    CUSTOMER_FIELD,
    CHANNEL_FIELD,
    TIER_FIELD,
    VIP_FIELD,
}
SUBJECT = {"StId", "Ds", "SbTx", "Da", "UB4C3D2E1F00F1E2D3C4B5A6978879611"}
LINK = {"DoCRM", "ToBC", "BcId", "SfTp", "SfId"}
TYPES = {4, 12, 13}
"""Dossier item types; those that AFAS made have negative numbers and take nothing."""
PERSONS = {"BcCo": "BcCo", "Name": "LaNm", "MailPrivate": "EmA2", "MailWork": "EmAd", "HubCustomer": CUSTOMER_FIELD} | {
    "FirstName": "FiNm",
    "MobilePrivate": "MbN2",
    "MobileWork": "MbNr",
    "Channel": CHANNEL_FIELD,
    "Tier": TIER_FIELD,
    "Vip": VIP_FIELD,
}
SUBJECTS = {"SbId": "SbId", "SbTy": "StId", "Ds": "Ds", "BcCd": "BcCd"}
MARK = re.compile(r"\[draad (\w+)\]\Z")
LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z")
PATH = re.compile(r"/ProfitRestServices/connectors/(?P<name>\w+)(?P<rest>/.*)?\Z")
LONGEST_QUERY = 2049

Row = dict[str, Any]


class Afas(Standin):
    """`in_use`: numbers of persons whom somebody has open. `blocked`: GetConnectors that Fair Use closed."""

    lie: Any = {"externalMessage": "Er is een onverwachte fout opgetreden.", "errorNumber": -2147180999}

    def reset(self) -> None:
        self.persons: dict[str, Row] = {}
        self.subjects: dict[str, Row] = {}
        self.in_use: set[str] = set()
        self.blocked: set[str] = set()
        self.forgotten: list[str] = []
        self._numbers = itertools.count(1000501)
        self._items = itertools.count(7001)

    def state(self) -> Any:
        return {"persons": self.persons, "subjects": self.subjects, "forgotten": self.forgotten}

    def kept(self) -> list[str]:
        with self.lock:
            return [found[1] for each in self.subjects.values() if (found := MARK.search(each["Ds"]))]

    def people(self) -> list[str]:
        with self.lock:
            return [each.get(CUSTOMER_FIELD, "") for each in self.persons.values()]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            found = [each for each in self.subjects.values() if (mark := MARK.search(each["Ds"])) and mark[1] == event]
            return sorted(each["BcCd"] for each in found)

    def add_person(self, **fields: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            return self._make(fields)

    def remove_person(self, number: str) -> None:
        with self.lock:
            del self.persons[number]

    def open_person(self, number: str) -> None:
        self.in_use.add(number)

    def block(self, connector: str) -> None:
        self.blocked.add(connector)

    def answer(self, call: Call) -> Answer:
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        if scheme != "AfasToken" or given != base64.b64encode(TOKEN.encode()).decode():
            return Answer(401, {"externalMessage": "Unauthorized", "errorNumber": 401, "profitLogReference": ""})
        found = PATH.match(call.path)
        if found is None or len(urlencode(call.query)) > LONGEST_QUERY:
            return Answer(404, b"")
        match call.method, found["name"], found["rest"] or "":
            case "GET", name, "":
                return self._rows(name, call.query)
            case "POST" | "PUT", "KnPerson", "":
                return self._person(call)
            case "POST", "KnSubject", "":
                return self._subject(call.json)
            case "DELETE", "KnSubject", rest if rest.startswith("/KnSubject/@SbId/"):
                self.subjects.pop(rest.rpartition("/")[2], None)
                return Answer(200, b"")
            case "DELETE", "KnPerson", rest if rest.startswith("/KnPerson/MatchPer,BcCo/0,"):
                return self._delete(rest.rpartition(",")[2])
        return _refusal("Deze UpdateConnector wordt niet ondersteund of de gebruiker is niet geautoriseerd.")

    def _rows(self, name: str, query: dict[str, str]) -> Answer:
        known = {"Hub_Persons": (PERSONS, self.persons), "ProfitSubjects": (SUBJECTS, self.subjects)}
        if name in self.blocked:
            return _refusal("Deze GetConnector (definitie) is geblokkeerd")
        if name not in known:
            return _refusal("GetConnector niet ondersteund voor deze app of de gebruiker is niet geautoriseerd")
        columns, rows = known[name]
        parts = [query.get(each, "").split(",") for each in ("filterfieldids", "filtervalues", "operatortypes")]
        if len({len(each) for each in parts}) != 1 or query.get("orderbyfieldids") not in columns:
            return _refusal("Er is een onverwachte fout opgetreden.")
        if missing := [each for each in parts[0] if each not in columns]:
            return _refusal(f"Connector-veld '{missing[0]}' niet gevonden")
        filters = list(zip(*parts, strict=True))
        shown = [each for each in rows.values() if all(_matches(each, columns, *one) for one in filters)]
        first, most = int(query.get("skip", 0)), int(query.get("take", 100))
        page = [{name: each.get(there) for name, there in columns.items()} for each in shown[first : first + most]]
        return Answer(200, {"skip": first, "take": most, "rows": page})

    def _person(self, call: Call) -> Answer:
        told = call.json["KnPerson"]["Element"]["Fields"]
        if unknown := sorted(set(told) - PERSON):
            return _refusal(f"Veld '{unknown[0]}' is onbekend.")
        number = told.get("BcCo", "")
        if told.get("MatchPer") == "7" and call.method == "POST":
            return self._create(told)
        if told.get("MatchPer") != "0":
            return _refusal("De ingevulde waarde bij 'Persoon vergelijken op' is niet toegestaan.")
        if number not in self.persons:
            return _refusal("Er is geen organisatie/persoon gevonden die voldoet aan de zoekcriteria.")
        if number in self.in_use:
            return _refusal("De persoon is in gebruik door een andere gebruiker.")
        self.persons[number] |= {name: value for name, value in told.items() if name != "MatchPer"}
        return Answer(201, b"")

    def _create(self, told: Row) -> Answer:
        if not told.get("LaNm") or not told.get("AutoNum") or "BcCo" in told:
            return _refusal("Het veld 'Achternaam' is verplicht.")
        number = self._make({name: value for name, value in told.items() if name != "MatchPer"})
        return Answer(201, {"results": {"KnPerson": {"BcCo": number, "BcId": str(int(number) - 999000)}}})

    def _make(self, fields: Row) -> str:
        number = str(next(self._numbers))
        self.persons[number] = {"LaNm": ""} | fields | {"BcCo": number}
        return number

    def _subject(self, document: Row) -> Answer:
        element = document["KnSubject"]["Element"]
        told, parts = element["Fields"], element.get("Objects", [])
        link = parts[0]["KnSubjectLink"]["Element"]["Fields"] if parts else {}
        if set(told) - SUBJECT or set(link) - LINK:
            return _refusal("Een veld is onbekend.")
        if told.get("StId") not in TYPES:
            return _refusal("De ingevulde waarde bij 'Type dossieritem' bestaat niet.")
        if not told.get("Ds") or len(told["Ds"]) > 255 or not LOCAL.match(told.get("Da", "")):
            return _refusal("Het onderwerp of de datum is ongeldig.")
        if not link.get("ToBC") or link.get("BcId") not in self.persons:
            return _refusal("De ingevulde waarde bij 'Organisatie/persoon' bestaat niet.")
        number = str(next(self._items))
        self.subjects[number] = told | {"SbId": int(number), "BcCd": link["BcId"]}
        return Answer(201, {"results": {"KnSubject": {"SbId": number}}})

    def _delete(self, number: str) -> Answer:
        if number not in self.persons:
            return _refusal("Er is geen organisatie/persoon gevonden die voldoet aan de zoekcriteria.")
        if any(each["BcCd"] == number for each in self.subjects.values()):
            return _refusal("De persoon kan niet worden verwijderd: er zijn nog dossieritems.")
        del self.persons[number]
        self.forgotten.append(number)
        return Answer(200, b"")


def _matches(row: Row, columns: dict[str, str], name: str, value: str, operator: str) -> bool:
    found = str(row.get(columns[name]) or "").lower()
    return {"1": found == value.lower(), "6": value.lower() in found}.get(operator, False)


def _refusal(message: str) -> Answer:
    reference = "210EC951277641BB947A3E6D29D71969"
    return Answer(500, {"externalMessage": message, "errorNumber": -2147180996, "profitLogReference": reference})


if __name__ == "__main__":
    run(Afas)
