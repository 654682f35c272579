"""Trustpilot: reviews of the service, new, changed and withdrawn.

https://support.trustpilot.com/hc/en-us/articles/115015822068

Webhooks are not signed as far as is published, so the secret is a part of the hook's path. They carry no address of
the reviewer: the reference of the order says whose review it is. It is evidence where the vendor verified the review,
and as if typed by a person otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit.fields import instant
from chalicelib.kit.parts import each_part
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import path_secret
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event, Ref, digest

TYPES = {
    "service-review-created": "satisfaction",
    "service-review-updated": "satisfaction",
    "service-review-deleted": "system",
}
SCALE = [1, 5]

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    """Reviews of products, and of other business units where the setting names one, are left out."""
    parts = ((f"events[{number}]", told) for number, told in enumerate(objects(request.object, "events")))
    yield from each_part(parts, lambda told: about(request, told))


def about(request: Request, told: Node) -> Iterator[Event]:
    kind, review = text(told, "eventName"), pick(told, "eventData")
    if kind in TYPES and ours(request, review):
        yield withdrawn(request, review, kind) if TYPES[kind] == "system" else reviewed(request, review, kind)


def ours(request: Request, review: Any) -> bool:
    wanted = text(request.settings, "business_unit_id")
    return not wanted or text(review, "businessUnitId") in ("", wanted)


def reviewed(request: Request, review: Any, kind: str) -> Event:
    stars = review.get("stars") if isinstance(review, dict) else None
    rated = type(stars) is int and SCALE[0] <= stars <= SCALE[1]
    moment = moment_of(review, kind)
    told = "\n\n".join(part for part in (text(review, "title"), text(review, "text")) if part)
    name = required(review, "id")
    return Event(
        type="satisfaction",
        channel="survey",
        object=f"review/{name}",
        version=version_of(review, kind),
        occurred_at=moment,
        refs=(*order_of(request, review), Ref("survey", f"review/{name}")),
        summary=f"Review: {stars} of 5 stars" if rated else "Review",
        text=told,
        details=(({"score": stars, "scale": SCALE} if rated else {}) | details(review, told, name)),
        link=f"https://www.trustpilot.com/reviews/{name}",
        provider_type=kind,
    )


def details(review: Any, told: str, name: str) -> dict[str, Any]:
    return kept(
        comment=told,
        survey=f"review/{name}",
        verified=review.get("isVerified") is True,
        language=text(review, "language"),
        reviewer=text(review, "consumer", "id"),
        reviewer_name=text(review, "consumer", "name"),
        location=text(review, "locationId"),
        tags=[": ".join((text(each, "group"), text(each, "value"))) for each in objects(review, "tags")],
    )


def withdrawn(request: Request, review: Any, kind: str) -> Event:
    name = required(review, "id")
    return Event(
        type="system",
        channel="survey",
        object=f"review/{name}",
        version=version_of(review, kind),
        occurred_at=moment_of(review, kind),
        refs=(*order_of(request, review), Ref("survey", f"review/{name}")),
        summary="Review withdrawn",
        details={"status": "withdrawn", "survey": f"review/{name}"},
        provider_type=kind,
    )


def moment_of(review: Any, kind: str) -> str:
    names = ["createdAt"] if kind.endswith("created") else ["deletedAt", "updatedAt", "createdAt"]
    found = next(((name, told) for name in names if (told := text(review, name))), (names[-1], ""))
    return instant(found[1], found[0], "UTC")


def version_of(review: Any, kind: str) -> str:
    """A new review has one version; a changed one is told apart by its moment, or else by what it says."""
    change = kind.rpartition("-")[2]
    if change == "created":
        return change
    told = text(review, "deletedAt") or text(review, "updatedAt")
    return f"{change}@{told or digest(text(review, 'title'), text(review, 'text'), text(review, 'stars'), size=5)}"


def order_of(request: Request, review: Any) -> tuple[Ref, ...]:
    reference = text(review, "referenceId").strip().lstrip("#")
    kind = text(request.settings, "reference") or "order"
    typed = review.get("isVerified") is not True
    return (Ref(kind, reference, typed=typed),) if reference and kind != "none" else ()


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"events":[{"eventName":"service-review-created","version":"1","eventData":{"id":"test","language":"nl",'
        b'"title":"Test","text":"Test","stars":5,"createdAt":"2026-01-01T11:00:00.000Z"}}]}'
    )
    return SECRET.sign(sample_request(url, settings, body), secrets)


SECRET = path_secret()
SOURCE = Source(
    name="Trustpilot",
    channel="survey",
    types=TYPES,
    normalize=normalize,
    verify=SECRET,
    own_system=True,
    settings={
        "business_unit_id": Setting("Business unit", help="Only its reviews, where a webhook names the unit"),
        "reference": Setting(
            "Reference number",
            default="order",
            choices=("order", "receipt", "case", "none"),
            help="What the reference in your invitations is; name the shop's connection in ref_scopes",
        ),
    },
    secrets={"path_secret": Setting("Path secret", required=True, help="The webhook is sent to {hook_url}/<secret>")},
    unverified=(
        "whether webhooks are signed in any way: none is published, so the secret is in the path",
        "the fields of a changed and of a withdrawn review: read as those of a new one, with updatedAt or deletedAt",
        "that isVerified means that the reference came from an invitation and not from the reviewer",
        "how often and how long a failed webhook is sent again",
    ),
    setup=(
        "Choose a long random path secret and enter it here.",
        "In the business account open Integrations, Developers, Webhook notifications, and add {hook_url}/<path secret> "
        "for new, updated and deleted service reviews.",
        "Give the order number as reference number in your invitations, and name the shop's connection in "
        "ref_scopes.order.",
    ),
    docs="https://support.trustpilot.com/hc/en-us/articles/115015822068",
    sample=sample,
)
