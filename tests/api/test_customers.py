"""Screen-pop and timeline: found by whatever somebody types, shown whole, polled for nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import destinations
from chalicelib.store import contacts, organisation
from chalicelib.store.deliveries import Duty
from tests.api.client import Api, event, person
from tests.api.test_connections import NOW, row
from tests.schedule import replaced

JAN = person("email", "jan@example.nl")
MOBILE = person("phone", "+31612345678")


def matched(api: Api, **query: Any) -> tuple[str, list[str | None]]:
    found = api.get("/v1/customers", **query)
    assert found["next"] is None
    return found["match"], sorted(each["name"] or "" for each in found["customers"])


@pytest.fixture
def shop(api: Api) -> str:
    made: str = api.connect()["id"]
    return made


TYPED = [
    "phone:+31612345678",
    "phone:06 12345678",
    "phone:0612345678",
    "phone:(06) 12-34-56-78",
    "phone:0031612345678",
    "email:Jan@Example.NL",
    "email: jan@example.nl ",
    "web:site/a-71",
    "web:site/ a-71 ",
]


def test_an_identity_is_normalized_as_in_events(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, JAN, MOBILE, person("web", "a-71", scope="site"), name="Jan"))
    for typed in TYPED:
        assert matched(api, identity=typed) == matched(api, q=typed) == ("exact", ["Jan"]), typed


def test_a_plus_that_was_not_escaped_is_still_one(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, MOBILE, name="Jan"))
    assert api.get("/v1/customers?identity=phone:+31612345678")["match"] == "exact"


def test_numbers_without_a_country_are_the_organisations(api: Api, shop: str) -> None:
    api.call("PATCH", "/v1/settings", json_body={"region": "BE"})
    organisation.forget()
    api.record(shop, event(1, NOW, person("phone", "+32470123456"), name="An"))
    assert matched(api, identity="phone:0470 12 34 56") == ("exact", ["An"])


def test_exact_hides_candidates_and_none_is_none(api: Api, shop: str) -> None:
    family = [event(n, NOW, person("shop", str(n), scope="tc"), MOBILE, name=f"Child {n}") for n in range(1, 4)]
    api.record(shop, *family, event(9, NOW, JAN, name="Jan"))
    children = ["Child 1", "Child 2", "Child 3"]
    assert matched(api, identity="phone:+31612345678") == ("candidate", children)
    assert matched(api, identity=["phone:+31612345678", "email:jan@example.nl"]) == ("exact", ["Jan"])
    assert matched(api, identity=["email:jan@example.nl", "shop:tc/1"]) == ("exact", ["Child 1", "Jan"])
    assert matched(api, identity=["phone:+31612345678", "phone:+31612345679"]) == ("candidate", children)
    assert matched(api, identity="email:nobody@example.nl") == ("none", [])
    assert matched(api, identity="email:noreply@example.nl") == ("none", [])


def test_shared_events_are_possible_for_each_neighbour(api: Api, shop: str) -> None:
    family = [event(n, NOW, person("shop", str(n), scope="tc"), MOBILE) for n in range(1, 4)]
    api.record(shop, *family, event(7, NOW, MOBILE))
    for number in range(1, 4):
        (found,) = api.get("/v1/customers", identity=f"shop:tc/{number}")["customers"]
        page = api.get(f"/v1/customers/{found['id']}/possible")
        assert [each["text"] for each in page["entries"]] == ["message 7"]
        assert len(api.get(f"/v1/customers/{found['id']}/timeline")["entries"]) == 1


def test_q_finds_names_by_their_first_letters(api: Api, shop: str) -> None:
    people = [("jan@example.nl", "Jan de Vries"), ("janneke@example.nl", "Janneke"), ("ab@example.nl", "Ab")]
    api.record(shop, *(event(n, NOW, person("email", mail), name=name) for n, (mail, name) in enumerate(people)))
    assert matched(api, q="JAN") == ("candidate", ["Jan de Vries", "Janneke"])
    assert matched(api, q=" jan d ") == ("candidate", ["Jan de Vries"])
    assert matched(api, q="jan", limit=1)[0] == "candidate"
    assert matched(api, q="piet") == ("none", [])
    assert matched(api, q="j" * 500) == ("none", [])


def test_q_finds_an_order_number_in_every_shop_of_ours(api: Api, shop: str) -> None:
    till = api.connect(name="till", settings={"own_system": True})["id"]
    desk = api.connect(name="desk", settings={"own_system": False})["id"]
    order = {"refs": [{"kind": "order", "value": "6001"}], "type": "order", "channel": "web"}
    api.record(shop, event(1, NOW, JAN, name="Jan", **order))
    assert matched(api, q="6001") == matched(api, q="#6001") == matched(api, q=" 6001 ") == ("exact", ["Jan"])
    api.record(desk, event(2, NOW, person("email", "liar@example.nl"), name="Liar", **order))
    assert matched(api, q="6001") == ("exact", ["Jan"])
    api.record(till, event(3, NOW, MOBILE, name="Piet", **order))
    assert matched(api, q="6001") == ("candidate", ["Jan", "Piet"])
    assert matched(api, q="6002") == ("none", [])
    assert matched(api, q="7") == ("none", [])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/identity"),
        ("?identity=", "/identity/0"),
        ("?identity=jan@example.nl", "/identity/0"),
        ("?identity=email:jan@example.nl&identity=mail:x", "/identity/1"),
        ("?identity=" + "&identity=".join(["email:a@b.nl"] * 21), "/identity"),
        ("?q=ja", "/q"),
        ("?q=email:", "/q"),
    ],
)
def test_a_question_that_cannot_be_answered(api: Api, query: str, pointer: str) -> None:
    if query == "?q=email:":
        assert api.get("/v1/customers?q=email:")["match"] == "none"
        return
    assert api.refused("GET", f"/v1/customers{query}") == [pointer]


def test_a_customer_is_shown_whole_and_by_any_former_id(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, JAN, name="Jan"), event(2, NOW, MOBILE, name="Piet"))
    ids = [api.get("/v1/customers", identity=f"{each['kind']}:{each['value']}")["customers"][0]["id"]
           for each in (JAN, MOBILE)]  # fmt: skip
    assert len(set(ids)) == 2
    api.record(shop, event(3, "2026-09-02T09:00:00.000Z", JAN, MOBILE, name="Jan"))
    older, newer = ids
    shown = api.get(f"/v1/customers/{older}")
    assert shown == api.get(f"/v1/customers/{newer}")
    assert shown["id"] == older and newer in shown["former_ids"]
    assert [(each["identity"], each["assurance"]) for each in shown["identities"]] and {
        each["identity"] for each in shown["identities"]
    } == {"email:jan@example.nl", "phone:+31612345678"}
    assert shown["fields"]["name"]["value"] == "Jan" and not shown["anonymous"]
    assert api.get(f"/v1/customers/{newer}/timeline") == api.get(f"/v1/customers/{older}/timeline")
    assert len(api.get(f"/v1/customers/{newer}/timeline")["entries"]) == 3


def test_an_erased_customer_is_gone(api: Api, shop: str) -> None:
    from chalicelib.context import resolve
    from chalicelib.model.identity import Identity
    from chalicelib.store.secrets import node_id

    api.record(shop, event(1, NOW, JAN))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    resolve.remove(api.table, resolve.IDENTITIES, [node_id(Identity("email", "jan@example.nl"))], 1)
    for below in ("", "/timeline", "/sync", "/possible"):
        answer = api.send("GET", f"/v1/customers/{found['id']}{below}")
        assert (answer.status, answer.json["title"]) == (410, "Erased")
    assert matched(api, identity="email:jan@example.nl") == ("none", [])
    assert matched(api, q="email:jan@example.nl") == ("none", [])


def test_polling_an_unchanged_timeline_costs_no_body(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, JAN))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    path = f"/v1/customers/{found['id']}/timeline"
    first = api.send("GET", path)
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        again = api.send("GET", path, headers=[("If-None-Match", given)])
        assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", tag)
    assert api.send("GET", path, headers=[("If-None-Match", '"other"')]).raw == first.raw
    assert api.send("GET", path, headers=[("If-None-Match", tag)], key="").status == 401
    api.record(shop, event(2, NOW, JAN))
    changed = api.send("GET", path, headers=[("If-None-Match", tag)])
    assert changed.status == 200 and changed.headers["ETag"] != tag
    assert len(changed.json["entries"]) == 2


def test_a_timeline_is_filtered(api: Api, shop: str) -> None:
    thread = {"refs": [{"kind": "thread", "value": "t1"}]}
    api.record(
        shop,
        event(1, "2026-09-01T09:00:00.000Z", JAN, **thread),
        event(2, "2026-09-02T09:00:00.000Z", JAN, channel="voice", type="call"),
        event(3, "2026-09-03T09:00:00.000Z", JAN, channel="sms"),
    )
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    path = f"/v1/customers/{found['id']}/timeline"

    def texts(**query: Any) -> list[str]:
        return [each["text"][-1] for each in api.get(path, **query)["entries"]]

    assert texts() == ["3", "2", "1"]
    assert texts(channel="voice,sms") == texts(channel=["sms", "voice"]) == ["3", "2"]
    assert texts(type="call") == ["2"]
    assert texts(since="2026-09-02T09:00:00Z") == ["3", "2"]
    assert texts(until="2026-09-02T09:00:00.000Z") == ["1"]
    assert texts(since="2026-09-02T11:00:00+02:00", until="2026-09-03") == ["2"]
    conversation = api.get(path)["entries"][2]["conversation"]
    assert texts(conversation=conversation) == ["1"]


BAD_QUERIES = [
    ("limit=0", ["/limit"]),
    ("limit=201", ["/limit"]),
    ("limit=-1", ["/limit"]),
    ("limit=ten", ["/limit"]),
    ("limit=%D9%A3", ["/limit"]),
    ("limit=1e1", ["/limit"]),
    ("next=!", ["/next"]),
    ("next=W10", ["/next"]),
    ("next=WyJhIl0", ["/next"]),
    ("next=WyIiXQ", ["/next"]),
    ("since=yesterday", ["/since"]),
    ("since=0001-01-01T00:00:00Z", ["/since"]),
    ("since=2026-13-01", ["/since"]),
    ("until=99999-01-01T00:00:00Z", ["/until"]),
    ("since=2026-09-02T00:00:00Z&until=2026-09-01T00:00:00Z", ["/since"]),
    ("channel=pigeon", ["/channel"]),
    ("type=offer", ["/type"]),
]


def test_bad_parameters_of_a_timeline(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, JAN))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    for query, pointers in BAD_QUERIES:
        assert api.refused("GET", f"/v1/customers/{found['id']}/timeline?{query}") == pointers, query


def test_sync_says_what_each_system_lacks_and_why(api: Api, shop: str) -> None:
    from chalicelib.store import deliveries

    partner = api.call("POST", "/v1/connections", 201, {"provider": "webhook", "settings": {"url": "https://x.example/"}}
                       | {"secrets": {"signing_secret": "whsec_" + "YWJj" * 8}})["id"]  # fmt: skip
    api.record(shop, *(event(n, f"2026-09-01T09:00:00.00{n}Z", JAN) for n in range(3)))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    path = f"/v1/customers/{found['id']}/sync"
    (one,) = api.get(path)["destinations"]
    assert (one["connection"], one["state"], one["delivered"], len(one["behind"])) == (partner, "behind", 0, 3)
    assert {each["status"] for each in one["behind"]} == {"pending"}
    items = api.table.query(node_of(api, found["id"]), begins="E#").items
    duties = [Duty(partner, deliveries.ACTIVITY, item["pk"][2:], item["sk"]) for item in items]
    attempt = deliveries.Attempt(1, NOW, NOW, reason="422 no such thing")
    deliveries.delivered(api.table, duties[0], attempt, "", "act-1")
    deliveries.parked(api.table, duties[1], attempt)
    (one,) = api.get(path)["destinations"]
    assert (one["state"], one["delivered"]) == ("parked", 1)
    assert [each["reason"] for each in one["parked"]] == ["422 no such thing"]
    for duty in duties[1:]:
        deliveries.delivered(api.table, duty, attempt, "", "")
    assert [each["state"] for each in api.get(path)["destinations"]] == ["in step"]
    lease = contacts.lease(api.table, contacts.Contact(partner, duties[0].node))
    assert lease and contacts.save(api.table, lease, "contact-7", "digest")
    assert [each["contact"] for each in api.get(path)["destinations"]] == ["contact-7"]
    himself = Duty(partner, deliveries.CONTACT, duties[0].node, found["id"].removeprefix("cus_"))
    for said, state in ((deliveries.parked, "parked"), (deliveries.held, "behind")):
        said(api.table, himself, attempt)
        (one,) = api.get(path)["destinations"]
        (left,) = one["parked"] + one["behind"]
        assert (one["state"], one["delivered"], left["event"], left["type"]) == (state, 3, None, "contact")
    deliveries.delivered(api.table, himself, attempt, "contact-7", "")
    assert [each["state"] for each in api.get(path)["destinations"]] == ["in step"]
    api.call("DELETE", f"/v1/connections/{partner}")
    assert api.get(path)["destinations"] == []


def test_the_record_that_is_kept_up_to_date_is_the_one_that_sync_names(api: Api, shop: str) -> None:
    """Of two that he has there, whichever way their nodes sort."""
    partner = api.call("POST", "/v1/connections", 201, {"provider": "webhook", "settings": {"url": "https://x.example/"}}
                       | {"secrets": {"signing_secret": "whsec_" + "YWJj" * 8}})["id"]  # fmt: skip
    sorts = set[bool]()
    for n in itertools.takewhile(lambda _: len(sorts) < 2, range(64)):
        both = [person("email", f"{name}{n}@example.nl") for name in ("jan", "piet")]
        api.record(shop, *(event(10 * n + k, NOW, each) for k, each in enumerate(both)))
        mails = [f"email:{name}{n}@example.nl" for name in ("jan", "piet")]
        nodes = [node_of(api, api.get("/v1/customers", identity=mail)["customers"][0]["id"])[2:] for mail in mails]
        for node in nodes:
            lease = contacts.lease(api.table, contacts.Contact(partner, node))
            assert lease and contacts.save(api.table, lease, f"record of {node}", "digest")
        api.record(shop, event(10 * n + 2, NOW, *both))
        (found,) = api.get("/v1/customers", identity=mails[0])["customers"]
        (one,) = api.get(f"/v1/customers/{found['id']}/sync")["destinations"]
        elder = node_of(api, found["id"])[2:]
        assert one["contact"] == f"record of {elder}"
        sorts.add(elder == min(nodes))
    assert sorts == {True, False}


def test_a_system_without_a_history_is_never_behind(api: Api, shop: str) -> None:
    api.call("POST", "/v1/connections", 201, {"provider": "webhook", "settings": {"url": "https://x.example/"}}
             | {"secrets": {"signing_secret": "whsec_" + "YWJj" * 8}})  # fmt: skip
    api.record(shop, event(1, NOW, JAN))
    (found,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    books = replace(
        destinations.load("webhook"), append_activity=None, upsert_contact=lambda http, customer, remote: ""
    )
    for declared, state in ((destinations.load("webhook"), "behind"), (books, "in step")):
        with replaced((destinations, "load", lambda slug, declared=declared: declared)):
            (one,) = api.get(f"/v1/customers/{found['id']}/sync")["destinations"]
        assert (one["state"], one["delivered"]) == (state, 0)


def node_of(api: Api, customer: str) -> str:
    return f"N#{customer.removeprefix('cus_')[13:]}"


def test_a_delivery_is_shown_and_redriven(api: Api) -> None:
    from chalicelib.store import deliveries

    partner = api.connect(provider="webhook", settings={"url": "https://x.example/"}, mapping=None,
                          secrets={"signing_secret": "whsec_" + "YWJj" * 8})["id"]  # fmt: skip
    parked = row(api, partner, 1, deliveries.parked)
    done = row(api, partner, 2, lambda table, duty, attempt: deliveries.delivered(table, duty, attempt, "", ""))
    by_event = {each["event"]: each for each in api.get("/v1/deliveries")["deliveries"]}
    assert by_event.keys() == {"e1", "e2"} and parked and done
    shown = api.get(f"/v1/deliveries/{by_event['e1']['id']}")
    assert (shown["status"], shown["reason"], shown["attempts"]) == ("parked", "kept by a test", 1)
    redriven = api.call("POST", f"/v1/deliveries/{shown['id']}/redrive", 202)
    assert (redriven["status"], redriven["attempts"]) == ("delayed", 1)
    assert api.refused("POST", f"/v1/deliveries/{by_event['e2']['id']}/redrive") == [""]
