"""What people decide about two identities or two conversations: link, force, cut, and taking it back.

A decision is a register on the pair: the latest counts. It survives every replay, because events
never write it; taking it back gives each side its own customers again, because evidence stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.context import conversations, generations, graph, resolve
from chalicelib.context.evidence import identity_of, trait
from chalicelib.context.graph import Adm, Rec, Rules
from chalicelib.context.resolve import Applied, Cause, Node
from chalicelib.errors import Conflict, NotFound
from chalicelib.model.event import Ref
from chalicelib.model.identity import A1_ASSERTED, Identity
from chalicelib.store import ids
from chalicelib.store.table import Item, Table

LINK, CUT, FORCE, UNDO = graph.LINK, graph.CUT, graph.FORCE, "undo"
MARK = "lnk"


@dataclass(frozen=True)
class Said:
    """`by`: id of the key that decides; `dry_run`: only show what would come of it."""

    state: str
    by: str
    why: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Decided:
    """`id` names the decision, so that it can be taken back; empty for a dry run. `at` ms."""

    id: str
    at: int
    ends: tuple[str, str]
    applied: Applied


def on_identities(table: Table, rules: Rules, a: Identity, b: Identity, said: Said) -> Decided:
    """Raises NotFound when neither is known: that would be two typing mistakes in one."""
    found = [generations.newest(table, each) for each in (a, b)]
    if not any(item and "own" in item for _, item in found):
        raise NotFound("neither of the two identities is known")
    nodes = [_node(each, node, said) for each, (node, _) in zip((a, b), found, strict=True)]
    return _decide(table, rules, nodes, said)


def _node(identity: Identity, node: str, said: Said) -> Node:
    attributes = {"kind": identity.kind, "scope": identity.scope, "val": identity.value, "viak": said.by}
    return Node(node, trait(identity), A1_ASSERTED, "", attributes)


def on_conversations(table: Table, a: str, b: str, said: Said) -> Decided:
    """Two conversations by public id; one that an agent joins is joined whatever its cases are.

    Raises NotFound for a ref that no event has pointed at.
    """
    refs = [each.removeprefix(conversations.PREFIX) for each in (a, b)]
    nodes = [_ref_node(table, each) for each in refs]
    state = FORCE if said.state == LINK else said.state
    return _decide(table, conversations.CONVERSATIONS, nodes, Said(state, said.by, said.why, said.dry_run))


def _ref_node(table: Table, ref: str) -> Node:
    known = table.get((f"R#{ref}", "-"))
    if known:
        return Node(ref)
    found = conversations.ref_of(table, ref)
    if found is None:
        raise NotFound("no such conversation")
    return Node(ref, conversations.trait(found), 0, "", conversations.attributes(found))


def undo(table: Table, kind: str, id: str, rules: Rules, by: str, why: str, *, dry_run: bool = False) -> Decided:
    """Take back the decision with this id; again is the same. `kind`: LINK (force too) or CUT.

    Raises NotFound for an id of another kind, Conflict when a later decision took its place.
    """
    prefix, a, b, at, state = _parts(kind, id)
    which = conversations.CONVERSATIONS if prefix == conversations.CONVERSATIONS.node else rules
    now = _said_before(table, which, (a, b))
    if now.state == graph.NONE and now.at > int(at):
        return Decided(id, now.at, (a, b), resolve.apply(table, which, [Node(a), Node(b)], {}, dry_run=True))
    if (now.at, now.state) != (int(at), state):
        raise Conflict("a later decision about these two took its place: take that one back")
    done = _decide(table, which, [Node(a), Node(b)], Said(UNDO, by, why, dry_run))
    return Decided(id, done.at, (a, b), done.applied)


def named(rules: Rules, a: str, b: str, at: int, state: str) -> str:
    """The public id of what was decided about two nodes at that moment."""
    return ids.seal(MARK, rules.node, a, b, str(at), state)


def forces(id: str) -> bool:
    """Whether this id names a forced union of customers."""
    prefix, *_, state = _parts(LINK, id)
    return state == FORCE and prefix != conversations.CONVERSATIONS.node


def _parts(kind: str, id: str) -> tuple[str, str, str, str, str]:
    parts = ids.unseal(MARK, id) or ()
    if len(parts) != 5 or (parts[4] == CUT) != (kind == CUT):
        raise NotFound(f"no such {kind}")
    prefix, a, b, at, state = parts
    return prefix, a, b, at, state


def _decide(table: Table, rules: Rules, nodes: Sequence[Node], said: Said) -> Decided:
    """Later than whatever was decided before, though clocks differ."""
    ends = (nodes[0].id, nodes[1].id)
    at = max(resolve.now_ms(), _said_before(table, rules, ends).at + 1)
    state = graph.NONE if said.state == UNDO else said.state
    pairs = {graph.pair_of(*ends): Rec(0, Adm(at, said.by, state))}
    cause = Cause({"key": said.by}, said.state, said.why, ends)
    applied = resolve.apply(table, rules, nodes, pairs, dry_run=said.dry_run, cause=cause)
    return Decided("" if said.dry_run else named(rules, *ends, at, state), at, ends, applied)


def _said_before(table: Table, rules: Rules, ends: tuple[str, str]) -> Adm:
    view = next(iter(resolve.read_all(table, rules, ends).values()), None)
    return view.cluster.recs.get(graph.pair_of(*ends), Rec()).adm if view else Adm()


def block(table: Table, rules: Rules, identity: Identity, at: int, by: str, *, on: bool) -> Applied | None:
    """Let an identity that is known identify nobody from now on, or somebody again. None: it is
    not known; the lists keep what comes from becoming anybody's."""
    node, item = generations.newest(table, identity)
    if not (item and "own" in item):
        return None
    cause = Cause({"key": by}, "block" if on else "unblock", "the organisation's lists", (node,))
    blocks = {node: graph.Block(at, by, on)}
    return resolve.apply(table, rules, [Node(node, trait(identity))], {}, blocks, cause=cause)


def texts_of(table: Table, nodes: Sequence[str], rules: Rules) -> dict[str, str]:
    """Node → how people write it, for those that are known."""
    items = table.batch_get([(rules.node + node, "-") for node in nodes])
    text = _ref_text if rules.node == conversations.CONVERSATIONS.node else _identity_text
    return {pk.removeprefix(rules.node): text(item) for (pk, _), item in items.items() if "val" in item}


def _identity_text(item: Item) -> str:
    return identity_of(item).text


def _ref_text(item: Item) -> str:
    return Ref(item["kind"], item["val"], item.get("scope", "")).text
