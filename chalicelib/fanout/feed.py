"""The feed of an audience: what one connection was told of a customer, against what is true now.

A change is begun before it is sent, with its own version, and ended after: one that may have arrived
is sent again under the same key, or taken back by a later one, and never forgotten. The state is read
again once the change is begun, so that who comes last tells what is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.errors import Busy, DeliveryFailed
from chalicelib.fanout.audiences import print_of, reduced_member, shown, weigh
from chalicelib.fanout.shown import shown_id
from chalicelib.model import instants
from chalicelib.model.audience import Audience, Member, Told
from chalicelib.model.customer import Person
from chalicelib.model.event import digest
from chalicelib.store import audiences
from chalicelib.store.audiences import Membership
from chalicelib.store.deliveries import AUDIENCE, Duty

if TYPE_CHECKING:
    from chalicelib.fanout.deliver import Post

IN_STEP = "in step"


def duty_of(audience: str, connection: str, customer: str) -> Duty:
    """`customer`: his id without its prefix, which names his node."""
    return Duty(connection, f"{AUDIENCE}{audience}", customer[13:], customer)


def tell(post: Post) -> str:
    """Bring the connection up to date about the duty's customer. One who became another's is no customer
    any more: he leaves, and whoever he is now has a duty of his own.

    Raises Busy while another worker does so, DeliveryFailed as the destination answers.
    """
    if post.destination.tell_membership is None:
        return ""
    audience = post.duty.kind.removeprefix(AUDIENCE)
    known = audiences.membership(post.table, post.connection.id, audience, post.duty.sort)
    return _settle(post, known, post.office.person_of(post.duty.node)) or IN_STEP


def _settle(post: Post, known: Membership, person: Person | None) -> str:
    """The key of what was told; empty: it was in step."""
    audience = audiences.named(post.table, known.audience)
    whole = audience is not None and audience.asks_history
    wanted = print_of(_member(post, audience, known.customer, person, whole=whole))
    if known.in_step(wanted):
        return ""
    leased = audiences.lease(post.table, known, wanted)
    if leased is None:
        raise Busy("another worker tells of this customer")
    try:
        return _told(post, known, leased)
    except DeliveryFailed:
        audiences.release(post.table, leased, leased)
        raise


def _told(post: Post, known: Membership, leased: Membership) -> str:
    audience = audiences.named(post.table, leased.audience)
    member = _member(post, audience, leased.customer, post.office.person_of(leased.customer[13:]), whole=True)
    if print_of(member) != leased.trying:
        audiences.release(post.table, leased, known)
        raise Busy("the customer changed meanwhile")
    told = _message(post, audience, leased, member)
    if post.destination.tell_membership:
        post.destination.tell_membership(post.http, told)
    if not audiences.save_told(post.table, leased):
        raise Busy("the lease ran out while the destination was answering")
    return told.key


def _member(
    post: Post, audience: Audience | None, customer: str, person: Person | None, *, whole: bool
) -> Member | None:
    """None for whoever does not belong now, or is not this customer any more. `whole`: with all of his
    history, which tells the same where the audience does not ask for it, and costs more."""
    if audience is None or audience.feed != post.connection.id or person is None or person.id != customer:
        return None
    facts = weigh(audience, person, lambda: post.office.known(person, whole))
    member = shown(audience, person, facts) if facts else None
    wish = post.connection.subscription
    return reduced_member(member, wish, shown_id(person.customer.id, post.connection)) if member else None


def _message(post: Post, audience: Audience | None, leased: Membership, member: Member | None) -> Told:
    return Told(
        key=digest(leased.connection, leased.audience, leased.customer, str(leased.tried_at)),
        what=leased.what,
        audience=leased.audience,
        name=audience.name if audience else "",
        customer=shown_id(f"cus_{leased.customer}", post.connection),
        at=instants.from_ms(leased.tried_at),
        version=leased.tried_at,
        member=member,
    )
