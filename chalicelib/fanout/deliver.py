"""Deliver: one duty, one attempt, one outcome.

The row is the truth, the message only asks. A contact job reads the state when it runs and pushes
only a difference; an activity goes once: where the system takes our key it is sent and then
marked, where it does not it is claimed first and looked for after an unknown outcome.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from chalicelib import destinations, telemetry
from chalicelib.errors import Busy, Delayed, DeliveryFailed, Gone, NewerVersion, Paced, Rejected, Unauthorized, Unknown
from chalicelib.fanout import feed, messages, outward, prints, shown
from chalicelib.fanout.ahead import Ahead, keys_of
from chalicelib.fanout.audiences import Known
from chalicelib.fanout.plan import PersonOf
from chalicelib.kit.destination import Destination
from chalicelib.kit.retry import next_attempt
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, DISABLED, UNAUTHORIZED, Connection
from chalicelib.model.customer import Customer, Entry, Person
from chalicelib.model.event import Event
from chalicelib.model.message import Message
from chalicelib.model.rule import Rule
from chalicelib.settings import settings
from chalicelib.store import connections, contacts, deliveries, events, jobs
from chalicelib.store.contacts import Contact
from chalicelib.store.deliveries import (
    ACTIVITY,
    AUDIENCE,
    CLAIMED,
    CONTACT,
    DELAYED,
    DELIVERED,
    MOVE,
    PARKED,
    SKIPPED,
    Attempt,
    Duty,
)
from chalicelib.store.table import Item, Key, Table, live

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

EARLY_MS = 1500
"""A message this much before its row's due time is a stray copy."""
PREFERRED, CHANNEL_KEPT_MS = "preferred_channel", 86_400_000
HARD = "hard"
CROSSED_WITHIN_MS = 86_400_000
"""So long systems send their webhooks again. What they tell later than that a look of reconciling finds."""
ASK_AGAIN, REACHABLE_WITHIN_MS = 10.0, 600_000
"""Seconds at first, then ever longer: how a customer is reached may be told just after what he is to be told."""
NOT_TRIED = "not tried: the destination had just not answered"
SLOW = "it answers slowly, and enough of us are asking"
SLOW_PAUSE = (1.0, 10.0)
"""Seconds: not longer, because it may be fast again by then."""


@dataclass(frozen=True)
class Office:
    """What the duties of one batch share. `connection`: by id, read once a batch. For messages by
    rule: `rules`; `said`, a customer's newest entries; `link`, that brings him back to what an event
    is about; `record`, which puts what was sent on his timeline. `preferred`: his channel, computed where
    he named none. `ahead`: what was read for the whole batch. `adopted`: whoever that system told of under a record (connection, record, node) is the customer with
    that node, whose record it is since now. `known`: his history, whole or his newest entries alone, for audiences."""

    table: Table
    person_of: PersonOf
    connection: Callable[[str], Connection | None]
    rules: Callable[[], Sequence[Rule]] = tuple
    said: Callable[[Person], Sequence[Event]] = lambda person: ()
    link: Callable[[Event], str] = lambda event: ""
    record: Callable[[Event, str], None] = lambda event, connection: None
    known: Callable[[Person, bool], Known] = lambda person, whole: Known()
    preferred: Callable[[Person], str] = lambda person: person.customer.preferred_channel
    adopted: Callable[[str, str, str], object] = lambda connection, remote, node: None
    ahead: Ahead | None = None


@dataclass(frozen=True)
class Post:
    """Everything one attempt needs. `found`: row, event and node as they stand, by key."""

    office: Office
    connection: Connection
    destination: Destination
    http: Http
    duty: Duty
    found: Mapping[Key, Item]

    @property
    def table(self) -> Table:
        return self.office.table

    @property
    def item(self) -> Item | None:
        """The event; None for a duty about a customer, and where it is gone."""
        return next((found for key in self.duty.event_keys if (found := live(self.found.get(key)))), None)

    @property
    def row(self) -> Item | None:
        return live(self.found.get(self.duty.key))

    def person(self, node: str = "", *, fresh: bool = False) -> Person | None:
        """The customer, with his contacts here; `fresh` reads his node anew."""
        wanted, ahead = node or self.duty.node, None if fresh else self.office.ahead
        if ahead and (person := ahead.person(wanted)):
            return person
        seen = None if fresh else self.found.get((f"N#{wanted}", "-"))
        if not self.destination.contacts:
            return self.office.person_of(wanted, seen, brief=True)
        return self.office.person_of(wanted, seen, (f"C#{self.connection.id}",))


def deliver(office: Office, duty: Duty, *, tried: bool, down: float = 0.0, crowded: bool = False) -> str:
    """The outcome: delivered, delayed, unknown, rejected, unauthorized, gone, held, dropped.

    `tried`: this message was received before, so an attempt may have died half-way. `down`: seconds for
    which this destination is left alone, because it does not answer; the duty is put off without an attempt.
    `crowded`: it is slow, and enough workers are there; so too.
    An activity brings its customer up to date, and whoever plans counts on it. So it does where there is nothing to
    tell of itself: a batch of the stream that is read again may hold what happened since it was told, and it may
    lie at another customer by now.

    Raises Busy, NewerVersion and StorageUnavailable: the message is taken again.
    """
    if not deliveries.known(duty):
        raise NewerVersion(f"deliveries of the kind {duty.kind}")
    how = _How(tried, down, crowded)
    there, found = _found(office, duty)
    outcome = _outcome(office, there, found, how)
    if duty.kind != ACTIVITY or (there.node == duty.node and outcome != "dropped"):
        return outcome
    alone = _customer_alone(office, duty, how)
    return alone if outcome == "dropped" and alone != "delivered" else outcome


@dataclass(frozen=True)
class _How:
    """As `deliver` has them."""

    tried: bool
    down: float
    crowded: bool


def _outcome(office: Office, duty: Duty, found: Mapping[Key, Item], how: _How) -> str:
    row = live(found.get(duty.key))
    if not deliveries.known(duty, row):
        raise NewerVersion("the state of a delivery")
    connection = office.connection(duty.connection)
    if connection is None or connection.provider not in destinations.slugs():
        return "dropped"
    if row and _settled(row, duty):
        if row["nd"] != duty.node:
            deliveries.follow(office.table, duty, row["nd"])
        return "dropped"
    attempt, chance = _attempt(row), _Chance(office, connection, duty, found)
    if row and row["st"] == CLAIMED and _unfindable(chance):
        # Held or put off it would look as if nothing had been sent.
        deliveries.parked(office.table, duty, replace(attempt, reason=MAYBE_SENT))
        return "dropped"
    if connection.status != ACTIVE:
        reason = f"connection {connection.status}: {connection.reason}"
        deliveries.held(office.table, duty, replace(_unsent(attempt, how.tried), reason=reason))
        return "held"
    if how.down:
        untried = replace(_unsent(attempt, how.tried), off=attempt.off + 1)
        return _put_off(office.table, duty, untried, Delayed(NOT_TRIED, retry_after=how.down))
    if how.crowded:
        return _lined_up(chance, attempt, Paced(SLOW, random.uniform(*SLOW_PAUSE), untried=True))  # noqa: S311
    return _attempted(chance, attempt, how.tried)


def _customer_alone(office: Office, duty: Duty, how: _How) -> str:
    """Whoever an activity was planned for, without it."""
    connection = office.connection(duty.connection)
    if connection is None or connection.provider not in destinations.slugs():
        return "dropped"
    person = office.person_of(duty.node) if destinations.load(connection.provider).contacts else None
    if person is None:
        return "dropped"
    contact = Duty(duty.connection, CONTACT, person.oldest, person.id)
    return deliver(office, contact, tried=how.tried, down=how.down, crowded=how.crowded)


def _found(office: Office, duty: Duty) -> tuple[Duty, dict[Key, Item]]:
    """Row, event and node. The event may have come to lie at another node since the message was sent: where
    this one does not have it, the row knows better."""
    found = office.ahead.found(duty) if office.ahead else office.table.batch_get(keys_of(duty))
    row = live(found.get(duty.key))
    if row is None or row["nd"] == duty.node or not duty.event_keys or live(found.get(duty.event_keys[0])):
        return duty, found
    moved = msgspec.structs.replace(duty, node=row["nd"])
    return moved, found | office.table.batch_get(keys_of(moved)[1:])


def _settled(row: Item, duty: Duty) -> bool:
    """Whether nothing is left to do now. A customer is never settled, nor whose an entry is: it may have changed."""
    if row["st"] == DELAYED:
        return instants.to_ms(row["due"]) > instants.now_ms() + EARLY_MS
    return duty.once and row["st"] in (DELIVERED, PARKED, SKIPPED)


def _attempt(row: Item | None) -> Attempt:
    now = instants.now()
    if row is None:
        return Attempt(1, now, now)
    return Attempt(row["n"] + 1, str(row.get("f", row["at"])), now, off=int(row.get("off", 0)))


def _unsent(attempt: Attempt, tried: bool) -> Attempt:
    """To wait is no attempt. But where a worker before may have died over this message it may have been sent: by
    its count whoever comes next looks first."""
    return attempt if tried else replace(attempt, count=attempt.count - 1)


@dataclass(frozen=True)
class _Chance:
    """What one attempt has to go by, before there is a way out. `found`: as Post has it."""

    office: Office
    connection: Connection
    duty: Duty
    found: Mapping[Key, Item]

    @property
    def destination(self) -> Destination:
        return destinations.load(self.connection.provider)


def _posted(chance: _Chance, attempt: Attempt, tried: bool, begun: float) -> tuple[Post, str]:
    """The way out, and what was made there."""

    def sent(http: Http) -> tuple[Post, str]:
        post = Post(chance.office, chance.connection, chance.destination, http, chance.duty, chance.found)
        if post.duty.kind.startswith(messages.PREFIX):
            return post, _message_duty(post, attempt, begun)
        if post.duty.kind.startswith(AUDIENCE):
            return post, feed.tell(post)
        if post.duty.kind in (CONTACT, MOVE):
            return post, _push_duty(post) if post.duty.kind == CONTACT else _move_duty(post)
        return post, _append_duty(post, attempt, tried, begun)

    waited = (live(chance.found.get(chance.duty.key)) or {}).get("st") == DELAYED
    return outward.through(chance.office.table, chance.connection, chance.destination, sent, waited=waited)


def _attempted(chance: _Chance, attempt: Attempt, tried: bool) -> str:
    begun = time.monotonic()
    try:
        post, done = _posted(chance, attempt, tried, begun)
    except DeliveryFailed as failed:
        return _failed(chance, replace(attempt, ms=_since(begun)), failed)
    if done and post.row and not post.duty.once:
        deliveries.delivered(post.table, post.duty, replace(attempt, ms=_since(begun)), done, "")
    if not done and post.row and post.duty.kind in (ACTIVITY, CONTACT):
        deliveries.rest(post.table, post.row)
    return "delivered" if done else "dropped"


def still_there(office: Office, duty: Duty, *, waited: bool = False) -> bool | None:
    """Whether the system has what was delivered; None where it cannot be asked, or nobody's it is now.

    Raises the delivery errors.
    """
    connection = office.connection(duty.connection)
    found = office.table.batch_get(keys_of(duty))
    item = next((live(found.get(key)) for key in duty.event_keys), None)
    row = found.get(duty.key)
    destination = destinations.load(connection.provider) if connection else None
    if connection is None or destination is None or destination.find_activity is None or not item or not row:
        return None

    def seen(http: Http) -> bool | None:
        post = Post(office, connection, destination, http, duty, found)
        person = post.person()
        if person is None or destination.find_activity is None:
            return None
        entry = entry_of(item, person, connection)
        return bool(destination.find_activity(http, str(row.get("to", "")), entry))

    return outward.through(office.table, connection, destination, seen, waited=waited)


def shows(office: Office, connection: Connection, person: Person, remote: str, *, waited: bool = False) -> bool | None:
    """Whether his record over there has what a push would write; None where the system cannot be asked.

    Raises the delivery errors.
    """
    destination = destinations.load(connection.provider)
    look = destination.shows_contact
    if look is None:
        return None
    customer = shown.customer(person.customer, connection)
    return outward.through(
        office.table, connection, destination, lambda http: look(http, customer, remote), waited=waited
    )


def _since(begun: float) -> int:
    return int((time.monotonic() - begun) * 1000)


def _push_duty(post: Post) -> str:
    person = post.person()
    if person is None or not _may_know(post, person):
        return ""
    return push_contact(post, person)


def _append_duty(post: Post, attempt: Attempt, tried: bool, begun: float) -> str:
    item = post.item
    person = post.person() if item else None
    if item is None or person is None or not _may_know(post, person):
        return ""
    remote = push_contact(post, person) if post.destination.contacts else ""
    activity = _append(post, remote, entry_of(item, person, post.connection), attempt, tried)
    deliveries.delivered(post.table, post.duty, replace(attempt, ms=_since(begun)), remote, activity)
    return activity or "sent"


def _move_duty(post: Post) -> str:
    """What lies on another record than its customer's is brought there; what is gone or nobody's now stays."""
    row = live(post.table.get(msgspec.structs.replace(post.duty, kind=ACTIVITY).key))
    item = post.item
    person = post.person() if row and item else None
    if not row or not item or person is None or row["st"] != DELIVERED or not deliveries.lies(row):
        return STAYS
    remote = push_contact(post, person)
    if deliveries.lies(row) != [remote]:
        deliveries.moving(post.table, row, remote)
        activity = _moved(post, row, remote, entry_of(item, person, post.connection))
        deliveries.moved(post.table, row, remote, activity)
    return remote


def _moved(post: Post, row: Item, remote: str, entry: Entry) -> str:
    """Off every record on which it may be: that of a move whose outcome is unknown too. Answers its id."""
    move, activity = post.destination.move_activity, str(row.get("ref", ""))
    lies = [contacts.became(post.table, post.connection.id, each) for each in deliveries.lies(row)]
    for old in dict.fromkeys(each for each in lies if each != remote):
        if move:
            activity = move(post.http, activity, old, remote, entry)
    return activity


STAYS = "it stays where it is"


def _message_duty(post: Post, attempt: Attempt, begun: float) -> str:
    """Claim, send, put it on the timeline, mark. One that may have been sent is looked for where the
    provider can tell, and else left to people: nobody gets a message twice by itself."""
    scene, send = _scene(post, attempt), post.destination.send_message
    if scene is None or send is None:
        return ""
    wait = messages.due_at(scene.rule, scene.event) - scene.now
    if wait > 0:
        deliveries.delayed(post.table, post.duty, attempt, wait / 1000)
        return ""
    message = messages.compose(scene)
    known_for = scene.now - instants.to_ms(attempt.first_at)
    if isinstance(message, str) and message.startswith(messages.UNREACHABLE) and known_for < REACHABLE_WITHIN_MS:
        again = replace(attempt, reason=message)
        deliveries.delayed(post.table, post.duty, again, max(ASK_AGAIN, known_for / 4_000))
        return ""
    if isinstance(message, str):
        deliveries.skipped(post.table, post.duty, replace(attempt, reason=message))
        return ""
    message = msgspec.structs.replace(message, since=attempt.first_at)
    remote = _sent_before(post, message)
    if remote is None:
        deliveries.parked(post.table, post.duty, replace(attempt, reason=MAYBE_SENT))
        return ""
    if not remote:
        if not deliveries.claim(post.table, post.duty, attempt, post.row):
            raise Busy("another worker sends this message")
        remote = send(post.http, message) or "sent"
    post.office.record(messages.as_event(scene, message, remote, attempt.first_at), post.connection.id)
    deliveries.delivered(post.table, post.duty, replace(attempt, ms=_since(begun)), message.to.text, remote)
    return remote


MAYBE_SENT = "it may have been sent: look there, and redrive it only if it was not"


def _scene(post: Post, attempt: Attempt) -> messages.Scene | None:
    """None where nothing is to be sent now: what waited is over if its rule is gone, waits on while the rule is off, and
    rests while its event is nobody's."""
    wanted = post.duty.kind.removeprefix(messages.PREFIX)
    rule = next((each for each in post.office.rules() if each.id == wanted), None)
    if rule is None:
        _without_rule(post, attempt)
    if rule is None or not rule.on:
        return None
    item = post.item
    person = post.office.person_of(post.duty.node) if item else None
    if item is None or person is None:
        if post.row:
            deliveries.rest(post.table, post.row)
        return None
    event = events.from_item(item)
    return messages.Scene(
        rule,
        event,
        person.customer,
        post.destination,
        post.connection.id,
        post.office.said(person),
        instants.now_ms(),
        lambda: post.office.link(event),
    )


def _without_rule(post: Post, attempt: Attempt) -> None:
    """What waited is not sent any more. What may have gone is for people: only of a system that can be asked again, or
    takes our key, does such a one wait at all."""
    row, system = post.row, post.destination
    if row and row["n"] > 0 and (system.message_keyed or system.find_message):
        deliveries.parked(post.table, post.duty, replace(attempt, reason=MAYBE_SENT))
    elif row:
        deliveries.skipped(post.table, post.duty, replace(attempt, reason=WITHOUT_RULE))


WITHOUT_RULE = "its rule is gone"


def _sent_before(post: Post, message: Message) -> str | None:
    """The provider's id, if an earlier attempt got through; empty: surely not, or it does no harm to
    send it again; None: who knows. Raises Delayed while the provider cannot tell yet."""
    row, destination = post.row, post.destination
    if row is None or row["n"] == 0:
        return ""
    age = (instants.now_ms() - instants.to_ms(message.since)) / 1000
    if destination.message_keyed and (not destination.key_hours or age < destination.key_hours * 3600):
        return ""
    if destination.find_message is None:
        return None if row["st"] == CLAIMED else ""
    waiting = destination.found_after - (instants.now_ms() - instants.to_ms(row["at"])) / 1000
    if waiting > 0:
        raise Delayed("the provider shows what was sent only after a while", retry_after=waiting)
    return destination.find_message(post.http, message)


def _may_know(post: Post, person: Person) -> bool:
    return post.connection.subscription.anonymous or not person.anonymous


def entry_of(item: Item, person: Person, connection: Connection) -> Entry:
    """The event as this connection gets it, with a link to the timeline page."""
    base = settings().public_url
    page = f"{base}/customers/{person.customer.id}" if base else ""
    return shown.entry(Entry(events.from_item(item), person.customer.id, page), connection)


def _append(post: Post, remote: str, entry: Entry, attempt: Attempt, tried: bool) -> str:
    append = post.destination.append_activity
    if append is None:
        return ""
    if post.destination.keyed:
        return append(post.http, remote, entry)
    fresh = deliveries.claim(post.table, post.duty, attempt, post.row)
    before = post.row is not None and post.row["n"] > 0
    unsure = tried or not fresh or before
    if unsure and post.destination.find_activity:
        found = post.destination.find_activity(post.http, remote, entry)
        if found:
            return found
    return append(post.http, remote, entry)


def push_contact(post: Post, person: Person) -> str:
    """The customer's record over there, brought up to date first: lease, then read the state,
    push a difference, save. An unchanged one costs nothing.

    Raises Busy while another worker holds the lease, DeliveryFailed as the destination answers.
    """
    contact = contacts.among(person.more.values(), post.connection.id, person.oldest)
    done = _in_step(post, person, contact) or _leased_and_pushed(post, contact)
    if done is None:
        # Whoever was first may have brought this very customer up to date meanwhile.
        contact = contacts.reread(post.table, contact)
        done = _in_step(post, person, contact) or _leased_and_pushed(post, contact)
    if done is None:
        raise Busy("another worker pushes this contact")
    remote, ver = done
    if contact.failed:
        _made_good(post, person, remote)
        contacts.mended(post.table, contact, ver)
    return remote


def _in_step(post: Post, person: Person, contact: Contact) -> tuple[str, int] | None:
    """The record that has all of him, and the version of the contact that says so."""
    old = _channel_is_old(post, person, contact)
    seen = _with_channel(post, person) if old else person.customer
    if not _there(post, seen, contact):
        return None
    if old:
        contacts.seen(post.table, contact)
    return contact.remote, contact.ver


def _there(post: Post, customer: Customer, contact: Contact) -> bool:
    """Whether the record has all of him. Where a mapping asks too much, the push itself says so and keeps it."""
    if not contact.remote:
        return False
    try:
        known = prints.in_step(post.connection, customer, contact.pushed)
    except DeliveryFailed:
        return False
    return known and not _crossed(post, customer, contact)


def _leased_and_pushed(post: Post, contact: Contact) -> tuple[str, int] | None:
    """The record, and the version of the contact that says so. None: it is not as it was read, or somebody has it."""
    leased = contacts.lease(post.table, contact)
    if leased is None:
        return None
    try:
        return _pushed(post, leased), leased.ver + 1
    except DeliveryFailed as failed:
        contacts.release(post.table, leased, unsure=isinstance(failed, Unknown), failed=True)
        raise
    except Busy:
        contacts.abandon(post.table, leased)
        raise


def _made_good(post: Post, person: Person, remote: str) -> None:
    """A push of him alone that was refused or given up: what it could not bring went along with something else."""
    alone = Duty(post.connection.id, CONTACT, person.oldest, person.id)
    row = live(post.table.get(alone.key)) if post.duty.kind != CONTACT else None
    if row and row["st"] == PARKED:
        deliveries.delivered(post.table, alone, replace(_attempt(row), count=row["n"]), remote, "")


def _crossed(post: Post, customer: Customer, contact: Contact) -> bool:
    """Whether our last push may have overwritten what that system told us of since: it was under way when
    somebody typed it there."""
    if post.destination.shows_contact is None:
        return False
    pushed = instants.to_ms(contact.pushed_at) if contact.pushed_at else 0
    theirs = prints.overtaken(post.connection, customer, contact.pushed)
    return any(0 <= pushed - instants.to_ms(field.at) < CROSSED_WITHIN_MS for field in theirs)


def _channel_is_old(post: Post, person: Person, contact: Contact) -> bool:
    """Whether the channel that he uses most is to be computed anew: once a day, because it costs reads,
    and always where a mapping shows it."""
    if person.customer.preferred_channel or not contact.remote or post.connection.subscription.pseudonymous:
        return False
    shows = PREFERRED in str((post.connection.mapping or {}).get("contact", ""))
    return shows or instants.now_ms() - instants.to_ms(contact.pushed_at) > CHANNEL_KEPT_MS


def _with_channel(post: Post, person: Person) -> Customer:
    return msgspec.structs.replace(person.customer, preferred_channel=post.office.preferred(person))


def _pushed(post: Post, leased: Contact) -> str:
    person = post.person(leased.node, fresh=True)
    if post.destination.upsert_contact is None:
        contacts.release(post.table, leased)
        return leased.remote
    if person is None:
        # Whose this is now is read anew: a record that was never made can be told nothing.
        contacts.release(post.table, leased)
        raise Busy("the customer became another one")
    if contacts.among(person.more.values(), post.connection.id, person.oldest).node != leased.node:
        raise Busy("the customer became another one, whose record is another one")
    now = _with_channel(post, person)
    customer = shown.customer(now, post.connection)
    wanted = prints.fingerprint(post.connection, customer)
    mine = leased.remote if contacts.belongs(post.table, leased, person.nodes) else ""
    remote = _merged(post, person, mine) if mine else _told_record(post, person)
    if not (mine and _there_already(post, now, customer, replace(leased, remote=remote))):
        if mine and _comes_back(post):
            leased = contacts.pushing(post.table, leased, wanted)
        remote = post.destination.upsert_contact(post.http, customer, remote)
    if remote != leased.remote and post.destination.changes:
        post.office.adopted(post.connection.id, remote, leased.node)
    if not contacts.save(post.table, leased, remote, wanted):
        raise Busy("the contact was corrected, or taken over, while the destination was answering")
    return remote


def _comes_back(post: Post) -> bool:
    """Whether that system tells us our own writes like anybody's."""
    return any(not post.connection.settings.get(setting) for setting in post.destination.comes_back)


def _merged(post: Post, person: Person, mine: str) -> str:
    """One record of all that he has there, where the connection's owner wants that. Those that the system refuses
    to make one stay two: that is no reason to tell him nothing."""
    merge = post.destination.merge_contacts if post.connection.settings.get("merge_policy") == HARD else None
    if merge is None:
        return mine
    others = contacts.of(post.table, post.connection.id, person.nodes, person.oldest)[1] - {mine}
    left = mine
    for other in sorted(others):
        try:
            left = merge(post.http, left, other)
        except Rejected as refused:
            telemetry.warn("records stay two", connection=post.connection.id, reason=refused.reason)
            continue
        contacts.adopt(post.table, post.connection.id, person.nodes, left, {mine, other} - {left})
    return left


def _there_already(post: Post, now: Customer, customer: Customer, leased: Contact) -> bool:
    """Where only what that system told us itself may be missing, it is asked before anything is written."""
    look = post.destination.shows_contact
    known = prints.in_step(post.connection, now, leased.pushed)
    return look is not None and known and look(post.http, customer, leased.remote)


def _told_record(post: Post, person: Person) -> str:
    """The record that this very system told us of: it is his, so none is made beside it."""
    mine = [each for each in person.customer.identities if each.kind == "crm" and each.scope == post.connection.id]
    return min((each.value for each in mine), default="")


def _failed(chance: _Chance, attempt: Attempt, failed: DeliveryFailed) -> str:
    """Keep the outcome. A connection that is refused or gone is stopped, and nothing dropped."""
    table, connection, duty = chance.office.table, chance.connection.id, chance.duty
    attempt = replace(attempt, reason=failed.reason, excerpt=failed.excerpt, request=failed.request)
    match failed:
        case Delayed():
            if isinstance(failed, Unknown) and _unfindable(chance):
                deliveries.parked(table, duty, replace(attempt, reason=f"{MAYBE_SENT}: {failed.reason}"))
                return failed.outcome
            return _lined_up(chance, attempt, failed) or _put_off(table, duty, attempt, failed)
        case Unauthorized():
            _stop(table, connection, UNAUTHORIZED, failed.reason)
            deliveries.held(table, duty, attempt)
        case Gone():
            _stop(table, connection, DISABLED, failed.reason)
            deliveries.held(table, duty, attempt)
        case Rejected() | _:
            deliveries.parked(table, duty, attempt)
    return failed.outcome


def _unfindable(chance: _Chance) -> bool:
    """Whether a message that may have been sent can neither be looked for nor be sent again harmlessly."""
    destination = chance.destination
    message = chance.duty.kind.startswith(messages.PREFIX)
    return message and not destination.message_keyed and destination.find_message is None


def _lined_up(chance: _Chance, attempt: Attempt, failed: Delayed) -> str:
    """Put off by our own pace: it comes back in its turn. It was no attempt if nothing was sent and nobody,
    this attempt neither, has claimed it since the row was read. Empty where it is not our pace."""
    if not isinstance(failed, Paced):
        return ""
    table, duty, turn = chance.office.table, chance.duty, math.ceil(failed.retry_after or 0)
    before = live(chance.found.get(duty.key))
    unsent = replace(attempt, count=attempt.count - 1)
    if failed.untried and deliveries.delayed(table, duty, unsent, turn, deliveries.as_read(before)):
        return failed.outcome
    deliveries.delayed(table, duty, attempt, turn)
    return failed.outcome


def _put_off(table: Table, duty: Duty, attempt: Attempt, failed: Delayed) -> str:
    first, now = instants.to_ms(attempt.first_at), instants.now_ms()
    rounds = max(1, attempt.count + attempt.off)
    wait = next_attempt(rounds, first, now, failed.retry_after, random.random())  # noqa: S311
    attempt = replace(attempt, reason=failed.reason, excerpt=failed.excerpt, request=failed.request)
    if wait is None:
        deliveries.parked(table, duty, replace(attempt, reason=f"given up after three days: {failed.reason}"))
        return "parked"
    deliveries.delayed(table, duty, attempt, wait)
    return failed.outcome


def _stop(table: Table, connection_id: str, status: str, reason: str) -> None:
    """Pause the connection. Losing the race to a change by hand is fine: the next attempt tells."""
    connection = connections.get(table, connection_id)
    if connection and connection.status == ACTIVE:
        changed = msgspec.structs.replace(connection, status=status, reason=reason[:200], ver=connection.ver + 1)
        if connections.save(table, changed):
            about = {"connection": connection.id, "name": connection.name, "status": status, "reason": reason[:200]}
            jobs.start(table, "alert", about)
