"""EspoCRM's REST API: contacts with their duplicate check, calls, meetings, tasks, and the stream.

https://docs.espocrm.com/development/api/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import re
from datetime import datetime
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

KEY, SECRET, USER = "8f4c1d0ab7e94f5c9c1d2b3a4e5f6071", "e0a1b2c3d4e5f60718293a4b5c6d7e8f", "66f1a0b2c3d4e5f60"
PATH = re.compile(
    r"/api/v1/(?P<kind>Contact|Call|Meeting|Task|Note|Action)(?:/(?P<id>[^/]+))?(?P<more>/stream|/contacts)?\Z"
)
WHERE = re.compile(r"where\[(\d+)\]\[(type|attribute|value)\](?:\[(\d+)\])?\Z")
NAMED = re.compile(r"draad:(\S+)\Z")
STATUSES = {
    "Call": ("Planned", "Held", "Not Held"),
    "Meeting": ("Planned", "Held", "Not Held"),
    "Task": ("Not Started", "Started", "Completed", "Canceled", "Deferred"),
}
ADDRESSES = ("emailAddress", "phoneNumber")
READ_ONLY = ("id", "deleted", "createdAt", "createdById", "modifiedAt", "modifiedById")
READ_ONLY_THEN = ("type", "parentType", "parentId")
"""Of a post, once it is made."""
MOST = 200
NOW, AGENT = "2026-09-02 08:30:01", "66a00000000000001"

Row = dict[str, Any]


class EspoCrm(Standin):
    """`hmac`: requests must be signed, `binary` as older versions want it. `old_posts_stay`: whether the
    thresholds of the stream refuse to change posts. `own_fields`: whether somebody made our fields."""

    lie: Any = {"status": "error"}

    def reset(self) -> None:
        self.hmac = ""
        self.old_posts_stay = False
        self.own_fields = True
        self.rows: dict[str, dict[str, Row]] = {kind: {} for kind in ("Contact", "Note", *STATUSES)}
        self.told: list[Row] = []
        self._ids = itertools.count(1)

    def changes(self) -> list[bytes]:
        return [json.dumps([each]).encode() for each in self.told]

    def set(self, **told: Any) -> None:
        for name in ("hmac", "old_posts_stay", "own_fields"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {**self.rows, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        with self.lock:
            posts = [mark[1] for row in self._there("Note") if (mark := NAMED.search(row["post"]))]
            return posts + [row["cHubEventId"] for kind in STATUSES for row in self._there(kind) if row["cHubEventId"]]

    def people(self) -> list[str]:
        with self.lock:
            return [row.get("cHubCustomerId") or "" for row in self._there("Contact")]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            posts = [row for row in self._there("Note") if (mark := NAMED.search(row["post"])) and mark[1] == event]
            others = [row for kind in STATUSES for row in self._there(kind) if row["cHubEventId"] == event]
            seen = [each for row in (*posts, *others) for each in (*row.get("contactsIds", ()), row.get("parentId"))]
            return sorted(each for each in seen if each in {row["id"] for row in self._there("Contact")})

    def add_contact(self, **told: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            return str(self._make("Contact", told)["id"])

    def edit(self, id: str, **told: Any) -> None:
        """An agent changes a contact."""
        with self.lock:
            row = self.rows["Contact"][id]
            before = dict(row)
            self._keep("Contact", row, told)
            self._tell(row, before, AGENT)

    def remove_contact(self, id: str) -> None:
        with self.lock:
            self.rows["Contact"][id]["deleted"] = True

    def _there(self, kind: str) -> list[Row]:
        return [row for row in self.rows[kind].values() if not row["deleted"]]

    def answer(self, call: Call) -> Answer:
        found = PATH.match(call.path)
        if not self._authentic(call):
            return Answer(401, b"", {"X-Status-Reason": "Unauthorized"})
        if found is None:
            return _refused(404, "Not found")
        kind, key = found["kind"], found["id"] or ""
        if kind == "Action":
            return self._act(call.json) if call.method == "POST" and not key else _refused(404, "Not found")
        if found["more"] == "/contacts":
            return self._relate(call, kind, key)
        if found["more"]:
            return self._stream(key, call.query)
        if call.method == "POST" and not key:
            return self._create(kind, call.json, call.headers.get("x-skip-duplicate-check") == "true")
        if call.method == "GET" and not key:
            return self._list(kind, call.query)
        row = self.rows[kind].get(key)
        if row is None or row["deleted"]:
            return _refused(404, "Not found")
        if kind == "Note" and self.old_posts_stay and call.method != "GET":
            return _refused(403, "Period is over")
        if call.method == "PUT":
            return self._update(kind, row, call.json)
        if call.method == "DELETE":
            row["deleted"] = True
            return Answer(200, True)
        return Answer(200, self._shown(kind, row))

    def _authentic(self, call: Call) -> bool:
        if not self.hmac:
            return call.headers.get("x-api-key") == KEY
        said = f"{call.method} {call.path.removeprefix('/api/v1')}".encode()
        made = hmac.new(SECRET.encode(), said, hashlib.sha256)
        whole = made.digest() if self.hmac == "binary" else made.hexdigest().encode()
        wanted = base64.b64encode(KEY.encode() + b":" + whole).decode()
        return call.headers.get("x-hmac-authorization") == wanted

    def _create(self, kind: str, told: Any, unchecked: bool) -> Answer:
        if wrong := self._mistake(kind, told, None):
            return _refused(400, wrong)
        if kind == "Note" and told.get("parentId") not in {row["id"] for row in self._there("Contact")}:
            return _refused(403, "No access to the parent")
        found = self._duplicates(told) if kind == "Contact" and not unchecked else []
        if found:
            return Answer(
                409, [{"id": row["id"], "name": row["name"]} for row in found], {"X-Status-Reason": "duplicate"}
            )
        row = self._make(kind, told)
        if kind == "Contact":
            row |= {"createdById": USER}
            self.told.append(dict(row))
        return Answer(200, self._shown(kind, row))

    def _duplicates(self, told: Row) -> list[Row]:
        """As it comes: the same first and last name, or a mail address in common."""
        names, mails = (told.get("firstName"), told.get("lastName")), _values(told, "emailAddress")
        return [
            row
            for row in self._there("Contact")
            if (row["firstName"], row["lastName"]) == names or mails & _values(row, "emailAddress")
        ]

    def _update(self, kind: str, row: Row, told: Any) -> Answer:
        if wrong := self._mistake(kind, told, row):
            return _refused(400, wrong)
        before = dict(row)
        told = {name: value for name, value in told.items() if kind != "Note" or name not in READ_ONLY_THEN}
        self._keep(kind, row, told)
        if kind == "Contact":
            self._tell(row, before)
        return Answer(200, self._shown(kind, row))

    def _relate(self, call: Call, kind: str, key: str) -> Answer:
        row, other = self.rows[kind].get(key), str(call.json.get("id") or "")
        if kind not in ("Call", "Meeting") or not other:
            return _refused(400, "Bad request")
        if row is None or row["deleted"] or other not in {each["id"] for each in self._there("Contact")}:
            return _refused(404, "Not found")
        linked = [each for each in row.get("contactsIds", ()) if each != other]
        row["contactsIds"] = [*linked, other] if call.method == "POST" else linked
        return Answer(200, True)

    def _act(self, told: Any) -> Answer:
        """Only merging contacts. What it tells of the one that is gone, skip own keeps from us."""
        more = told.get("data") or {}
        if not all(told.get(name) for name in ("entityType", "action", "id")):
            return _refused(400, "Bad request")
        if (told["entityType"], told["action"]) != ("Contact", "merge"):
            return _refused(403, "Action not allowed")
        if not isinstance(more.get("sourceIdList"), list) or not isinstance(more.get("attributes"), dict):
            return _refused(400, "No 'sourceIdList'.")
        there = {row["id"]: row for row in self._there("Contact")}
        if {told["id"], *more["sourceIdList"]} - there.keys() or told["id"] in more["sourceIdList"]:
            return _refused(404, "Record not found.")
        self._merge(there[told["id"]], [there[each] for each in more["sourceIdList"]], more["attributes"])
        return Answer(200, self._shown("Contact", there[told["id"]]))

    def _merge(self, kept: Row, others: list[Row], told: Row) -> None:
        """Posts and links go along, and addresses; of all else only what is told."""
        before, gone = dict(kept), [each["id"] for each in others]
        for row in (each for kind in ("Note", *STATUSES) for each in self._there(kind)):
            row["parentId"] = kept["id"] if row.get("parentId") in gone else row.get("parentId")
            if "contactsIds" in row:
                linked = (kept["id"] if each in gone else each for each in row["contactsIds"])
                row["contactsIds"] = list(dict.fromkeys(linked))
        for name in ADDRESSES:
            every = {each[name]: each for row in (kept, *others) for each in row[f"{name}Data"]}
            several = [each | {"primary": at == 0} for at, each in enumerate(every.values())]
            told = {**told, f"{name}Data": several}
        for other in others:
            other["deleted"] = True
        self._keep("Contact", kept, {name: value for name, value in told.items() if name not in READ_ONLY})
        self._tell(kept, before)

    def _tell(self, row: Row, before: Row, by: str = USER) -> None:
        """What changed, and who did it only where it was somebody else before; no moment."""
        row |= {"modifiedAt": NOW, "modifiedById": by}
        changed = {name: row[name] for name in row if row[name] != before.get(name) and name != "modifiedAt"}
        if changed:
            self.told.append({**changed, "id": row["id"]})

    def _mistake(self, kind: str, told: Any, own: Row | None) -> str:
        if not isinstance(told, dict):
            return "no attributes"
        needed = {"Contact": ["lastName"], "Note": ["post"], "Task": ["name"]}.get(
            kind, ["name", "dateStart", "dateEnd"]
        )
        missing = [name for name in needed if (own is None or name in told) and not told.get(name)]
        if missing:
            return f"Field validation failure; {kind}.{missing[0]}; required"
        if "status" in told and told["status"] not in STATUSES.get(kind, ()):
            return f"Field validation failure; {kind}.status; valid"
        if "dateStart" in told and not _moment(told["dateStart"]) < _moment(told["dateEnd"]):
            return f"Field validation failure; {kind}.dateEnd; afterOrEqual"
        if len(told.get("name") or "") > 255:
            return f"Field validation failure; {kind}.name; maxLength"
        return ""

    def _make(self, kind: str, told: Row) -> Row:
        key = f"66f2b{next(self._ids):012d}"
        row: Row = {"id": key, "deleted": False, "name": None}
        if kind == "Contact":
            row |= {"firstName": None, "lastName": None, "emailAddressData": [], "phoneNumberData": []}
            row |= {"emailAddress": None, "phoneNumber": None}
            row |= {"createdAt": NOW, "createdById": AGENT, "modifiedAt": NOW, "modifiedById": None}
        self.rows[kind][key] = row | ({"cHubCustomerId": None} if kind == "Contact" else {"cHubEventId": None})
        self._keep(kind, self.rows[kind][key], told)
        return self.rows[kind][key]

    def _keep(self, kind: str, row: Row, told: Row) -> None:
        """Attributes that an entity does not have are ignored. One address takes the place of the first one."""
        ours = () if self.own_fields else ("cHubCustomerId", "cHubEventId")
        row |= {name: value for name, value in told.items() if name not in ours}
        for name in ADDRESSES if kind == "Contact" else ():
            if f"{name}Data" in told:
                several = told[f"{name}Data"]
                first = next((each for each in several if each.get("primary")), several[0] if several else {})
                row[name] = first.get(name)
            elif name in told:
                others = [each for each in row[f"{name}Data"] if not each["primary"]]
                row[f"{name}Data"] = [{name: told[name], "primary": True, "optOut": False, "invalid": False}, *others]
        if kind == "Contact":
            row["name"] = f"{row['firstName'] or ''} {row['lastName'] or ''}".strip()

    def _shown(self, kind: str, row: Row) -> Row:
        return {name: value for name, value in row.items() if name != "post" or kind == "Note"}

    def _list(self, kind: str, query: dict[str, str]) -> Answer:
        if kind == "Note" or int(query.get("maxSize", 20)) > MOST:
            return _refused(403, "Max size should not exceed 200. Use offset and limit.")
        clauses: dict[str, Row] = {}
        for name, value in query.items():
            if part := WHERE.match(name):
                clause = clauses.setdefault(part[1], {"value": [], "type": "", "attribute": ""})
                clause[part[2]] = [*clause["value"], value] if part[3] is not None else value
        if any(not self.own_fields and each["attribute"].startswith("cHub") for each in clauses.values()):
            return _refused(400, "Bad where item attribute")
        rows = [row for row in self._there(kind) if all(_meets(row, **each) for each in clauses.values())]
        names = query["select"].split(",") if "select" in query else None
        shown = [{name: row.get(name) for name in names} if names else row for row in rows]
        return Answer(200, {"total": -1, "list": shown[: int(query.get("maxSize", 20))]})

    def _stream(self, key: str, query: dict[str, str]) -> Answer:
        if key not in {row["id"] for row in self._there("Contact")}:
            return _refused(404, "Not found")
        rows = [{"id": "created", "type": "Create", "parentId": key}]
        rows += [row for row in self._there("Note") if row.get("parentId") == key]
        start, size = int(query["offset"]), int(query["maxSize"])
        return Answer(200, {"total": len(rows), "list": rows[::-1][start : start + size]})


def _values(row: Row, name: str) -> set[str]:
    several = [each.get(name) for each in row.get(f"{name}Data") or []]
    return {str(each).lower() for each in (row.get(name), *several) if each}


def _meets(row: Row, type: str, attribute: str, value: Any) -> bool:
    if type == "linkedWith":
        return bool(set(value) & set(row.get(f"{attribute}Ids", [])))
    found = row.get(attribute)
    return found in value if type == "in" else found == value if type == "equals" else found is not None


def _moment(told: str) -> datetime:
    return datetime.strptime(f"{told}+0000", "%Y-%m-%d %H:%M:%S%z")


def _refused(status: int, reason: str) -> Answer:
    return Answer(status, {"messageTranslation": None, "reason": reason}, {"X-Status-Reason": reason})


if __name__ == "__main__":
    run(EspoCrm)
