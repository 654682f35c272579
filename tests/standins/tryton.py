"""Tryton's JSON-RPC: parties with identifiers and contact mechanisms, notes, the wizard that erases.

https://docs.tryton.org/latest/server/topics/rpc.html
Its answers are those of version 8.2, as that gives them.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

DATABASE, LOGIN, PASSWORD, SESSION = "tc", "hub", "correct-horse-battery", "5e551071c0ffee"
TOKEN = base64.b64encode(f"{LOGIN}:2:{SESSION}".encode()).decode()
NAMED = re.compile(r"draad:(\S+)\Z")
MODELS: dict[str, dict[str, Any]] = {
    "party.party": {"name": None, "active": 1, "replaced_by": None, "code": None, "tc_tier": None},
    "party.identifier": {"party": None, "code": None, "type": None, "active": 1},
    "party.contact_mechanism": {"party": None, "type": None, "value": None, "active": 1},
    "ir.note": {"resource": None, "message": None},
    "tc.contact_moment": {"party": None, "told": None, "order": None},
}
CHILDREN = {"identifiers": "party.identifier", "contact_mechanisms": "party.contact_mechanism"}
NEEDED = {"party.identifier": ("party", "code"), "ir.note": ("resource",), "tc.contact_moment": ("party",)}

Row = dict[str, Any]


class RuleBroken(Exception):
    """What Tryton's own rules refuse: a UserError in a 200."""


class Tryton(Standin):
    """`may_erase`: whether the user is in the group that may. `fails`: the error, by its class, that
    every call is answered with. `expired`: whether the session has ended."""

    def reset(self) -> None:
        self.may_erase = True
        self.expired = False
        self.fails = ""
        self.rows: dict[str, dict[int, Row]] = {model: {} for model in MODELS}
        self.wizards: set[int] = set()
        self._ids = {model: itertools.count(1) for model in MODELS}

    def set(self, **told: Any) -> None:
        for name in ("may_erase", "expired", "fails"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {"rows": self.rows, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        with self.lock:
            texts = [row["message"] for row in self.rows["ir.note"].values()]
            texts += [row["told"] for row in self.rows["tc.contact_moment"].values()]
            return [mark[1] for each in texts if (mark := NAMED.search(each or ""))]

    def people(self) -> list[str]:
        """Each of our ids that a party holds, or an empty text for a party that holds none."""
        with self.lock:
            found: list[str] = []
            for key, row in self.rows["party.party"].items():
                codes = [each["code"] for each in self.rows["party.identifier"].values() if each["party"] == key]
                found += [",".join(codes)] if row["active"] else []
            return found

    def add_party(self, name: str = "", mail: str = "", code: str = "", phone: str = "") -> str:
        """One that somebody made by hand."""
        with self.lock:
            told: Row = {"name": name}
            ways = [{"type": kind, "value": value} for kind, value in (("email", mail), ("mobile", phone)) if value]
            if ways:
                told["contact_mechanisms"] = [["create", ways]]
            if code:
                told["identifiers"] = [["create", [{"code": code}]]]
            return str(self._make("party.party", told))

    def replace_party(self, id: str, by: str) -> None:
        with self.lock:
            self.rows["party.party"][int(id)] |= {"active": 0, "replaced_by": int(by)}

    def remove_party(self, id: str) -> None:
        with self.lock:
            del self.rows["party.party"][int(id)]
            for model in CHILDREN.values():
                self.rows[model] = {key: row for key, row in self.rows[model].items() if row["party"] != int(id)}

    def answer(self, call: Call) -> Answer:
        if call.method != "POST" or call.path != f"/{DATABASE}/rpc/":
            return _page(404, "Not Found")
        told = call.json
        if not isinstance(told, dict) or set(told) != {"id", "method", "params"}:
            return _page(400, "Bad Request")
        if told["method"] == "common.db.login":
            return self._login(told)
        if self.expired or call.headers.get("authorization") != f"Session {TOKEN}":
            return Answer(401, b"", {"Content-Type": "text/html"})
        if self.fails:
            return Answer(200, {"id": told["id"], "error": [self.fails, ["Records changed meanwhile"]]})
        return self._called(told)

    def _login(self, told: Row) -> Answer:
        if told["params"][:2] != [LOGIN, {"password": PASSWORD}]:
            return _page(401, "Unauthorized")
        self.expired = False
        return Answer(200, {"id": told["id"], "result": [2, SESSION, None]})

    def _called(self, told: Row) -> Answer:
        kind, _, rest = told["method"].partition(".")
        model, _, name = rest.rpartition(".")
        verbs: dict[str, Callable[..., Any]] = {
            "search_read": self._search,
            "create": self._create,
            "write": self._write,
            "delete": self._delete,
        }
        *params, context = told["params"]
        if not isinstance(context, dict) or (kind == "model" and name not in verbs):
            return _page(403, "Forbidden")
        if kind == "model" and model not in MODELS:
            return Answer(200, {"id": told["id"], "error": [f"'{model}'", ""]})
        try:
            found = verbs[name](model, *params) if kind == "model" else self._wizard(name, *params)
        except RuleBroken as broken:
            return Answer(200, {"id": told["id"], "error": ["UserError", [str(broken), "", None]]})
        except KeyError as unknown:
            return Answer(200, {"id": told["id"], "error": [str(unknown), ""]})
        return Answer(200, {"id": told["id"], "result": found})

    def _search(self, model: str, domain: list[Any], offset: int, limit: int, order: Any, names: list[str]) -> Any:
        inactive_too = any(clause[0] == "active" for clause in domain)
        rows = [
            (key, row)
            for key, row in self.rows[model].items()
            if (inactive_too or row.get("active", 1)) and all(_meets({**row, "id": key}, *each) for each in domain)
        ]
        return [{"id": key, **{name: row[name] for name in names}} for key, row in rows[offset : offset + limit]]

    def _create(self, model: str, values: list[Row]) -> list[int]:
        return [self._make(model, each) for each in values]

    def _make(self, model: str, told: Row) -> int:
        for name in NEEDED.get(model, ()):
            if not told.get(name) or (name == "resource" and not self._there(told[name])):
                raise RuleBroken(f'A value is required for field "{name.title()}" in record of "{model}".')
        if model == "tc.contact_moment" and told["party"] not in self.rows["party.party"]:
            raise RuleBroken('The value of field "Party" does not exist.')
        key = next(self._ids[model])
        self.rows[model][key] = dict(MODELS[model])
        self._keep(model, key, told)
        return key

    def _there(self, resource: str) -> bool:
        model, _, key = resource.partition(",")
        return model == "party.party" and key.isdigit() and int(key) in self.rows[model]

    def _keep(self, model: str, key: int, told: Row) -> None:
        row = self.rows[model][key]
        for name, value in told.items():
            if model == "party.party" and name in CHILDREN:
                for verb, several in value:
                    assert verb == "create"
                    for each in several:
                        self._make(CHILDREN[name], {**each, "party": key})
            elif name not in row:
                raise KeyError(name)
            else:
                row[name] = int(value) if isinstance(value, bool) else value

    def _write(self, model: str, keys: list[int], values: Row) -> None:
        for key in keys:
            if key not in self.rows[model]:
                raise RuleBroken(f'You are trying to write to records "{key}" of "{model}" that don\'t exist.')
            self._keep(model, key, values)

    def _delete(self, model: str, keys: list[int]) -> None:
        for key in keys:
            if self.rows[model].pop(key, None) is None:
                raise RuleBroken(f'You are trying to delete records "{key}" of "{model}" that don\'t exist.')

    def _wizard(self, name: str, *params: Any) -> Any:
        if not self.may_erase:
            raise RuleBroken('You are not allowed to execute wizard "party.erase".')
        if name == "create":
            self.wizards.add(len(self.wizards) + 1)
            return [len(self.wizards), "ask", "end"]
        if params[0] not in self.wizards:
            raise RuleBroken("no such wizard session")
        return self._erase(params[1]["ask"]["party"]) if name == "execute" and params[2] == "erase" else None

    def _erase(self, key: int) -> Row:
        party = self.rows["party.party"][key]
        if party["active"]:
            raise RuleBroken(f'Party "{party["name"]}" cannot be erased because they are still active.')
        party["name"] = None
        blank = {"type": "other", "value": "****", "active": 0}
        for row in self.rows["party.contact_mechanism"].values():
            row |= blank if row["party"] == key else {}
        for row in self.rows["party.identifier"].values():
            row |= {"type": None, "code": "****", "active": 0} if row["party"] == key else {}
        notes = self.rows["ir.note"]
        for note in [note for note, row in notes.items() if row["resource"] == f"party.party,{key}"]:
            del notes[note]
        return {}


def _meets(row: Row, name: str, how: str, value: Any) -> bool:
    found = row[name]
    if how == "in":
        return found in value
    if how in ("like", "ilike"):
        parts = re.split(r"(\\[\\%_]|%|_)", value)
        pattern = "".join({"%": ".*", "_": "."}.get(each, re.escape(each.removeprefix("\\"))) for each in parts)
        flags = re.DOTALL | (re.IGNORECASE if how == "ilike" else 0)
        return re.fullmatch(pattern, found or "", flags) is not None
    assert how == "="
    return bool(found == value)


def _page(status: int, title: str) -> Answer:
    return Answer(status, f"<!doctype html>\n<title>{status} {title}</title>\n".encode(), {"Content-Type": "text/html"})


if __name__ == "__main__":
    run(Tryton)
