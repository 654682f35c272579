"""What a survey's link carried: references and people, all of them asserted."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kit.carried import Carried, carried
from chalicelib.model.event import Ref
from chalicelib.model.identity import Identity


def test_usual_names_need_no_settings() -> None:
    told = {
        "survey": "sv-1",
        "order_id": 6001,
        "conversation": "ch-1",
        "email": " Jan@Example.nl",
        "phone": "0612345678",
    }
    found = carried(told | {"name": "Jan", "channel": "store", "utm_source": "mail"})
    assert found.refs == (Ref("survey", "sv-1"), Ref("order", "6001"), Ref("thread", "ch-1", typed=True))
    assert found.identities == (Identity("email", "jan@example.nl"), Identity("phone", "+31612345678"))
    assert (found.name, found.channel) == ("Jan", "store")
    assert (found.ref("survey"), found.ref("case")) == ("sv-1", "")


def test_settings_add_names_and_change_usual_ones() -> None:
    found = carried({"klant": "900", "bon": "R-7", "order": "x", "tel": "0470123456"},
                    {"klant": "shop:tc", "bon": "receipt", "order": "", "tel": "phone"}, "BE")  # fmt: skip
    assert found.refs == (Ref("receipt", "R-7"),)
    assert found.identities == (Identity("shop", "900", "tc"), Identity("phone", "+32470123456"))


def test_placeholders_and_nonsense_are_nothing() -> None:
    told = {"email": "undefined", "order": None, "survey": "", "channel": "smoke", "case": ["1"], "phone": "anonymous"}
    assert carried(told) == Carried()
    assert carried({"order": "x" * 300, "a": "1", "b": "1"}, {"a": "token", "b": "nonsense:1"}) == Carried()


@given(
    st.dictionaries(st.text(), st.text() | st.none() | st.integers()), st.dictionaries(st.text(), st.text()) | st.none()
)
def test_anything_is_read(values: Any, meanings: Any) -> None:
    found = carried(values, meanings)
    assert all(each.assurance == 1 for each in found.identities)


def test_what_is_no_object_is_nothing() -> None:
    assert carried(None) == carried([1], "x") == Carried()
