"""Mappings: what they make of a body, what their registration says of mistakes, and that they stay bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PartlyMalformed, PayloadMalformed
from chalicelib.kit import mapping
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import Identity

AT = {"occurred_at": "at", "type": "note", "channel": "desk"}
BODY = {"at": "2026-09-01T09:00:00Z"}


def made(rule: Any, body: Any = None, **settings_: Any) -> list[Event]:
    body = BODY if body is None else body
    return list(mapping.events(rule, body, settings_, "con_1"))


def one(rule: dict[str, Any], extra: dict[str, Any] | None = None, **settings_: Any) -> Event:
    [event] = made(AT | rule, BODY | (extra or {}), **settings_)
    return event


def refused(rule: Any, body: Any = None, **settings_: Any) -> str:
    with pytest.raises(PayloadMalformed) as caught:
        made(rule, body, **settings_)
    return str(caught.value)


def pointers(rule: Any, **settings_: Any) -> dict[str, str]:
    return {mistake["pointer"]: mistake["detail"] for mistake in mapping.check(rule, settings_)}


def test_what_a_rule_leaves_out_has_its_default() -> None:
    event = one({})
    assert (event.type, event.channel, event.direction, event.actor) == ("note", "desk", "in", "customer")
    assert event.occurred_at == "2026-09-01T09:00:00.000Z" and event.version == "" and len(event.object) == 26


def test_type_and_channel_come_from_the_settings() -> None:
    [event] = made({"occurred_at": "at"}, type="visit", channel="web")
    assert (event.type, event.channel) == ("visit", "web")


def test_a_word_of_the_closed_set_stands_for_itself_unless_the_body_has_one() -> None:
    assert one({"direction": "out"}).direction == "out"
    assert one({"direction": "out"}, {"out": "internal"}).direction == "internal"
    assert one({"direction": "out"}, {"out": "sideways"}).direction == "out"
    assert one({"type": "kind"}, {"kind": "ticket"}).type == "ticket"


def test_a_word_outside_the_closed_set_is_malformed() -> None:
    assert refused(AT | {"type": "kind"}, BODY | {"kind": "page"}).startswith("type: 'page' is not one of call, ")


def test_a_missing_moment_is_malformed_naming_the_field() -> None:
    assert refused(AT, {"x": 1}) == "occurred_at: is missing"
    assert refused(AT, {"at": "09:05"}).startswith("occurred_at: not a moment")
    assert refused(AT, {"at": "2026-09-01T09:00:00"}).startswith("occurred_at: a moment without an offset")


def test_identities_by_object_text_and_list() -> None:
    rule = {
        "identities": [
            {"kind": "email", "value": "mail"},
            {"kind": "phone", "value": "phones", "assurance": "A2"},
            {"kind": "shop", "scope": "'tc'", "value": "customer"},
            {"kind": "how", "value": "id", "assurance": "sure"},
            "join('', ['web:site/', visitor])",
            "more",
        ]
    }
    body = {
        "mail": " Jan@Example.NL ",
        "phones": ["06 12345678", None, "anonymous", "+32470123456"],
        "customer": 900,
        "how": "desk",
        "id": "77",
        "sure": "A3",
        "visitor": "a-71",
        "more": ["line:ch/U33", {"kind": "email", "value": "jan@example.nl", "assurance": 3}, 5, "nonsense:1"],
    }
    assert one(rule, body, account="acme").identities == (
        Identity("email", "jan@example.nl", "", 3),
        Identity("phone", "+31612345678", "", 2),
        Identity("phone", "+32470123456", "", 2),
        Identity("shop", "900", "tc", 2),
        Identity("desk", "77", "acme", 3),
        Identity("web", "a-71", "site", 2),
        Identity("line", "U33", "ch", 2),
    )


def test_an_absent_part_of_a_joined_text_makes_no_identity() -> None:
    assert one({"identities": ["join('', ['web:site/', visitor])"]}).identities == ()


def test_phones_are_read_in_the_region_of_the_settings() -> None:
    rule = {"identities": [{"kind": "phone", "value": "tel"}]}
    assert one(rule, {"tel": "0470 12 34 56"}, region="BE").identities[0].value == "+32470123456"


def test_refs_by_object_and_text_in_the_scope_of_the_connection() -> None:
    rule = {"refs": [{"kind": "order", "value": "order"}, {"kind": "case", "value": "case", "typed": True}, "quoted"]}
    found = one(rule, {"order": 6001, "case": "12", "quoted": ["thread:ch-1", "token:tok1", "page:x", "order:"]}).refs
    assert found == (
        Ref("order", "6001", "con_1"),
        Ref("case", "12", "con_1", True),
        Ref("thread", "ch-1", "con_1"),
        Ref("token", "tok1", "con_1"),
    )


def test_details_mirror_their_shape_without_what_is_absent() -> None:
    rule = {
        "details": {"status": "'created'", "deep": {"a": ["x", "y", 3]}, "none": "nothing", "empty": {"n": "nothing"}},
        "fields": {"name": "name", "age": "age", "flag": "yes", "list": "deep"},
    }
    event = one(rule, {"x": {"k": 1}, "name": "Jan", "age": 42, "yes": True, "deep": [1]})
    assert event.details == {"status": "created", "deep": {"a": [{"k": 1}, 3]}}
    assert event.fields == {"name": "Jan", "age": "42", "flag": "true"}


def test_details_may_be_one_expression() -> None:
    assert one({"details": "order.{number: name}"}, {"order": {"name": "#1"}}).details == {"number": "#1"}


@pytest.mark.parametrize(
    "channel, value, expected",
    [
        ("sms", "0612345678", "phone:+31612345678"),
        ("email", "Jan@Example.nl", "email:jan@example.nl"),
        ("webchat", "web:site/a-71", "web:site/a-71"),
        ("webchat", "a-71", ""),
        ("sms", None, ""),
    ],
)
def test_an_address_takes_the_kind_of_its_channel(channel: str, value: str | None, expected: str) -> None:
    assert one({"channel": f"'{channel}'", "address": "to"}, {"to": value}).address == expected


def test_an_address_by_object() -> None:
    rule = {"address": {"kind": "web", "scope": "'site'", "value": "id"}}
    assert one(rule, {"id": "a-71"}).address == "web:site/a-71"
    assert one(rule).address == ""


def test_each_element_meets_each_rule_whose_when_is_true() -> None:
    block = {
        "each": "events[]",
        "rules": [
            AT | {"when": "id == 'a'", "text": "id"},
            AT | {"when": "n", "type": "visit", "text": "_body.shop"},
            AT | {"when": "missing"},
        ],
    }
    body = {"shop": "tc", "events": [BODY | {"id": "a", "n": 0}, BODY | {"id": "b", "n": ""}, BODY | {"id": "a"}]}
    assert [(event.type, event.text) for event in made([block], body)] == [
        ("note", "a"),
        ("visit", "tc"),
        ("note", "a"),
    ]


def test_elements_without_an_object_are_told_apart_and_recognised_again() -> None:
    block = {"each": "events", "rules": [AT, AT, AT | {"type": "visit"}]}
    body = {"events": [BODY | {"n": 1}, BODY | {"n": 2}]}
    found = [(event.type, event.object) for event in made(block, body)]
    assert len(set(found)) == 5 + 1 and found == [(event.type, event.object) for event in made(block, body)]


def test_each_takes_one_object_and_nothing() -> None:
    block = {"each": "events", "rules": [AT]}
    assert len(made(block, {"events": BODY})) == 1
    assert made(block, {}) == []


def test_without_a_mapping_nothing() -> None:
    assert made(None) == []


def test_mistakes_are_told_field_by_field() -> None:
    wrong = [
        {"type": "note", "chanel": "web", "occurred_at": "at["},
        {"each": 5, "rules": [], "more": 1},
        AT | {"identities": [{"kind": "email", "valeu": "x"}, 7], "refs": {"kind": "order"}},
        AT | {"details": {"a": ["x..y"]}, "text": ["x"], "address": {"kind": "phone"}},
        "nothing",
    ]
    found = pointers(wrong)
    assert found.keys() == {
        "/mapping/0/chanel",
        "/mapping/0/occurred_at",
        "/mapping/0/channel",
        "/mapping/1/each",
        "/mapping/1/rules",
        "/mapping/1/more",
        "/mapping/2/identities/0/valeu",
        "/mapping/2/identities/0/value",
        "/mapping/2/identities/1",
        "/mapping/2/refs",
        "/mapping/3/details/a/0",
        "/mapping/3/text",
        "/mapping/3/address/value",
        "/mapping/4",
    }
    assert found["/mapping/0/chanel"] == "is no such field: channel?"
    assert found["/mapping/0/occurred_at"].startswith("no JMESPath: ")
    assert "\n" not in "".join(found.values())


@pytest.mark.parametrize("wrong", [None, {}, [], "x", 5, [[]], {"each": "x"}])
def test_what_is_no_mapping_is_a_mistake(wrong: Any) -> None:
    assert mapping.check(wrong)


def test_a_deeply_nested_mapping_is_a_mistake() -> None:
    tree: Any = "x"
    for _ in range(5000):
        tree = [tree]
    assert "deeply" in mapping.check(AT | {"details": {"a": tree}})[0]["detail"]


def test_an_unfit_mapping_makes_the_body_malformed() -> None:
    assert refused(AT | {"text": "["}).startswith("/mapping/text: no JMESPath")


def test_preview_shows_events_and_mistakes() -> None:
    assert mapping.preview({"occurred_at": "at"}, BODY, {}, "con_1")["errors"][0]["pointer"] == "/mapping/type"
    found = mapping.preview(AT | {"text": "t"}, BODY | {"t": "hoi"}, {}, "con_1")
    assert found["errors"] == [] and found["events"][0]["text"] == "hoi"
    late = mapping.preview({"each": "[]", "rules": [AT]}, [BODY, {}], {}, "con_1")
    assert len(late["events"]) == 1
    assert late["errors"] == [{"pointer": "/mapping/occurred_at", "detail": "is missing", "element": "[1]"}]
    none = mapping.preview(AT, {}, {}, "con_1")
    assert none == {"events": [], "errors": [{"pointer": "/mapping/occurred_at", "detail": "is missing"}]}


def test_a_bad_element_costs_no_other() -> None:
    block = {"each": "events[]", "rules": [AT | {"text": "id"}, AT | {"when": "two", "occurred_at": "two"}]}
    body = {"events": [BODY | {"id": "a"}, {"id": "b"}, BODY | {"id": "c", "two": "x"}, "nothing", BODY | {"id": "d"}]}
    found: list[str] = []
    with pytest.raises(PartlyMalformed) as caught:
        found.extend(
            event.text for event in mapping.events([AT | {"text": "'whole'"}, block], BODY | body, {}, "con_1")
        )
    assert found == ["whole", "a", "d"]
    assert [part for part, _ in caught.value.flaws] == ["events[1]", "events[2]", "events[3]"]
    assert str(caught.value).startswith("3 of 6 parts could not be read: events[1]: occurred_at: is missing; ")


def test_many_bad_elements_are_all_named() -> None:
    block = {"each": "events", "rules": [AT]}
    with pytest.raises(PartlyMalformed, match=r"9 of 9 parts.*events\[8\]$"):
        made(block, {"events": [{}] * 9})


@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@, @][]"] * 200),
        "|".join(["[@, @]"] * 250),
        "|".join(["[@, @]"] * 60) + "|to_string(@)",
        "|".join(["{a: @, b: @}"] * 60) + "|to_string(@)|length(@)",
        "|".join(["join('', [to_string(@), to_string(@)])"] * 40),
        "|".join(["{a: @, b: @}"] * 150),
        "[*].[" + ",".join(["_[*].[*].x"] * 100) + "]",
        "@" + "[0]" * 600,
        "!" * 1999 + "x",
        "(" * 900 + "x" + ")" * 900,
        "map(&map(&map(&[@, @], [@, @]), [@, @]), [@, @])" + "|[@,@][][][]" * 100,
    ],
)
def test_hostile_expressions_end_bounded(expression: str) -> None:
    rule = AT | {"details": {"x": expression}}
    if mapping.check(rule):
        return
    try:
        [event] = made(rule, BODY | {"list": [1] * 100})
    except PayloadMalformed as wrong:
        assert "too much" in str(wrong)
    else:
        assert len(str(event.details)) < 100_000


@pytest.mark.parametrize("expression", ["to_array(&id)", "not_null(&id)", "{a: not_null(&id)}"])
def test_an_expression_that_a_function_hands_on_is_no_value(expression: str) -> None:
    found = mapping.preview(AT | {"details": {"x": expression, "y": "id"}}, BODY | {"id": "1"}, {}, "con_1")
    assert [event["details"] for event in found["events"]] == [{"y": "1"}], found


@pytest.mark.parametrize("expression", ["&id", "[&id]", "{a: &id}", "list[?&id]", "a || &id"])
def test_an_expression_in_the_place_of_a_value_is_a_mistake(expression: str) -> None:
    assert "arguments of a function" in pointers(AT | {"text": expression})["/mapping/text"]
    assert pointers(AT | {"text": "sort_by(list, &id)[0].id"}) == {}


def test_the_budget_is_for_the_whole_body() -> None:
    block = {"each": "events", "rules": [AT | {"details": {"all": "_body"}}]}
    assert "too much" in refused(block, {"events": [BODY | {"n": n} for n in range(1000)]})
    assert "more than 1000 elements" in refused({"each": "events", "rules": [AT]}, {"events": [BODY] * 1001})


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*sorted(mapping.RULE), "each", "rules", "kind", "value", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(json_like, json_like)
def test_any_mapping_over_any_body_gives_events_or_malformed(rule: Any, body: Any) -> None:
    found = mapping.preview(rule, body, {"type": "note", "channel": "desk"}, "con_1")
    assert found["errors"] or all(event["occurred_at"] for event in found["events"])


@settings(max_examples=300, deadline=None)
@given(json_like)
def test_a_good_mapping_over_any_body_gives_events_or_malformed(body: Any) -> None:
    rule = AT | {
        "occurred_at": "x",
        "identities": [{"kind": "kind", "value": "value", "assurance": "x", "scope": "x"}, "x", "[]"],
        "refs": "rules",
        "details": {"a": "@"},
        "address": "value",
        "attachments": "@",
    }
    found = mapping.preview(
        [rule, {"each": "[]", "rules": [rule | {"occurred_at": "'2026-09-01'"}]}], body, {}, "con_1"
    )
    assert not any(mistake["pointer"].count("/") < 2 for mistake in found["errors"])
