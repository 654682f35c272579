"""One conversation on many channels: handover tokens, surveys by text, and what the agent sees of it."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import pytest

from chalicelib.store import events, organisation
from tests.api.client import Api, event, key_with, person
from tests.api.test_links import customer, timeline

VISITOR = person("web", "a-71", scope="tc")
JAN = person("email", "jan@example.nl")
MOBILE = person("phone", "+31612345678")
USER = person("whatsapp", "NL.881", scope="wa")


@pytest.fixture
def chat(api: Api) -> str:
    made: str = api.connect(name="chat", settings={"own_system": False})["id"]
    return made


@pytest.fixture
def till(api: Api) -> str:
    made: str = api.connect(name="till")["id"]
    return made


def minted(api: Api, chat: str, channel: str, thread: str = "ch-1", **more: Any) -> dict[str, Any]:
    asked = {"connection": chat, "thread": thread, "channel": channel, **more}
    made: dict[str, Any] = api.call("POST", "/v1/handovers", 201, asked)
    return made


def thread(value: str) -> dict[str, str]:
    return {"kind": "thread", "value": value}


def story(chat: str, till: str, one: str, two: str) -> list[tuple[str, dict[str, Any]]]:
    """The sweater: chat, mail and WhatsApp by token, call, order, return, survey and its answer."""
    survey = {"kind": "survey", "value": "sv-1"}
    receipt, order = {"kind": "receipt", "value": "R-77"}, {"kind": "order", "value": "6001"}
    return [
        (chat, event(2, "2026-09-01T09:05:00Z", VISITOR, person("email", "jan@example.nl", "A1"), refs=[thread("ch-1")])),
        (chat, event(3, "2026-09-01T10:10:00Z", JAN, type="email", channel="email", text=f"Re: uw chat [#H:{one}]", refs=[thread("m-2")])),
        (chat, event(4, "2026-09-01T12:00:00Z", USER, MOBILE, channel="whatsapp", text=f"Verder via WhatsApp [H:{two}]", refs=[thread("wa-1")])),
        (chat, event(5, "2026-09-02T08:30:00Z", MOBILE, type="call", channel="voice", text="", refs=[thread("CA5")])),
        (till, event(6, "2026-09-02T18:15:00Z", person("shop", "900", scope="tc"), JAN, type="order", channel="web", refs=[order])),
        (till, event(7, "2026-09-05T12:02:11Z", type="return", channel="store", refs=[receipt, order])),
        (till, event(8, "2026-09-05T13:05:00Z", MOBILE, type="satisfaction", channel="sms", direction="out", refs=[survey, receipt], scale=[0, 10])),
        (chat, event(9, "2026-09-05T13:10:00Z", MOBILE, channel="sms", text="9", refs=[thread("sms-1")])),
    ]  # fmt: skip


@pytest.fixture
def scaled(api: Api, chat: str, till: str) -> None:
    """The mapping of both connections knows directions and scales."""
    from tests.api.client import MAPPING

    more = {"direction": "direction || 'in'", "details": {"scale": "scale"}}
    for connection in (chat, till):
        api.call("PATCH", f"/v1/connections/{connection}", json_body={"mapping": MAPPING | more})


TURNS = [list(range(8)), list(reversed(range(8))), *(random.Random(seed).sample(range(8), 8) for seed in range(6))]


@pytest.mark.parametrize("turns", TURNS, ids=str)
def test_one_story_on_many_channels_in_any_order(
    api: Api, chat: str, till: str, scaled: None, turns: list[int]
) -> None:
    one, two = minted(api, chat, "email"), minted(api, chat, "whatsapp")
    works = story(chat, till, one["token"], two["token"])
    for connection, body in itertools.chain(*[[works[turn], works[turn]] for turn in turns]):
        api.record(connection, body)
    shown = customer(api, "shop:tc/900")
    known = {each["identity"]: each["assurance"] for each in shown["identities"]}
    assert set(known) == {
        "web:tc/a-71",
        "email:jan@example.nl",
        "whatsapp:wa/NL.881",
        "phone:+31612345678",
        "shop:tc/900",
    }
    assert known["email:jan@example.nl"] == known["web:tc/a-71"] == known["whatsapp:wa/NL.881"] == "A3"
    assert shown["verified"] and not shown["anonymous"]
    entries = timeline(api, "shop:tc/900")
    assert [each["occurred_at"] for each in entries] == sorted((each["occurred_at"] for each in entries), reverse=True)
    groups: dict[str, list[str]] = {}
    for each in reversed(entries):
        groups.setdefault(each["conversation"], []).append(each["occurred_at"][5:16])
    assert sorted(groups.values()) == [
        ["09-01T09:05", "09-01T10:10", "09-01T12:00"],
        ["09-02T08:30"],
        ["09-02T18:15", "09-05T12:02", "09-05T13:05", "09-05T13:10"],
    ]
    assert shown["preferred_channel"] == "voice"
    assert shown["satisfaction"] == {
        "store": shown["satisfaction"]["store"]
        | {"score": 90, "raw": 9, "scale": [0, 10], "collected_via": "sms", "answers": 1}
    }
    assert shown["open_question"]["text"] == "message 2"
    talk = next(each for each in shown["conversations"] if each["channel"] == "whatsapp")
    assert [each["to"] for each in talk["switches"]] == ["email", "whatsapp"] and talk["handover_from"] == "email"
    assert shown["candidates"] == []


def test_a_conversation_shows_its_segments_and_every_former_id_leads_to_it(
    api: Api, chat: str, till: str, scaled: None
) -> None:
    one, two = minted(api, chat, "email"), minted(api, chat, "whatsapp")
    for connection, body in story(chat, till, one["token"], two["token"]):
        api.record(connection, body)
    named = {each["conversation"] for each in timeline(api, "shop:tc/900") if each["channel"] == "whatsapp"}
    shown = api.get(f"/v1/conversations/{named.pop()}")
    assert [(each["channel"], each["handover"]) for each in shown["segments"]] == [
        ("webchat", False), ("email", True), ("whatsapp", True)]  # fmt: skip
    assert {each["by"] for each in shown["switches"]} == {"handover"}
    assert len(shown["entries"]) == 3 and len(shown["customers"]) == 1 and shown["open_question"]["text"] == "message 2"
    for former in (*shown["former_ids"], one["conversation"]):
        assert api.get(f"/v1/conversations/{former}")["id"] == shown["id"]
    on = api.call("POST", f"/v1/conversations/{shown['id']}/handovers", 201, {"channel": "line", "notify": True})
    api.record(chat, event(20, "2026-09-06T08:30:00Z", person("line", "U1", scope="c"), channel="line", type="message",
                           text=f"[H:{on['token']}]", refs=[thread("l-1")]))  # fmt: skip
    after = customer(api, "line:c/U1")
    assert after["id"] == customer(api, "shop:tc/900")["id"] and after["preferred_channel"] == "line"


def joins(api: Api, chat: str, body: dict[str, Any]) -> bool:
    api.record(chat, event(1, "2026-09-01T09:05:00Z", VISITOR, refs=[thread("ch-1")]), body)
    one, other = customer(api, "web:tc/a-71"), customer(api, "whatsapp:wa/NL.881")
    return bool(one["id"] == other["id"])


def written(
    number: int, token: str, at: str = "2026-09-01T12:00:00Z", channel: str = "whatsapp", **more: Any
) -> dict[str, Any]:
    return event(number, at, USER, channel=channel, text=f"Hallo [H:{token}]", refs=[thread("wa-1")], **more)


def test_a_token_of_another_channel_counts_for_nothing(api: Api, chat: str) -> None:
    assert not joins(api, chat, written(2, minted(api, chat, "line")["token"]))


def test_a_token_that_was_never_made_counts_for_nothing(api: Api, chat: str) -> None:
    assert not joins(api, chat, written(2, "a" * 16))


def test_a_token_expires_by_the_events_own_time(api: Api, chat: str) -> None:
    made = minted(api, chat, "whatsapp", expires_in=60)
    assert not joins(api, chat, written(2, made["token"], "2036-09-01T12:00:00Z"))
    api.record(chat, written(3, made["token"]))
    assert customer(api, "web:tc/a-71")["id"] == customer(api, "whatsapp:wa/NL.881")["id"], "it was sent in time"


def test_a_token_is_for_one_event_only(api: Api, chat: str) -> None:
    made = minted(api, chat, "whatsapp")
    assert joins(api, chat, written(2, made["token"]))
    thief = event(3, "2026-09-01T13:00:00Z", person("whatsapp", "NL.999", scope="wa"), channel="whatsapp",
                  text=f"[H:{made['token']}]", refs=[thread("wa-2")])  # fmt: skip
    api.record(chat, thief)
    assert customer(api, "whatsapp:wa/NL.999")["id"] != customer(api, "web:tc/a-71")["id"]
    api.record(chat, written(2, made["token"]))
    assert customer(api, "whatsapp:wa/NL.881")["id"] == customer(api, "web:tc/a-71")["id"], (
        "a duplicate changes nothing"
    )


@pytest.mark.parametrize(
    ("channel", "address", "url"),
    [
        ("whatsapp", "+31201112233", "https://wa.me/31201112233?text=%5BH%3A{token}%5D"),
        ("sms", "+31201112233", "sms:+31201112233?body=%5BH%3A{token}%5D"),
        ("email", "help@tc.nl", "mailto:help@tc.nl?subject=%5B%23H%3A{token}%5D"),
        ("messenger", "tcshop", "https://m.me/tcshop?ref=H.{token}"),
        ("telegram", "tcbot", "https://t.me/tcbot?start={token}"),
        ("instagram", "tc.garden", "https://ig.me/m/tc.garden?ref=H.{token}"),
        ("viber", "tcbot", "viber://pa?chatURI=tcbot&context=H.{token}"),
        ("web", "https://tc.nl/contact", "https://tc.nl/contact?h=H.{token}"),
        ("wechat", "", None),
        ("sms", "", None),
    ],
)
def test_deep_links(api: Api, chat: str, channel: str, address: str, url: str | None) -> None:
    if address:
        api.call("PATCH", "/v1/settings", json_body={"channels": {channel: address}})
        organisation.forget()
    made = minted(api, chat, channel)
    assert made["url"] == (url.format(token=made["token"]) if url else None)
    assert made["token"] in made["text"] and made["expires_at"] > "2026"


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"thread": "t", "channel": "sms"}, "/connection"),
        ({"connection": "{chat}", "channel": "sms"}, "/thread"),
        ({"connection": "{chat}", "thread": "t", "channel": "pigeon"}, "/channel"),
        ({"connection": "{chat}", "thread": "t", "channel": "sms", "expires_in": 5}, "/expires_in"),
        ({"connection": "{chat}", "thread": "t"}, "/channel"),
        ({"connection": "", "thread": "t", "channel": "sms"}, "/connection"),
        ({"connection": "c" * 5000, "thread": "t", "channel": "sms"}, "/connection"),
    ],
)
def test_a_handover_that_is_refused(api: Api, chat: str, asked: dict[str, Any], pointer: str) -> None:
    filled = {name: value.format(chat=chat) if isinstance(value, str) else value for name, value in asked.items()}
    assert api.refused("POST", "/v1/handovers", filled) == [pointer]
    assert Api(key_with("read")).send("POST", "/v1/handovers", b"{}").status == 403


def test_a_corrected_answer_replaces_the_first_in_any_order(api: Api, chat: str, till: str, scaled: None) -> None:
    survey = [{"kind": "survey", "value": "sv-10"}, {"kind": "order", "value": "8500"}]
    works = [
        (till, event(1, "2026-10-24T23:10:00Z", person("shop", "960", scope="tc"), MOBILE, type="order", channel="web", refs=survey[1:])),
        (till, event(2, "2026-10-25T09:05:00Z", type="fulfilment", channel="store", refs=survey[1:])),
        (till, event(3, "2026-10-25T09:30:00Z", MOBILE, type="satisfaction", channel="sms", direction="out", refs=survey, scale=[1, 5])),
        (chat, event(4, "2026-10-25T09:40:00Z", MOBILE, channel="sms", text="2", refs=[thread("sms-1")])),
        (chat, event(5, "2026-10-25T09:41:00Z", MOBILE, channel="sms", text="1", refs=[thread("sms-1")])),
    ]  # fmt: skip
    for turns in ((4, 3, 2, 1, 0), (0, 1, 4, 2, 3)):
        for turn in turns:
            api.record(*works[turn])
    shown = customer(api, "shop:tc/960")["satisfaction"]
    assert shown.keys() == {"store"} and (shown["store"]["score"], shown["store"]["raw"]) == (0, 1)
    assert shown["store"]["answers"] == 1
    assert len({each["conversation"] for each in timeline(api, "shop:tc/960")}) == 1


def test_orders_of_somebody_unproven_are_masked(api: Api, till: str) -> None:
    order = {"type": "order", "channel": "web", "refs": [{"kind": "order", "value": "6001"}]}
    api.record(till, event(6001, "2026-09-02T18:15:00Z", MOBILE, **order))
    shown = customer(api, "phone:+31612345678")
    assert not shown["verified"]
    assert [(each["number"], each["masked"]) for each in shown["orders"]] == [("…01", True)]
    api.record(till, event(6001, "2026-09-03T18:15:00Z", MOBILE, person("login", "u-1", "A3", scope="tc")))
    shown = customer(api, "phone:+31612345678")
    assert shown["verified"] and [each["masked"] for each in shown["orders"]] == [False]


@pytest.mark.parametrize("late", [False, True])
def test_a_form_that_only_carries_a_token_is_whose_the_token_is(api: Api, chat: str, late: bool) -> None:
    """A typed address proves nothing; that the link was given to him does."""
    token = minted(api, chat, "web", thread=f"ch-form-{late}")["token"]
    visitor = person("web", f"a-form-{late}", scope="tc")
    asked = event(1, "2026-09-01T09:00:00Z", visitor, refs=[thread(f"ch-form-{late}")], text="Kan dit per formulier?")
    typed = person("email", "iemand@example.nl", "A1")
    form = event(2, "2026-09-01T09:30:00Z", typed, channel="web", text=f"Ja graag [H:{token}]", refs=[thread("form-1")])
    api.record(chat, *((form, asked) if late else (asked, form)))
    assert [entry["text"] for entry in timeline(api, f"web:tc/a-form-{late}")] == [form["text"], asked["text"]]
    assert api.get("/v1/customers", identity="email:iemand@example.nl")["match"] != "exact"


def test_erasing_whoever_a_token_was_given_to_takes_what_it_brought_along(api: Api, chat: str) -> None:
    token = minted(api, chat, "web", thread="ch-gone")["token"]
    visitor = person("web", "a-gone", scope="tc")
    api.record(
        chat,
        event(1, "2026-09-01T09:00:00Z", visitor, refs=[thread("ch-gone")]),
        event(2, "2026-09-01T09:30:00Z", channel="web", text=f"geheim7341 [H:{token}]", refs=[thread("form-gone")]),
    )
    id = customer(api, "web:tc/a-gone")["id"]
    assert len(timeline(api, "web:tc/a-gone")) == 2
    api.call("POST", f"/v1/customers/{id}/erase", 202, {})
    api.work()
    start, left = None, []
    while True:
        page = api.table.scan(start, 100)
        left += [item for item in page.items if item["sk"].startswith("E#") and "geheim7341" in entry_text(item)]
        start = page.next
        if start is None:
            break
    assert left == []


def entry_text(item: dict[str, Any]) -> str:
    return events.from_item(item).text


def test_a_whole_link_comes_with_a_code_that_leads_there(api: Api, chat: str) -> None:
    """Drawn from its path alone and read by a reader of others."""
    import zxingcpp
    from PIL import Image, ImageDraw

    api.call("PATCH", "/v1/settings", json_body={"channels": {"whatsapp": "+31201112233", "line": "@tc"}})
    made = minted(api, chat, "whatsapp")
    size, zoom, quiet = made["qr"]["size"], 4, 4
    picture = Image.new("L", ((size + 2 * quiet) * zoom,) * 2, 255)
    drawn = ImageDraw.Draw(picture)
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", made["qr"]["path"])
    assert "".join(f"M{x} {y}h{w}v1h-{back}z" for x, y, w, back in runs) == made["qr"]["path"]
    for x, y, w, back in runs:
        assert w == back
        left, top = (int(x) + quiet) * zoom, (int(y) + quiet) * zoom
        drawn.rectangle((left, top, left + int(w) * zoom - 1, top + zoom - 1), fill=0)
    (read,) = zxingcpp.read_barcodes(picture)
    assert read.text == made["url"]


def test_what_cannot_be_scanned_has_no_code(api: Api, chat: str) -> None:
    api.call("PATCH", "/v1/settings", json_body={"channels": {"line": "@tc"}})
    line, sms = minted(api, chat, "line"), minted(api, chat, "sms")
    assert "{linkToken}" in line["url"] and line["qr"] is None, "a part of it is the integrator's"
    assert (sms["url"], sms["qr"]) == (None, None), "no address of ours on that channel"
