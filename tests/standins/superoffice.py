"""SuperOffice Online's REST API: sign-in of the system user, persons, follow-ups, the archives that list them.

https://docs.superoffice.com/en/api/authentication/online/auth-application/sign-system-user-token.html
https://docs.superoffice.com/en/api/reference/restful/rest/Appointment/index.html
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from calendar import timegm
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.standins.server import Answer, Call, Standin, run

TENANT, SECRET, SYSTEM_TOKEN = "Cust12345", "8f4c2ab1d0e94c6fa3b7", "Hub of Tc-qW3rTy81"
TICKET = "7T:MgA1ADYANwA4ADkAMAAxADIA"
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmg+O1nBTWrhj08g0Z7DZ
5GpnhGDTVhP8pbX8lAkOpcDrBgv/fzVZ25jMcAYtBnXh343VVNU9i72wQkJwvNkG
cjmhbbENJjQ8/lFAHe3Q8JAjynr0SjKlI804bEyTW3bdJ+oDOc+gK1M7SgbInA+Y
EP1u85EDB78Eq52C6FEiSSPFN1VN9w6fqmsGD32lJYxmL31A2TGWGavbY9Vbe4jK
/+qV4ajtW7Bh5GTwARHoAS8lrsWq4GOdxWzJGW/z7zJB0T2EAD26L5PSEFVWRvT1
SrxPnnoIdT1noNOu9C0undUb/sblW5GdF7qai35Vv4d76PrCPqkl6RIPyLLqinIW
IwIDAQAB
-----END PUBLIC KEY-----
"""
CLAIM = "http://schemes.superoffice.net/identity/"
PERSON_FIELD, EVENT_FIELD, CHANNEL_FIELD = "SuperOffice:11", "SuperOffice:12", "SuperOffice:13"
UDEF = {"person": {PERSON_FIELD, CHANNEL_FIELD, "SuperOffice:14", "SuperOffice:15"}} | {
    "appointment": {EVENT_FIELD, "SuperOffice:16"}
}
TASKS = {1, 4, 5, 6}
PERSON = {"Firstname", "Lastname", "Emails", "MobilePhones", "OfficePhones", "PrivatePhones", "OtherPhones"} | {
    "Contact",
    "CustomFields",
    "DbiAgentId",
    "DbiKey",
    "Description",
    "Retired",
}
APPOINTMENT = {"Person", "Contact", "Description", "StartDate", "EndDate", "Completed", "Task", "Type", "CustomFields"}
FILTER = re.compile(r"(?P<column>\S+) eq (?:'(?P<text>(?:[^']|'')*)'|(?P<number>\d+))\Z")
PATH = re.compile(rf"/{TENANT}/api/v1/(?P<kind>Person|Appointment)(?:/(?P<id>\d+))?\Z")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
MAX_DESCRIPTION = 2047
MINUTES_5 = 300

Row = dict[str, Any]


class SuperOffice(Standin):
    """`tickets`: those that are taken now. `needs_company`: the preference MandatoryContactOnPerson. `colleagues`:
    persons who are users."""

    lie: Any = {"Error": True, "ErrorType": "SoException", "Message": "lies with a 200"}

    def reset(self) -> None:
        self.tickets = {TICKET}
        self.needs_company = False
        self.persons: dict[str, Row] = {}
        self.appointments: dict[str, Row] = {}
        self.forgotten: list[str] = []
        self.colleagues: set[str] = set()
        self._ids = itertools.count(501)
        self._given = itertools.count(1)

    def set(self, **told: Any) -> None:
        if "needs_company" in told:
            self.needs_company = told.pop("needs_company")
        super().set(**told)

    def expire(self) -> None:
        """As after six hours without a call."""
        with self.lock:
            self.tickets.clear()

    def state(self) -> Any:
        return {"persons": self.persons, "appointments": self.appointments, "forgotten": self.forgotten}

    def kept(self) -> list[str]:
        """Event ids of follow-ups: they outlive the person whom they are about."""
        with self.lock:
            shown = [each["CustomFields"] for each in self.appointments.values()]
            return [each[EVENT_FIELD] for each in shown if EVENT_FIELD in each]

    def people(self) -> list[str]:
        with self.lock:
            return [each["CustomFields"].get(PERSON_FIELD, "") for each in self.persons.values()]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            mine = [each for each in self.appointments.values() if each["CustomFields"].get(EVENT_FIELD) == event]
            shown = [str((each["Person"] or {}).get("PersonId")) for each in mine]
            return sorted(each for each in shown if each in self.persons)

    def add_person(self, **told: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            return str(self._make("person", told)["PersonId"])

    def add_appointment(self, **told: Any) -> str:
        with self.lock:
            return str(self._make("appointment", told)["AppointmentId"])

    def remove_person(self, id: str) -> None:
        with self.lock:
            del self.persons[id]

    def answer(self, call: Call) -> Answer:
        if call.path == "/Login/api/PartnerSystemUser/Authenticate":
            return self._sign_in(call.json)
        scheme, _, ticket = call.headers.get("authorization", "").partition(" ")
        if scheme != "SOTicket" or ticket not in self.tickets or call.headers.get("so-apptoken") != SECRET:
            return _refusal(401, "SoInvalidTicketException", "Invalid ticket or application token")
        if call.path == f"/{TENANT}/api/v1/Agents/Person/Merge" and call.method == "POST":
            return self._merge(call.json)
        found = PATH.match(call.path)
        if found is None:
            return _refusal(404, "NotFound", "No HTTP resource was found")
        return self._entity(call, found["kind"].lower(), found["id"] or "")

    def _sign_in(self, told: Row) -> Answer:
        if not self._authentic(told):
            return Answer(200, {"IsSuccessful": False, "Token": None, "ErrorMessage": "Authentication failed"})
        ticket = f"{TICKET}-{next(self._given)}"
        self.tickets.add(ticket)
        claims = {
            f"{CLAIM}ticket": ticket,
            f"{CLAIM}webapi_url": f"{self.url}/{TENANT}/api/",
            f"{CLAIM}ctx": TENANT,
            "exp": int(time.time()) + 300,
        }
        return Answer(200, {"IsSuccessful": True, "Token": _token(claims), "ErrorMessage": None})

    def _authentic(self, told: Row) -> bool:
        head, _, signature = told.get("SignedSystemToken", "").rpartition(".")
        token, _, stamp = head.rpartition(".")
        apart = (told.get("ApplicationToken"), told.get("ContextIdentifier"), told.get("ReturnTokenType"))
        if token != SYSTEM_TOKEN or apart != (SECRET, TENANT, "JWT") or not re.fullmatch(r"\d{12}", stamp):
            return False
        if abs(time.time() - timegm(time.strptime(stamp, "%Y%m%d%H%M"))) > MINUTES_5:
            return False
        return _signed(head.encode(), signature)

    def _entity(self, call: Call, kind: str, key: str) -> Answer:
        rows = self._rows(kind)
        if key and key not in rows and call.method in ("GET", "PATCH"):
            return _refusal(404, "SoEntityNotFoundException", f"{kind} with given id does not exist in the db")
        match call.method, bool(key):
            case "GET", False:
                return self._archive(kind, call.query)
            case "GET", True:
                return Answer(200, rows[key])
            case "POST", False:
                return self._create(kind, call)
            case "PATCH", True:
                return self._patch(kind, rows[key], call)
            case "DELETE", True:
                return self._delete(kind, key)
        return _refusal(405, "MethodNotAllowed", "The requested resource does not support this method")

    def _rows(self, kind: str) -> dict[str, Row]:
        return self.persons if kind == "person" else self.appointments

    def _create(self, kind: str, call: Call) -> Answer:
        told = call.json
        if wrong := self._wrong(kind, told):
            return _refusal(400, "SoIllegalOperationException", wrong)
        row, name = self._make(kind, told), f"{kind.title()}Id"
        return Answer(200, {name: row[name]} if call.query.get("$select") == name else row)

    def _make(self, kind: str, told: Row) -> Row:
        number = next(self._ids)
        usual: Row = {"Contact": None, "CustomFields": {}}
        if kind == "person":
            usual |= {"Firstname": "", "Lastname": "", "Emails": [], "MobilePhones": [], "OfficePhones": []}
            usual |= {"PrivatePhones": [], "OtherPhones": [], "Retired": False}
        row = usual | told | {f"{kind.title()}Id": number}
        self._rows(kind)[str(number)] = row
        return row

    def _wrong(self, kind: str, told: Any) -> str:
        known = PERSON if kind == "person" else APPOINTMENT
        if not isinstance(told, dict) or set(told) - known:
            return f"Unknown property of {kind}: {sorted(set(told) - known)}"
        if unknown := set(told.get("CustomFields", {})) - UDEF[kind]:
            return f"No such field: {sorted(unknown)}"
        return self._wrong_person(told) if kind == "person" else self._wrong_appointment(told)

    def _wrong_person(self, told: Row) -> str:
        if not (told.get("Firstname") or told.get("Lastname")):
            return "A person needs a name"
        if self.needs_company and not told.get("Contact"):
            return "Contact is mandatory on person"
        lists = [each for name, value in told.items() if name.endswith(("Emails", "Phones")) for each in value]
        return "" if all(set(each) == {"Value"} and each["Value"] for each in lists) else "An address needs its Value"

    def _wrong_appointment(self, told: Row) -> str:
        person = self.persons.get(str((told.get("Person") or {}).get("PersonId")))
        company = (told.get("Contact") or {}).get("ContactId")
        if person is None:
            return "No such person"
        if company != (person["Contact"] or {}).get("ContactId"):
            return "The person must be registered on the company of the appointment"
        if not all(MOMENT.match(told.get(name, "")) for name in ("StartDate", "EndDate")):
            return "StartDate and EndDate must be moments"
        if told["EndDate"] < told["StartDate"] or len(told.get("Description", "")) > MAX_DESCRIPTION:
            return "It ends before it starts, or says too much"
        return "" if "Task" not in told or told["Task"].get("TaskListItemId") in TASKS else "No such task"

    def _patch(self, kind: str, row: Row, call: Call) -> Answer:
        if call.headers.get("content-type") != "application/json-patch+json" or not isinstance(call.json, list):
            return _refusal(415, "UnsupportedMediaType", "JSON Patch is a list")
        changed = json.loads(json.dumps(row))
        for each in call.json:
            if not _applied(changed, each):
                return _refusal(400, "JsonPatchException", f"Cannot apply {each.get('op')} to {each.get('path')}")
        known, name = PERSON if kind == "person" else APPOINTMENT, f"{kind.title()}Id"
        wrong = self._wrong(kind, {each: changed[each] for each in changed if each in known})
        if wrong:
            return _refusal(400, "SoIllegalOperationException", wrong)
        row.clear()
        row.update(changed)
        return Answer(200, {name: row[name]} if call.query.get("$select") == name else row)

    def _merge(self, told: Row) -> Answer:
        """Follow-ups after the date come along, with the company of whoever is left."""
        source, left = (self.persons.get(str(told.get(f"{each}PersonId"))) for each in ("Source", "Destination"))
        if source is None or left is None or source is left:
            return _refusal(400, "SoIllegalOperationException", "No such persons, or one only")
        if str(source["PersonId"]) in self.colleagues:
            return _refusal(400, "SoIllegalOperationException", "Users cannot be merged")
        if not MOMENT.match(told.get("MoveAfterDate", "")):
            return _refusal(400, "SoIllegalOperationException", "MoveAfterDate is required")
        for each in self.appointments.values():
            mine = (each["Person"] or {}).get("PersonId") == source["PersonId"]
            if mine and each["StartDate"] > told["MoveAfterDate"]:
                company = (left["Contact"] or {}).get("ContactId")
                each |= {"Person": {"PersonId": left["PersonId"]}}
                each |= {"Contact": {"ContactId": company} if company else None}
        if told.get("ReplaceEmptyFieldsOnDestination"):
            left |= {name: source[name] for name in ("Firstname", "Lastname") if not left[name]}
        if told.get("DeleteSource"):
            del self.persons[str(source["PersonId"])]
        else:
            source["Retired"] = True
        return Answer(204)

    def _delete(self, kind: str, key: str) -> Answer:
        if self._rows(kind).pop(key, None) is not None and kind == "person":
            self.forgotten.append(key)
        return Answer(204)

    def _archive(self, kind: str, query: dict[str, str]) -> Answer:
        found = FILTER.match(query.get("$filter", ""))
        columns = query.get("$select", "").split(",")
        if found is None or not all(self._is_column(kind, each) for each in (*columns, found["column"])):
            return _refusal(400, "SoArchiveException", f"Cannot read {query.get('$filter')} or {columns}")
        wanted = (found["number"] or found["text"].replace("''", "'")).lower()
        rows = [each for each in self._rows(kind).values() if wanted in self._lower(each, found["column"])]
        first, most = int(query.get("$skip", 0)), int(query.get("$top", 100))
        shown = [self._shown(kind, each, columns) for each in rows[first : first + most]]
        return Answer(200, {"odata.metadata": f"{self.url}/$metadata", "odata.nextLink": None, "value": shown})

    def _is_column(self, kind: str, name: str) -> bool:
        usual = {"person": {"personId", "retired", "email/emailAddress"}, "appointment": {"appointmentId"}}
        more = {"person/personId"} if kind == "appointment" else set()
        return name in usual[kind] | more | {f"{kind}Udef/{each}" for each in UDEF[kind]}

    def _lower(self, row: Row, column: str) -> list[str]:
        """Texts match in any case."""
        return [each.lower() for each in self._values(row, column)]

    def _values(self, row: Row, column: str) -> list[str]:
        """A column's values, of which a search takes any."""
        head, _, rest = column.partition("/")
        match head, rest:
            case "email", "emailAddress":
                return [each["Value"] for each in row["Emails"]]
            case "person", "personId":
                return [str(row["Person"]["PersonId"])]
            case "personUdef" | "appointmentUdef", _:
                return [row["CustomFields"].get(rest, "")]
        return [str(row[f"{head[:-2].title()}Id"])] if head.endswith("Id") else []

    def _shown(self, kind: str, row: Row, columns: list[str]) -> Row:
        number = row[f"{kind.title()}Id"]
        found: Row = {"PrimaryKey": number, "EntityName": kind, f"{kind}Id": number}
        for each in columns:
            if each == "retired":
                found[each] = row["Retired"]
            elif not each.endswith("Id"):
                found[each] = next(iter(self._values(row, each)), "")
            elif each == "person/personId":
                found[each] = row["Person"]["PersonId"]
        return found


def _applied(node: Any, change: Row) -> bool:
    """One operation of a JSON Patch; the first letters' case does not matter, here as little as there."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in change["path"].strip("/").split("/")]
    for part in parents:
        node = node.get(part) if isinstance(node, dict) else None
    if change["op"] not in ("add", "replace") or not isinstance(node, dict | list):
        return False
    if isinstance(node, list):
        if last != "-":
            return False
        node.append(change["value"])
        return True
    node[last] = change["value"]
    return True


def _signed(head: bytes, signature: str) -> bool:
    key: Any = serialization.load_pem_public_key(PUBLIC_KEY.encode())
    try:
        key.verify(base64.b64decode(signature, validate=True), head, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _token(claims: Row) -> str:
    parts = [{"typ": "JWT", "alg": "RS256"}, claims]
    shown = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts]
    return ".".join([*shown, "c2lnbmVk"])


def _refusal(status: int, kind: str, message: str) -> Answer:
    return Answer(status, {"Error": True, "ErrorType": kind, "Message": message})


if __name__ == "__main__":
    run(SuperOffice)
