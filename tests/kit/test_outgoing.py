"""Mappings of destinations: what they find, how it is merged, and what is refused at registration."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import outgoing
from chalicelib.kit.destination import Destination
from chalicelib.kit.source import Setting

SYSTEM = Destination(
    name="Test",
    base_url="",
    auth=lambda secrets, settings: {},
    mapped={"contact": ("{key_field}", "custom.{other}", "email"), "activity": ("odata\\.key",)},
    comes_back={"own_user": ("nickname", "name.first"), "": ("title",)},
    settings={"key_field": Setting("Key", default="hub_id"), "other": Setting("Other")},
)
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
ROWS = st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6)
NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)


def at(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


@pytest.mark.parametrize(
    ("row", "mapped", "whole"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": "2", "b": False}, {"a": "2", "b": False}),
        ({"a": 1, "b": 2}, {"a": None, "c": None}, {"b": 2}),
        ({"f": {"x": 1}}, {"f.y": 2, "g.h.i": 3}, {"f": {"x": 1, "y": 2}, "g": {"h": {"i": 3}}}),
        ({"f": {"x": 1, "y": 2}}, {"f.x": None}, {"f": {"y": 2}}),
        ({"f": {"x": 1}, "a": 1}, {"f.x": None}, {"a": 1}),
        ({"f": "text"}, {"f.x": None}, {"f": "text"}),
        ({"f": "text"}, {"f.x": 1}, {"f": {"x": 1}}),
        ({}, {"a@odata\\.bind": "/b(1)"}, {"a@odata.bind": "/b(1)"}),
        ({"a": 1}, {"a": ""}, {"a": ""}),
        ({}, {"tags": ["a"], "part": {"b": None}}, {"tags": ["a"], "part": {"b": None}}),
    ],
)
def test_what_was_found_takes_the_place_of_what_we_would_send(row: Any, mapped: Any, whole: Any) -> None:
    before = json.dumps(row)
    assert outgoing.merged(row, mapped) == whole
    assert json.dumps(row) == before


@given(st.dictionaries(st.sampled_from("abc"), ROWS, max_size=3), NAMES, VALUES)
def test_a_field_is_there_after_it_and_nothing_beside_it_changes(row: dict[str, Any], name: str, value: Any) -> None:
    whole = outgoing.merged(row, {name: value})
    assert at(whole, name) == value
    first = name.split(".")[0]
    assert {key: each for key, each in whole.items() if key != first} == {
        key: each for key, each in row.items() if key != first
    }


def test_who_is_forgotten_has_nothing_left_of_it() -> None:
    emptied = {"name": "erased", "custom": {"key": None}}
    assert outgoing.blanked(emptied, ["custom.tier", "city"], None) == {
        "name": "erased",
        "custom": {"key": None, "tier": None},
        "city": None,
    }


def test_only_what_a_record_does_not_have_is_news() -> None:
    there = {"tier": "gold", "vip": True, "points": 12, "custom": {"a": "1"}}
    mapped = {"tier": "gold", "vip": False, "points": "12", "custom.a": "1", "custom.b": "2", "phone": None}
    assert outgoing.news(mapped, there) == {"vip": False, "custom.b": "2", "phone": None}


def test_expressions_find_values_of_any_kind_and_fail_to_nothing() -> None:
    scene = {"fields": {"tier": "gold", "points": "12"}, "satisfaction": {"voice": {"average": 82}}}
    mapping = {
        "contact": {
            "tier": "fields.tier",
            "points": "to_number(fields.points)",
            "happy": "satisfaction.voice.average > `80`",
            "nobody": "fields.nobody",
            "broken": "join('', fields.nobody)",
            "fixed": True,
            "never": None,
        }
    }
    assert outgoing.found(mapping, "contact", scene) == {
        "tier": "gold",
        "points": 12,
        "happy": True,
        "nobody": None,
        "broken": None,
        "fixed": True,
        "never": None,
    }
    assert outgoing.found(mapping, "activity", scene) == {}


@pytest.mark.parametrize("mapping", [None, [], "x", {"contact": []}, {"contact": None}, {"other": {}}])
def test_what_is_no_mapping_finds_nothing(mapping: Any) -> None:
    assert outgoing.found(mapping, "contact", {}) == {}


def test_what_asks_too_much_says_which_field() -> None:
    huge = {"contact": {"small": "a", "huge": " | ".join(["[@, @]"] * 30)}}
    with pytest.raises(PayloadMalformed, match=r"mapping\.contact\.huge"):
        outgoing.found(huge, "contact", {"a": "text"})


@pytest.mark.parametrize(
    ("mapping", "wrong"),
    [
        ({}, {}),
        ({"contact": {}, "activity": {}}, {}),
        ({"contact": {"tier": "fields.tier", "custom.vip": "`true`", "off": None, "n": 1, "b": False}}, {}),
        ([], {"/mapping": "must be an object"}),
        ({"contacts": {}}, {"/mapping/contacts": "no such section"}),
        ({"contact": []}, {"/mapping/contact": "must be an object"}),
        ({"contact": {"tier": "fields..tier"}}, {"/mapping/contact/tier": "no JMESPath"}),
        ({"contact": {"tier": ""}}, {"/mapping/contact/tier": "must have 1 to"}),
        ({"contact": {"tier": ["a"]}}, {"/mapping/contact/tier": "must be an expression"}),
        ({"contact": {"a/b~c": {}}}, {"/mapping/contact/a~1b~0c": "must be an expression"}),
        ({"contact": {"": "a"}}, {"/mapping/contact/": "must be a name"}),
        ({"contact": {"a..b": "a"}}, {"/mapping/contact/a..b": "must be a name"}),
        ({"contact": {" a": "a"}}, {"/mapping/contact/ a": "must be a name"}),
        ({"contact": {"x" * 201: "a"}}, {f"/mapping/contact/{'x' * 201}": "must be a name"}),
        ({"contact": {f"f{number}": "a" for number in range(51)}}, {"/mapping/contact": "at most 50"}),
        ({"contact": {"a.b": "a", "a": "a"}}, {"/mapping/contact/a": "lies in another field"}),
        ({"contact": {"hub_id": "id"}}, {"/mapping/contact/hub_id": "is filled by the hub"}),
        ({"contact": {"HUB_ID.x": "id"}}, {"/mapping/contact/HUB_ID.x": "is filled by the hub"}),
        ({"contact": {"email": "first.email"}}, {"/mapping/contact/email": "is filled by the hub"}),
        ({"activity": {"odata\\.key": "id", "odata.key": "id"}}, {"/mapping/activity/odata\\.key": "is filled"}),
        ({"contact": {"title": "'Mr'"}}, {"/mapping/contact/title": "comes back as news from there"}),
        ({"contact": {"name": "a"}}, {"/mapping/contact/name": "comes back as news unless the setting own_user"}),
    ],
)
def test_each_mistake_has_its_pointer(mapping: Any, wrong: dict[str, str]) -> None:
    found = {each["pointer"]: each["detail"] for each in outgoing.check(mapping, SYSTEM, {})}
    assert found.keys() == wrong.keys()
    assert all(said in found[pointer] for pointer, said in wrong.items())


def test_settings_say_what_stays_ours_and_what_comes_back() -> None:
    settings = {"key_field": "my.key", "other": "9f", "own_user": "7"}
    mapping = {"contact": {"hub_id": "id", "my.key": "id", "custom.9f": "id", "custom.8f": "id", "nickname": "id"}}
    wrong = [each["pointer"] for each in outgoing.check(mapping, SYSTEM, settings)]
    assert wrong == ["/mapping/contact/custom.9f"]
    mapping = {"contact": {"my\\.key": "id", "custom": "fields"}}
    assert len(outgoing.check(mapping, SYSTEM, settings)) == 2


def test_a_system_without_a_section_says_so() -> None:
    only = replace(SYSTEM, mapped={"contact": ()})
    (wrong,) = outgoing.check({"activity": {"a": "b"}}, only, {})
    assert wrong == {"pointer": "/mapping/activity", "detail": "Test keeps no activity that could be filled"}
