"""Who belongs to an audience: a pure function of the customer, his history and the definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.context import fields
from chalicelib.fanout.audiences import Known, consents, print_of, reduced_member, shown, weigh
from chalicelib.model.audience import Audience, Facts, Member
from chalicelib.model.connection import Subscription
from chalicelib.model.customer import DENIED, GRANTED, Customer, Field, Person

MAIL, PHONE, CHAT = "n-mail", "n-phone", "n-line"
NODES: dict[str, dict[str, Any]] = {
    MAIL: {"kind": "email", "val": "jan@example.nl", "asr": 2},
    PHONE: {"kind": "phone", "val": "+31612345678", "asr": 2},
    CHAT: {"kind": "line", "scope": "15", "val": "U1", "asr": 2},
}
WINTER = Audience(id="aud_1", name="Winter", consent=("marketing",))
AT = "2026-09-01T09:00:00.000Z"


def yes(at: str = AT) -> Field:
    return Field("granted", at, "con_shop", "e1")


def no(at: str = AT) -> Field:
    return Field("denied", at, "con_mail", "e2")


def person(*nodes: str, told: dict[str, Field] | None = None, **more: Any) -> Person:
    items = {node: NODES[node] for node in nodes or NODES} | more.pop("others", {})
    return Person("1788424200000n-mail", Customer(id="cus_1788424200000n-mail", fields=told or {}, **more), items)


def member(audience: Audience, who: Person, known: Known | None = None) -> Member | None:
    facts = weigh(audience, who, lambda: known or Known())
    return shown(audience, who, facts) if facts else None


def test_an_entry_has_one_address_and_the_consent_with_its_source_and_time() -> None:
    told = {"consent_marketing": yes(), "name": Field("Jan", AT), "phone": no()}
    known = Known("line", "2026-09-03T10:00:00.000Z", 2, AT)
    found = member(WINTER, person(told=told), known)
    assert found and msgspec.to_builtins(found) == {
        "customer": "cus_1788424200000n-mail",
        "channel": "line",
        "address": "15/U1",
        "name": "Jan",
        "language": "",
        "last_contact_at": "2026-09-03T10:00:00.000Z",
        "orders": 2,
        "last_order_at": AT,
        "consent": ({"purpose": "marketing", "source": "con_shop", "at": AT},),
    }


@pytest.mark.parametrize(
    "value", ["", "pending", "not_subscribed", "Granted", "unknown", "0", "granted?", *sorted(DENIED)]
)
def test_only_a_clear_yes_is_consent(value: str) -> None:
    assert member(WINTER, person(told={"consent_marketing": Field(value, AT)})) is None
    assert member(WINTER, person(told={"consent_marketing": yes(), "consent": Field(value, AT)})) is None
    assert not GRANTED & DENIED


def test_nobody_is_in_it_without_consent() -> None:
    assert member(WINTER, person()) is None
    assert member(WINTER, person(told={"consent_email": yes()})) is None, "another purpose"
    assert member(msgspec.structs.replace(WINTER, consent=()), person(told={"consent_": yes()})) is None
    both = msgspec.structs.replace(WINTER, consent=("marketing", "profiling"))
    assert member(both, person(told={"consent_marketing": yes()})) is None
    assert member(both, person(told={"consent_marketing": yes(), "consent_profiling": yes()}))


def test_somebody_anonymous_never_is() -> None:
    visitor = {"n-web": {"kind": "web", "scope": "tc", "val": "a-1", "asr": 3}}
    who = Person("1788424200000n-web", Customer(id="cus_x", fields={"consent_marketing": yes()}), visitor)
    app = msgspec.structs.replace(WINTER, channels=("app",))
    assert weigh(app, msgspec.structs.replace(who, nodes={"n-app": visitor["n-web"] | {"kind": "app"}}), Known) is None
    assert member(WINTER, who, Known("webchat")) is None
    assert shown(WINTER, who, Facts("n-web", "web")) is None


def test_a_refused_channel_is_not_used_and_one_consent_gives_no_other_channel() -> None:
    told = {"consent_marketing": yes(), "consent_line": no()}
    found = member(WINTER, person(told=told), Known("line"))
    assert found and (found.channel, found.address) == ("email", "jan@example.nl")
    mail = msgspec.structs.replace(WINTER, consent=("email",))
    found = member(mail, person(told={"consent_email": yes()}), Known("line"))
    assert found and found.channel == "email", "consent for mail is none for anything else"
    assert member(mail, person(PHONE, CHAT, told={"consent_email": yes()}), Known("line")) is None
    texts = msgspec.structs.replace(WINTER, consent=("email",), channels=("sms",))
    assert member(texts, person(told={"consent_email": yes()})) is None


def test_channels_are_the_preferred_ones() -> None:
    told = {"consent_marketing": yes()}
    texts = msgspec.structs.replace(WINTER, channels=("sms", "line"))
    assert member(texts, person(told=told), Known("email")) is None
    assert member(texts, person(told=told), Known("line")).channel == "line"  # type: ignore[union-attr]
    assert member(texts, person(told=told)).channel == "sms"  # type: ignore[union-attr]
    assert member(texts, person(MAIL, told=told)) is None, "no address there"


def test_the_address_is_his_attested_one_that_he_used_last() -> None:
    told = {"consent_marketing": yes()}
    second = {
        "n-2": {"kind": "email", "val": "a@example.nl", "asr": 3},
        "n-3": {"kind": "email", "val": "b@x.nl", "asr": 1},
    }
    both = person(told=told, others=second)
    assert member(WINTER, both).address == "a@example.nl"  # type: ignore[union-attr]
    used = Known(used=("email:b@x.nl", "email:jan@example.nl"))
    assert member(WINTER, both, used).address == "jan@example.nl"  # type: ignore[union-attr]
    assert shown(WINTER, both, Facts("n-3", "email")) is None, "one that was only typed"
    assert shown(WINTER, both, Facts("n-gone", "email")) is None, "one that is not his any more"


@pytest.mark.parametrize(
    ("asked", "belongs"),
    [
        ({"contact_since": "2026-09-02T00:00:00.000Z"}, True),
        ({"contact_since": "2026-09-04T00:00:00.000Z"}, False),
        ({"contact_before": "2026-09-04T00:00:00.000Z"}, True),
        ({"contact_before": "2026-09-03T10:00:00.000Z"}, False),
        ({"orders_least": 2}, True),
        ({"orders_least": 3}, False),
        ({"orders_none_since": "2026-09-02T00:00:00.000Z"}, True),
        ({"orders_none_since": AT}, False),
        ({"filter": "fields.tier == 'gold' && orders > `1`"}, True),
        ({"filter": "fields.tier == 'silver'"}, False),
        ({"filter": "join('', fields.*.nothing)"}, False),
    ],
)
def test_contact_orders_and_a_filter(asked: dict[str, Any], belongs: bool) -> None:
    who = person(told={"consent_marketing": yes(), "tier": Field("gold", AT)})
    known = Known("email", "2026-09-03T10:00:00.000Z", 2, AT)
    audience = msgspec.structs.replace(WINTER, **asked)
    assert (member(audience, who, known) is not None) == belongs
    assert member(audience, person(told={"tier": Field("gold", AT)}), known) is None, "never without consent"


def test_who_was_never_in_touch_and_never_bought_counts_as_long_ago() -> None:
    who = person(told={"consent_marketing": yes()})
    audience = msgspec.structs.replace(WINTER, contact_before=AT, orders_none_since=AT)
    assert member(audience, who)
    assert member(msgspec.structs.replace(WINTER, contact_since=AT), who) is None


def test_his_history_is_not_read_without_consent() -> None:
    def never() -> Known:
        raise AssertionError("asked for the history of somebody who does not consent")

    assert weigh(WINTER, person(told={"consent_marketing": no()}), never) is None


ANSWERS = st.sampled_from([*sorted(GRANTED)[:2], *sorted(DENIED)[:3], "pending"])
EVENTS = st.lists(
    st.tuples(st.integers(0, 4), ANSWERS, st.integers(0, 2), st.sampled_from([MAIL, PHONE]), st.integers(0, 99)),
    max_size=8,
)


def kept(told: Sequence[tuple[int, str, int, str, int]], order: Sequence[int]) -> dict[str, Field]:
    """Of two customers who became one: what each node keeps of the events in this order of arrival."""
    nodes: dict[str, dict[str, Field]] = {MAIL: {}, PHONE: {}}
    for place in order:
        at, answer, priority, node, event = told[place]
        field = Field(answer, f"2026-09-0{at + 1}T09:00:00.000Z", "con", f"e{event:02d}", priority)
        nodes[node] = fields.merged([nodes[node], {"consent_marketing": field}])
    return fields.merged(nodes.values())


@given(EVENTS, st.data())
def test_in_any_order_on_any_side_of_a_merge_the_newest_word_decides_and_a_refusal_wins(
    told: list[tuple[int, str, int, str, int]], drawn: st.DataObject
) -> None:
    order = drawn.draw(st.permutations(range(len(told))))
    found = member(WINTER, person(told=kept(told, order)))
    assert found == member(WINTER, person(told=kept(told, range(len(told)))))
    newest = max((at for at, *_ in told), default=None)
    words = {answer for at, answer, *_ in told if at == newest}
    if not words & GRANTED or words & DENIED:
        assert found is None
    if words and words <= GRANTED:
        assert found is not None


def test_a_print_is_of_what_a_campaign_needs_anew() -> None:
    who = person(told={"consent_marketing": yes()})
    first, later = member(WINTER, who, Known("email")), member(WINTER, who, Known("email", AT, 3, AT))
    assert first and later and print_of(first) == print_of(later) != print_of(None) == ""
    for name, value in {"address": "x@y.nl", "channel": "sms", "name": "J", "language": "en", "consent": ()}.items():
        assert print_of(msgspec.structs.replace(first, **{name: value})) != print_of(first)


def test_a_feed_sees_no_more_than_its_subscription() -> None:
    who = person(told={"consent_marketing": yes(), "name": Field("Jan", AT), "language": Field("nl", AT)})
    whole = member(WINTER, who)
    assert whole
    hidden = reduced_member(whole, Subscription(pseudonymous=True), "pseudonym")
    assert (hidden.customer, hidden.address, hidden.name, hidden.language) == ("pseudonym", "", "", "")
    assert reduced_member(whole, Subscription(redact=True), "p").name == ""
    assert reduced_member(whole, Subscription(), "p") == whole


def test_consent_is_asked_of_the_customer_alone() -> None:
    assert not consents(WINTER, Customer(id="cus_1"))
