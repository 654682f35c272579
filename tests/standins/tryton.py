"""Tryton's JSON-RPC: parties with identifiers and contact mechanisms, notes, the wizard that erases.

https://docs.tryton.org/latest/server/topics/rpc.html
Its answers are those of version 8.2, as that gives them: longer ones are called gzip and are none, what is out of use
takes no change but to be put into use, erasing leaves the compact form of what it blanks and the files of attachments,
and a replaced party's numbers, addresses and identifiers go along, out of use. tests/real has the real one.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

DATABASE, LOGIN, PASSWORD, SESSION = "tc", "hub", "correct-horse-battery", "5e551071c0ffee"
TOKEN = base64.b64encode(f"{LOGIN}:2:{SESSION}".encode()).decode()
NAMED = re.compile(r"draad:(\S+)\Z")
MODELS: dict[str, dict[str, Any]] = {
    "party.party": {"name": None, "active": 1, "replaced_by": None, "code": None, "tc_tier": None},
    "party.identifier": {"party": None, "code": None, "code_compact": None, "type": None, "active": 1},
    "party.contact_mechanism": {
        "party": None,
        "type": None,
        "value": None,
        "value_compact": None,
        "name": None,
        "comment": None,
        "active": 1,
    },
    "ir.note": {"resource": None, "message": None},
    "ir.attachment": {"resource": None, "name": None, "file_id": None},
    "tc.contact_moment": {"party": None, "told": None, "order": None},
}
COMPACT = {"party.identifier": "code", "party.contact_mechanism": "value"}
NUMBERS = ("phone", "mobile", "fax")
LONG = 1400
RESOURCES = ("ir.note", "ir.attachment")
CHILDREN = {"identifiers": "party.identifier", "contact_mechanisms": "party.contact_mechanism"}
NEEDED = {"party.identifier": ("party", "code"), "ir.note": ("resource",), "tc.contact_moment": ("party",)}

Row = dict[str, Any]


class RuleBroken(Exception):
    """What Tryton's own rules refuse: a UserError in a 200."""


class Warned(Exception):
    """What Tryton wants to have confirmed: a UserWarning in a 200, with its name and its words."""


class Tryton(Standin):
    """`may_erase`: whether the user is in the group that may, and may replace too. `fails`: the error, by its class, that
    every call is answered with. `expired`: whether the session has ended. `none`: numbers and addresses
    that are none, for the libraries that Tryton asks. `collides`: how many new parties find their code taken
    by another that was made at the same moment."""

    def reset(self) -> None:
        self.may_erase = True
        self.expired = False
        self.fails = ""
        self.none: list[str] = []
        self.collides = 0
        self.rows: dict[str, dict[int, Row]] = {model: {} for model in MODELS}
        self.wizards: set[int] = set()
        self.skipped: list[str] = []
        self.files: dict[str, str] = {}
        self._last = dict.fromkeys(MODELS, 0)

    def set(self, **told: Any) -> None:
        for name in ("may_erase", "expired", "fails", "none", "collides"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {"rows": self.rows, "files": self.files, "calls": len(self.calls)}

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

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            told = [(row["resource"].split(",")[1], row["message"]) for row in self.rows["ir.note"].values()]
            told += [(str(row["party"]), row["told"]) for row in self.rows["tc.contact_moment"].values()]
            return sorted(party for party, words in told if (words or "").endswith(f"draad:{event}"))

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
            for model in CHILDREN.values():
                for row in self.rows[model].values():
                    row |= {"party": int(by), "active": 0} if row["party"] == int(id) else {}
            self.rows["party.party"][int(id)] |= {"active": 0, "replaced_by": int(by)}

    def retire_party(self, id: str) -> None:
        with self.lock:
            self.rows["party.party"][int(id)]["active"] = 0

    def add_note(self, id: str, message: str) -> None:
        with self.lock:
            self._make("ir.note", {"resource": f"party.party,{id}", "message": message})

    def add_attachment(self, id: str, name: str, content: str) -> None:
        with self.lock:
            file = f"file-{len(self.files) + 1}"
            self.files[file] = content
            self._make("ir.attachment", {"resource": f"party.party,{id}", "name": name, "file_id": file})

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
        if told["method"] == "model.res.user.warning.skip":
            self.skipped.append(params[0])
            return Answer(200, {"id": told["id"], "result": None})
        if not isinstance(context, dict) or (kind == "model" and name not in verbs):
            return _page(403, "Forbidden")
        if kind == "model" and model not in MODELS:
            return Answer(200, {"id": told["id"], "error": [f"'{model}'", ""]})
        try:
            found = verbs[name](model, *params) if kind == "model" else self._wizard(model, name, *params)
        except Warned as warned:
            return Answer(200, {"id": told["id"], "error": ["UserWarning", [*warned.args, ""]]})
        except RuleBroken as broken:
            return Answer(200, {"id": told["id"], "error": ["UserError", [str(broken), "", None]]})
        except KeyError as unknown:
            return Answer(200, {"id": told["id"], "error": [str(unknown), ""]})
        answer = Answer(200, {"id": told["id"], "result": found})
        return Answer(200, answer.body, {"Content-Encoding": "gzip"}) if len(answer.raw) > LONG else answer

    def _search(self, model: str, domain: list[Any], offset: int, limit: int, order: Any, names: list[str]) -> Any:
        if model in RESOURCES and not any(clause[:2] in (["resource", "="], ["resource", "in"]) for clause in domain):
            raise RuleBroken(f'You are not allowed to search on the "{model}" resource.')
        inactive_too = any(clause[0] == "active" for clause in domain)
        rows = [
            (key, row)
            for key, row in self.rows[model].items()
            if (inactive_too or row.get("active", 1)) and all(_meets({**row, "id": key}, *each) for each in domain)
        ]
        wanted = [name for name in names if name != "id"]
        return [{"id": key, **{name: row[name] for name in wanted}} for key, row in rows[offset : offset + limit]]

    def _create(self, model: str, values: list[Row]) -> list[int]:
        if model == "party.party" and self.collides:
            self.collides -= 1
            raise RuleBroken("The code on party must be unique.")
        made: list[int] = self._whole(lambda: [self._make(model, each) for each in values])
        return made

    def _whole(self, change: Callable[[], Any]) -> Any:
        """A change that is refused changes nothing."""
        before = copy.deepcopy((self.rows, self._last))
        try:
            return change()
        except RuleBroken:
            self.rows, self._last = before
            raise

    def _make(self, model: str, told: Row) -> int:
        for name in NEEDED.get(model, ()):
            if not told.get(name) or (name == "resource" and not self._there(told[name])):
                raise RuleBroken(f'A value is required for field "{name.title()}" in record of "{model}".')
        if model == "tc.contact_moment" and told["party"] not in self.rows["party.party"]:
            raise RuleBroken('The value of field "Party" does not exist.')
        self._last[model] += 1
        key = self._last[model]
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
            elif name == "resource" and not self._there(value):
                raise RuleBroken(f'A value is required for field "Resource" in record "({key})" of "{model}".')
            elif (model, name) == ("tc.contact_moment", "party") and value not in self.rows["party.party"]:
                raise RuleBroken('The value of field "Party" does not exist.')
            else:
                row[name] = int(value) if isinstance(value, bool) else value
        if model in COMPACT and COMPACT[model] in told:
            self._compact(model, row)

    def _compact(self, model: str, row: Row) -> None:
        name = COMPACT[model]
        row[f"{name}_compact"] = row[name]
        if row[name] in self.none and row["type"] in (*NUMBERS, "email"):
            raise RuleBroken(f'The phone number "{row[name]}" for party "Jan" is not valid.')
        if row["type"] in NUMBERS:
            row[name] = re.sub(r"\A\+316(\d{8})\Z", r"+31 6 \1", row[name])

    def _write(self, model: str, keys: list[int], values: Row) -> None:
        for key in keys:
            if key not in self.rows[model]:
                raise RuleBroken(f'You are trying to write to records "{key}" of "{model}" that don\'t exist.')
            row = self.rows[model][key]
            if row.get("replaced_by") or (not row.get("active", 1) and set(values) != {"active"}):
                raise RuleBroken(f'You are not allowed to modify the field "Name" in record "{key}" of "{model}".')
        self._whole(lambda: [self._keep(model, key, values) for key in keys])

    def _delete(self, model: str, keys: list[int]) -> None:
        for key in keys:
            row = self.rows[model].pop(key, None)
            if row is None:
                raise RuleBroken(f'You are trying to delete records "{key}" of "{model}" that don\'t exist.')
            self.files.pop(row.get("file_id", ""), None)

    def _wizard(self, wizard: str, name: str, *params: Any) -> Any:
        if not self.may_erase:
            raise RuleBroken(f'You are not allowed to execute wizard "{wizard}".')
        if name == "create":
            self.wizards.add(len(self.wizards) + 1)
            return [len(self.wizards), "ask", "end"]
        if params[0] not in self.wizards:
            raise RuleBroken("no such wizard session")
        if name != "execute":
            return None
        doing: dict[str, Callable[..., Row]] = {"party.erase": self._erase, "party.replace": self._replace}
        return doing[wizard](**params[1]["ask"]) if params[2] == wizard.removeprefix("party.") else None

    def _replace(self, source: int, destination: int) -> Row:
        """Notes stay where they are. A warning that was skipped is given again the next time."""
        for each in (source, destination):
            if each not in self.rows["party.party"]:
                raise RuleBroken(f'You are trying to read records "{each}" of "Party" that don\'t exist.')
        names = [self.rows["party.party"][each]["name"] for each in (source, destination)]
        taxes = [self._tax(each) for each in (source, destination)]
        for kind, (one, other) in (("name", names), ("tax_identifier", taxes)):
            warning = f"party.replace {kind} {source} {destination}"
            if one != other and warning not in self.skipped:
                raise Warned(warning, f'Parties have different {kind}s: "{one}" vs "{other}".')
        self.skipped = [each for each in self.skipped if not each.endswith(f" {source} {destination}")]
        self.replace_party(str(source), str(destination))
        return {}

    def _tax(self, party: int) -> str:
        rows = self.rows["party.identifier"].values()
        mine = [row["code"] for row in rows if row["party"] == party and row["active"] and row["type"] == "eu_vat"]
        return str(mine[0]) if mine else ""

    def _erase(self, party: int) -> Row:
        for each in self._family(party):
            self._erase_one(each)
        return {}

    def _family(self, key: int) -> list[int]:
        replaced = [each for each, row in self.rows["party.party"].items() if row["replaced_by"] == key]
        return [key, *(every for each in replaced for every in self._family(each))]

    def _erase_one(self, key: int) -> None:
        party = self.rows["party.party"][key]
        if party["active"]:
            raise RuleBroken(f'Party "{party["name"]}" cannot be erased because they are still active.')
        party["name"] = None
        blank = {"type": "other", "value": "****", "name": None, "comment": None, "active": 0}
        for row in self.rows["party.contact_mechanism"].values():
            row |= blank if row["party"] == key else {}
        for row in self.rows["party.identifier"].values():
            row |= {"type": None, "code": "****", "active": 0} if row["party"] == key else {}
        for model in RESOURCES:
            rows = self.rows[model]
            for each in [each for each, row in rows.items() if row["resource"] == f"party.party,{key}"]:
                del rows[each]


def _meets(row: Row, name: str, how: str, value: Any) -> bool:
    found = row[name]
    if how == "in":
        return found in value
    if how in ("like", "ilike"):
        parts = re.split(r"(\\[\\%_]|%|_)", value)
        pattern = "".join({"%": ".*", "_": "."}.get(each, re.escape(each.removeprefix("\\"))) for each in parts)
        flags = re.DOTALL | (re.IGNORECASE if how == "ilike" else 0)
        return re.fullmatch(pattern, found or "", flags) is not None
    assert how in ("=", "!=")
    return bool(found == value) == (how == "=")


def _page(status: int, title: str) -> Answer:
    return Answer(status, f"<!doctype html>\n<title>{status} {title}</title>\n".encode(), {"Content-Type": "text/html"})


if __name__ == "__main__":
    run(Tryton)
