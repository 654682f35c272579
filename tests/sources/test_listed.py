"""What a provider lists of what it never delivered becomes the very events that its webhooks make.

`missed/<page>.json` beside a source's fixtures: `window`, `cursor` and what is `asked` with them; the `answer`, its
`headers` and the cursor that is `next`. Of each thing that is listed `same_as` names the case of its webhook, or is
null where there is none; `but` names the fields that a listing tells otherwise, and why not is in the module.
`fetched`: what a look-up finds for each of them, where it is not what the webhook's own finds.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from source_fixtures import FOLDER, Case, load
from test_source_conformance import JUNK, MALFORMED, spoiled

from chalicelib import sources
from chalicelib.errors import PayloadMalformed
from chalicelib.kit.request import Request
from chalicelib.kit.source import Listed, Listing, Missed, Page, Told, Window
from chalicelib.model import instants
from chalicelib.model.event import Event, event_id

PAGES = sorted(FOLDER.glob("*/missed/*.json"))
ABLE = [slug for slug in sources.slugs() if sources.load(slug).missed]
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
each_slug = pytest.mark.parametrize("slug", ABLE)


def about(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def case_of(path: Path, name: str | None = None) -> Case:
    """A case of the same folder; without a name any, for the connection's settings and secrets."""
    found = path.parent.parent / f"{name}.http" if name else sorted(path.parent.parent.glob("*.http"))[0]
    return load(found)


def settings_of(path: Path) -> dict[str, Any]:
    whole = json.loads((path.parent.parent / "connection.json").read_text("utf-8"))
    settings: dict[str, Any] = whole["settings"] | about(path).get("settings", {})
    return settings


def missed_of(path: Path) -> Missed:
    found = sources.load(path.parts[-3]).missed
    assert found
    return found


def asked(path: Path, **secrets: tuple[str, ...]) -> Listing | None:
    told = about(path)
    known = {
        **case_of(path).secrets,
        **{name: tuple(each) for name, each in told.get("secrets", {}).items()},
        **secrets,
    }
    return missed_of(path).ask(Window(**told["window"]), told.get("cursor", ""), settings_of(path), known)


def read(path: Path, **other: Any) -> Page:
    told = about(path)
    headers = {name.lower(): value for name, value in told.get("headers", {}).items()}
    answered = Told(told["answer"], Window(**told["window"]), told.get("cursor", ""), headers, settings_of(path))
    return missed_of(path).read(replace(answered, **other))


def request_of(path: Path, listed: Listed, fetched: Any = None) -> Request:
    return Request(
        "POST",
        "https://vendor.example/listed",
        (("Content-Type", "application/json"), *listed.headers),
        listed.body,
        "2031-01-01T00:00:00.000Z",
        settings=settings_of(path),
        connection=case_of(path).request.connection,
        fetched=fetched or {},
    )


def fields_of(event: Event) -> dict[str, Any]:
    """Its fields, and those of its details by themselves."""
    found = {name: getattr(event, name) for name in event.__struct_fields__}
    return found | {f"details.{name}": value for name, value in found.pop("details").items()}


@each_page
def test_a_page_is_asked_for_and_read(path: Path) -> None:
    told, listing, page = about(path), asked(path), read(path)
    assert listing and listing.path == told["asked"] and listing.base.startswith("https://") and listing.headers
    assert page.next == told["next"] and len(page.webhooks) == len(told["same_as"])
    assert all(text not in listing.path for values in case_of(path).secrets.values() for text in values)


@each_page
def test_what_is_listed_becomes_the_events_of_its_webhook(path: Path) -> None:
    told, source, differ = about(path), sources.load(path.parts[-3]), set()
    pairs = zip(read(path).webhooks, told["same_as"], told.get("fetched") or [None] * len(told["same_as"]), strict=True)
    for listed, name, fetched in pairs:
        twin = case_of(path, name) if name else None
        found = list(source.normalize(request_of(path, listed, fetched or (twin.request.fetched if twin else {}))))
        if twin is None:
            assert found, "shown, though no webhook of the fixtures tells the same"
            continue
        known = list(source.normalize(replace(twin.request, settings=settings_of(path))))
        assert known and [event_id("c", each) for each in found] == [event_id("c", each) for each in known]
        for one, other in zip(map(fields_of, found), map(fields_of, known), strict=True):
            differ |= {field for field in {*one, *other} if one.get(field) != other.get(field)}
        assert [each.identities[:1] for each in found] == [each.identities[:1] for each in known], (
            "not at the same home"
        )
        apart = source.missed.apart if source.missed else 0
        assert all(moved(*each) <= apart * 1000 for each in zip(found, known, strict=True))
    assert differ == set(told.get("but", []))


def moved(one: Event, other: Event) -> int:
    return abs(instants.to_ms(one.occurred_at) - instants.to_ms(other.occurred_at))


@each_page
def test_the_look_ups_of_what_is_listed_are_those_that_the_fixture_has(path: Path) -> None:
    told, source = about(path), sources.load(path.parts[-3])
    if source.fetch is None:
        pytest.skip("fetches nothing")
    for listed, found in zip(read(path).webhooks, told.get("fetched") or [], strict=False):
        names = {each.name for each in source.fetch(request_of(path, listed), case_of(path).secrets)}
        assert names == set(found or {})


@each_page
def test_an_answer_that_is_no_page_is_malformed(path: Path) -> None:
    for broken in (None, {}, [], "x", 0, {"error": "x"}, {"data": [], "orders": {}, "ticket_events": None}):
        with pytest.raises(PayloadMalformed):
            read(path, document=broken)


@each_page
def test_an_answer_may_hold_anything(path: Path) -> None:
    source = sources.load(path.parts[-3])
    for number, broken in enumerate(spoiled(about(path)["answer"], JUNK[:6])):
        if number % 3:
            continue
        try:
            page = read(path, document=broken)
            for each in page.webhooks[:1]:
                list(source.normalize(request_of(path, each)))
        except PayloadMalformed:
            continue
    for text in [body.decode("latin-1") for body in MALFORMED if len(body) < 5000]:
        read(path, headers={"link": text})


@each_slug
def test_a_source_that_can_be_asked_shows_its_pages(slug: str) -> None:
    mine = [path for path in PAGES if path.parts[-3] == slug]
    assert {bool(read(path).next) for path in mine} == {True, False}, "one with a page after it, and the last one"
    assert any(about(path).get("cursor") for path in mine)
    missed = missed_of(mine[0])
    assert missed.needs and missed.requests > 0 and missed.seconds > 0 and missed.lag >= 60


@each_slug
def test_without_what_it_needs_nothing_is_asked(slug: str) -> None:
    path = next(path for path in PAGES if path.parts[-3] == slug)
    missed, window = missed_of(path), Window(**about(path)["window"])
    assert missed.ask(window, "", settings_of(path), {}) is None
    assert missed.ask(window, "", settings_of(path), dict.fromkeys(case_of(path).secrets, ("",))) is None
    assert missed.ask(window, "", {}, {}) is None
