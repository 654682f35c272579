"""Sinch Fax v3: faxes that come in, and what became of faxes that were sent.

https://developers.sinch.com/docs/fax/api-reference/fax/notifications

JSON, or a form whose `fax` is JSON and whose `file` is the fax itself. Nothing is signed: Sinch calls the
address with the user name and the password that are in it. Some requests lack the event's name or put the
fax inside of `event`; its direction then tells what happened.
A fax has no thread but our number, theirs and the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import faxes, mail, multipart
from chalicelib.kit.faxes import Fax
from chalicelib.kit.fields import instant, money
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import BASIC_OR_PATH, BASIC_OR_PATH_SECRETS, BASIC_OR_PATH_SETTINGS
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {"INCOMING_FAX": "fax", "FAX_COMPLETED": "fax"}
BY_DIRECTION = {"INBOUND": "INCOMING_FAX", "OUTBOUND": "FAX_COMPLETED"}
STATUS = {"COMPLETED": "sent", "FAILURE": "failed"}


def normalize(request: Request) -> Iterator[Event]:
    told, files = told_by(request)
    fax = fax_of(told)
    kind = text(told, "event") or BY_DIRECTION.get(text(fax, "direction"), "")
    wanted = text(request.settings, "service_id")
    if kind not in TYPES or (wanted and text(fax, "serviceId") not in ("", wanted)):
        return
    if kind == "INCOMING_FAX":
        yield received(request, told, fax, files)
    elif text(fax, "direction") != "INBOUND" and text(fax, "status") in STATUS:
        yield sent(request, told, fax, files)


def told_by(request: Request) -> tuple[Any, tuple[dict[str, Any], ...]]:
    """(what is told, the fax as a file)"""
    if request.media_type != multipart.MULTIPART:
        return request.object, encoded(request.object)
    form = multipart.checked(request)
    told = {name: form.first(name) for name in ("event", "eventTime")} | {"fax": multipart.json_of(fax_part(form))}
    return told, tuple(part.reference() for part in form.files() if part.name != "fax")


def fax_part(form: multipart.Form) -> bytes:
    found = form.named("fax")
    return found[0].content if found else b""


def encoded(told: Any) -> tuple[dict[str, Any], ...]:
    """The file of a JSON request, in base64."""
    kind = text(told, "fileType").lower()[:20]
    media = f"image/{kind}" if kind in ("tif", "tiff") else f"application/{kind}" if kind else ""
    return (mail.attachment(f"fax.{kind or 'pdf'}", media, text(told, "file")),) if text(told, "file") else ()


def fax_of(told: Any) -> Any:
    found = pick(told, "fax") or pick(told, "event", "fax") or told
    return multipart.json_of(found.encode()) if isinstance(found, str) else found


def received(request: Request, told: Any, fax: Any, files: tuple[dict[str, Any], ...]) -> Event:
    pages = count(fax)
    return faxes.entry(
        read(request, told, fax, "from", "to"),
        "INCOMING_FAX",
        version="received",
        summary="Fax" + (f" of {pages} pages" if pages and pages > 1 else " of one page" if pages else ""),
        attachments=files,
        details=({"status": "failed"} if text(fax, "status") == "FAILURE" else {}) | details(fax),
    )


def sent(request: Request, told: Any, fax: Any, files: tuple[dict[str, Any], ...]) -> Event:
    status = STATUS[text(fax, "status")]
    return faxes.entry(
        read(request, told, fax, "to", "from"),
        "FAX_COMPLETED",
        direction="out",
        actor=text(request.settings, "sent_by") or "agent",
        version=status,
        summary=f"Fax {status}",
        attachments=files,
        details={"status": status} | details(fax),
    )


def read(request: Request, told: Any, fax: Any, customer: str, own: str) -> Fax:
    region = request.region
    return Fax(required(fax, "id"), moment_of(told, fax), text(fax, customer), text(fax, own), region)


def details(fax: Any) -> dict[str, Any]:
    labels = pick(fax, "labels")
    codes = [text(each, "value")[:200] for each in objects(fax, "barCodes")[:20]]
    return kept(
        pages=count(fax),
        error=text(fax, "errorType")[:100],
        reason=text(fax, "errorMessage")[:500],
        code=text(fax, "errorCode")[:20],
        bar_codes=[each for each in codes if each],
        price=money(pick(fax, "price", "amount"), pick(fax, "price", "currencyCode")),
        labels=labels if isinstance(labels, dict) else None,
        service=text(fax, "serviceId")[:100],
    )


def count(fax: Any) -> int | None:
    """A form may write numbers as texts."""
    found = text(fax, "numberOfPages")
    return int(found) if found.isascii() and found.isdigit() and len(found) < 6 else None


def moment_of(told: Any, fax: Any) -> str:
    """The fax's own: an event's time may be that of the attempt to tell us."""
    name = next((name for name in ("completedTime", "createTime") if text(fax, name)), "eventTime")
    return instant(pick(told, name) if name == "eventTime" else pick(fax, name), name, "UTC")


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"event":"INCOMING_FAX","eventTime":"2026-01-01T11:00:00Z","fax":{"id":"01H0000000000000000000TEST",'
        b'"direction":"INBOUND","from":"anonymous","to":"+31201234567","numberOfPages":1,"status":"COMPLETED",'
        b'"createTime":"2026-01-01T11:00:00Z"}}'
    )
    return BASIC_OR_PATH.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Sinch Fax",
    channel="fax",
    types=TYPES,
    normalize=normalize,
    verify=BASIC_OR_PATH,
    settings={
        **BASIC_OR_PATH_SETTINGS,
        "service_id": Setting("Service ID", help="Faxes of other services yield nothing"),
        "region": REGION,
        "sent_by": Setting("Who sends faxes", default="agent", choices=("agent", "bot", "system")),
    },
    secrets=BASIC_OR_PATH_SECRETS,
    unverified=(
        "whether Sinch sends the user name and password of the callback's address as basic authentication; else path",
        "how often and when a failed callback is repeated",
        "forms of a withheld sender's number",
        "requests without the event's name, which others report",
    ),
    setup=(
        "Make up a user name and a password and enter them here. Set {hook_url}, with https://<username>:<password>@ "
        "where it begins with https://, as the incoming webhook of the fax service; content type: multipart or JSON, "
        "both are read.",
        "Give the same address as callbackUrl when you send a fax, or as the service's default.",
        "Faxes of over 4 MB, in JSON with their base64, are refused: they stay at Sinch.",
    ),
    docs="https://developers.sinch.com/docs/fax/api-reference/fax/notifications",
    sample=sample,
)
