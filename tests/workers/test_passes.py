"""By the clock: what no destination was told of is found within the hour, and every night once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.context.record import record as recorded
from chalicelib.model import instants
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import A2_ATTESTED, Identity
from chalicelib.store import contacts, deliveries, jobs
from chalicelib.store.deliveries import Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id
from chalicelib.workers import jobs as worker
from chalicelib.workers import reconcile, sweep
from tests.api.client import Api, event, key_with, person
from tests.schedule import replaced

MINUTE = 60


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Iterator[Api]:
    yield Api(key_with("admin"))


@pytest.fixture
def sent() -> Iterator[list[Duty]]:
    found: list[Duty] = []
    with replaced((deliveries, "send", lambda duties, delay=0: found.extend(duties))):
        yield found


def later(minutes: int) -> Any:
    """The clock of everything, so many minutes on."""
    now = instants.now_ms() + minutes * MINUTE * 1000
    seconds = now // 1000
    return replaced((instants, "now_ms", lambda: now), (reconcile, "now_seconds", lambda: seconds))


def passes(api: Api, kind: str) -> list[jobs.Job]:
    return [each for each in jobs.newest(api.table, "", "", 50) if each.kind == kind]


def finish(api: Api, kind: str) -> None:
    for job in passes(api, kind):
        while (found := jobs.get(api.table, job.id)) and found.status == jobs.RUNNING:
            worker.run(api.table, job.id)


WEBHOOK = {
    "provider": "webhook",
    "settings": {"url": "https://x.example/"},
    "secrets": {"signing_secret": "whsec_" + "YWJj" * 8},
}
BOOKS = {"provider": "silvasoft", "settings": {"username": "jan@example.nl"}, "secrets": {"api_key": "k"}}
"""It keeps no history: of an event its customer is told."""


def told(api: Api, asked: dict[str, Any] = WEBHOOK) -> str:
    made: str = api.call("POST", "/v1/connections", 201, asked)["id"]
    return made


def known(api: Api, *numbers: int) -> None:
    """Recorded, and by a mishap never planned: nobody runs the fan-out here."""
    shop = api.connect()["id"]
    for number in numbers:
        api.record(
            shop, event(number, f"2026-11-{number:02d}T10:00:00.000Z", person("email", f"jan{number}@example.nl"))
        )


def test_what_nobody_was_told_of_is_sent_within_the_hour_and_not_while_it_is_under_way(
    api: Api, sent: list[Duty]
) -> None:
    partner = told(api)
    known(api, 1, 2, 3)
    sweep.take()
    finish(api, "recent")
    assert sent == [], "it may be under way"
    with later(16):
        sweep.take()
        sweep.take()
        assert len(passes(api, "recent")) == 2
        finish(api, "recent")
    assert {each.connection for each in sent} == {partner} and len(sent) == 3
    drift = api.get("/v1/drift", connection=partner)["drift"]
    assert [each["what"] for each in drift] == ["missing"] * 3
    for duty in sent:
        deliveries.delivered(api.table, duty, deliveries.Attempt(1, instants.now(), instants.now()), "", "x")
    before = len(sent)
    with later(32):
        sweep.take()
        finish(api, "recent")
    assert len(sent) == before, "what was told is not told again"


@pytest.mark.parametrize("asked", [WEBHOOK, BOOKS])
def test_a_new_destination_is_not_told_of_what_came_before_it_as_though_it_had_been_missed(
    api: Api, sent: list[Duty], asked: dict[str, Any]
) -> None:
    first = told(api)
    known(api, 1, 2)
    with later(1):
        second = told(api, asked)
    with later(2):
        known(api, 3)
    with later(16):
        sweep.take()
        finish(api, "recent")
    assert sorted(each.connection for each in sent) == sorted([first] * 3 + [second]), "history is a backfill's"
    drift = api.get("/v1/drift", connection=second)["drift"]
    assert [each["what"] for each in drift] == ["missing"]


def test_every_night_each_destination_is_compared_whole(api: Api, sent: list[Duty]) -> None:
    partner = told(api)
    known(api, 4)
    sweep.take()
    assert passes(api, "reconcile") == [], "its first night is to come"
    with later(27 * 60):
        sweep.take()
        sweep.take()
        (job,) = passes(api, "reconcile")
        known(api, 5)
        finish(api, "reconcile")
        assert (job.params["connection"], job.kept) == (partner, jobs.SHORT_SECONDS)
    assert [each.sort[:27] for each in sent] == ["E#2026-11-04T10:00:00.000Z#"[:27]], (
        "and what has just arrived is let be"
    )


@pytest.mark.parametrize("asked", [WEBHOOK, BOOKS])
def test_no_night_brings_a_destination_history_that_nobody_asked_for(
    api: Api, sent: list[Duty], asked: dict[str, Any]
) -> None:
    known(api, 1, 2, 3)
    with later(1):
        made = told(api, asked)
        api.call("POST", f"/v1/connections/{made}/backfill", 202, {"since": "2026-11-03T00:00:00.000Z"})
        finish(api, "backfill")
        (third,) = sent
        deliveries.delivered(api.table, third, deliveries.Attempt(1, instants.now(), instants.now()), "", "x")
        sweep.take()
    with later(27 * 60):
        sweep.take()
        finish(api, "reconcile")
        (job,) = passes(api, "reconcile")
    assert sent == [third] and job.params["counts"] == {"astray": 0, "in step": 1}, (
        "what a backfill brought is compared"
    )
    whole = api.call("POST", "/v1/reconcile", 202, {"connection": made})["job"]
    while jobs.get(api.table, whole).status == jobs.RUNNING:  # type: ignore[union-attr]
        worker.run(api.table, whole)
    assert len(sent) == 3, "who asks for all gets all"


def test_a_pass_that_runs_holds_the_next_one_up(api: Api, sent: list[Duty]) -> None:
    told(api)
    sweep.take()
    with later(16):
        sweep.take()
    assert len(passes(api, "recent")) == 1, "the first one is not over"


def test_whoever_a_record_told_of_at_the_moment_of_its_adoption_is_joined_at_night(api: Api, sent: list[Duty]) -> None:
    made = api.call(
        "POST",
        "/v1/connections",
        201,
        {
            "provider": "hubspot",
            "settings": {"app_id": "4242"},
            "secrets": {"access_token": "pat-eu1", "client_secret": "app-client-secret"},
        },
    )["id"]
    known(api, 6)
    tom, record = Identity("email", "jan6@example.nl"), Identity("crm", "501", made, A2_ATTESTED)
    told_by = Event(
        type="identify", channel="crm", object="501", occurred_at="2026-11-06T10:00:00.000Z", identities=(record,)
    )
    recorded(api.table, stamp(told_by, made, "hubspot"), "receipt", Organisation())
    leased = contacts.lease(api.table, contacts.Contact(made, node_id(tom)))
    assert leased and contacts.save(api.table, leased, "501", "print")
    assert (
        api.get("/v1/customers", identity=tom.text)["customers"]
        != api.get("/v1/customers", identity=record.text)["customers"]
    )
    job = api.call("POST", "/v1/reconcile", 202, {"connection": made})["job"]
    while api.get(f"/v1/jobs/{job}")["status"] == "running":
        worker.run(api.table, job)
    assert (
        api.get("/v1/customers", identity=tom.text)["customers"]
        == api.get("/v1/customers", identity=record.text)["customers"]
    )
