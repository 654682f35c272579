"""What people decide about who is who: shown first, done, audited, and taken back exactly."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from chalicelib.store import organisation
from tests.api.client import Api, event, key_with, person

AHMED = [person("shop", "940", scope="tc"), person("whatsapp", "NL.40", scope="wa"), person("phone", "+31640000001")]
AHMAD = [person("shop", "941", scope="tc"), person("email", "ahmad@example.nl")]
CARD = person("loyalty", "L-9", scope="tc")
DAY = "2026-09-0{}T10:00:00.000Z"
WRONG = {"a": "loyalty:tc/L-9", "b": "whatsapp:wa/NL.40", "reason": "his card, he says"}


@pytest.fixture
def shop(api: Api) -> str:
    made: str = api.connect()["id"]
    return made


@pytest.fixture
def agent(api: Api) -> Api:
    return Api(key_with("agent"))


def customer(api: Api, identity: str) -> dict[str, Any]:
    (found,) = api.get("/v1/customers", identity=identity)["customers"]
    shown: dict[str, Any] = api.get(f"/v1/customers/{found['id']}")
    return shown


def texts(api: Api, identity: str) -> list[str]:
    found = api.get(f"/v1/customers/{customer(api, identity)['id']}/timeline")
    return [each["text"] for each in reversed(found["entries"])]


def tell(api: Api, shop: str) -> None:
    """Two men of nearly one name, and the second one's loyalty card."""
    api.record(shop, *(event(n, DAY.format(n), *AHMED) for n in (1, 2, 3)))
    api.record(shop, *(event(n, DAY.format(n), *AHMAD) for n in (4, 5, 6)))
    api.record(shop, event(7, DAY.format(7), CARD, AHMAD[0]))


def decide(api: Api, path: str, asked: dict[str, Any], query: str = "", expect: int = 201) -> Any:
    return api.call("POST", f"/v1/{path}{query}", expect, asked)


@pytest.mark.parametrize("kind", ["links", "cuts"])
def test_why_something_is_taken_back_need_not_stand_in_an_address(api: Api, shop: str, agent: Api, kind: str) -> None:
    tell(api, shop)
    id, why = customer(api, "shop:tc/940")["id"], "dat was zijn vróuw"
    for query, sent, told in (
        ("", {"reason": f" {why} "}, why),
        ("?reason=by+query", None, "by query"),
        ("?reason=by+query", {"reason": why}, why),
        ("", {}, None),
    ):
        agent.call("DELETE", f"/v1/{kind}/{decide(agent, kind, WRONG)['id']}{query}", 200, sent)
        newest = api.get(f"/v1/customers/{id}/audit")["entries"][0]
        assert (newest["action"], newest["reason"]) == ("undo", told)
    path = f"/v1/{kind}/{decide(agent, kind, WRONG)['id']}"
    assert agent.refused("DELETE", path, {"reason": "x" * 501, "by": "me"}) == ["/by"]
    assert agent.refused("DELETE", path, {"reason": "x" * 501}) == ["/reason"]
    assert agent.send("DELETE", path, b"reason", [("Content-Type", "text/plain")]).status == 415


@pytest.mark.parametrize("kind", ["links", "cuts"])
def test_what_was_decided_about_somebody_who_is_erased_is_gone(api: Api, shop: str, kind: str) -> None:
    tell(api, shop)
    made = decide(api, kind, WRONG)["id"]
    for identity in ("shop:tc/940", "shop:tc/941"):
        found = api.get("/v1/customers", identity=identity)["customers"]
        for each in found:
            api.call("POST", f"/v1/customers/{each['id']}/erase", 202, {})
    api.work()
    assert api.send("DELETE", f"/v1/{kind}/{made}", b"{}").status == 410


def test_an_agents_wrong_link_is_a_conflict_and_its_undo_leaves_no_trace(api: Api, shop: str, agent: Api) -> None:
    """Two accounts of one shop never become one customer by an agent's link."""
    tell(api, shop)
    before = customer(api, "shop:tc/940"), customer(api, "shop:tc/941")
    made = decide(agent, "links", WRONG)
    assert [each["kind"] for each in made["conflicts"]] == ["anchor"]
    assert sorted(each["id"] for each in made["customers"]["after"]) == sorted(each["id"] for each in before)
    for identity in ("shop:tc/940", "shop:tc/941"):
        (conflict,) = customer(api, identity)["conflicts"]
        assert conflict == {"kind": "anchor", "identities": conflict["identities"]}
        assert sorted(conflict["identities"]) == ["loyalty:tc/L-9", "whatsapp:wa/NL.40"]
    api.record(shop, event(8, DAY.format(8), CARD))
    assert texts(api, "shop:tc/941")[-1] == "message 8"
    agent.call("DELETE", f"/v1/links/{made['id']}")
    assert agent.call("DELETE", f"/v1/links/{made['id']}")["id"] == made["id"], "again is the same"
    assert texts(api, "shop:tc/940") == ["message 1", "message 2", "message 3"]
    assert texts(api, "shop:tc/941") == [f"message {n}" for n in (4, 5, 6, 7, 8)]
    after = customer(api, "shop:tc/940"), customer(api, "shop:tc/941")
    assert [each["id"] for each in after] == [each["id"] for each in before]
    assert [each["conflicts"] for each in after] == [[], []]


def test_a_forced_link_is_the_admins_and_unmerging_restores_both(api: Api, shop: str, agent: Api) -> None:
    tell(api, shop)
    ids = [customer(api, each)["id"] for each in ("shop:tc/940", "shop:tc/941")]
    forced = WRONG | {"force": True}
    assert agent.send("POST", "/v1/links", b'{"a":"x:1","b":"x:2","reason":"r","force":true}').status == 403
    shown = decide(api, "links", forced, "?dry_run=true", 200)
    assert (shown["dry_run"], shown["id"]) == (True, None)
    assert [len(shown["customers"][side]) for side in ("before", "after")] == [2, 1]
    assert customer(api, "shop:tc/941")["id"] == ids[1], "a dry run changes nothing"
    made = decide(api, "links", forced)
    assert made["customers"] == shown["customers"]
    assert customer(api, "shop:tc/941")["id"] == min(ids)
    assert len(texts(api, "shop:tc/940")) == 7
    assert agent.send("DELETE", f"/v1/links/{made['id']}").status == 403
    api.call("DELETE", f"/v1/links/{made['id']}")
    assert [customer(api, each)["id"] for each in ("shop:tc/940", "shop:tc/941")] == ids
    for id in ids:
        told = api.get(f"/v1/customers/{id}/audit")["entries"]
        decided = [(each["action"], each["effects"]) for each in told if each["action"] != "identity"]
        assert decided == [("undo", ["split"]), ("force", ["merge"])]
        assert told[0]["by"]["key"] and told[1]["reason"] == "his card, he says"
        assert sorted(told[1]["identities"]) == ["loyalty:tc/L-9", "whatsapp:wa/NL.40"]
        assert (sorted(told[1]["before"]), told[1]["after"]) == (sorted(ids), [min(ids)])
    replayed(api, shop)
    assert [customer(api, each)["id"] for each in ("shop:tc/940", "shop:tc/941")] == ids


def replayed(api: Api, shop: str) -> None:
    api.call("POST", "/v1/receipts/replay", 202, {"connection": shop, "since": "2026-01-01T00:00:00.000Z"})
    api.work()


def test_a_cut_survives_replays_and_its_undo_unites_again(api: Api, shop: str, agent: Api) -> None:
    api.record(
        shop, event(1, DAY.format(1), *AHMED), event(2, DAY.format(2), AHMED[1], person("line", "U1", scope="c"))
    )
    one = customer(api, "shop:tc/940")["id"]
    cut = decide(agent, "cuts", {"a": "line:c/U1", "b": "whatsapp:wa/NL.40", "reason": "his wife's phone"})
    assert [len(cut["customers"][side]) for side in ("before", "after")] == [1, 2]
    assert customer(api, "line:c/U1")["id"] != one
    replayed(api, shop)
    api.record(shop, event(3, DAY.format(3), AHMED[1], person("line", "U1", scope="c")))
    assert customer(api, "line:c/U1")["id"] != one
    agent.call("DELETE", f"/v1/cuts/{cut['id']}")
    assert customer(api, "line:c/U1")["id"] == one
    assert len(texts(api, "line:c/U1")) == 3


def test_an_undo_of_what_was_decided_anew_is_refused(api: Api, shop: str, agent: Api) -> None:
    tell(api, shop)
    pair = {"a": "email:ahmad@example.nl", "b": "phone:+31640000001", "reason": "r"}
    link, cut = decide(agent, "links", pair), decide(agent, "cuts", pair)
    assert agent.send("DELETE", f"/v1/links/{link['id']}").status == 409
    assert agent.send("DELETE", f"/v1/links/{cut['id']}").status == 404
    agent.call("DELETE", f"/v1/cuts/{cut['id']}")
    assert agent.send("DELETE", f"/v1/cuts/{cut['id'][:-1]}{'y' if cut['id'].endswith('x') else 'x'}").status == 404


def test_a_merge_by_an_event_names_it_in_the_audit(api: Api, shop: str) -> None:
    api.record(shop, event(1, DAY.format(1), AHMED[1]), event(2, DAY.format(2), AHMED[2]))
    ids = {customer(api, each)["id"] for each in ("whatsapp:wa/NL.40", "phone:+31640000001")}
    api.record(shop, event(3, DAY.format(3), AHMED[1], AHMED[2]))
    entries = texts_of_audit(api, "phone:+31640000001")
    (merge,) = [each for each in entries if each["action"] == "merge"]
    assert set(merge["before"]) == ids and len(merge["after"]) == 1
    assert (merge["by"]["source"], merge["by"]["connection"], merge["by"]["at"]) == ("generic", shop, DAY.format(3))
    timeline = api.get(f"/v1/customers/{merge['after'][0]}/timeline")["entries"]
    assert merge["by"]["event"] == timeline[0]["id"]
    came = [each for each in entries if each["action"] == "identity"]
    assert {each["by"]["event"] for each in came} == {each["id"] for each in timeline[1:]}
    pages = api.pages(f"/v1/customers/{merge['after'][0]}/audit", "entries", limit=1)
    assert pages == entries and [each["at"] for each in pages] == sorted((each["at"] for each in pages), reverse=True)


def texts_of_audit(api: Api, identity: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/customers/{customer(api, identity)['id']}/audit")["entries"]
    return found


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({}, ["/a", "/b", "/reason"]),
        ({"a": "email:a@b.nl", "b": "email:a@b.nl", "reason": "r"}, ["/b"]),
        ({"a": "phone:0612345678", "b": "phone:+31612345678", "reason": "r"}, ["/b"]),
        ({"a": "email:a@b.nl", "b": "email:c@b.nl", "reason": " "}, ["/reason"]),
        ({"a": "email:a@b.nl", "b": "email:c@b.nl", "reason": "r" * 501}, ["/reason"]),
        ({"a": "mail a@b.nl", "b": "email:c@b.nl", "reason": "r"}, ["/a"]),
        ({"a": "email:a@b.nl", "b": "email:info@b.nl", "reason": "r"}, ["/b"]),
        ({"a": "conv_x", "b": "email:info@b.nl", "reason": "r"}, ["/a"]),
        ({"a": 1, "b": "email:c@b.nl", "reason": "r", "when": 1}, ["/a", "/when"]),
    ],
)
def test_what_cannot_be_decided(api: Api, asked: dict[str, Any], pointers: list[str]) -> None:
    for path in ("/v1/links", "/v1/cuts"):
        assert api.refused("POST", path, asked) == pointers


def test_two_identities_that_nobody_has_are_a_typing_mistake(api: Api, shop: str) -> None:
    pair = {"a": "email:a@b.nl", "b": "email:c@b.nl", "reason": "r"}
    assert api.call("POST", "/v1/links", 404, pair)["detail"] == "neither of the two identities is known"
    api.record(shop, event(1, DAY.format(1), person("email", "a@b.nl")))
    decide(api, "links", pair)
    assert {each["identity"] for each in customer(api, "email:c@b.nl")["identities"]} == {
        "email:a@b.nl",
        "email:c@b.nl",
    }


def test_a_candidate_is_told_from_both_sides_accepted_by_a_link_and_refused_by_a_cut(api: Api, shop: str) -> None:
    typed = person("email", "ahmad@example.nl", "A1")
    api.record(shop, event(1, DAY.format(1), *AHMAD), event(2, DAY.format(2), AHMED[1], typed))
    one, other = customer(api, "whatsapp:wa/NL.40"), customer(api, "shop:tc/941")
    (mine,), (theirs,) = one["candidates"], other["candidates"]
    assert (mine["customer"], mine["identity"], mine["reason"]) == (other["id"], "email:ahmad@example.nl", "asserted")
    assert (theirs["customer"], theirs["identity"]) == (one["id"], "whatsapp:wa/NL.40")
    assert (mine["beside"], theirs["beside"]) == ("whatsapp:wa/NL.40", "email:ahmad@example.nl")
    pair = {"a": "whatsapp:wa/NL.40", "b": "email:ahmad@example.nl", "reason": "same man"}
    link = decide(api, "links", pair)
    assert customer(api, "shop:tc/941")["candidates"] == [] and len(texts(api, "shop:tc/941")) == 2
    api.call("DELETE", f"/v1/links/{link['id']}")
    assert len(customer(api, "shop:tc/941")["candidates"]) == 1
    decide(api, "cuts", pair)
    assert customer(api, "shop:tc/941")["candidates"] == customer(api, "whatsapp:wa/NL.40")["candidates"] == []


def test_what_was_decided_is_told_with_the_id_that_takes_it_back(api: Api, shop: str) -> None:
    typed = person("email", "ahmad@example.nl", "A1")
    api.record(shop, event(1, DAY.format(1), *AHMAD), event(2, DAY.format(2), AHMED[1], typed))
    assert customer(api, "shop:tc/941")["decisions"] == []
    pair = {"a": "whatsapp:wa/NL.40", "b": "email:ahmad@example.nl", "reason": "same man"}
    for path, kind in (("links", "link"), ("cuts", "cut")):
        made = decide(api, path, pair)
        for identity in ("shop:tc/941", "whatsapp:wa/NL.40"):
            (told,) = customer(api, identity)["decisions"]
            assert (told["id"], told["kind"], told["at"], told["by"]) == (made["id"], kind, made["at"], made["by"])
            assert sorted(told["identities"]) == sorted([pair["a"], pair["b"]])
        api.call("DELETE", f"/v1/{path}/{told['id']}")
        assert customer(api, "shop:tc/941")["decisions"] == customer(api, "whatsapp:wa/NL.40")["decisions"] == []
    decide(api, "links", pair | {"force": True})
    assert [each["kind"] for each in customer(api, "shop:tc/941")["decisions"]] == ["force"]


def test_a_value_that_nobody_has_yet_is_a_candidate_by_its_text(api: Api, shop: str) -> None:
    api.record(shop, event(1, DAY.format(1), AHMED[1], person("email", "new@example.nl", "A1")))
    (candidate,) = customer(api, "whatsapp:wa/NL.40")["candidates"]
    assert (candidate["customer"], candidate["identity"]) == (None, "email:new@example.nl")


LISTED = {"blocked": ["phone:06 40000001"]}


def test_an_identity_that_is_listed_later_parts_whom_it_united_and_its_events_are_possible(api: Api, shop: str) -> None:
    api.record(
        shop,
        event(1, DAY.format(1), AHMED[0], AHMED[2]),
        event(2, DAY.format(2), AHMAD[1], AHMED[2]),
        event(3, DAY.format(3), AHMED[2]),
    )
    assert len(texts(api, "shop:tc/940")) == 3
    changed = api.call("PATCH", "/v1/settings", json_body=LISTED)
    assert changed["blocked"] == ["phone:+31640000001"]
    api.work()
    assert api.get(f"/v1/jobs/{changed['job']}")["status"] == "done"
    assert (texts(api, "shop:tc/940"), texts(api, "email:ahmad@example.nl")) == (["message 1"], ["message 2"])
    possible = api.get(f"/v1/customers/{customer(api, 'shop:tc/940')['id']}/possible")["entries"]
    assert [each["text"] for each in possible] == ["message 3"]
    assert next(each["action"] for each in texts_of_audit(api, "shop:tc/940")) == "block"
    released = api.call("PATCH", "/v1/settings", json_body={"blocked": []})
    api.work()
    assert released["job"] and len(texts(api, "shop:tc/940")) == 3
    assert "job" not in api.call("PATCH", "/v1/settings", json_body={"blocked": []})


def test_a_lower_limit_makes_a_phone_shared_at_its_next_event(api: Api, shop: str) -> None:
    family = [event(n, DAY.format(n), person("line", f"U{n}", scope="c"), AHMED[2]) for n in (1, 2, 3)]
    api.record(shop, *family)
    assert len(texts(api, "line:c/U1")) == 3
    api.call("PATCH", "/v1/settings", json_body={"limit": 2})
    organisation.forget()
    api.record(shop, event(4, DAY.format(4), AHMED[2]))
    assert [texts(api, f"line:c/U{n}") for n in (1, 2, 3)] == [["message 1"], ["message 2"], ["message 3"]]


LANDLINE = person("phone", "+31201230000")
BAKER = person("email", "info@bakker.example")


def order(number: int, at: str, *people: dict[str, str]) -> dict[str, Any]:
    return event(number, at, *people, type="order", refs=[{"kind": "order", "value": str(number)}])


def household(shop: str, till: str) -> list[tuple[str, dict[str, Any]]]:
    """A landline of two and a mailbox of a company: who rings and writes shows by the order he names."""
    typed = [{"kind": "order", "value": "8002"}]
    letter = [{"kind": "thread", "value": "mail-1"}, {"kind": "order", "value": "8003"}]
    return [
        (shop, order(8001, DAY.format(1), person("shop", "910", scope="tc"), LANDLINE)),
        (shop, order(8002, DAY.format(2), person("shop", "911", scope="tc"), LANDLINE)),
        (till, event(3, DAY.format(3), LANDLINE, channel="voice", type="call")),
        (till, event(4, DAY.format(4), LANDLINE, channel="voice", type="call", refs=typed)),
        (till, event(5, DAY.format(5), BAKER, channel="email", type="email", refs=letter)),
        (shop, order(8003, DAY.format(6), person("shop", "912", scope="tc"), BAKER)),
        (shop, order(8004, DAY.format(7), person("shop", "913", scope="tc"), BAKER)),
        (till, event(8, DAY.format(8), channel="voice", type="call", refs=[{"kind": "thread", "value": "c-8"}])),
    ]


ORDERS = [
    tuple(range(8)),
    *(tuple(reversed(range(8))),),
    (4, 3, 2, 1, 0, 7, 6, 5),
    (2, 0, 3, 5, 4, 1, 6, 7),
    (3, 2, 1, 4, 6, 5, 0, 7),
]


@pytest.mark.parametrize("turns", ORDERS)
def test_a_shared_landline_and_a_role_mailbox_in_any_order(api: Api, turns: tuple[int, ...]) -> None:
    shop = api.connect(settings={"own_system": True})["id"]
    desk = api.connect(name="desk", settings={"own_system": False, "ref_scopes": {"order": shop}})["id"]
    works = household(shop, desk)
    for connection, body in itertools.chain(*[[works[turn], works[turn]] for turn in turns]):
        api.record(connection, body)
    assert api.get("/v1/customers", identity="phone:+31201230000")["match"] == "candidate"
    shown = {number: texts(api, f"shop:tc/{number}") for number in (910, 911, 912, 913)}
    assert shown == {
        910: ["message 8001"],
        911: ["message 8002", "message 4"],
        912: ["message 5", "message 8003"],
        913: ["message 8004"],
    }
    for number in (910, 911):
        possible = api.get(f"/v1/customers/{customer(api, f'shop:tc/{number}')['id']}/possible")["entries"]
        assert [each["text"] for each in possible] == ["message 3"]
    assert [each["text"] for each in api.get("/v1/waiting")["entries"]] == ["message 8"]
    letters = {each["text"]: each["conversation"] for each in timeline(api, "shop:tc/912")}
    assert letters["message 5"] == letters["message 8003"], "an order that its sender is on holds the thread too"


def timeline(api: Api, identity: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/customers/{customer(api, identity)['id']}/timeline")["entries"]
    return found


def test_a_typed_order_of_somebody_else_makes_a_candidate_only(api: Api, shop: str) -> None:
    desk = api.connect(name="desk", settings={"own_system": False, "ref_scopes": {"order": shop}})["id"]
    api.record(shop, order(8001, DAY.format(1), person("shop", "910", scope="tc"), LANDLINE))
    liar = event(2, DAY.format(2), AHMED[1], AHMED[2], refs=[{"kind": "order", "value": "8001"}])
    api.record(desk, liar)
    (candidate,) = customer(api, "whatsapp:wa/NL.40")["candidates"]
    assert (candidate["reason"], candidate["identity"]) == ("typed reference", "shop:tc/910")
    assert len(texts(api, "shop:tc/910")) == 1


def test_threads_of_one_order_are_one_conversation_until_an_agent_parts_them(api: Api, shop: str, agent: Api) -> None:
    def said(number: int, *refs: tuple[str, str]) -> dict[str, Any]:
        return event(number, DAY.format(number), AHMED[1], refs=[{"kind": k, "value": v} for k, v in refs])

    api.record(shop, said(1, ("thread", "t1")), said(2, ("thread", "t2")), said(3, ("thread", "t1"), ("order", "9")))
    before = {each["text"]: each["conversation"] for each in timeline(api, "whatsapp:wa/NL.40")}
    assert before["message 1"] == before["message 3"] != before["message 2"]
    api.record(shop, said(4, ("thread", "t2"), ("order", "9")))
    assert len({each["conversation"] for each in timeline(api, "whatsapp:wa/NL.40")}) == 1
    (one,) = {each["conversation"] for each in timeline(api, "whatsapp:wa/NL.40")}
    for known in {one, before["message 2"], before["message 1"]}:
        page = api.get(f"/v1/customers/{customer(api, 'whatsapp:wa/NL.40')['id']}/timeline", conversation=known)
        assert len(page["entries"]) == 4, "every former id leads to it"
    api.record(shop, said(5, ("thread", "t3")))
    other = timeline(api, "whatsapp:wa/NL.40")[0]["conversation"]
    assert other != one
    made = decide(agent, "links", {"a": one, "b": other, "reason": "same question"})
    assert len({each["conversation"] for each in timeline(api, "whatsapp:wa/NL.40")}) == 1
    agent.call("DELETE", f"/v1/links/{made['id']}")
    assert timeline(api, "whatsapp:wa/NL.40")[0]["conversation"] == other
    assert api.call("POST", "/v1/links", 404, {"a": one, "b": "conv_" + "a" * 26, "reason": "r"})["status"] == 404


def test_a_replay_after_the_lists_have_changed_leaves_events_where_they_are(api: Api, shop: str) -> None:
    mail = person("email", "verkoop@bakker.example")
    api.record(shop, event(1, DAY.format(1), mail, refs=[{"kind": "thread", "value": "t-1"}]))
    api.record(shop, event(2, DAY.format(2), mail, AHMED[1]))
    assert texts(api, "email:verkoop@bakker.example") == ["message 1", "message 2"]
    api.call("PATCH", "/v1/settings", json_body={"roles": ["verkoop"]})
    organisation.forget()
    replayed(api, shop)
    assert texts(api, "email:verkoop@bakker.example") == ["message 1", "message 2"]
    assert api.get("/v1/waiting")["entries"] == []
    api.record(shop, event(3, DAY.format(3), mail, refs=[{"kind": "thread", "value": "t-3"}]))
    assert [each["text"] for each in api.get("/v1/waiting")["entries"]] == ["message 3"]


def test_what_lies_at_home_on_a_value_that_is_nobodys_can_be_seen(api: Api, shop: str) -> None:
    api.record(shop, event(1, DAY.format(1), AHMED[2]), event(2, DAY.format(2), AHMAD[1]))
    for identity in ("phone:+31640000001", "email:nobody@example.nl"):
        assert api.get("/v1/waiting", identity=identity)["entries"] == []
    api.call("PATCH", "/v1/settings", json_body=LISTED)
    api.work()
    assert api.get("/v1/customers", identity="phone:+31640000001")["match"] == "none"
    found = api.get("/v1/waiting", identity="phone:0640000001")
    assert [each["text"] for each in found["entries"]] == ["message 1"]
    assert api.refused("GET", "/v1/waiting?identity=+31") == ["/identity"]


@pytest.mark.parametrize("named", ["people", "refs"])
def test_an_event_that_names_a_crowd_is_malformed(api: Api, shop: str, named: str) -> None:
    crowd = {
        "people": [person("line", f"U{n}", scope="c") for n in range(21)],
        "refs": [{"kind": "order", "value": str(n)} for n in range(21)],
    }
    api.record(shop, event(1, DAY.format(1), *crowd["people"][:1]) | {named: crowd[named]})
    (receipt,) = api.get("/v1/receipts")["receipts"]
    word = "identities" if named == "people" else "refs"
    assert (receipt["verdict"], receipt["reason"]) == ("malformed", f"{word} has 21 entries: at most 20")
    api.record(shop, event(2, DAY.format(2), *crowd["people"][:1]) | {named: crowd[named][:20]})
    assert len(timeline(api, "line:c/U0")) == 1
