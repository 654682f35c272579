"""Twenty's REST API: people, notes and the links between them.

https://docs.twenty.com/developers/extend/api
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import deque
from typing import Any
from uuid import UUID

import phonenumbers

from tests.standins.server import Answer, Call, Standin, run

KEY = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoiQVBJX0tFWSJ9.c2lnbmF0dXJl"
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
PATH = re.compile(r"/rest/(?P<kind>people|notes|noteTargets)(?:/(?P<id>[^/]+))?\Z")
FILTER = re.compile(r"(?P<name>[A-Za-z.]+)\[(?P<how>eq|in)\]:(?P<value>.+)\Z", re.DOTALL)
NAMED = re.compile(r"draad:(\S+)\s*\Z")
SINGULAR = {"people": "Person", "notes": "Note", "noteTargets": "NoteTarget"}
FIELDS = {
    "people": {"id", "name", "emails", "phones", "city", "jobTitle", "companyId", "position", "vip"},
    "notes": {"id", "title", "bodyV2", "position", "shopOrder"},
    "noteTargets": {"id", "noteId", "targetPersonId", "targetCompanyId"},
}
PARTS = {
    "name": {"firstName", "lastName"},
    "emails": {"primaryEmail", "additionalEmails"},
    "phones": {"primaryPhoneNumber", "primaryPhoneCallingCode", "primaryPhoneCountryCode", "additionalPhones"},
    "bodyV2": {"markdown", "blocknote"},
}
MOST = 60
NOW = "2026-09-02T08:30:01.000Z"
HUB = {"source": "API", "name": "hub", "workspaceMemberId": None, "context": {}}
MEMBER = "20202020-0687-4c41-b707-ed1bfca972a7"
AGENT = {"source": "MANUAL", "name": "An Bakker", "workspaceMemberId": MEMBER, "context": {}}
MOST_MERGED = 9

Row = dict[str, Any]


class Twenty(Standin):
    """`limit`: requests a minute; `slow_down`: the status that says so, 429 or, in some versions, 400.
    `missing`: how a change of what is gone is answered, 400 or 404. `taken`: what is said of a value
    that another record has. `fields`: the workspace's own fields of people."""

    lie: Any = {"data": {}}

    def reset(self) -> None:
        self.limit, self.slow_down, self.missing = 0, 429, 400
        self.taken = "A duplicate entry was detected"
        self.fields = {"hubCustomerId", "hubPreferredChannel"}
        self.target = "targetPersonId"
        self.rows: dict[str, dict[str, Row]] = {kind: {} for kind in SINGULAR}
        self.created = 0
        self.told: list[Row] = []
        self._ids = itertools.count(1)
        self._recent: deque[float] = deque()

    def set(self, **told: Any) -> None:
        for name in ("limit", "slow_down", "missing", "taken", "target"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {**self.rows, "created": self.created, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        """Our event id of every note on the timeline of a person who is there."""
        with self.lock:
            found = []
            for link in self.rows["noteTargets"].values():
                note = self.rows["notes"].get(link["noteId"])
                mark = NAMED.search(note["bodyV2"]["markdown"]) if note else None
                if mark and link.get(self.target) in self.rows["people"]:
                    found.append(mark[1])
            return found

    def people(self) -> list[str]:
        with self.lock:
            return [row.get("hubCustomerId") or "" for row in self.rows["people"].values()]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            noted = [note["id"] for note in self.rows["notes"].values() if _names(note, event)]
            links = [link for link in self.rows["noteTargets"].values() if link["noteId"] in noted]
            return sorted(link[self.target] for link in links if link.get(self.target) in self.rows["people"])

    def changes(self) -> list[bytes]:
        return [json.dumps(each, separators=(",", ":")).encode() for each in self.told]

    def _tell(self, event: str, row: Row, **more: Any) -> None:
        """A member, who would be named beside the record, is none of those who use the API. Who wrote it last is
        said by the record itself."""
        about = {"objectMetadata": {"id": "0f4a8a8e", "nameSingular": "person"}, "workspaceId": "20202020-1c25"}
        stamped = {**row, "updatedAt": NOW, "deletedAt": None}
        self.told.append({"eventName": event, **about, "eventDate": NOW, "record": stamped, **more})

    def add_person(self, **told: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            row = self._make("people", told)
            row |= {"createdBy": AGENT, "updatedBy": AGENT}
            return str(row["id"])

    def edit(self, id: str, **told: Any) -> None:
        """An agent changes a person."""
        with self.lock:
            row = self.rows["people"][id]
            self._keep(row, told)
            row["updatedBy"] = AGENT
            self._tell("person.updated", row, updatedFields=[*told, "updatedBy"], workspaceMemberId=MEMBER)

    def add_note(self, person: str, markdown: str) -> str:
        with self.lock:
            note = str(self._make("notes", {"title": "by an agent", "bodyV2": {"markdown": markdown}})["id"])
            self._make("noteTargets", {"noteId": note, self.target: person})
            return note

    def remove_person(self, id: str) -> None:
        with self.lock:
            self._destroy("people", id)

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "UNAUTHENTICATED", "Token invalid.")
        if self._busy():
            return _error(self.slow_down, "HttpException", "Limit reached (100 tokens per 60000 ms)")
        found = PATH.match(call.path)
        if found is None:
            return _error(404, "NotFoundException", f"Cannot {call.method} {call.path}")
        kind, key = found["kind"], found["id"] or ""
        if (call.method, kind, key) == ("PATCH", "people", "merge"):
            return self._merge(call.json)
        match call.method, bool(key):
            case "GET", True:
                return self._one(kind, key)
            case "GET", False:
                return self._many(kind, call.query)
            case "POST", False:
                return self._create(kind, call.json)
            case "PATCH", True:
                return self._update(kind, key, call.json)
            case "DELETE", True:
                return self._delete(kind, key)
            case "DELETE", False:
                return self._delete_many(kind, call.query)
        return _error(404, "NotFoundException", f"Cannot {call.method} {call.path}")

    def _busy(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if self.limit and len(self._recent) >= self.limit:
            return True
        self._recent.append(now)
        return False

    def _one(self, kind: str, key: str) -> Answer:
        row = self.rows[kind].get(key)
        name = SINGULAR[kind]
        if row is None:
            return _error(404, "NotFoundException", "Record not found")
        return Answer(200, {"data": {name[0].lower() + name[1:]: row}})

    def _many(self, kind: str, query: dict[str, str]) -> Answer:
        rows, limit = self._filtered(kind, query.get("filter", "")), int(query.get("limit", MOST))
        if rows is None or limit > MOST:
            return _error(400, "BadRequestException", f"'filter' or 'limit' invalid: {query}")
        order = [row["id"] for row in rows]
        start = order.index(query["starting_after"]) + 1 if query.get("starting_after") else 0
        shown = [self._deep(kind, row, query.get("depth", "0")) for row in rows[start : start + limit]]
        page = {"hasNextPage": start + limit < len(rows), "endCursor": shown[-1]["id"] if shown else None}
        return Answer(200, {"data": {kind: shown}, "pageInfo": page, "totalCount": len(rows)})

    def _deep(self, kind: str, row: Row, depth: str) -> Row:
        return row | {"note": self.rows["notes"].get(row["noteId"])} if kind == "noteTargets" and depth == "1" else row

    def _filtered(self, kind: str, wanted: str) -> list[Row] | None:
        if not wanted:
            return list(self.rows[kind].values())
        found = FILTER.match(wanted)
        if found is None or found["name"].split(".")[0] not in self._known(kind):
            return None
        if (found["how"] == "in") != found["value"].startswith("["):
            return None
        values = json.loads(found["value"]) if found["how"] == "in" else [found["value"].strip('"')]
        return [row for row in self.rows[kind].values() if _at(row, found["name"]) in values]

    def _known(self, kind: str) -> set[str]:
        links = {self.target} if kind == "noteTargets" else set()
        return (FIELDS[kind] - {"targetPersonId"}) | links | (self.fields if kind == "people" else set())

    def _create(self, kind: str, told: Any) -> Answer:
        if refusal := self._refusal(kind, told, None):
            return refusal
        row = self._make(kind, told)
        if kind == "people":
            self._tell("person.created", row)
        return Answer(201, {"data": {f"create{SINGULAR[kind]}": row}})

    def _update(self, kind: str, key: str, told: Any) -> Answer:
        row = self.rows[kind].get(key)
        if row is None:
            name = "NotFoundException" if self.missing == 404 else "EntityNotFoundError"
            return _error(self.missing, name, 'Could not find any entity of type "person"')
        if refusal := self._refusal(kind, told, row):
            return refusal
        before = dict(row)
        self._keep(row, told)
        row["updatedBy"] = HUB
        self._tell_update(kind, row, before)
        return Answer(200, {"data": {f"update{SINGULAR[kind]}": row}})

    def _tell_update(self, kind: str, row: Row, before: Row) -> None:
        changed = [name for name in row if row[name] != before.get(name)]
        if changed and kind == "people":
            self._tell("person.updated", row, updatedFields=changed)

    def _merge(self, told: Any) -> Answer:
        """Relations go to the one that is left, and keep their ids. Nobody is put down as its last author."""
        ids, index = told.get("ids"), told.get("conflictPriorityIndex")
        if not isinstance(ids, list) or not 2 <= len(ids) <= MOST_MERGED or not isinstance(index, int):
            return _error(400, "BadRequestException", "At least 2 record IDs are required for merge")
        if not 0 <= index < len(ids):
            return _error(400, "BadRequestException", f"Invalid conflict priority '{index}'.")
        if len(set(ids) & self.rows["people"].keys()) != len(ids):
            return _error(404, "NotFoundException", "Record not found")
        rows = [self.rows["people"][each] for each in sorted(ids, key=lambda each: each != ids[index])]
        if told.get("dryRun"):
            return Answer(200, {"data": {"mergePerson": _one_of(rows) | {"id": "20202020-dddd"}}})
        return Answer(200, {"data": {"mergePerson": self._merged(*rows)}})

    def _merged(self, kept: Row, *others: Row) -> Row:
        before, gone = dict(kept), [each["id"] for each in others]
        kept |= _one_of([kept, *others])
        for link in self.rows["noteTargets"].values():
            link[self.target] = kept["id"] if link[self.target] in gone else link[self.target]
        for other in others:
            self._destroy("people", other["id"])
            self._tell("person.destroyed", other)
        self._tell_update("people", kept, before)
        return kept

    def _delete(self, kind: str, key: str) -> Answer:
        if key not in self.rows[kind]:
            return _error(404, "NotFoundException", "Record not found")
        self._destroy(kind, key)
        return Answer(200, {"data": {f"delete{SINGULAR[kind]}": {"id": key}}})

    def _delete_many(self, kind: str, query: dict[str, str]) -> Answer:
        rows = self._filtered(kind, query["filter"]) if query.get("filter") else None
        if rows is None or query.get("soft_delete") != "false":
            return _error(400, "BadRequestException", "Filters are mandatory for bulk destroy operations")
        for row in rows:
            self._destroy(kind, row["id"])
        return Answer(200, {"data": {f"delete{kind[0].upper()}{kind[1:]}": [{"id": row["id"]} for row in rows]}})

    def _destroy(self, kind: str, key: str) -> None:
        self.rows[kind].pop(key, None)
        column = {"people": self.target, "notes": "noteId"}.get(kind)
        links = self.rows["noteTargets"]
        for each in [each for each, row in links.items() if column and row.get(column) == key]:
            del links[each]

    def _refusal(self, kind: str, told: Any, own: Row | None) -> Answer | None:
        wrong = next(self._mistakes(kind, told, own), "") if isinstance(told, dict) else "not an object"
        return _error(400, "BadRequestException", wrong) if wrong else None

    def _mistakes(self, kind: str, told: Row, own: Row | None) -> Any:
        for name, value in told.items():
            if name not in self._known(kind):
                yield f'Object {SINGULAR[kind]} doesn\'t have any "{name}" field.'
            for part in (set(value) if isinstance(value, dict) else {name}) - PARTS.get(name, {name}):
                yield f'Subfield "{part}" of composite field "{name}" does not exist'
        mail = _at(told, "emails.primaryEmail")
        if mail and not MAIL.match(mail):
            yield f"Invalid email: {mail}"
        if "id" in told and not _is_uuid(told["id"]):
            yield f"Invalid UUID: {told['id']}"
        if any(
            self._taken(kind, name, _at(told, name), own) for name in ("id", "hubCustomerId", "emails.primaryEmail")
        ):
            yield self.taken
        missing = [told[name] for name, where in self._links(kind) if told.get(name) not in (None, *self.rows[where])]
        if missing:
            yield f"insert or update violates foreign key constraint: {missing}"

    def _links(self, kind: str) -> list[tuple[str, str]]:
        return [("noteId", "notes"), (self.target, "people")] if kind == "noteTargets" else []

    def _taken(self, kind: str, name: str, value: Any, own: Row | None) -> bool:
        rows = (row for row in self.rows[kind].values() if row is not own)
        return bool(value) and any(str(_at(row, name) or "").lower() == str(value).lower() for row in rows)

    def _make(self, kind: str, told: Row) -> Row:
        key = told.get("id") or f"20202020-0000-4000-8000-{next(self._ids):012d}"
        row: Row = {"id": key, "createdBy": HUB, "updatedBy": HUB}
        self.rows[kind][key] = row
        self.created += kind == "people"
        self._keep(row, told)
        return row

    def _keep(self, row: Row, told: Row) -> None:
        """Of a composite field, only the parts that are sent."""
        for name, value in told.items():
            row[name] = {**row.get(name, {}), **value} if isinstance(value, dict) else value
        given = _at(told, "phones.primaryPhoneNumber")
        if given and given.startswith("+"):
            number = phonenumbers.parse(given)
            parts = {"primaryPhoneNumber": str(number.national_number)}
            row["phones"] |= parts | {"primaryPhoneCallingCode": f"+{number.country_code}"}


def _names(note: Row, event: str) -> bool:
    found = NAMED.search(note["bodyV2"]["markdown"])
    return found is not None and found[1] == event


def _one_of(rows: list[Row]) -> Row:
    """The first one's values, and of the others those that it lacks; addresses of them all."""
    whole = {name: value for row in reversed(rows) for name, value in row.items() if value not in (None, "", {})}
    mails = [mail for row in rows for mail in _mails(row)]
    numbers = [number for row in rows for number in _numbers(row)]
    if mails:
        others = list(dict.fromkeys(each for each in mails[1:] if each != mails[0]))
        whole["emails"] = {"primaryEmail": mails[0], "additionalEmails": others or None}
    if numbers:
        first = dict(zip(("primaryPhoneNumber", "primaryPhoneCallingCode"), numbers[0], strict=True))
        more = [{"number": number, "callingCode": code} for number, code in dict.fromkeys(numbers[1:])]
        whole["phones"] = first | {"additionalPhones": more or None}
    return whole


def _mails(row: Row) -> list[str]:
    found = row.get("emails") or {}
    return [each for each in (found.get("primaryEmail"), *(found.get("additionalEmails") or ())) if each]


def _numbers(row: Row) -> list[tuple[str, str]]:
    found = row.get("phones") or {}
    first = found.get("primaryPhoneNumber") or "", found.get("primaryPhoneCallingCode") or ""
    more = [(each["number"], each["callingCode"]) for each in found.get("additionalPhones") or ()]
    return [each for each in (first, *more) if each[0]]


def _at(row: Row, path: str) -> Any:
    found: Any = row
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _is_uuid(value: Any) -> bool:
    try:
        return str(UUID(value)) == value
    except (ValueError, TypeError, AttributeError):
        return False


def _error(status: int, name: str, message: str) -> Answer:
    return Answer(status, {"statusCode": status, "error": name, "messages": [message]})


if __name__ == "__main__":
    run(Twenty)
