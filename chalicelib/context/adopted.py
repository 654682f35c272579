"""A record that a CRM told us of before we knew whose it is, and that turns out to be a customer's: they are one person."""

from __future__ import annotations

from chalicelib.context import handover
from chalicelib.context.graph import Rules
from chalicelib.context.resolve import Cause
from chalicelib.model.identity import Identity
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Table


def unite(table: Table, rules: Rules, connection: str, remote: str, owner: str) -> bool:
    """Whether there was anybody to join to the customer with the node `owner`. Raises Busy."""
    node = node_id(Identity("crm", remote, connection))
    cause = Cause({"connection": connection, "type": "record"}, why="the record that we push to had told of somebody")
    return handover.unite(table, rules, owner, [node], cause)
