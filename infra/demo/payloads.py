"""What each system sends, as its vendor documents it: plain documents, not yet signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tests import drive

Row = dict[str, Any]
AGENT = "8447388090495"
JUMPER = "Trui Noors, groen"


@dataclass(frozen=True)
class Customer:
    """Somebody made up. One number runs through all that is his, so that it is easily followed. `score`: his answer to
    the survey."""

    number: int
    name: str = "Jan de Vries"
    score: str = "9"

    @property
    def first(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def last(self) -> str:
        return self.name.partition(" ")[2]

    @property
    def phone(self) -> str:
        return f"+316{self.number}"

    @property
    def mail(self) -> str:
        return f"{self.first.lower()}.{self.number}@example.nl"

    @property
    def account(self) -> int:
        """At the shop."""
        return 7_000_000_000_000 + self.number

    @property
    def order(self) -> int:
        return self.number

    @property
    def visitor(self) -> str:
        return f"a-{self.number}"

    @property
    def desk_user(self) -> int:
        return 8_400_000_000_000 + self.number

    @property
    def ticket(self) -> int:
        return self.number

    @property
    def receipt(self) -> str:
        return f"R-{self.number}"

    @property
    def survey(self) -> str:
        return f"sv-{self.number}"

    @property
    def identities(self) -> tuple[str, ...]:
        """Under each of which the hub may know him."""
        own = (f"phone:{self.phone}", f"email:{self.mail}", f"shop:tc/{self.account}")
        return (*own, f"web:tc/{self.visitor}", f"desk:tc/{self.desk_user}")


def iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def zulu(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc2822(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC))


def page(who: Customer, at: datetime, number: int, path: str, title: str) -> Row:
    return {
        "type": "page",
        "messageId": f"pg-{who.number}-{number}",
        "anonymousId": who.visitor,
        "timestamp": iso(at),
        "properties": {"path": path, "title": title, "url": f"https://shop.example.nl{path}", "referrer": ""},
        "context": {"locale": "nl-NL", "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X)"},
    }


def login(who: Customer, at: datetime) -> Row:
    return {
        "type": "identify",
        "messageId": f"id-{who.number}",
        "anonymousId": who.visitor,
        "userId": str(who.account),
        "timestamp": iso(at),
        "context": {"page": {"path": "/afrekenen"}},
    }


def chat(who: Customer, at: datetime, number: int, text: str, *, bot: bool = False) -> Row:
    """The bot's turns name the conversation only."""
    visitor = {"anonymousId": who.visitor, "prechat": {"name": who.first, "email": who.mail}}
    return {
        "type": "chat",
        "conversationId": f"ch-{who.number}",
        "timestamp": iso(at),
        "sender": {"role": "bot" if bot else "visitor"},
        "message": {"id": f"m-{who.number}-{number}", "text": text},
        **({} if bot else visitor),
    }


def order(who: Customer, at: datetime) -> Row:
    address = {
        "first_name": who.first,
        "last_name": who.last,
        "name": who.name,
        "address1": "Oudegracht 12",
        "zip": "3511 AA",
        "city": "Utrecht",
        "country": "Netherlands",
        "country_code": "NL",
        "phone": who.phone,
    }
    line = {"id": 1, "title": JUMPER, "quantity": 1, "price": "89.95", "sku": "TN-GROEN-M", "variant_title": "M"}
    plain = drive.order(who.order, who.account, who.mail, who.phone, iso(at))
    return plain | {
        "customer": plain["customer"] | {"first_name": who.first, "last_name": who.last},
        "billing_address": address,
        "shipping_address": address,
        "current_total_price": "89.95",
        "subtotal_price": "89.95",
        "total_tax": "15.61",
        "customer_locale": "nl-NL",
        "payment_gateway_names": ["ideal"],
        "line_items": [line | {"product_id": 71001, "variant_id": 82001, "grams": 600, "vendor": "TC"}],
        "shipping_lines": [{"title": "Afhaalpunt", "price": "0.00", "code": "pickup"}],
        "note": "Graag naar het afhaalpunt",
    }


def account(who: Customer, at: datetime) -> Row:
    """The account, with the consent that was given with the order."""
    return {
        "id": who.account,
        "admin_graphql_api_id": f"gid://shopify/Customer/{who.account}",
        "email": who.mail,
        "phone": who.phone,
        "first_name": who.first,
        "last_name": who.last,
        "state": "enabled",
        "verified_email": True,
        "created_at": iso(at),
        "updated_at": iso(at),
        "currency": "EUR",
        "default_address": {"city": "Utrecht", "country_code": "NL"},
        "email_marketing_consent": {
            "state": "subscribed",
            "opt_in_level": "single_opt_in",
            "consent_updated_at": iso(at),
        },
    }


def shipment(who: Customer, at: datetime) -> Row:
    number = f"3STC{who.number}"
    return {
        "id": 9_000_000_000_000 + who.number,
        "order_id": who.order,
        "status": "success",
        "name": f"#{who.order}-F1",
        "created_at": iso(at),
        "updated_at": iso(at),
        "email": who.mail,
        "tracking_company": "PostNL",
        "tracking_number": number,
        "tracking_url": f"https://parcels.example.nl/{number}",
        "shipment_status": None,
        "line_items": [{"id": 1, "title": JUMPER, "quantity": 1, "sku": "TN-GROEN-M"}],
        "destination": {"name": who.name, "city": "Utrecht", "country_code": "NL"},
    }


def parcel(who: Customer, at: datetime, status: str, description: str) -> Row:
    """The carrier knows the order number that the shop gave it, and no customer."""
    return {
        "event_id": f"trk-{who.number}-{status}",
        "status": status,
        "description": description,
        "at": iso(at),
        "parcel": {"barcode": f"3STC{who.number}", "reference": str(who.order), "weight_grams": 720},
        "pickup_point": {"name": "Bruna Vredenburg", "city": "Utrecht"},
    }


def returned(who: Customer, at: datetime) -> Row:
    """At the till, without a loyalty card: the slip says the order, and that is all."""
    return {
        "event": "return.created",
        "receipt": who.receipt,
        "order_ref": str(who.order),
        "loyalty": None,
        "store": "Utrecht",
        "till": 3,
        "lines": [{"sku": "TN-GROEN-M", "quantity": 1, "amount": "89.95", "reason": "Te klein"}],
        "at": iso(at),
    }


def survey(who: Customer, at: datetime) -> Row:
    return {
        "event": "survey.sent",
        "survey": who.survey,
        "to": who.phone,
        "question": "Hoe tevreden bent u over het ruilen in de winkel? Antwoord met een cijfer van 0 tot 10.",
        "scale": [0, 10],
        "subject": who.receipt,
        "store": "Utrecht",
        "at": iso(at),
    }


def whatsapp_text(who: Customer, at: datetime, text: str) -> Row:
    digits = who.phone.lstrip("+")
    contact = {"profile": {"name": who.name}, "wa_id": digits, "user_id": f"NL.88{who.number}"}
    told = {"from": digits, "from_user_id": f"NL.88{who.number}", "id": f"wamid.{who.number}"}
    told |= {"timestamp": str(int(at.timestamp())), "type": "text"}
    return {"contacts": [contact], "messages": [told | {"text": {"body": text}}]}


def ticket(who: Customer, made: datetime, changed: datetime, text: str) -> Row:
    return {
        "id": str(who.ticket),
        "requester_id": str(who.desk_user),
        "submitter_id": str(who.desk_user),
        "actor_id": str(who.desk_user),
        "assignee_id": AGENT,
        "status": "OPEN",
        "type": "QUESTION",
        "priority": "NORMAL",
        "subject": "Kan ik ruilen in de winkel?",
        "description": text,
        "is_public": True,
        "external_id": None,
        "tags": ["ruilen"],
        "via": {"channel": "email"},
        "created_at": zulu(made),
        "updated_at": zulu(changed),
    }


def comment(who: Customer, text: str) -> Row:
    author = {"id": AGENT, "is_staff": True, "name": "Sanne"}
    return {
        "comment": {"id": str(9_800_000_000_000 + who.number), "body": text, "is_public": True, "author": author},
        "meta": {"sequence": {"id": f"CE4A{who.number}", "position": 1}},
    }


def sms(who: Customer, sid: str, text: str) -> Mapping[str, str]:
    return {
        "MessageSid": sid,
        "SmsMessageSid": sid,
        "SmsStatus": "received",
        "From": who.phone,
        "To": "+31201112233",
        "FromCountry": "NL",
        "ToCountry": "NL",
        "Body": text,
        "NumMedia": "0",
        "NumSegments": "1",
        "ApiVersion": "2010-04-01",
    }


def sms_status(who: Customer, sid: str, status: str) -> Mapping[str, str]:
    return {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsStatus": status,
        "MessageStatus": status,
        "From": "+31201112233",
        "To": who.phone,
        "ApiVersion": "2010-04-01",
    }
