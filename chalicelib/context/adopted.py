"""A record that a CRM told us of before we knew whose it is, and that turns out to be a customer's: they are one person."""

from __future__ import annotations

from chalicelib.context import resolve
from chalicelib.context.graph import Rec, Rules, pair_of
from chalicelib.context.resolve import Cause
from chalicelib.model.identity import A3_VERIFIED, Identity
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Table, live


def unite(table: Table, rules: Rules, connection: str, remote: str, owner: str) -> bool:
    """Whether there was anybody to join to the customer with the node `owner`. Raises Busy."""
    node = node_id(Identity("crm", remote, connection))
    there = live(table.get((f"N#{node}", "-")))
    if there is None or "own" not in there or node == owner:
        return False
    nodes = [resolve.Node(each, asr=A3_VERIFIED) for each in (owner, node)]
    cause = Cause({"connection": connection, "type": "record"}, why="the record that we push to had told of somebody")
    resolve.apply(table, rules, nodes, {pair_of(owner, node): Rec(A3_VERIFIED)}, cause=cause)
    return True
