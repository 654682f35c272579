"""Deliveries: one row for what a destination has, waits for, refused or has yet to get.

A first attempt that succeeds costs this one write. A row in the index is work that is open:
`DUE#0-7` by due time, `PARK#c` and `HELD#c` by event time.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import msgspec

from chalicelib.model import instants
from chalicelib.settings import settings
from chalicelib.store import ids, queues
from chalicelib.store.table import ALWAYS, Item, Key, Page, Put, Table, Update, When, equal, live

ACTIVITY, CONTACT = "activity", "contact"
MOVE = "move"
"""Brings an activity onto the record of whose it is now, after customers became one or came apart."""
DELIVERED, DELAYED, PARKED, HELD, CLAIMED = "delivered", "delayed", "parked", "held", "claimed"
AUDIENCE = "audience."
"""Kinds that begin so bring a feed up to date about one customer; the rest is the audience's id."""
MESSAGE = "message."
"""Kinds that begin so are messages by rule, which may have to wait for their moment; the rest is the rule's id."""
SKIPPED = "skipped"
"""Of a message by rule that need not, or must not, be sent."""
STATES = frozenset({DELIVERED, DELAYED, PARKED, HELD, CLAIMED, SKIPPED})
OPEN = ("HELD", "PARK")
"""Indexes of what nobody attempts by itself, in the order in which a redrive empties them."""
SHARDS = 8
LAST = "\U0010ffff"
"""Sorts after whatever follows a moment in a sort key."""
GRACE_MS = 120_000
"""A retry within SQS's reach is a delayed message; the sweep takes over when that got lost."""


class Duty(msgspec.Struct, frozen=True, rename={"connection": "c", "kind": "k", "node": "n", "sort": "s"}):
    """The message of the deliveries queue. `sort`: the event's sort key; for a contact, or a feed's
    member, the customer id."""

    connection: str
    kind: str
    node: str
    sort: str

    @property
    def key(self) -> Key:
        """Row key, computable from the event alone."""
        occurred, event = _birth(self.sort) if self.of_customer else self.sort[2:].split("#")
        return f"L#{self.connection}#{instants.day(occurred)}", f"{occurred}#{event}#{self.kind}"

    @property
    def of_customer(self) -> bool:
        """About his state, whatever it is then, and no event."""
        return of_customer(self.kind)

    @property
    def once(self) -> bool:
        """Whether what was done stays done; a customer's state, and whose an event is, may change again."""
        return not self.of_customer and self.kind != MOVE

    @property
    def event_keys(self) -> list[Key]:
        """Where the event lies; none for a contact."""
        return [] if self.of_customer else [(f"N#{self.node}", self.sort)]

    @property
    def message(self) -> tuple[str, str]:
        return msgspec.json.encode(self).decode(), self.connection


def known(duty: Duty, row: Item | None = None) -> bool:
    """Whether this version knows such a duty, and the state that its row is in."""
    kinds = duty.kind in (ACTIVITY, CONTACT, MOVE) or duty.kind.startswith((AUDIENCE, MESSAGE))
    return kinds and (row is None or row["st"] in STATES)


def of_customer(kind: str) -> bool:
    return kind == CONTACT or kind.startswith(AUDIENCE)


def _birth(customer: str) -> tuple[str, str]:
    return instants.from_ms(int(customer[:13])), customer[13:]


@dataclass(frozen=True)
class Attempt:
    """How often, since when, and how the last one went. `ms`: latency of the last attempt; `request`, of
    one that failed: what was asked, without any value. `off`: how often it was put off without an attempt,
    because the destination did not answer others."""

    count: int
    first_at: str
    at: str
    ms: int = 0
    reason: str = ""
    excerpt: str = ""
    request: str = ""
    off: int = 0


_marked: dict[Key, bool] = {}


def _keep(table: Table, row: Item, when: When = ALWAYS) -> bool:
    """Put a row; its day is marked first, once in a container, so that no row is ever hidden."""
    connection, day = row["pk"][2:].split("#")
    if (connection, day) not in _marked:
        table.write(Put({"pk": f"L#{connection}", "sk": day}))
        if len(_marked) > 10_000:
            _marked.clear()
        _marked[connection, day] = True
    return table.write(Put(row, when))


def days(table: Table, connection: str, since: str = "") -> list[str]:
    """yyyymmdd of the events that this connection was told of, newest first."""
    return [item["sk"] for item in table.query(f"L#{connection}", forward=False).items if item["sk"] >= since]


def open_in(table: Table, state: str, connection: str, since: str, until: str, limit: int, after: str = "") -> Page:
    """Index entries of one state and range, oldest first. `until` inclusive, or empty; `after`: where a page before
    ended."""
    before = f"{until}{LAST}" if until else ""
    return table.query(f"{state}#{connection}", after=after or since, before=before, limit=limit, index=True)


def send(duties: list[Duty], delay: int = 0) -> None:
    queues.send_all(queues.DELIVERIES, [duty.message for duty in duties], delay)


def delivered(table: Table, duty: Duty, attempt: Attempt, remote: str, activity: str) -> None:
    extra = {"ref": activity, "to": remote}
    _keep(table, _row(duty, DELIVERED, attempt) | {name: value for name, value in extra.items() if value})


def delayed(table: Table, duty: Duty, attempt: Attempt, seconds: float, when: When = ALWAYS) -> bool:
    """Keep the row first, then the message: a crash in between leaves it to the sweep. False: the row
    is not as `when` says, and nothing was done."""
    due = instants.now_ms() + int(seconds * 1000)
    by_message = seconds <= queues.MAX_DELAY
    index = {"gpk": shard(duty.key), "gsk": instants.from_ms(due + (GRACE_MS if by_message else 0))}
    if not _keep(table, _row(duty, DELAYED, attempt) | index | {"due": instants.from_ms(due)}, when):
        return False
    if by_message:
        queues.send(queues.DELIVERIES, duty.message[0], group=duty.connection, delay=max(1, int(seconds)))
    return True


def parked(table: Table, duty: Duty, attempt: Attempt) -> None:
    _keep(table, _row(duty, PARKED, attempt) | {"gpk": f"PARK#{duty.connection}", "gsk": duty.key[1]})


def skipped(table: Table, duty: Duty, attempt: Attempt) -> None:
    _keep(table, _row(duty, SKIPPED, attempt))


def held(table: Table, duty: Duty, attempt: Attempt) -> None:
    _keep(table, _row(duty, HELD, attempt) | {"gpk": f"HELD#{duty.connection}", "gsk": duty.key[1]})


def lies(row: Item) -> list[str]:
    """The record that shows this activity, and those to which a move began whose outcome nobody knows."""
    return [str(row["to"]), *map(str, row.get("mv", ()))] if row.get("to") else []


def moving(table: Table, row: Item, new: str) -> None:
    """Before an activity is moved: it may lie there from now on."""
    maybe = sorted({*lies(row)[1:], new} - {row["to"]})
    table.write(Update((row["pk"], row["sk"]), {"mv": maybe}, when=equal(to=row["to"])))


def moved(table: Table, row: Item, new: str, activity: str) -> None:
    """It lies there, by this id. Whoever moved it elsewhere since knows better."""
    change = {"to": new, "ref": activity}
    table.write(Update((row["pk"], row["sk"]), change, remove=("mv",), when=equal(to=row["to"])))


def claim(table: Table, duty: Duty, attempt: Attempt, row: Item | None) -> bool:
    """For systems that do not take our key: False when somebody claimed it, and may have sent."""
    return table.write(Put(_row(duty, CLAIMED, attempt), as_read(row)))


def as_read(row: Item | None) -> When:
    """Nobody did anything to the row since."""
    return equal(st=row["st"], n=row["n"]) if row else equal(st=None)


def _row(duty: Duty, status: str, attempt: Attempt) -> Item:
    pk, sk = duty.key
    row: Item = {
        "pk": pk,
        "sk": sk,
        "st": status,
        "nd": duty.node,
        "n": attempt.count,
        "at": attempt.at,
        "ms": attempt.ms,
        "x": instants.to_ms(attempt.at) // 1000 + settings().event_retention_days * 86400,
    }
    if duty.of_customer:
        row["cu"] = duty.sort
    if attempt.off and status == DELAYED:
        row["off"] = attempt.off
    optional = {"f": attempt.first_at if attempt.count > 1 else "", "why": attempt.reason}
    optional |= {"ex": attempt.excerpt, "rq": attempt.request}
    return row | {name: value[:1000] for name, value in optional.items() if value}


def reopen(table: Table, row: Item) -> None:
    """Make an open delivery due now and ask for it. It keeps its count of attempts."""
    due = instants.now_ms()
    change = {"st": DELAYED, "due": instants.from_ms(due), "gpk": shard((row["pk"], row["sk"]))}
    moved = Update(
        (row["pk"], row["sk"]),
        change | {"gsk": instants.from_ms(due + GRACE_MS), "at": instants.from_ms(due)},
        remove=("f", "off"),
        when=equal(st=row["st"], n=row["n"]),
    )
    if table.write(moved):
        send([duty_of(row)])


def rest(table: Table, row: Item) -> None:
    """What was put off is nobody's now: the sweep need not ask for it. The row keeps what was tried, for whoever
    it may be somebody's again."""
    if row["st"] == DELAYED:
        seen = equal(st=DELAYED, n=row["n"], due=row["due"])
        table.write(Update((row["pk"], row["sk"]), {}, remove=("gpk", "gsk"), when=seen))


def is_open(row: Item) -> bool:
    """Whether something is left to do, by itself or by people."""
    return "gpk" in row


def follow(table: Table, duty: Duty, old: str) -> None:
    """The event of this duty lay at another node, and whoever goes by the row must find it."""
    table.write(Update(duty.key, {"nd": duty.node}, when=equal(nd=old)))


def shard(key: Key) -> str:
    return f"DUE#{zlib.crc32(''.join(key).encode()) % SHARDS}"


def duty_of(row: Item) -> Duty:
    connection = row["pk"].split("#")[1]
    occurred, event, kind = row["sk"].split("#")
    sort = row["cu"] if of_customer(kind) else f"E#{occurred}#{event}"
    return Duty(connection, kind, row["nd"], sort)


def take_due(table: Table, number: int, now: str, limit: int = 200) -> int:
    """Send what is overdue in one shard again; returns how many. Runs twice harmlessly. Sent first and then put off: a
    sweep that dies in between is one message too many, and not minutes without any."""
    entries = table.query(f"DUE#{number}", before=now, limit=limit, index=True).items
    rows = table.batch_get([(each["pk"], each["sk"]) for each in entries])
    found = [row for each in entries if (row := rows.get((each["pk"], each["sk"]))) and _due(row, each)]
    send([duty_of(row) for row in found])
    later = instants.from_ms(instants.to_ms(now) + 300_000)
    for row in found:
        table.write(Update((row["pk"], row["sk"]), {"gsk": later}, when=equal(gsk=row["gsk"], st=DELAYED)))
    return len(found)


def _due(row: Item, entry: Item) -> bool:
    """Whether the row is still as its index says, which lags behind."""
    return bool(row["st"] == DELAYED and row.get("gsk") == entry["gsk"])


LOOKED_AT, ASKED = 250, 8
"""To tell how long deliveries wait: entries of each shard, and rows of each connection."""


def waiting(table: Table) -> dict[str, int]:
    """Connection → milliseconds that what waits longest there will have waited when it is tried next. A look, and no
    count: at those due last, because what failed often is put off furthest."""
    keys: dict[str, list[Key]] = {}
    for entry in _due_last(table):
        keys.setdefault(_of(entry["pk"]), []).append((entry["pk"], entry["sk"]))
    rows = table.batch_get([key for found in keys.values() for key in found[:ASKED]])
    now, longest = instants.now_ms(), dict[str, int]()
    for (pk, _), row in rows.items():
        if row["st"] == DELAYED and live(row):
            took = max(now, instants.to_ms(row["due"])) - instants.to_ms(str(row.get("f", row["at"])))
            longest[_of(pk)] = max(longest.get(_of(pk), 0), took)
    return longest


def _due_last(table: Table) -> list[Item]:
    entries: list[Item] = []
    for number in range(SHARDS):
        entries += table.query(f"DUE#{number}", forward=False, limit=LOOKED_AT, index=True).items
    failed = [each for each in entries if not each["sk"].rpartition("#")[2].startswith(MESSAGE)]
    return sorted(failed, key=lambda each: str(each["gsk"]), reverse=True)


def _of(pk: str) -> str:
    return pk.split("#")[1]


def get(table: Table, key: Key) -> Item | None:
    return live(table.get(key))


def public_id(row: Item) -> str:
    return ids.seal("del", row["pk"][2:], row["sk"])


def view(row: Item) -> dict[str, Any]:
    """One delivery as the API shows it."""
    duty = duty_of(row)
    occurred, event, _ = row["sk"].split("#")
    return {
        "id": public_id(row),
        "connection": duty.connection,
        "kind": duty.kind.partition(".")[0],
        "rule": None if duty.of_customer else duty.kind.partition(".")[2] or None,
        "audience": duty.kind.removeprefix(AUDIENCE) if duty.kind.startswith(AUDIENCE) else None,
        "status": row["st"],
        "event": None if duty.of_customer else event,
        "customer": f"cus_{duty.sort}" if duty.of_customer else None,
        "occurred_at": occurred,
        "attempts": row["n"],
        "last_attempt_at": row["at"],
        "latency_ms": row["ms"],
        "due_at": row.get("due"),
        "reason": row.get("why"),
        "request_excerpt": row.get("rq"),
        "response_excerpt": row.get("ex"),
        "remote_id": row.get("ref"),
        "remote_contact": row.get("to"),
    }
