"""Audiences: defined by an admin, exported page by page, judged once more when they are downloaded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import msgspec
import pytest

from chalicelib import settings as settings_module
from chalicelib.fanout.wants import wants
from chalicelib.kit import wire
from chalicelib.store import aws, connections, jobs, queues
from chalicelib.store.deliveries import AUDIENCE, Duty
from chalicelib.workers import audiences as worker
from chalicelib.workers import deliver
from tests.api.client import MAPPING, Api, event, key_with, person
from tests.schedule import replaced
from tests.standins.partner import SECRET, Partner

WISH: dict[str, Any] = {"name": "Winter", "consent": ["marketing"]}
CONSENTS = {"marketing": "consent.marketing", "email": "consent.email"}


@pytest.fixture
def shop(api: Api) -> str:
    fields = {"name": "name", "language": "language", "tier": "tier"}
    fields |= {f"consent_{purpose}": place for purpose, place in CONSENTS.items()}
    mapping = MAPPING | {
        "fields": fields,
        "sensitive": "sensitive",
        "details": {"number": "nr", "status": "status"},
    }
    made: str = api.connect(mapping=mapping)["id"]
    return made


def came(number: int, at: str, *who: dict[str, str], **more: Any) -> dict[str, Any]:
    return event(number, f"2026-09-{at}:00Z", *who, **more)


def mail(value: str) -> dict[str, str]:
    return person("email", value)


def exported(api: Api, audience: str, expect: int = 200, **params: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All pages of a new export, and its job."""
    started = api.call("POST", f"/v1/audiences/{audience}/export", 202)
    api.work()
    job = api.get(f"/v1/jobs/{started['job']}")
    assert job["status"] == "done" and job["result"] == f"/v1/audiences/{audience}/exports/{job['id']}"
    return pages(api, job["result"], **params), job


def pages(api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = "&".join(f"{name}={value}" for name, value in params.items())
    next_ = f"{path}?{query}" if query else path
    while next_:
        answer = api.send("GET", next_)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/jsonl")
        found += [json.loads(line) for line in answer.raw.splitlines()]
        next_ = following(next_, answer.headers.get("Link", ""))
    return found


def following(url: str, link: str) -> str:
    """As a client reads it: relative to what was asked, so that neither a stage nor a proxy before it matters."""
    assert not link or (link.startswith("<?") and link.endswith('>; rel="next"'))
    return urljoin(url, link.partition("<")[2].partition(">")[0]) if link else ""


def test_an_audience_is_made_read_changed_and_removed(api: Api) -> None:
    made = api.call("POST", "/v1/audiences", 201, WISH | {"contact_since": "2026-09-01T10:00:00+02:00"})
    assert (made["contact_since"], made["consent"], made["feed"]) == ("2026-09-01T08:00:00.000Z", ["marketing"], None)
    assert made.pop("job") is None, "nobody is told, so nobody is looked at"
    assert api.get(f"/v1/audiences/{made['id']}") == made and api.get("/v1/audiences")["audiences"] == [made]
    changed = api.call("PATCH", f"/v1/audiences/{made['id']}", json_body={"channels": ["email"], "contact_since": ""})
    assert (changed["channels"], changed["contact_since"], changed["name"]) == (["email"], None, "Winter")
    api.call("DELETE", f"/v1/audiences/{made['id']}")
    assert api.get("/v1/audiences")["audiences"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/export")):
        api.call(method, f"/v1/audiences/{made['id']}{path}", 404)


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"consent": []}, "/consent"),
        ({"consent": "marketing"}, "/consent"),
        ({"consent": ["Marketing mail"]}, "/consent/0"),
        ({"consent": [f"p{number}" for number in range(11)]}, "/consent"),
        ({"channels": ["web"]}, "/channels/0"),
        ({"channels": ["email", 3]}, "/channels/1"),
        ({"contact_before": "yesterday"}, "/contact_before"),
        ({"orders_least": -1}, "/orders_least"),
        ({"orders_least": "many"}, "/orders_least"),
        ({"filter": "fields."}, "/filter"),
        ({"feed": "con_unknown"}, "/feed"),
        ({"what": 1}, "/what"),
    ],
)
def test_an_audience_that_cannot_be_is_refused_by_field(api: Api, more: dict[str, Any], pointer: str) -> None:
    assert api.refused("POST", "/v1/audiences", WISH | more) == [pointer]


def test_only_a_connection_that_takes_audiences_can_be_a_feed(api: Api, shop: str) -> None:
    assert api.refused("POST", "/v1/audiences", WISH | {"feed": shop}) == ["/feed"]
    gone = api.connect(provider="webhook", settings={"url": "https://x.example/"}, mapping=None,
                       secrets={"signing_secret": SECRET}, subscription={"types": ["audience"]})  # fmt: skip
    assert api.call("POST", "/v1/audiences", 201, WISH | {"feed": gone["id"]})["job"]
    api.call("DELETE", f"/v1/connections/{gone['id']}")
    assert api.refused("POST", "/v1/audiences", WISH | {"feed": gone["id"]}) == ["/feed"]


def test_a_campaign_tools_key_reads_and_exports_and_no_more(api: Api) -> None:
    made = api.call("POST", "/v1/audiences", 201, WISH)
    tool = Api(key_with("audience"))
    assert tool.get("/v1/audiences")["audiences"][0]["id"] == made["id"]
    assert exported(tool, made["id"])[0] == []
    for method, path in (("POST", "/v1/audiences"), ("PATCH", f"/v1/audiences/{made['id']}"), ("GET", "/v1/customers")):
        assert tool.send(method, path, b"{}").status == 403, path
    assert Api(key_with("read")).send("GET", "/v1/audiences").status == 403


def test_an_export_has_whoever_consents_and_nobody_else(api: Api, shop: str) -> None:
    yes, no = {"marketing": "granted"}, {"marketing": "denied"}
    api.record(
        shop,
        came(
            1,
            "01T09:00",
            person("shop", "1", scope="tc"),
            mail("jan@example.nl"),
            name="Jan",
            consent=yes,
            text="secret",
        ),
        came(2, "01T09:01", mail("eva@example.nl"), name="Eva", consent=no),
        came(3, "01T09:02", mail("piet@example.nl"), name="Piet"),
        came(4, "01T09:03", person("web", "a-1", scope="tc"), name="Visitor", consent=yes),
        came(5, "01T09:04", mail("kees@example.nl"), name="=Kees()", language="nl", consent=yes),
        came(6, "01T09:05", mail("typed@example.nl") | {"assurance": "A1"}, consent=yes),
        came(7, "02T09:00", mail("kees@example.nl"), type="order", nr="70", status="created"),
        came(8, "03T09:00", mail("kees@example.nl"), type="order", nr="71", status="created"),
        came(9, "04T09:00", mail("kees@example.nl"), type="order", nr="71", status="cancelled"),
    )
    audience = api.call("POST", "/v1/audiences", 201, WISH)["id"]
    found, job = exported(api, audience, limit=1)
    assert sorted(each["address"] for each in found) == ["jan@example.nl", "kees@example.nl"]
    kees = next(each for each in found if each["address"].startswith("kees"))
    assert kees["consent"] == [{"purpose": "marketing", "source": shop, "at": "2026-09-01T09:04:00.000Z"}]
    assert (kees["orders"], kees["last_order_at"], kees["language"]) == (1, "2026-09-02T09:00:00.000Z", "nl")
    assert kees["last_contact_at"] == "2026-09-01T09:04:00.000Z" and job["done"] == 2
    assert "secret" not in json.dumps(found) and "text" not in kees
    answer = api.send("GET", f"{job['result']}?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.raw.decode())))
    assert [row["name"] for row in sorted(rows, key=lambda row: row["address"])] == ["Jan", "'=Kees()"]
    assert answer.headers["Content-Type"].startswith("text/csv")
    paged = api.send("GET", f"{job['result']}?format=csv&limit=1")
    second = api.send("GET", following(job["result"], paged.headers["Link"]))
    assert paged.raw + second.raw == answer.raw and "Link" not in second.headers
    assert api.refused("GET", f"{job['result']}?format=xml") == ["/format"]
    other = api.call("POST", "/v1/audiences", 201, WISH | {"name": "Other"})["id"]
    api.call("GET", job["result"].replace(audience, other), 404)


def test_what_is_kept_of_an_export_names_nobody(api: Api, shop: str) -> None:
    api.record(shop, came(1, "01T09:00", mail("jan@example.nl"), name="Jansen", consent={"marketing": "granted"}))
    found, job = exported(api, api.call("POST", "/v1/audiences", 201, WISH)["id"])
    kept = api.table.query(f"J#{job['id']}").items
    assert found[0]["name"] == "Jansen" and len(kept) == 2
    assert not [value for value in ("Jansen", "jan@example.nl") if value in repr(kept)]


def test_who_withdraws_or_is_erased_after_the_export_is_not_in_the_download(api: Api, shop: str) -> None:
    for number, name in enumerate(("jan", "eva", "kees")):
        api.record(shop, came(number, f"01T09:0{number}", mail(f"{name}@example.nl"), consent={"marketing": "granted"}))
    audience = api.call("POST", "/v1/audiences", 201, WISH)["id"]
    found, job = exported(api, audience)
    assert len(found) == 3
    api.record(shop, came(7, "02T09:00", mail("eva@example.nl"), consent={"marketing": "denied"}))
    assert {each["address"] for each in pages(api, job["result"])} == {"jan@example.nl", "kees@example.nl"}
    jan = next(each["customer"] for each in found if each["address"].startswith("jan"))
    api.call("POST", f"/v1/customers/{jan}/erase", 202, {})
    api.work()
    assert [each["address"] for each in pages(api, job["result"])] == ["kees@example.nl"]


def test_two_who_became_one_after_the_export_are_one_or_nobody(api: Api, shop: str) -> None:
    yes = {"marketing": "granted"}
    for number, name in enumerate(("jan", "eva")):
        api.record(shop, came(number, f"01T09:0{number}", mail(f"{name}@example.nl"), consent=yes))
    found, job = exported(api, api.call("POST", "/v1/audiences", 201, WISH)["id"])
    assert len(found) == 2
    api.call("POST", "/v1/links", 201, {"a": "email:jan@example.nl", "b": "email:eva@example.nl", "reason": "one"})
    (one,) = pages(api, job["result"])
    assert one["customer"] == min(each["customer"] for each in found)
    api.record(shop, came(7, "02T09:00", mail("eva@example.nl"), consent={"marketing": "denied"}))
    assert pages(api, job["result"]) == []


def test_an_export_goes_on_after_a_crash_and_has_each_once(
    api: Api, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAGE", 7)
    for number in range(6):
        api.record(
            shop, came(number, f"01T09:0{number}", mail(f"p{number}@example.nl"), consent={"marketing": "granted"})
        )
    audience = api.call("POST", "/v1/audiences", 201, WISH)["id"]
    started = api.call("POST", f"/v1/audiences/{audience}/export", 202)
    assert api.send("GET", f"/v1/audiences/{audience}/exports/{started['job']}").status == 409, "not done yet"
    turn, died = jobs.turn, []

    def dies(table: Any, job: Any, page: Any) -> Any:
        """Each page is done twice: the first worker dies before it keeps how far it was."""
        if job.kind == worker.EXPORT and job.cursor not in died:
            died.append(job.cursor)
            queues.send(queues.JOBS, job.id)
            return None
        return turn(table, job, page)

    with replaced((jobs, "turn", dies)):
        api.work()
    found = pages(api, f"/v1/audiences/{audience}/exports/{started['job']}", limit=4)
    assert sorted(each["address"] for each in found) == [f"p{number}@example.nl" for number in range(6)]
    assert len(died) > 3


def test_what_is_sensitive_counts_for_nothing(api: Api, shop: str) -> None:
    jan = mail("jan@example.nl")
    api.record(
        shop,
        came(1, "01T09:00", jan, consent={"marketing": "granted"}),
        came(2, "02T09:00", jan, sensitive=True, channel="line", text="my illness"),
        came(3, "03T09:00", jan, sensitive=True, type="order", nr="9", status="created"),
    )
    (found,) = exported(api, api.call("POST", "/v1/audiences", 201, WISH)["id"])[0]
    assert (found["last_contact_at"], found["orders"]) == ("2026-09-01T09:00:00.000Z", 0)
    assert api.get(f"/v1/customers/{found['customer']}")["id"], "the entries are there all the same"
    asked = WISH | {"contact_since": "2026-09-02T00:00:00Z"}
    assert exported(api, api.call("POST", "/v1/audiences", 201, asked)["id"])[0] == []


def test_orders_and_contact_are_found_behind_a_long_history(api: Api, shop: str) -> None:
    jan = mail("jan@example.nl")
    api.record(
        shop,
        came(1, "01T09:00", jan, consent={"marketing": "granted"}),
        came(2, "01T10:00", jan, type="order", nr="1", status="created"),
        came(3, "01T11:00", jan, type="order", nr="2", status="created"),
        *(came(10 + number, f"02T09:{number:02d}", jan, type="visit", channel="web") for number in range(55)),
    )
    asked = WISH | {"orders_least": 2}
    (found,) = exported(api, api.call("POST", "/v1/audiences", 201, asked)["id"])[0]
    assert (found["orders"], found["last_order_at"]) == (2, "2026-09-01T11:00:00.000Z")
    assert found["last_contact_at"] == "2026-09-01T09:00:00.000Z"


@pytest.fixture
def feed(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Partner, str]]:
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "1")
    settings_module.settings.cache_clear()
    monkeypatch.setattr(worker, "SETTLING", 0)
    with Partner() as partner:
        made = api.connect(provider="webhook", settings={"url": f"{partner.url}/in"}, mapping=None,
                           secrets={"signing_secret": SECRET}, subscription={"types": ["audience"]})  # fmt: skip
        yield partner, made["id"]
    wire.close_all()


def told(api: Api) -> list[str]:
    """Kinds of the duties that waited, all carried out."""
    api.work()
    duties: list[Duty] = []
    while batch := aws.call(
        "sqs", "receive_message", QueueUrl=queues.url(queues.DELIVERIES), MaxNumberOfMessages=10
    ).get("Messages", []):
        duties += [msgspec.json.decode(each["Body"], type=Duty) for each in batch]
        queues.delete(queues.DELIVERIES, [each["ReceiptHandle"] for each in batch])
        deliver.take([{"body": each["Body"], "receiptHandle": "x", "messageId": "x"} for each in batch])
    return [each.kind for each in duties]


def test_a_new_audience_a_change_and_its_end_look_at_everybody(api: Api, shop: str, feed: tuple[Partner, str]) -> None:
    partner, connection = feed
    for number, name in enumerate(("jan", "eva")):
        consent = {"marketing": "granted"} if name == "jan" else {"marketing": "denied"}
        api.record(shop, came(number, f"01T09:0{number}", mail(f"{name}@example.nl"), consent=consent))
    made = api.call("POST", "/v1/audiences", 201, WISH | {"feed": connection})
    kinds = told(api)
    assert set(kinds) == {f"{AUDIENCE}{made['id']}"} and partner.types() == ["audience.entered"]
    (entered,) = partner.taken.values()
    assert entered["data"]["member"]["address"] == "jan@example.nl"
    assert entered["data"]["audience"] == {"id": made["id"], "name": "Winter"}
    api.call("PATCH", f"/v1/audiences/{made['id']}", json_body={"name": "Autumn"})
    told(api)
    assert partner.types() == ["audience.entered"], "the same people: nothing to tell"
    api.call("PATCH", f"/v1/audiences/{made['id']}", json_body={"orders_least": 1})
    told(api)
    assert partner.types() == ["audience.entered", "audience.left"]
    api.call("PATCH", f"/v1/audiences/{made['id']}", json_body={"orders_least": 0})
    told(api)
    api.call("DELETE", f"/v1/audiences/{made['id']}")
    told(api)
    assert partner.types() == ["audience.entered", "audience.left"] * 2
    assert all(each["verified"] for each in partner.deliveries) and partner.repeats == 0


def test_whoever_is_in_it_leaves_the_feed_that_it_had_before(api: Api, shop: str, feed: tuple[Partner, str]) -> None:
    partner, connection = feed
    api.record(shop, came(1, "01T09:00", mail("jan@example.nl"), consent={"marketing": "granted"}))
    made = api.call("POST", "/v1/audiences", 201, WISH | {"feed": connection})
    told(api)
    with Partner() as other:
        second = api.connect(provider="webhook", settings={"url": f"{other.url}/in"}, mapping=None,
                             secrets={"signing_secret": SECRET}, subscription={"types": ["audience"]})  # fmt: skip
        api.call("PATCH", f"/v1/audiences/{made['id']}", json_body={"feed": second["id"]})
        told(api)
        assert (partner.types(), other.types()) == (["audience.entered", "audience.left"], ["audience.entered"])


def test_erasing_tells_the_feed_by_itself_and_says_so(api: Api, shop: str, feed: tuple[Partner, str]) -> None:
    partner, connection = feed
    api.record(shop, came(1, "01T09:00", mail("jan@example.nl"), name="Jansen", consent={"marketing": "granted"}))
    api.call("POST", "/v1/audiences", 201, WISH | {"feed": connection})
    told(api)
    (jan,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    started = api.call("POST", f"/v1/customers/{jan['id']}/erase", 202, {})
    told(api)
    assert partner.types() == ["audience.entered", "audience.left"]
    left = list(partner.taken.values())[-1]
    assert "member" not in left["data"] and "jan@" not in json.dumps(left)
    lines = {each["what"]: each["result"] for each in api.get(f"/v1/erasures/{started['erasure']}")["lines"]}
    assert lines["audiences with a feed"] == "told to leave"


def test_reconciling_finds_what_the_stream_lost(api: Api, shop: str, feed: tuple[Partner, str]) -> None:
    partner, connection = feed
    jan = mail("jan@example.nl")
    api.record(shop, came(1, "01T09:00", jan, consent={"marketing": "granted"}))
    api.call("POST", "/v1/audiences", 201, WISH | {"feed": connection})
    told(api)
    api.record(shop, came(2, "02T09:00", jan, consent={"marketing": "denied"}))
    assert told(api) == [] and partner.types() == ["audience.entered"], "there is no stream here"
    api.call("POST", "/v1/reconcile", 202, {"connection": connection})
    told(api)
    assert partner.types() == ["audience.entered", "audience.left"]


def test_a_connection_that_is_only_a_feed_gets_nothing_else(api: Api, feed: tuple[Partner, str]) -> None:
    found = connections.get(api.table, feed[1])
    assert found and not [each for each in ("message", "order", "consent", "note") if wants(found, each, "web", "con")]
