"""What an event proves of who it is about, rule by rule."""

from __future__ import annotations

import itertools

import pytest

from chalicelib.context import evidence
from chalicelib.context.fields import NEWS
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, CHANNEL_SCOPED, KINDS, Identity
from chalicelib.store.organisation import Organisation

US = Organisation(
    own=("email:hello@shop.example", "phone:+31201111111"), blocked=("phone:+31612345678",), roles=("info",)
)


def weigh(*identities: Identity, refs: tuple[Ref, ...] = ()) -> evidence.Evidence:
    event = Event(
        object="m1",
        type="message.received",
        channel="email",
        occurred_at="2026-09-01T09:00:00.000Z",
        identities=identities,
        refs=refs,
    )
    return evidence.weigh(event, US)


def mail(value: str, assurance: int = A2_ATTESTED) -> Identity:
    return Identity("email", value, assurance=assurance)


def phone(value: str, assurance: int = A2_ATTESTED) -> Identity:
    return Identity("phone", value, assurance=assurance)


def test_what_is_attested_is_known_and_what_is_said_makes_candidates() -> None:
    said, attested, verified = (
        mail(f"{name}@example.nl", assurance)
        for name, assurance in (("a", A1_ASSERTED), ("b", A2_ATTESTED), ("c", A3_VERIFIED))
    )
    found = weigh(said, attested, verified)
    assert found.known == (attested, verified) and found.asserted == (said,)
    assert found.home == attested
    assert weigh(said).home is None


def test_what_nobody_told_is_the_usual() -> None:
    found = weigh()
    assert found == evidence.Evidence(None, (), (), ())
    assert (found.days, found.priorities, found.repeats) == (0, {}, NEWS)
    with pytest.raises(AttributeError):
        found.home = mail("anna@example.nl")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("identity", "identifies"),
    [
        (mail("anna@example.nl"), True),
        (mail("hello@shop.example"), False),
        (mail("info@example.nl"), False),
        (mail("information@example.nl"), True),
        (Identity("instagram", "info", "1784", A2_ATTESTED), True),
        (Identity("login", "info@example.nl", "idp", A2_ATTESTED), True),
        (phone("+31201111111"), False),
        (phone("+31612345678"), False),
        (phone("+31687654321"), True),
    ],
    ids=lambda each: each.text if isinstance(each, Identity) else "",
)
def test_our_own_addresses_shared_mailboxes_and_blocked_values_identify_nobody(
    identity: Identity, identifies: bool
) -> None:
    assert evidence.identifies(identity, US) is identifies
    found = weigh(identity)
    assert bool(found.known) is identifies and (found.home is not None) is identifies


@pytest.mark.parametrize("assurance", [A1_ASSERTED, A2_ATTESTED, A3_VERIFIED])
@pytest.mark.parametrize(
    ("kind", "value", "vouches"),
    [
        ("email", "anna@example.nl", True),
        ("email", "info@example.nl", True),  # it may vouch for an order that was typed in its mail
        ("email", "hello@shop.example", False),
        ("phone", "+31687654321", True),
        ("phone", "+31612345678", True),
        ("phone", "+31201111111", False),
        ("fax", "+31201111112", True),
        ("web", "visitor-1", False),
        ("loyalty", "card-1", False),
    ],
)
def test_attested_contact_points_that_are_not_ours_vouch(kind: str, value: str, assurance: int, vouches: bool) -> None:
    each = Identity(kind, value, assurance=assurance)
    assert weigh(each).contacts == ((each,) if vouches and assurance >= A2_ATTESTED else ())


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("kind", ["order", "receipt", "case", "token", "thread"])
def test_a_ref_proves_what_its_system_says_and_a_typed_one_waits_for_proof(kind: str, typed: bool) -> None:
    ref = Ref(kind, "1001", "shop", typed)
    found = weigh(refs=(ref,))
    assert found.refs == ((ref,) if not typed and kind != "token" else ())
    assert found.typed == ((ref,) if typed and kind in evidence.PROVABLE else ())


def test_the_home_is_the_narrowest_identity_in_any_order() -> None:
    """A channel's own id, then an anchor, then mail, phone, and what is left; within a rank by kind and text."""
    ranked = [
        Identity("instagram", "z", "1", A2_ATTESTED),
        Identity("web", "a", "1", A2_ATTESTED),
        Identity("login", "b", "idp", A2_ATTESTED),
        Identity("loyalty", "c", "1", A2_ATTESTED),
        mail("a@example.nl"),
        mail("b@example.nl"),
        phone("+31687654321"),
        Identity("fax", "+31201111112", assurance=A2_ATTESTED),
    ]
    for first, second in itertools.combinations(ranked, 2):
        assert weigh(first, second).home == weigh(second, first).home == first
    assert weigh(*reversed(ranked)).home == ranked[0]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_trait_says_what_the_graph_must_know(kind: str) -> None:
    expected = (
        f"a:{kind}/eu" if kind in ("shop", "loyalty", "login") else "s" if kind in ("email", "phone", "fax") else ""
    )
    assert evidence.trait(Identity(kind, "1", "eu")) == expected
    assert (expected == "") is (kind in CHANNEL_SCOPED)


def test_a_node_stands_for_its_identity() -> None:
    full = {"kind": "web", "val": "v", "scope": "eu", "asr": 2, "more": 1}
    assert evidence.identity_of(full) == Identity("web", "v", "eu", A2_ATTESTED)
    assert evidence.identity_of({"kind": "email", "val": "a@example.nl"}) == Identity("email", "a@example.nl", "", 0)
