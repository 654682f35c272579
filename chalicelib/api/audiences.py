"""Audiences: which customers a campaign may reach; exports, and the feed that is told who enters and leaves."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.api.answers import Call, Reply, instant, next_cursor, wrong
from chalicelib.api.customers import rules
from chalicelib.context import people
from chalicelib.errors import Conflict, Erased, NotFound
from chalicelib.fanout.audiences import shown
from chalicelib.kit.expressions import compiled
from chalicelib.model.audience import Audience, Facts, Member
from chalicelib.model.customer import Person
from chalicelib.model.event import CHANNELS, NOT_CONTACTABLE
from chalicelib.store import audiences, connections, ids, jobs

WALK, EXPORT = "audience", "audience_export"
MOST_AUDIENCES = 20
LONGEST_NAME = 200
PURPOSE = re.compile(r"[a-z0-9][a-z0-9_]{0,39}\Z")
MOST_PURPOSES = 10
MOMENTS = ("contact_since", "contact_before", "orders_none_since")
FIELDS = frozenset(Audience.__struct_fields__) - {"id", "ver"}
COLUMNS = (
    "customer",
    "channel",
    "address",
    "name",
    "language",
    "last_contact_at",
    "orders",
    "last_order_at",
    "consent",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def listing(call: Call) -> Reply:
    known = audiences.decoded(call.table.get(audiences.KEY))
    return Reply({"audiences": [_view(each) for each in known], "next": None})


def show(call: Call, id: str) -> Reply:
    return Reply(_view(_existing(call, id)))


def create(call: Call) -> Reply:
    made = _checked(call, {**call.json(), "id": ids.mint("aud")})
    _change(call, lambda known: (*known, made))
    return Reply(_view(made) | _walked(call, made.id, "", made.feed), 201)


def change(call: Call, id: str) -> Reply:
    """A PATCH: what is not named stays. Everybody is looked at again."""
    current = _existing(call, id)
    changed = _checked(call, {**msgspec.to_builtins(current), **call.json(), "id": id, "ver": current.ver + 1})
    _change(call, lambda known: tuple(changed if each.id == id else each for each in known))
    return Reply(_view(changed) | _walked(call, id, current.feed, changed.feed))


def remove(call: Call, id: str) -> Reply:
    """Whoever was told to have entered leaves."""
    current = _existing(call, id)
    _change(call, lambda known: tuple(each for each in known if each.id != id))
    return Reply({"id": id, "status": "deleted"} | _walked(call, id, current.feed, ""))


def _walked(call: Call, id: str, before: str, after: str) -> dict[str, Any]:
    """The job that has the feeds, the one before too, look at everybody again."""
    named = (connections.get(call.table, each) for each in dict.fromkeys((before, after)) if each)
    feeds = [each.id for each in named if each and not each.deleted]
    job = jobs.start(call.table, WALK, {"audience": id, "feeds": feeds}) if feeds else None
    return {"job": job.id if job else None}


def _existing(call: Call, id: str) -> Audience:
    found = audiences.named(call.table, id)
    if found is None:
        raise NotFound("no such audience")
    return found


def _change(call: Call, change: Callable[[tuple[Audience, ...]], tuple[Audience, ...]]) -> None:
    before = call.table.get(audiences.KEY)
    after = change(audiences.decoded(before))
    if len(after) > MOST_AUDIENCES:
        raise wrong("", f"there are {MOST_AUDIENCES} audiences already")
    if not audiences.save(call.table, after, before):
        raise Conflict("somebody changed the audiences at the same time: read them and try again")


def _checked(call: Call, asked: dict[str, Any]) -> Audience:
    for name in asked:
        if name not in FIELDS | {"id", "ver"}:
            raise wrong(f"/{name}", f"no such field; there are {', '.join(sorted(FIELDS))}")
    for name in ("name", "consent"):
        if not asked.get(name):
            raise wrong(f"/{name}", "is required")
    try:
        audience = msgspec.convert(asked, Audience)
    except msgspec.ValidationError as bad:
        detail, _, place = str(bad).partition(" - at `$")
        raise wrong("/" + re.sub(r"[.\[\]]+", "/", place).strip("`/"), detail) from bad
    _check_words(audience)
    _check_feed(call, audience)
    moments = {name: instant(value, f"/{name}") for name in MOMENTS if (value := getattr(audience, name))}
    return msgspec.structs.replace(audience, **moments)


def _check_words(audience: Audience) -> None:
    if len(audience.name) > LONGEST_NAME:
        raise wrong("/name", f"must be a text of at most {LONGEST_NAME} characters")
    if len(audience.consent) > MOST_PURPOSES:
        raise wrong("/consent", f"must be at most {MOST_PURPOSES} purposes")
    for number, purpose in enumerate(audience.consent):
        if not PURPOSE.match(purpose):
            raise wrong(
                f"/consent/{number}", "a purpose such as marketing, or a channel: its field is consent_<purpose>"
            )
    for number, channel in enumerate(audience.channels):
        if channel not in CHANNELS - NOT_CONTACTABLE:
            raise wrong(f"/channels/{number}", f"must be among {', '.join(sorted(CHANNELS - NOT_CONTACTABLE))}")
    if not 0 <= audience.orders_least <= 1000:
        raise wrong("/orders_least", "must be from 0 to 1000")
    if audience.filter:
        try:
            compiled(audience.filter)
        except ValueError as bad:
            raise wrong("/filter", str(bad)) from bad


def _check_feed(call: Call, audience: Audience) -> None:
    if not audience.feed:
        return
    found = connections.get(call.table, audience.feed)
    if found is None or found.deleted or found.provider not in destinations.slugs():
        raise wrong("/feed", "must be the id of a connection that is told who enters and leaves")
    if destinations.load(found.provider).tell_membership is None:
        raise wrong("/feed", f"{found.provider} takes no audiences")


def _view(audience: Audience) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(audience, name) for name in Audience.__struct_fields__ if name != "ver"}
    empty = {name: None for name in (*MOMENTS, "filter", "feed") if not shown[name]}
    return shown | {"consent": list(audience.consent), "channels": list(audience.channels)} | empty


def export(call: Call, id: str) -> Reply:
    """202 with the job; `result` is where the members are once it is done."""
    audience, job_id = _existing(call, id), ids.mint("job")
    params = {"audience": msgspec.to_builtins(audience), "result": f"/v1/audiences/{id}/exports/{job_id}"}
    job = jobs.start(call.table, EXPORT, params, id=job_id)
    return Reply(jobs.view(job) | {"job": job.id}, 202)


def download(call: Call, id: str, job: str) -> Reply:
    """One page of JSON lines or CSV; the header `Link` leads to the next. Each member is judged once more:
    whoever withdrew his consent since, or is another customer now, is not in it."""
    _existing(call, id)
    found = jobs.get(call.table, job)
    if found is None or found.kind != EXPORT or found.params["audience"]["id"] != id:
        raise NotFound("no such export")
    if found.status != jobs.DONE:
        raise Conflict(f"the export is {found.status}: ask for its job first")
    write = WRITERS.get(call.value("format", "jsonl"))
    if write is None:
        raise wrong("/format", f"must be one of {', '.join(WRITERS)}")
    limit, start = call.limit(), call.cursor(1)
    page = audiences.exported(call.table, job, start[0] if start else "", limit + 1)
    members = _members(call, job, msgspec.convert(found.params["audience"], Audience), page[:limit])
    raw, headers = write(members, first=not start)
    if len(page) > limit:
        cursor = next_cursor(f"{audiences.EXPORTED}{page[limit - 1][0]}")
        query = f"format={call.value('format', 'jsonl')}&limit={limit}&next={cursor}"
        headers |= {"Link": f'<?{query}>; rel="next"'}
    return Reply(raw, headers=headers)


def _members(call: Call, job: str, audience: Audience, page: list[tuple[str, Facts]]) -> list[Member]:
    found: list[Member] = []
    for customer, facts in page:
        person = _living(call, customer[13:])
        if person and _speaks(call, job, customer, person) and (member := shown(audience, person, facts)):
            found.append(member)
    return found


def _living(call: Call, node: str) -> Person | None:
    try:
        return people.of_node(call.table, rules(call), node)
    except Erased:
        return None


def _speaks(call: Call, job: str, customer: str, person: Person) -> bool:
    """Whether this entry is the one for him, of several that became one customer since."""
    if person.id == customer and not person.customer.former:
        return True
    ids = [person.id, *(each.removeprefix(people.PREFIX) for each in person.customer.former)]
    return audiences.among_exported(call.table, job, ids)[:1] == [customer]


def _lines(members: list[Member], *, first: bool) -> tuple[bytes, dict[str, str]]:
    raw = b"".join(msgspec.json.encode(each) + b"\n" for each in members)
    return raw, {"Content-Type": "application/jsonl", "Content-Disposition": 'attachment; filename="audience.jsonl"'}


def _table(members: list[Member], *, first: bool) -> tuple[bytes, dict[str, str]]:
    """The first page begins with the names of the columns."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    if first:
        out.writerow(COLUMNS)
    for each in members:
        proofs = " ".join(f"{proof.purpose}={proof.at}/{proof.source}" for proof in each.consent)
        out.writerow([getattr(each, name) for name in COLUMNS[:3]] + _cells(each) + [proofs])
    headers = {"Content-Type": "text/csv; charset=utf-8; header=" + ("present" if first else "absent")}
    return text.getvalue().encode(), headers | {"Content-Disposition": 'attachment; filename="audience.csv"'}


def _cells(each: Member) -> list[Any]:
    """What a customer wrote himself never begins like a formula."""
    told = [f"'{text}" if text.startswith(FORMULA) else text for text in (each.name, each.language)]
    return [*told, each.last_contact_at, each.orders, each.last_order_at]


WRITERS = {"jsonl": _lines, "csv": _table}
