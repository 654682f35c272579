"""A CRM's own changes, echoes of ours, a consent and a merge that an agent made there, in any order, doubled, workers killed.

The records are in the CRM before, made by hand, and adopted by their mail addresses.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from infra.local.hub import Hub
from tests import drive
from tests.drive import Sent, eventually
from tests.test_two_way import APP, World, assembled, change, changed, phone_change, quiet

pytestmark = pytest.mark.embedded

PERMUTATIONS = int(os.environ.get("DRAAD_PERMUTATIONS", "6"))
OURS = {"changeSource": "INTEGRATION", "sourceId": APP}
LETTER = 8
"""Where it stands among the works."""
AGENT = {"changeSource": "CRM_UI", "sourceId": "userId:1"}


@dataclass
class Stage:
    world: World
    letters: str

    def made_by_hand(self, k: int) -> tuple[str, str]:
        """Records of tom and of tommy, whom nobody knows to be one."""
        return tuple(self.world.crm.add_contact(email=mail) for mail in mails(k))  # type: ignore[return-value]

    def are_known(self, k: int, *records: str) -> bool:
        """Whether the hub knows whose these records are."""
        found = [self.world.who.customer(f"email:{each}") for each in mails(k)]
        known = [self.world.who.get(f"/v1/customers/{each['id']}")["contacts"] for each in found if each]
        return {each["id"] for several in known for each in several} >= set(records)

    def merged_there(self, kept: str, other: str) -> None:
        headers = {"Authorization": f"Bearer {self.world.crm.tokens[0]}"}
        told = {"primaryObjectId": kept, "objectIdToMerge": other}
        answer = requests.post(
            f"{self.world.crm.url}/crm/v3/objects/contacts/merge", json=told, headers=headers, timeout=10
        )
        assert answer.status_code == 200


def mails(k: int) -> tuple[str, str]:
    return f"tom{k}@example.nl", f"tommy{k}@example.nl"


def number(k: int) -> int:
    return 979_000 + k


def phones(k: int) -> tuple[str, str]:
    return f"+3167{k:06d}1", f"+3167{k:06d}2"


@pytest.fixture(scope="module")
def stage(hub: Hub) -> Iterator[Stage]:
    with assembled(hub) as world:
        letters = world.who.connect(
            "generic",
            "mail",
            settings={"auth": "bearer", "channel": "email"},
            secrets={"token": "letters"},
            mapping={"type": "email", "object": "id", "occurred_at": "at", "text": "text",
                     "identities": [{"kind": "email", "value": "mail", "assurance": "A2"}]},
        )  # fmt: skip
        yield Stage(world, letters["hook_url"])


def works(stage: Stage, k: int, kept: str, other: str) -> Sequence[Sent]:
    """As they happened; the last is the CRM's replay of the agent's change."""
    world, (tom, tommy), (first, second) = stage.world, mails(k), phones(k)
    order = drive.order(number(k), number(k), tom, "", "2026-09-01T10:00:00Z")
    order["billing_address"]["phone"] = order["customer"]["phone"] = order["phone"] = None
    usual = {"id": number(k), "email": tom, "created_at": "2026-08-01T10:00:00Z"}
    moved = usual | {"phone": second, "updated_at": "2026-09-04T10:00:00Z"}
    agreed = {"accepts_marketing": True, "accepts_marketing_updated_at": "2026-09-05T10:00:00Z"}
    letter = {"id": f"l-{k}", "at": "2026-09-01T12:00:00Z", "mail": tommy, "text": "Waar blijft het?"}
    typed = phone_change(kept, first, "2026-09-03T10:00:00.000Z", **AGENT)
    refused = {"propertyName": "hs_email_optout", "propertyValue": "true"} | AGENT
    merge = {"primaryObjectId": int(kept), "mergedObjectIds": [int(other)], "objectId": int(kept)} | AGENT
    bearer = {"Authorization": "Bearer letters", "Content-Type": "application/json"}

    def tells(*changes: dict[str, Any]) -> Sent:
        return changed(world.hook, *changes)

    return [
        drive.shopify(world.shop, "orders/create", order),
        tells(change("creation", "2026-09-01T10:00:05.000Z", objectId=int(kept), **OURS)),
        tells(typed),
        drive.shopify(world.shop, "customers/update", moved),
        tells(phone_change(kept, second, "2026-09-04T10:00:05.000Z", **OURS)),
        tells(phone_change(kept, second, "2026-09-04T10:00:06.000Z")),
        tells(change("propertyChange", "2026-09-06T10:00:00.000Z", objectId=int(kept), **refused)),
        drive.shopify(world.shop, "customers/update", usual | agreed | {"updated_at": "2026-09-05T10:00:00Z"}),
        Sent(stage.letters, bearer, json.dumps(letter).encode()),
        tells(change("merge", "2026-09-07T10:00:00.000Z", **merge)),
        tells(typed | {"attemptNumber": 2}),
    ]


def settled(stage: Stage, k: int) -> dict[str, Any] | None:
    found = stage.world.who.customer(f"shop:tc/{number(k)}")
    if found is None or stage.world.who.customer(f"email:{mails(k)[1]}") != found:
        return None
    whole: dict[str, Any] = stage.world.who.get(f"/v1/customers/{found['id']}")
    fields = whole["fields"]
    is_told = fields.get("phone", {}).get("value") == phones(k)[1] and "consent_email" in fields
    return whole if is_told and stage.world.who.in_step(found["id"]) else None


def check(stage: Stage, k: int, kept: str) -> None:
    world = stage.world
    one = eventually(lambda: settled(stage, k), 300, 1.0)
    assert {f"email:{each}" for each in mails(k)} <= {each["identity"] for each in one["identities"]}
    assert one["fields"]["consent_email"]["value"] == "denied", "newer than what the shop says"
    mine = [each["id"] for each in one["contacts"] if each["connection"] == world.connection]
    assert set(mine) == {kept}, "both records are that one now"
    audit = world.who.get(f"/v1/customers/{one['id']}/audit")["entries"]
    assert any(each["by"].get("connection") == world.connection for each in audit if "merge" in each["effects"])
    told = [
        each["id"] for each in world.who.entries(one["id"]) if each["type"] not in ("identify", "consent", "system")
    ]
    assert len(told) == 2
    eventually(lambda: sorted(world.crm.events_of(kept)) == sorted(told), 120, 1.0)
    with world.crm.lock:
        row = world.crm.objects["contacts"][kept]["properties"]
        rows = [each["properties"]["email"] for each in world.crm.objects["contacts"].values()]
    assert row["phone"] == phones(k)[1]
    assert sum(each in mails(k) for each in rows) == 1, "one live record, and none made again"
    eventually(lambda: at_the_desk(world, one["id"]) == (phones(k)[1], "denied"), 60, 1.0)


def at_the_desk(world: World, customer: str) -> tuple[str, str]:
    """The number and the consent on the record that is kept up to date: the desk may have one more of him, made
    while he was two, which stays as it was."""
    (told,) = (
        each
        for each in world.who.get(f"/v1/customers/{customer}/sync")["destinations"]
        if each["provider"] == "zendesk"
    )
    user = world.desk.users[told["contact"]]
    return user["phone"], str(user["user_fields"].get("mail_consent"))


def test_in_the_given_order(stage: Stage) -> None:
    kept, other = stage.made_by_hand(1)
    sent = works(stage, 1, kept, other)
    for each in sent[:-2]:
        assert each.go() in (200, 204)
        time.sleep(0.3)
    quiet(stage.world)
    assert stage.world.crm.created == 2, "both were adopted"
    stage.merged_there(kept, other)
    for each in sent[-2:]:
        assert each.go() in (200, 204)
    check(stage, 1, kept)
    quiet(stage.world)
    before = stage.world.writes()
    for each in (sent[1], sent[4], sent[5], sent[-1]):
        assert each.go() in (200, 204)
    quiet(stage.world)
    assert stage.world.writes() == before, "no echo and no replay is written back"


def test_in_any_order_doubled_and_with_the_workers_killed(stage: Stage, hub: Hub) -> None:
    play(stage, hub, 10, PERMUTATIONS)


@pytest.mark.nightly
def test_many_permutations(stage: Stage, hub: Hub) -> None:
    play(stage, hub, 100, 50)


def play(stage: Stage, hub: Hub, first: int, permutations: int) -> None:
    """Both are known before, by an order and a letter, under their records; all the rest comes in any order."""
    rng, queue = random.Random(first), list[Sent]()
    records = {k: stage.made_by_hand(k) for k in range(first, first + permutations)}
    for k, pair in records.items():
        sent = list(works(stage, k, *pair))
        assert all(sent.pop(place).go() in (200, 204) for place in (LETTER, 0))
        doubled = [each for each in sent for _ in range(rng.choice((1, 1, 2)))]
        queue += rng.sample(doubled, len(doubled))
    eventually(lambda: all(stage.are_known(k, *pair) for k, pair in records.items()), 60 + 4 * permutations)
    for k, pair in records.items():
        stage.merged_there(*pair)
        with stage.world.crm.lock:  # what its webhooks tell of, late as they come, is so over there
            stage.world.crm.objects["contacts"][pair[0]]["properties"]["phone"] = phones(k)[1]
    with ThreadPoolExecutor(8) as senders:
        for part in (queue[: len(queue) // 2], queue[len(queue) // 2 :]):
            assert all(code in (200, 204) for code in senders.map(Sent.go, part))
            hub.kill("workers")
    quiet(stage.world)  # a killed worker's messages come back late, and may be the newest
    for k, (kept, _) in records.items():
        check(stage, k, kept)
