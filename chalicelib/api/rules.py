"""Rules: when the hub itself writes to customers, by which connection, and what."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.api.answers import Call, Reply, wrong
from chalicelib.errors import Conflict, NotFound
from chalicelib.model.rule import KINDS, LANGUAGES, MARKETING, SERVICE, Rule
from chalicelib.store import connections, ids, rules

MOST_RULES = 50
LONGEST_TEXT = 2000
FIELDS = frozenset(Rule.__struct_fields__) - {"id", "ver"}


def listing(call: Call) -> Reply:
    return Reply({"rules": [_view(each) for each in rules.decoded(call.table.get(rules.KEY))], "next": None})


def create(call: Call) -> Reply:
    asked = call.json()
    made = _checked(call, {**asked, "id": ids.mint("rul")})
    _change(call, lambda known: (*known, made))
    return Reply(_view(made), 201)


def change(call: Call, id: str) -> Reply:
    """A PATCH: what is not named stays."""
    current = _existing(call, id)
    changed = _checked(call, {**msgspec.to_builtins(current), **call.json(), "id": id, "ver": current.ver + 1})
    _change(call, lambda known: tuple(changed if each.id == id else each for each in known))
    return Reply(_view(changed))


def remove(call: Call, id: str) -> Reply:
    _existing(call, id)
    _change(call, lambda known: tuple(each for each in known if each.id != id))
    return Reply({"id": id, "status": "deleted"})


def _existing(call: Call, id: str) -> Rule:
    found = next((each for each in rules.decoded(call.table.get(rules.KEY)) if each.id == id), None)
    if found is None:
        raise NotFound("no such rule")
    return found


def _change(call: Call, change: Any) -> None:
    before = call.table.get(rules.KEY)
    after = change(rules.decoded(before))
    if len(after) > MOST_RULES:
        raise wrong("", f"there are {MOST_RULES} rules already")
    if not rules.save(call.table, after, before):
        raise Conflict("somebody changed the rules at the same time: read them and try again")


def _checked(call: Call, asked: dict[str, Any]) -> Rule:
    for name in asked:
        if name not in FIELDS | {"id", "ver"}:
            raise wrong(f"/{name}", f"no such field; there are {', '.join(sorted(FIELDS))}")
    try:
        rule = msgspec.convert(asked, Rule)
    except msgspec.ValidationError as bad:
        detail, _, place = str(bad).partition(" - at `$")
        raise wrong("/" + place.strip("`.").replace(".", "/"), detail) from bad
    _check_words(rule)
    _check_sender(call, rule)
    return rule


def _check_words(rule: Rule) -> None:
    if rule.kind not in KINDS:
        raise wrong("/kind", f"must be one of {', '.join(KINDS)}")
    if rule.purpose not in (SERVICE, MARKETING):
        raise wrong("/purpose", f"must be {SERVICE} or {MARKETING}")
    if not any(rule.text.values()) and not rule.template:
        raise wrong("/text", "is required: what the customer gets, by language")
    for name, texts in (("text", rule.text), ("subject", rule.subject)):
        for language, words in texts.items():
            if language not in LANGUAGES or len(words) > LONGEST_TEXT:
                raise wrong(
                    f"/{name}/{language}", f"a text of at most {LONGEST_TEXT} letters in {' or '.join(LANGUAGES)}"
                )
    if not rule.scale[0] < rule.scale[1] <= 100 or rule.scale[0] < 0:
        raise wrong("/scale", "must be the lowest and the highest answer, such as [1, 5]")


def _check_sender(call: Call, rule: Rule) -> None:
    found = connections.get(call.table, rule.connection)
    if found is None or found.deleted or found.provider not in destinations.slugs():
        raise wrong("/connection", "must be the id of a connection that sends messages")
    if destinations.load(found.provider).send_message is None:
        raise wrong("/connection", f"{found.provider} sends no messages")


def _view(rule: Rule) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(rule, name) for name in Rule.__struct_fields__ if name != "ver"}
    return shown | {"scale": list(rule.scale), "values": list(rule.values)}
