"""Links and cuts: what people decide about two identities or two conversations, and its undoing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from chalicelib.api.answers import Call, Reply, must_have, next_cursor, wrong
from chalicelib.api.customers import rules
from chalicelib.api.lookup import read_identity
from chalicelib.context import audit, conversations, decisions, people, resolve
from chalicelib.context.decisions import CUT, FORCE, LINK, Decided, Said
from chalicelib.context.evidence import identifies
from chalicelib.context.graph import Part, Rules
from chalicelib.model import instants
from chalicelib.model.identity import Identity
from chalicelib.store import organisation

LONGEST_REASON = 500


class Pair(msgspec.Struct, forbid_unknown_fields=True):
    """`a`, `b`: identities such as email:jan@example.nl, or two conversation ids."""

    a: str
    b: str
    reason: str


class Undoing(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""


class ForcedPair(Pair, forbid_unknown_fields=True):
    force: bool = False


def link(call: Call) -> Reply:
    asked = call.read(ForcedPair)
    if asked.force:
        must_have(call.key, "admin")
    return _decided(call, asked, FORCE if asked.force else LINK)


def cut(call: Call) -> Reply:
    return _decided(call, call.read(Pair), CUT)


def unlink(call: Call, id: str) -> Reply:
    return _undone(call, LINK, id)


def uncut(call: Call, id: str) -> Reply:
    return _undone(call, CUT, id)


def _decided(call: Call, asked: Pair, state: str) -> Reply:
    _check(asked)
    said = Said(state, call.key.id if call.key else "", asked.reason.strip(), _dry(call))
    graph = rules(call)
    if asked.a.startswith(conversations.PREFIX) and asked.b.startswith(conversations.PREFIX):
        done = decisions.on_conversations(call.table, asked.a, asked.b, said)
        graph = conversations.CONVERSATIONS
    else:
        a, b = (_identity(call, text, pointer) for text, pointer in ((asked.a, "/a"), (asked.b, "/b")))
        if a == b:
            raise wrong("/b", "is the same identity as a")
        done = decisions.on_identities(call.table, graph, a, b, said)
    body = {"kind": state, "a": asked.a, "b": asked.b, "reason": said.why, "by": said.by}
    return Reply(_outcome(call, graph, done, said) | body, 200 if said.dry_run else 201)


def _check(asked: Pair) -> None:
    if not asked.reason.strip() or len(asked.reason) > LONGEST_REASON:
        raise wrong("/reason", f"say why in at most {LONGEST_REASON} characters")
    if asked.a == asked.b:
        raise wrong("/b", "is the same as a")


def _dry(call: Call) -> bool:
    asked = call.value("dry_run", "false").lower()
    if asked not in ("true", "false", "1", "0"):
        raise wrong("/dry_run", "must be true or false")
    return asked in ("true", "1")


def _identity(call: Call, text: str, pointer: str) -> Identity:
    """One that may identify somebody: a role mailbox or our own number joins nobody."""
    found = read_identity(call, text, pointer)
    if not identifies(found, organisation.read(call.table)):
        raise wrong(pointer, "identifies nobody: it is on the organisation's lists")
    return found


def _undone(call: Call, kind: str, id: str) -> Reply:
    said = Said(decisions.UNDO, call.key.id if call.key else "", _why(call), _dry(call))
    if kind == LINK and decisions.forces(id):
        must_have(call.key, "admin")
    done = decisions.undo(call.table, kind, id, rules(call), said.by, said.why, dry_run=said.dry_run)
    return Reply(_outcome(call, rules(call), done, said) | {"kind": decisions.UNDO, "by": said.by})


def _why(call: Call) -> str:
    """From the body. Also from the query, which access logs may keep: a body is what some clients cannot send."""
    said = call.read(Undoing).reason.strip()
    if len(said) > LONGEST_REASON:
        raise wrong("/reason", f"say why in at most {LONGEST_REASON} characters")
    return said or call.value("reason")[:LONGEST_REASON]


def _outcome(call: Call, graph: Rules, done: Decided, said: Said) -> dict[str, Any]:
    applied = done.applied
    was = _concerned(applied.before, applied.after, done.ends)
    now = _concerned(applied.after, applied.before, done.ends)
    nodes = sorted({*done.ends, *(node for part in (*was, *now) for node in part.nodes)})
    pairs = [each for each in applied.conflicts if not {each.a, each.b}.isdisjoint(nodes)]
    texts = decisions.texts_of(call.table, [*nodes, *(end for each in pairs for end in (each.a, each.b))], graph)
    return {
        "id": done.id or None,
        "at": instants.from_ms(done.at),
        "dry_run": said.dry_run,
        "customers": {
            "before": [_part(graph, part, texts) for part in was],
            "after": [_part(graph, part, texts) for part in now],
        },
        "conflicts": [
            {"kind": each.kind, "identities": [texts[end] for end in (each.a, each.b) if end in texts]}
            for each in pairs
        ],
        "held": applied.held,
    }


def _concerned(parts: Iterable[Part], others: Iterable[Part], ends: Iterable[str]) -> list[Part]:
    """Those that changed, and those of the two that were named."""
    known = set(others)
    return [part for part in parts if part not in known or not set(part.nodes).isdisjoint(ends)]


def _part(graph: Rules, part: Part, texts: dict[str, str]) -> dict[str, Any]:
    """A customer, or a conversation, with what makes it up."""
    oldest = part.customer[13:]
    shown = conversations.PREFIX + oldest if graph.node == "R#" else people.public_id(part.customer)
    return {"id": shown, "identities": [texts[node] for node in part.nodes if node in texts]}


def show_audit(call: Call, id: str) -> Reply:
    """Newest first."""
    person = people.by_id(call.table, rules(call), id)
    view = resolve.read(call.table, rules(call), person.oldest)
    lines = audit.of_view(call.table, view, person.nodes) if view else []
    start, limit = call.cursor(1), call.limit()
    found = [line for line in lines if not start or line.mark < start[0]]
    page = found[:limit]
    ends = sorted({end for line in page for end in line.ends})
    texts = decisions.texts_of(call.table, ends, resolve.IDENTITIES)
    following = next_cursor(page[-1].mark) if len(found) > limit else None
    return Reply({"entries": [_line(line, texts) for line in page], "next": following})


def _line(line: audit.Line, texts: dict[str, str]) -> dict[str, Any]:
    return {
        "at": line.at,
        "action": line.what,
        "effects": list(line.effects),
        "by": line.by,
        "reason": line.why or None,
        "identities": [texts[end] for end in line.ends if end in texts],
        "before": [people.public_id(each) for each in line.before],
        "after": [people.public_id(each) for each in line.after],
    }
