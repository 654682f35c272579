"""A customer who changes while he is read: his picture is of one moment, or he is told to be gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
import pytest

from chalicelib.context import candidates, people, record, resolve
from chalicelib.context.graph import Rules
from chalicelib.errors import Busy, Erased
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import secrets
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Item, Key
from tests.schedule import MemoryTable, replaced

PHONE, DESK = Identity("phone", "+31612345678", "", 3), Identity("desk", "77", "con_src", 3)
EVENT = Event(
    type="message",
    occurred_at="2026-09-01T10:00:00.000Z",
    channel="whatsapp",
    identities=(PHONE, DESK),
    object="question",
)


class Changing(MemoryTable):
    """Somebody changes things just before a customer's nodes are read, as often as there are changes."""

    changes: list[Callable[[], object]] = []
    asked: list[list[Key]] = []

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(keys)
        self.asked.append(wanted)
        if self.changes and any(sk == "F" for _, sk in wanted):
            self.changes.pop(0)()
        return super().batch_get(wanted)


@pytest.fixture
def table() -> Iterator[Changing]:
    made = Changing()
    with replaced((secrets, "pepper", lambda: b"pepper"), (resolve, "_back_off", lambda number: None)):
        resolve.forget()
        record.record(made, stamp(EVENT, "con_src", "generic"), "receipt", Organisation())
        made.changes, made.asked = [], []
        yield made


def erased(table: Changing, *identities: Identity) -> Callable[[], object]:
    return lambda: resolve.remove(table, Rules(), [node_id(each) for each in identities], 1)


def test_one_of_whose_identities_is_erased_meanwhile_has_the_others(table: Changing) -> None:
    table.changes = [erased(table, DESK)]
    person = people.of_node(table, Rules(), node_id(PHONE))
    assert person and set(person.nodes) == {node_id(PHONE)}


@pytest.mark.parametrize("node", [PHONE, DESK])
def test_one_who_is_erased_meanwhile_is_gone(table: Changing, node: Identity) -> None:
    table.changes = [erased(table, PHONE, DESK)]
    with pytest.raises(Erased):
        people.of_node(table, Rules(), node_id(node))
    assert not table.changes


def test_by_identity_too(table: Changing) -> None:
    table.changes = [erased(table, DESK)]
    found, persons = people.by_identity(table, Rules(), PHONE)
    assert found == "exact" and [set(each.nodes) for each in persons] == [{node_id(PHONE)}]


def test_of_several_at_once_he_is_left_out(table: Changing) -> None:
    nodes = {node_id(each): table.peek((f"N#{node_id(each)}", "-")) or {} for each in (PHONE, DESK)}
    table.changes = [erased(table, DESK)]
    resolve.forget()
    assert people.of_nodes(table, Rules(), list(nodes), nodes) == {}
    assert set(people.of_nodes(table, Rules(), [node_id(PHONE)], nodes)) == {node_id(PHONE)}


def test_of_several_at_once_one_known_to_be_erased_is_told(table: Changing) -> None:
    nodes = {node_id(each): table.peek((f"N#{node_id(each)}", "-")) or {} for each in (PHONE, DESK)}
    table.changes = [erased(table, DESK)]
    with pytest.raises(Erased):
        people.of_nodes(table, Rules(), list(nodes), nodes)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("remembered", [True, False])
def test_who_was_met_before_is_read_in_one_request(table: Changing, seen: bool, remembered: bool) -> None:
    node = node_id(PHONE)
    item = table.peek((f"N#{node}", "-")) if seen else None
    resolve.read(table, Rules(), node)
    if not remembered:
        resolve.forget()
    table.asked.clear()
    person = people.of_node(table, Rules(), node, item, ("C#con_crm",))
    assert person and set(person.nodes) == {node_id(PHONE), node_id(DESK)}
    assert person == people.of_node(table, Rules(), node, item, ("C#con_crm",))
    assert len(table.asked) == (2 if remembered else 4 - seen)
    wanted = {(f"N#{each}", sk) for each in person.nodes for sk in ("-", "F", "C#con_crm")}
    assert wanted < set(table.asked[-1])


def test_what_was_known_of_who_is_who_may_be_old(table: Changing) -> None:
    """Somebody else divided him, or made two of him one, since this container last looked."""
    before = dict(vars(resolve)["_clusters"]), dict(vars(resolve)["_members"])
    other = Identity("email", "a@example.nl", "", 3)
    more = msgspec.structs.replace(EVENT, identities=(DESK, other), object="answer")
    record.record(table, stamp(more, "con_src", "generic"), "receipt", Organisation())
    everybody = {node_id(each) for each in (PHONE, DESK, other)}
    for then, who, whose in [
        (before, PHONE, everybody),
        (before, other, everybody),
        (({}, {}), DESK, everybody),
        ((before[0], {}), PHONE, everybody),
    ]:
        _known(*then)
        person = people.of_node(table, Rules(), node_id(who))
        assert person and set(person.nodes) == whose
    resolve.remove(table, Rules(), [node_id(other)], 1)
    _known(dict(vars(resolve)["_clusters"]), {key: tuple(everybody) for key in vars(resolve)["_members"]})
    person = people.of_node(table, Rules(), node_id(PHONE))
    assert person and set(person.nodes) == {node_id(PHONE), node_id(DESK)}


def _known(clusters: dict[Key, Key], members: dict[Key, tuple[str, ...]]) -> None:
    clusters, members = dict(clusters), dict(members)
    resolve.forget()
    vars(resolve)["_clusters"].update(clusters)
    vars(resolve)["_members"].update(members)


def test_who_changes_all_the_time_is_asked_for_again(table: Changing) -> None:
    at = (f"N#{node_id(DESK)}", "-")

    def blank() -> None:
        table.rows[at] = table.rows[at].replace(b"kind", b"kinx")

    table.changes = [blank]
    with pytest.raises(Busy):
        people.of_node(table, Rules(), node_id(PHONE))


class Hasty(MemoryTable):
    """Somebody is erased after his node was read and before his cluster is."""

    change: Callable[[], object] | None = None

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(keys)
        if self.change and any(pk.startswith("K#") for pk, _ in wanted):
            change, self.change = self.change, None
            change()
        return super().batch_get(wanted)


@pytest.fixture
def hasty() -> Iterator[Hasty]:
    made = Hasty()
    with replaced((secrets, "pepper", lambda: b"pepper"), (resolve, "_back_off", lambda number: None)):
        typed = msgspec.structs.replace(EVENT, identities=(PHONE, replace_assurance(DESK)))
        record.record(made, stamp(typed, "con_src", "generic"), "receipt", Organisation())
        his = msgspec.structs.replace(EVENT, identities=(DESK,), object="his own")
        record.record(made, stamp(his, "con_src", "generic"), "receipt", Organisation())
        resolve.forget()
        yield made


def replace_assurance(identity: Identity) -> Identity:
    return Identity(identity.kind, identity.value, identity.scope, 1)


def test_a_candidate_who_is_erased_meanwhile_is_none(hasty: Hasty) -> None:
    mine = {node_id(PHONE): hasty.peek((f"N#{node_id(PHONE)}", "-")) or {}}
    assert [each.identity for each in candidates.of_nodes(hasty, mine)] == [DESK.text]
    resolve.forget()
    hasty.change = lambda: resolve.remove(hasty, Rules(), [node_id(DESK)], 1)
    assert candidates.of_nodes(hasty, mine) == []
    assert hasty.change is None


def test_of_several_only_the_living(hasty: Hasty) -> None:
    nodes = [node_id(PHONE), node_id(DESK), "nobody"]
    items, views = resolve.living(hasty, Rules(), nodes)
    assert (set(items), set(views)) == ({*nodes[:2]}, {*nodes[:2]})
    resolve.remove(hasty, Rules(), [node_id(DESK)], 1)
    items, views = resolve.living(hasty, Rules(), nodes)
    assert (set(items), set(views)) == ({*nodes[:2]}, {nodes[0]})
    assert resolve.living(hasty, Rules(), []) == ({}, {})
