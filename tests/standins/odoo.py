"""Odoo's partners and messages, by JSON-2 and by JSON-RPC.

https://www.odoo.com/documentation/19.0/developer/reference/external_api.html
"""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

DATABASE, LOGIN, KEY, UID = "tc", "hub@tc.example", "6578616d706c65206a736f6e206170692d6b6579", 8
FIELDS = {
    "res.partner": {"name", "email", "phone", "ref", "active", "is_company", "comment", "x_draad_id", "x_channel"}
    | {"x_tier", "x_vip"},
    "mail.message": {"model", "res_id", "message_id", "message_type", "subtype_id", "is_internal", "date", "subject"}
    | {"body", "mail_activity_type_id", "author_id", "x_order"},
    "base.partner.merge.automatic.wizard": {"partner_ids", "dst_partner_id", "state"},
}
COMPUTED = {"res.partner": {"id", "partner_share", "email_normalized"}, "mail.message": {"id"}}
MERGING = "base.partner.merge.automatic.wizard"
MESSAGE_TYPES = {"email", "comment", "notification", "email_outgoing", "auto_comment", "user_notification"}
MARK = re.compile(r"<draad\.([a-z0-9]+)@draad\.invalid>\Z")
PATH = re.compile(r"/json/2/(?P<model>[\w.]+)/(?P<method>\w+)\Z")
STATUSES = {"AccessDenied": 403, "AccessError": 403, "MissingError": 404, "LockError": 409, "UserError": 422}
SIGNATURES = {
    "search_read": {"domain", "fields", "offset", "limit", "order"},
    "create": {"vals_list"},
    "write": {"vals"},
    "unlink": set(),
    "action_merge": set(),
}

Row = dict[str, Any]


class Odoo(Standin):
    """`json2`: whether it is a version that has it. `one_id`: whether creating one record answers its id alone.
    `may_write`: whether the user has the right to. `may_set`: whether he is an administrator of the settings.
    `may_merge_any`: whether he is one of the access rights. `wrong`: the name of the mistake of the next call of
    execute_kw or JSON-2. `bookings`: partners on whom they hang."""

    lie: Any = {"jsonrpc": "2.0", "id": 1, "status": "error"}

    def reset(self) -> None:
        self.json2 = True
        self.one_id = False
        self.may_write = True
        self.may_set = False
        self.may_merge_any = True
        self.wrong = ""
        self.keys = {(LOGIN, KEY): UID}
        self.bookings: set[int] = set()
        self.rows: dict[str, dict[int, Row]] = {model: {} for model in FIELDS}
        self.created = 0
        self._ids = itertools.count(501)

    def set(self, **told: Any) -> None:
        for name in ("json2", "one_id", "may_write", "may_set", "may_merge_any", "wrong"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return self.rows | {"created": self.created, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        with self.lock:
            there = {key for key, row in self.rows["res.partner"].items() if row["active"]}
            shown = [row for row in self.rows["mail.message"].values() if row["res_id"] in there]
        return [mark[1] for row in shown if (mark := MARK.match(row["message_id"]))]

    def people(self) -> list[str]:
        with self.lock:
            there = [row for row in self.rows["res.partner"].values() if row["active"] and row["partner_share"]]
        return [row["x_draad_id"] or row["ref"] or "" for row in there]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            there = self.rows["res.partner"]
            rows = [row for row in self.rows["mail.message"].values() if row["res_id"] in there]
            return sorted(str(row["res_id"]) for row in rows if row["message_id"] == f"<draad.{event}@draad.invalid>")

    def add_partner(self, *, colleague: bool = False, **fields: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            row = self._make("res.partner", {"name": "J."} | fields)
            row["partner_share"] = not colleague
            return str(row["id"])

    def book(self, id: str) -> None:
        with self.lock:
            self.bookings.add(int(id))

    def remove_partner(self, id: str) -> None:
        with self.lock:
            del self.rows["res.partner"][int(id)]

    def archive_partner(self, id: str) -> None:
        with self.lock:
            self.rows["res.partner"][int(id)]["active"] = False

    def add_message(self, partner: str, body: str) -> None:
        """What an agent wrote."""
        with self.lock:
            told = {"model": "res.partner", "res_id": int(partner), "body": body, "message_id": "<1.2.3-openerp@tc>"}
            self._make("mail.message", told)

    def answer(self, call: Call) -> Answer:
        if call.method != "POST" or not call.headers.get("content-type", "").startswith("application/json"):
            return Answer(404, b"<html>not found</html>", {"Content-Type": "text/html"})
        if call.path == "/jsonrpc":
            return self._rpc(call.json)
        found = PATH.match(call.path)
        if found is None or not self.json2:
            return Answer(404, b"<html>not found</html>", {"Content-Type": "text/html"})
        return self._json2(call, found["model"], found["method"])

    def _json2(self, call: Call, model: str, method: str) -> Answer:
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key not in {known for _, known in self.keys}:
            return Answer(401, _mistake("werkzeug.exceptions.Unauthorized", "Invalid apikey"))
        if call.headers.get("x-odoo-database", DATABASE) != DATABASE:
            return Answer(404, _mistake("werkzeug.exceptions.NotFound", "no such database"))
        told = call.json
        ids = told.pop("ids", [])
        told.pop("context", None)
        if model not in FIELDS or not _has(model, method):
            return Answer(404, _mistake("werkzeug.exceptions.NotFound", f"no {model}.{method}"))
        if (method in ("create", "search_read") and ids) or set(told) - SIGNATURES[method]:
            return Answer(422, _mistake("werkzeug.exceptions.UnprocessableEntity", "wrong arguments"))
        result, name, message = self._run(model, method, ids, told)
        kind = name.rpartition(".")[2]
        return Answer(STATUSES.get(kind, 500), _mistake(name, message)) if name else Answer(200, result)

    def _rpc(self, told: Row) -> Answer:
        params = told.get("params", {})
        service, method, arguments = params.get("service"), params.get("method"), params.get("args", [])
        if told.get("jsonrpc") != "2.0" or told.get("method") != "call":
            return _rpc_error("builtins.ValueError", "no such call")
        if (service, method) == ("common", "login"):
            database, login, key = arguments
            if database != DATABASE:
                return _rpc_error("psycopg2.OperationalError", f'database "{database}" does not exist')
            return _rpc_result(self.keys.get((login, key), False))
        if (service, method) != ("object", "execute_kw"):
            return _rpc_error("builtins.KeyError", str(service))
        database, uid, key, model, name, placed, named = arguments
        if database != DATABASE or not any((known, number) == (key, uid) for (_, known), number in self.keys.items()):
            return _rpc_error("odoo.exceptions.AccessDenied", "Access Denied")
        return self._executed(model, name, list(placed), dict(named))

    def _executed(self, model: str, method: str, placed: list[Any], named: Row) -> Answer:
        if model not in FIELDS or not _has(model, method):
            return _rpc_error("builtins.AttributeError", f"no {model}.{method}")
        ids = placed.pop(0) if method in ("write", "unlink", "action_merge") else []
        if method == "create":
            named["vals_list"] = placed.pop(0)
        if method == "write":
            named["vals"] = placed.pop(0)
        if placed or set(named) - SIGNATURES[method]:
            return _rpc_error("builtins.TypeError", f"{method}() got an unexpected argument")
        result, name, message = self._run(model, method, ids, named)
        return _rpc_error(name, message) if name else _rpc_result(result)

    def _run(self, model: str, method: str, ids: list[int], told: Row) -> tuple[Any, str, str]:
        """(result, name of the mistake, message)."""
        if self.wrong:
            name, self.wrong = self.wrong, ""
            return None, name, "as the test wants"
        if method == "search_read":
            return self._search(model, told)
        if not self.may_write:
            return None, "odoo.exceptions.AccessError", "You are not allowed to modify this"
        if any(key not in self.rows[model] for key in ids):
            return None, "odoo.exceptions.MissingError", "Record does not exist or has been deleted."
        if method == "action_merge":
            return self._merge(self.rows[model][ids[0]])
        return {"create": self._create, "write": self._write, "unlink": self._unlink}[method](model, ids, told)

    def _search(self, model: str, told: Row) -> tuple[Any, str, str]:
        known, domain = FIELDS[model] | COMPUTED[model], list(told.get("domain", []))
        leaves = [each for each in domain if isinstance(each, list)]
        if unknown := ({leaf[0] for leaf in leaves} | set(told.get("fields", []))) - known:
            return None, "builtins.ValueError", f"Invalid field {model}.{min(unknown)}"
        everyone = "active" not in FIELDS[model] or any(leaf[0] == "active" for leaf in leaves)
        rows = [row for row in self.rows[model].values() if (everyone or row["active"]) and _holds(list(domain), row)]
        names = [*told.get("fields", []), "id"]
        shown = [{name: _computed(row, name) for name in names} for row in rows]
        return shown[: told.get("limit") or None], "", ""

    def _create(self, model: str, ids: list[int], told: Row) -> tuple[Any, str, str]:
        values = told["vals_list"]
        for each in values if isinstance(values, list) else [values]:
            if wrong := self._refusal(model, each, new=True):
                return None, *wrong
        made = [self._make(model, each)["id"] for each in (values if isinstance(values, list) else [values])]
        self.created += model == "res.partner"
        return (made[0] if self.one_id or not isinstance(values, list) else made), "", ""

    def _write(self, model: str, ids: list[int], told: Row) -> tuple[Any, str, str]:
        if model == "mail.message" and {"model", "res_id"} & set(told["vals"]) and not self.may_set:
            text = "Only administrators can modify 'model' and 'res_id' fields."
            return None, "odoo.exceptions.AccessError", text
        if wrong := self._refusal(model, told["vals"], new=False):
            return None, *wrong
        for key in ids:
            self.rows[model][key] |= told["vals"]
        return True, "", ""

    def _unlink(self, model: str, ids: list[int], told: Row) -> tuple[Any, str, str]:
        if model == "res.partner" and set(ids) & self.bookings:
            text = "The operation cannot be completed: another model requires the record being deleted."
            return None, "odoo.exceptions.UserError", text
        for key in ids:
            del self.rows[model][key]
            hanging = [number for number, row in self.rows["mail.message"].items() if row["res_id"] == key]
            for number in hanging if model == "res.partner" else []:
                del self.rows["mail.message"][number]
        return True, "", ""

    def _merge(self, chosen: Row) -> tuple[Any, str, str]:
        """Of those that are there yet; fewer than two are left as they are."""
        ids = [key for _, _, told in chosen["partner_ids"] or [] for key in told if key in self.rows["res.partner"]]
        rows = [self.rows["res.partner"][key] for key in ids]
        done = {"type": "ir.actions.act_window", "res_model": MERGING, "res_id": chosen["id"], "view_mode": "form"}
        if len(rows) < 2:
            return done, "", ""
        if len(rows) > 3:
            return (
                None,
                "odoo.exceptions.UserError",
                "For safety reasons, you cannot merge more than 3 contacts together.",
            )
        if not self.may_merge_any and len({row["email"] for row in rows}) > 1:
            return None, "odoo.exceptions.UserError", "All contacts must have the same email."
        left = next((row for row in rows if row["id"] == chosen["dst_partner_id"]), rows[-1])
        for row in [row for row in rows if row is not left]:
            self._merge_into(left, row)
        return done, "", ""

    def _merge_into(self, left: Row, other: Row) -> None:
        left |= {name: value for name, value in other.items() if value and not left[name]}
        for row in self.rows["mail.message"].values():
            row["res_id"] = left["id"] if row["res_id"] == other["id"] else row["res_id"]
        self._make("mail.message", {"model": "res.partner", "res_id": left["id"], "message_id": "<5.6.7-openerp@tc>"})
        del self.rows["res.partner"][other["id"]]

    def _refusal(self, model: str, told: Row, *, new: bool) -> tuple[str, str] | None:
        if unknown := set(told) - FIELDS[model]:
            return "builtins.ValueError", f"Invalid field {min(unknown)!r} in {model!r}"
        if model == "res.partner":
            nameless = not told.get("name") if new else told.get("name", "-") in ("", False)
            return ("odoo.exceptions.UserError", "Contacts require a name") if nameless else None
        if model == MERGING:
            return None if _are_links(told) else ("builtins.ValueError", f"Wrong value for {model}.partner_ids")
        if told.get("message_type", "comment") not in MESSAGE_TYPES:
            return "builtins.ValueError", "Wrong value for mail.message.message_type"
        if not new:
            return None
        if told.get("res_id") not in self.rows["res.partner"] or not _is_moment(told.get("date", "")):
            return "odoo.exceptions.MissingError", "Record does not exist, or date is none"
        return None if _Tags(told.get("body", "")).closed else ("builtins.ValueError", "body")

    def _make(self, model: str, told: Row) -> Row:
        empty = dict.fromkeys(FIELDS[model], False) | {"active": True, "partner_share": True}
        row = empty | told | {"id": next(self._ids)}
        self.rows[model][row["id"]] = row
        return row


def _has(model: str, method: str) -> bool:
    return method in SIGNATURES and (method != "action_merge" or model == MERGING)


def _are_links(told: Row) -> bool:
    """The command that sets a list of records, and the number of one."""
    links = told.get("partner_ids")
    shaped = isinstance(links, list) and all(len(each) == 3 and each[:2] == [6, 0] for each in links)
    numbers = [told.get("dst_partner_id"), *(key for each in links for key in each[2])] if shaped else [None]
    return all(isinstance(each, int) for each in numbers)


class _Tags(HTMLParser):
    """Whether a text is well-formed HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    @property
    def closed(self) -> bool:
        return not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open += [tag] if tag != "br" else []

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open[:-1] if self.open and self.open[-1] == tag else [*self.open, "wrong"]


def _holds(domain: list[Any], row: Row) -> bool:
    """Terms side by side all hold; `&` and `|` take the next two."""
    held = True
    while domain:
        held = _term(domain, row) and held
    return held


def _term(domain: list[Any], row: Row) -> bool:
    part = domain.pop(0)
    if part in ("&", "|"):
        first, second = _term(domain, row), _term(domain, row)
        return (first and second) if part == "&" else (first or second)
    name, comparator, value = part
    held = _computed(row, name)
    if comparator == "=like":
        return re.fullmatch(re.escape(value).replace("%", ".*"), str(held)) is not None
    return bool(held in value if comparator == "in" else held == value)


def _computed(row: Row, name: str) -> Any:
    return str(row["email"] or "").lower() or False if name == "email_normalized" else row[name]


def _is_moment(value: str) -> bool:
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").year > 1900
    except ValueError:
        return False


def _mistake(name: str, message: str) -> Row:
    return {"name": name, "message": message, "arguments": [message], "context": {}, "debug": "Traceback …"}


def _rpc_result(result: Any) -> Answer:
    return Answer(200, {"jsonrpc": "2.0", "id": 1, "result": result})


def _rpc_error(name: str, message: str) -> Answer:
    error = {"code": 0, "message": "Odoo Server Error", "data": _mistake(name, message)}
    return Answer(200, {"jsonrpc": "2.0", "id": 1, "error": error})


if __name__ == "__main__":
    run(Odoo)
