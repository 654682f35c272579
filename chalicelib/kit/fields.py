"""Normal forms: mail addresses, phone numbers, moments, money, and what never identifies anybody.

All total but `instant`, which raises PayloadMalformed with the field's name. All idempotent.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.lazily import pattern
from chalicelib.model import instants
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, CONTACT_POINTS, KINDS, Identity

DEFAULT_REGION = "NL"
LONGEST_VALUE = 256
NOBODY = frozenset({"anonymous", "blocked", "guest", "n/a", "na", "nil", "none", "null", "-1", "private"}) | frozenset(
    {"restricted", "test", "unavailable", "undefined", "unknown", "withheld"}
)
WITHHELD = frozenset({"+266696687", "+7378742833", "+17378742833", "+2562533", "+8656696", "+86282452253"})
"""What carriers send for ANONYMOUS, RESTRICTED (also as if it were American), BLOCKED, UNKNOWN and UNAVAILABLE."""
_NOT_PEOPLE = pattern(
    r"(?:[^@]*[-_.+])?(?:no|dont|do[-_.]?not)[-_.]?reply(?:[-_.+0-9][^@]*)?@"
    r"|(?:mailer-daemon|anonymous|undefined|unknown)@"
)
_LOCAL = pattern(r'[^\s@<>()\[\],;:"\\]{1,64}\Z')
_DOMAIN = pattern(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]\Z", re.ASCII)
_UNSEEN = pattern("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_DIALLED = pattern(
    r"(?:tel:)?[(\[]?\+?[\d\s()\[\]./\u2010-\u2015\u2212-]+(?:(?:;ext=|ext\.?|x)\s*\d+)?\Z", re.IGNORECASE
)
_UNIX = pattern(r"[0-9]{9,13}(?:\.[0-9]{1,9})?\Z", re.ASCII)
_ISO = pattern(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[Tt ]|\Z)", re.ASCII)
_WHOLE = pattern("BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|VND|VUV|XAF|XOF|XPF")
_IN_THOUSANDTHS = pattern("BHD|IQD|JOD|KWD|LYD|OMR|TND")


def email(value: object) -> str:
    """NFKC, lower case, internationalized domains in ASCII, no dot tricks; empty for nonsense."""
    if not isinstance(value, str) or len(value) > 320:
        return ""
    text = _folded(value)
    local, at, domain = text.rpartition("@")
    domain = _ascii_domain(domain).removesuffix(".")
    if not at or not _LOCAL.match(local) or not _DOMAIN.match(domain) or not local.isprintable():
        return ""
    found = f"{local}@{domain}"
    return found if len(found) <= 254 and _folded(found) == found else ""


def phone(value: object, region: str = DEFAULT_REGION) -> str:
    """E.164 (+31612345678), a number without + read as dialled in `region` (ISO 3166 code); empty for nonsense.

    Numbers of Argentina, Brazil and Mexico, which WhatsApp and carriers write in two ways, take one.
    """
    text = value if isinstance(value, str) else plain(value)
    if len(text) > 40:
        return ""
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).strip()
    found = _e164(text, region) if _DIALLED.match(text) else ""
    return found if found and _e164(found, region) == found else ""


def instant(value: object, field: str, zone: str = "") -> str:
    """UTC with milliseconds, from ISO 8601, unix seconds or milliseconds, or RFC 2822.

    A moment without an offset is read in `zone` (an IANA name). Raises PayloadMalformed naming `field`.
    """
    if value is None or value == "":
        raise PayloadMalformed(f"{field}: is missing")
    try:
        milliseconds = _moment(value, field, zone)
    except (ValueError, OverflowError, TypeError) as wrong:
        raise PayloadMalformed(f"{field}: not a moment: {str(value)[:60]!r}") from wrong
    if not 0 < milliseconds < 253402300800000:
        raise PayloadMalformed(f"{field}: no moment between 1970 and 9999: {str(value)[:60]!r}")
    return instants.from_ms(milliseconds)


def money(amount: object, currency: object, *, minor: bool = False) -> dict[str, str]:
    """{"amount": "12.50", "currency": "EUR"}; `minor`: the amount counts cents. Empty for nonsense."""
    code = currency.strip().upper() if isinstance(currency, str) else ""
    number = _decimal(amount)
    if number is None or not re.fullmatch(r"[A-Z]{3}", code):
        return {}
    digits = 0 if _WHOLE.fullmatch(code) else 3 if _IN_THOUSANDTHS.fullmatch(code) else 2
    if minor:
        number = number.scaleb(-digits)
    exponent = number.as_tuple().exponent
    places = max(digits, -exponent if isinstance(exponent, int) else 0)
    return {"amount": f"{number:.{places}f}", "currency": code}


def email_identity(value: object, assurance: int = A1_ASSERTED) -> Identity | None:
    """A2 for an address that the provider attests; None for addresses that are nobody's."""
    found = email(value)
    if not found or nobody(found) or found.endswith(".invalid"):
        return None
    return Identity("email", found, "", assurance)


def phone_identity(value: object, region: str = DEFAULT_REGION, assurance: int = A1_ASSERTED) -> Identity | None:
    """None for withheld caller ids, which some carriers send without their +, and for what is no number."""
    found = phone(value, region)
    sent = "+" + _folded(str(value)).removeprefix("+") if found else ""
    if not found or found in WITHHELD or sent in WITHHELD:
        return None
    return Identity("phone", found, "", assurance)


def scoped(kind: str, scope: object, value: object, assurance: int = A2_ATTESTED) -> Identity | None:
    """An anchor or channel-scoped identity; None for empties and values that identify nobody."""
    found, owner = plain(value), plain(scope)
    if kind not in KINDS or not found or not owner or max(len(found), len(owner)) > LONGEST_VALUE or nobody(found):
        return None
    return Identity(kind, found, owner, assurance)


def nobody(value: str) -> bool:
    """Whether this is a placeholder: nothing, null, guest, 0, all zeros, noreply@ …"""
    text = _folded(value)
    return (
        text in NOBODY or text in WITHHELD or not text.strip("0-_. ") or bool(_NOT_PEOPLE.match(text[:LONGEST_VALUE]))
    )


def plain(value: object) -> str:
    """Text or a whole number as stripped printable text; empty for everything else."""
    if isinstance(value, int) and not isinstance(value, bool) and -(10**30) < value < 10**30:
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() else ""


def present(*identities: Identity | None) -> tuple[Identity, ...]:
    """Without the absent ones, each identifier once by its best assurance, in order of appearance."""
    best: dict[str, Identity] = {}
    for each in identities:
        if each is not None and (each.text not in best or best[each.text].assurance < each.assurance):
            best[each.text] = each
    return tuple(best.values())


def identity(kind: str, scope: object, value: object, assurance: int, region: str = DEFAULT_REGION) -> Identity | None:
    """By kind: contact points normalized, all others in their scope."""
    if kind == "email":
        return email_identity(value, assurance)
    if kind in CONTACT_POINTS:
        found = phone_identity(value, region, assurance)
        return Identity(kind, found.value, "", assurance) if found else None
    return scoped(kind, scope, value, assurance)


def _folded(value: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).strip().lower())


def _ascii_domain(domain: str) -> str:
    """As UTS 46 maps it. Not by Python's own codec, whose older rules read straße.de as the domain strasse.de."""
    if domain.isascii():
        return domain
    import idna

    try:
        labels = idna.uts46_remap(domain, std3_rules=False).split(".")
        return ".".join(each if each.isascii() else "xn--" + each.encode("punycode").decode() for each in labels)
    except UnicodeError:
        return ""


def _e164(text: str, region: str) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region.upper() if isinstance(region, str) else None)
        found = _one_form(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        number = phonenumbers.parse(found)
    except phonenumbers.NumberParseException:
        return ""
    if not number.national_number:
        return ""
    likely = phonenumbers.is_possible_number(number) and len(found) > 8
    return found if likely or phonenumbers.is_valid_number(number) else ""


def _one_form(number: str) -> str:
    number = re.sub(r"^\+521(\d{10})$", r"+52\1", number)
    number = re.sub(r"^\+549(\d{10})$", r"+54\1", number)
    return re.sub(r"^\+55(\d\d)([6-9]\d{7})$", r"+55\g<1>9\2", number)


def _moment(value: object, field: str, zone: str) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _unix(value)
    text = value.strip() if isinstance(value, str) and len(value) <= 64 else ""
    if _UNIX.match(text):
        return _unix(float(text) if "." in text else int(text))
    moment = _iso(text) if _ISO.match(text) else _rfc2822(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(zone, field))
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000 + moment.microsecond // 1000


def _unix(value: float) -> int:
    if not math.isfinite(value) or abs(value) > 1e15:
        raise ValueError("out of range")
    return round(value) if abs(value) >= 1e11 else round(value * 1000)


def _iso(text: str) -> datetime:
    text = re.sub(r"\s+(?=[+-]\d\d:?\d\d\Z)", "", text)
    return datetime.fromisoformat(re.sub(r"\s*UTC\Z", "+00:00", text))


def _rfc2822(text: str) -> datetime:
    from email.utils import parsedate_to_datetime

    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo or not text.rstrip().endswith("-0000") else moment.replace(tzinfo=UTC)


def _zone(zone: str, field: str) -> Any:
    from zoneinfo import ZoneInfo

    if not zone:
        raise PayloadMalformed(f"{field}: a moment without an offset, and no zone is set")
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as wrong:
        raise PayloadMalformed(f"{field}: no such zone: {zone[:60]!r}") from wrong


def _decimal(amount: object) -> Decimal | None:
    if isinstance(amount, bool) or not isinstance(amount, str | int | float | Decimal):
        return None
    text = str(amount).strip()
    if not re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,8})?", text, re.ASCII):
        return None
    try:
        return Decimal(text) + 0  # minus zero is zero
    except InvalidOperation:
        return None
