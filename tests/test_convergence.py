"""A shop, a CRM and a desk change the same customers at once, late and out of order: all three end with the newest of each.

People type at the CRM and at the desk while the hub pushes there; both systems tell of every change of theirs, ours
too: the CRM with our mark, the desk without one.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from chalicelib.model import instants
from infra.local.hub import Hub
from tests import drive
from tests.drive import eventually
from tests.test_two_way import APP, World, assembled, change, ordered, phone_change, quiet

pytestmark = pytest.mark.embedded

CUSTOMERS, CHANGES = 6, 10
FIRST = 976_000
LATEST_WEBHOOK = 1.0


@dataclass
class Play:
    """`newest`: (customer, field) → (ms, value) of the last thing that anybody said. `shown`: what each system showed
    when it last told of it."""

    world: World
    newest: dict[tuple[int, str], tuple[int, str]] = field(default_factory=dict)
    shown: dict[tuple[str, int, str], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    last: int = 0

    def moment(self) -> int:
        """Now, and later than any before: no two changes are of one moment."""
        with self.lock:
            self.last = max(self.last + 1, instants.now_ms())
            return self.last

    def said(self, number: int, name: str, value: str, at: int) -> None:
        with self.lock:
            self.newest[number, name] = max(self.newest.get((number, name), (0, "")), (at, value))

    def desk_user(self, number: int) -> dict[str, object]:
        return next(each for each in self.world.desk.users.values() if each["email"] == mail(number))

    def shows(self, system: str, number: int, name: str) -> str:
        if system == "desk":
            with self.world.desk.lock:
                return str(self.desk_user(number)[name] or "")
        with self.world.crm.lock:
            row = next(
                row["properties"]
                for row in self.world.crm.objects["contacts"].values()
                if row["properties"].get("email") == mail(number)
            )
            whole = f"{row.get('firstname', '')} {row.get('lastname', '')}"
            return str(row.get("phone", "")) if name == "phone" else whole.strip()


def mail(number: int) -> str:
    return f"conv{number}@example.nl"


def phone_of(rng: random.Random) -> str:
    return f"+3168{rng.randrange(10**7):07d}"


def at_the_shop(play: Play, rng: random.Random, number: int) -> None:
    phone, last, at = phone_of(rng), f"Winkel{rng.randrange(10**6)}", play.moment()
    told = {"id": number, "email": mail(number), "phone": phone, "first_name": "Jan", "last_name": last}
    told |= {"updated_at": instants.from_ms(at), "created_at": "2026-08-01T10:00:00Z"}
    play.said(number, "phone", phone, at)
    play.said(number, "name", f"Jan {last}", at)
    time.sleep(rng.uniform(0, LATEST_WEBHOOK))
    assert drive.shopify(play.world.shop, "customers/update", told).go() == 200


def at_the_crm(play: Play, rng: random.Random, number: int) -> None:
    phone, record = phone_of(rng), play.world.record(number)
    with play.world.crm.lock:
        at = play.moment()
        play.world.crm.objects["contacts"][record]["properties"]["phone"] = phone
        play.shown["crm", number, "phone"] = phone
    play.said(number, "phone", phone, at)
    time.sleep(rng.uniform(0, LATEST_WEBHOOK))
    play.world.tells(phone_change(record, phone, instants.from_ms(at), changeSource="CRM_UI", sourceId="userId:1"))


def at_the_desk(play: Play, rng: random.Random, number: int) -> None:
    name = f"Jan Balie{rng.randrange(10**6)}"
    with play.world.desk.lock:
        at = play.moment()
        user = play.desk_user(number)
        user["name"] = name
        play.shown["desk", number, "name"] = name
    play.said(number, "name", name, at)
    time.sleep(rng.uniform(0, LATEST_WEBHOOK))
    renamed(play, number, name, at)


def renamed(play: Play, number: int, name: str, at: int) -> None:
    """Tells of what was there at that moment: by now it may be overwritten."""
    user, moment = play.desk_user(number), instants.from_ms(at)
    detail = {
        "id": str(user["id"]),
        "email": mail(number),
        "external_id": user["external_id"] or "",
        "role": "end-user",
    }
    detail |= {"created_at": "2026-09-01T11:27:58Z", "updated_at": moment}
    told = {"current": name, "previous": ""}
    assert drive.zendesk(play.world.desk_hook, "user.name_changed", detail, told, moment).go() in (200, 204)


@contextmanager
def telling_back(play: Play, numbers: range) -> Iterator[None]:
    """Both systems tell of what they show differently than before: what we wrote."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for number in numbers:
                crm_tells(play, number)
                desk_tells(play, number)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def crm_tells(play: Play, number: int) -> None:
    with play.world.crm.lock:
        phone = play.shows("crm", number, "phone")
        if play.shown.get(("crm", number, "phone")) == phone:
            return
        play.shown["crm", number, "phone"] = phone
        at = instants.from_ms(play.moment())
    ours = {"changeSource": "INTEGRATION", "sourceId": APP}
    play.world.tells(phone_change(play.world.record(number), phone, at, **ours))
    play.world.tells(change("creation", at, objectId=int(play.world.record(number)), **ours))


def desk_tells(play: Play, number: int) -> None:
    with play.world.desk.lock:
        name = play.shows("desk", number, "name")
        if play.shown.get(("desk", number, "name")) == name:
            return
        play.shown["desk", number, "name"] = name
        at = play.moment()
    renamed(play, number, name, at)


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    with assembled(hub) as made:
        yield made


@pytest.mark.parametrize("seed", [1])
def test_random_changes_on_three_systems_end_with_all_equal(world: World, seed: int) -> None:
    converge(world, seed, CHANGES)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_random_changes(world: World, seed: int) -> None:
    converge(world, seed, 4 * CHANGES)


def converge(world: World, seed: int, changes: int) -> None:
    numbers = range(FIRST + 100 * seed, FIRST + 100 * seed + CUSTOMERS)
    for number in numbers:
        ordered(world, number, mail(number), "2026-09-01T10:00:00Z")
    play = Play(world)
    eventually(lambda: all(is_there(play, number) for number in numbers))
    rngs = [random.Random(seed * 1000 + each) for each in range(changes * CUSTOMERS)]
    with telling_back(play, numbers), ThreadPoolExecutor(6) as people:
        works = [(rng, rng.choice((at_the_shop, at_the_crm, at_the_desk)), rng.choice(numbers)) for rng in rngs]
        for done in [people.submit(what, play, rng, number) for rng, what, number in works]:
            done.result()
        until = time.monotonic() + 60
        while (left := unequal(play, numbers)) and time.monotonic() < until:
            time.sleep(1.0)
        assert left == []
        quiet(world)
        assert unequal(play, numbers) == [], "and it stays so"


def is_there(play: Play, number: int) -> bool:
    """At both systems, and known to the hub as theirs."""
    rows = [row["properties"].get("email") for row in list(play.world.crm.objects["contacts"].values())]
    users = [each["email"] for each in list(play.world.desk.users.values())]
    return (
        mail(number) in rows
        and mail(number) in users
        and len(play.world.customer(f"shop:tc/{number}")["contacts"]) == 2
    )


def unequal(play: Play, numbers: range) -> list[tuple[int, str, str, str, str]]:
    """Where some system, or the hub, shows something else than the newest."""
    found = []
    for number in numbers:
        known = play.world.customer(f"shop:tc/{number}")["fields"]
        for name in ("phone", "name"):
            wanted = play.newest.get((number, name), (0, ""))[1]
            told = {system: play.shows(system, number, name) for system in ("crm", "desk")}
            told["hub"] = known.get(name, {}).get("value", "")
            found += [
                (number, name, system, value, wanted) for system, value in told.items() if wanted not in ("", value)
            ]
    return found
