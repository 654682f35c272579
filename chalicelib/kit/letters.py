"""A mail that came in as an event, for every carrier that hands over its headers.

A mail is known by its own Message-ID, so that one mail by two addresses is one event; its moment is its
own date for the same reason. From identifies, where it holds one address; Reply-To, copies and what a
text mentions never do. Its address is asserted only, unless somebody whom the settings name vouches for it.
A mail from an own address is an agent's, blind copied: its customer is the one recipient of ours that it
has; with several it has none, since one event with two people would unite them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import mail, mime, patterns, replies, tokens
from chalicelib.kit.fields import email, email_identity, nobody, present
from chalicelib.kit.lazily import pattern
from chalicelib.kit.shape import kept, text, texts
from chalicelib.kit.source import Setting
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

LONGEST_SUBJECT = 998
ANY_STAMP = pattern("")
LONGEST_ADDRESS = 320
SETTINGS: Mapping[str, Setting] = {
    "own_addresses": Setting(
        "Own addresses", type="array", items="string", help="Addresses and @domains: mail from these is an agent's"
    ),
    "order_pattern": Setting(
        "Order numbers in mails", help=r"Such as \b(TC-\d{6})\b: one group, always greedy, any case"
    ),
    "authserv_ids": Setting(
        "Servers whose DMARC results count",
        type="array",
        items="string",
        help="First word of their Authentication-Results, such as mx.google.com, where they forward to this carrier",
    ),
}
FORWARDERS = Setting(
    "Hosts of these servers",
    type="array",
    items="string",
    help="Domains of the hosts that hand over to this carrier; default: those of the servers' own names",
)


class Letter(msgspec.Struct, frozen=True, dict=True):
    """`headers` as they were written, topmost first within one name. `stripped`: the new part as the
    carrier found it. `envelope`: the addresses that the carrier took it in for. `hashes`: what
    it found after the plus of addresses. `parsed`: (name, address)
    of From, To and Cc, where the carrier hands over these instead of the headers."""

    headers: mail.Headers
    settings: Mapping[str, Any]
    plain: str = ""
    markup: str = ""
    stripped: str = ""
    files: tuple[dict[str, Any], ...] = ()
    envelope: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    parsed: Mapping[str, list[tuple[str, str]]] = {}
    details: Mapping[str, Any] = {}

    @cached_property
    def author(self) -> tuple[str, str]:
        """(name, address); empty where From is missing, doubled, or holds several."""
        found = self.mailboxes("From") if len(mail.every(self.headers, "From")) < 2 else []
        return (mime.words(found[0][0]), found[0][1]) if len(found) == 1 else ("", "")

    @property
    def sender(self) -> str:
        return self.author[1]

    @cached_property
    def subject(self) -> str:
        return mime.words(mail.first(self.headers, "Subject")).strip()[:LONGEST_SUBJECT]

    @cached_property
    def id(self) -> str:
        """Its Message-ID; of a mail without one a digest of what every copy of it has."""
        own = mail.message_ids(mail.first(self.headers, "Message-ID"))
        return own[0] if own else digest(self.sender, mail.first(self.headers, "Date"), self.subject, self.plain)

    @cached_property
    def ours(self) -> bool:
        return self.is_own(self.sender)

    @cached_property
    def automatic(self) -> str:
        return mail.automatic(self.headers)

    def is_own(self, address: str) -> bool:
        return mail.listed(address, texts(self.settings, "own_addresses"))

    def addresses(self, *names: str) -> list[str]:
        found = [each for name in names for each in self.mailboxes(name)]
        return list(dict.fromkeys(address[:LONGEST_ADDRESS] for _, address in found))[: mail.MOST_ADDRESSES]

    def mailboxes(self, name: str) -> list[tuple[str, str]]:
        if name in self.parsed:
            return self.parsed[name]
        return [each for value in mail.every(self.headers, name) for each in mail.addresses(value)]

    @cached_property
    def outside(self) -> list[str]:
        """Its recipients that are not ours."""
        return [each for each in self.addresses("To") if not self.is_own(each)]

    @cached_property
    def tags(self) -> list[str]:
        """What stands after the plus of the addresses that it was sent to: it may hold a token."""
        found = (*self.hashes, *(mail.tag_of(each) for each in (*self.addresses("To", "Cc"), *self.envelope)))
        return list(dict.fromkeys(each[:LONGEST_ADDRESS] for each in found if each))

    @cached_property
    def said(self) -> str:
        return replies.words(self.plain, self.markup, self.stripped, self.subject)


def received(letter: Letter, kind: str, vouched: bool) -> Event:
    """`kind`: the provider's own type. `vouched`: whether somebody says that the sender's domain sent this.

    Raises PayloadMalformed where neither the mail nor who took it in tells a moment.
    """
    who = people(letter, vouched)
    return Event(
        type="email",
        channel="email",
        direction=("out" if letter.outside else "internal") if letter.ours else "in",
        actor=letter.automatic or ("agent" if letter.ours else "customer"),
        object=letter.id,
        occurred_at=moment(letter),
        identities=who,
        refs=refs(letter),
        summary=(letter.subject or letter.said)[:120] or "Mail without text",
        text=letter.said,
        attachments=letter.files,
        details=details(letter),
        fields={} if letter.ours or letter.automatic else names(letter, who),
        address=who[0].text if who else "",
        own_address=own_address(letter),
        provider_type=kind,
    )


def moment(letter: Letter) -> str:
    return mail.moment(mail.first(letter.headers, "Date"), mail.first(letter.headers, "Received"))


def people(letter: Letter, vouched: bool) -> tuple[Identity, ...]:
    assurance = A2_ATTESTED if vouched else A1_ASSERTED
    if not letter.ours:
        return present(email_identity(letter.sender, assurance))
    return present(email_identity(letter.outside[0], assurance)) if len(letter.outside) == 1 else ()


def refs(letter: Letter) -> tuple[Ref, ...]:
    """A token is redeemed by whoever answers it himself, not by his answering machine or by our own copy."""
    theirs = not letter.ours
    orders = text(letter.settings, "order_pattern") if theirs else ""
    redeemed = handed(letter.tags) if theirs and not letter.automatic else ()
    return (
        *mail.thread_refs(letter.id, letter.headers, letter.ours),
        *mail.order_refs(orders, letter.subject, letter.said),
        *redeemed,
    )


def handed(tags: list[str]) -> tuple[Ref, ...]:
    """The handover tokens among what stands after the plus of addresses."""
    return tuple(Ref("token", token) for tag in tags if (token := tokens.bare(tag)))[: tokens.MOST]


def details(letter: Letter) -> dict[str, Any]:
    return kept(
        subject=letter.subject,
        to=letter.addresses("To"),
        cc=letter.addresses("Cc"),
        reply_to=", ".join(letter.addresses("Reply-To"))[:LONGEST_ADDRESS],
        mailbox_hashes=letter.tags,
        automatic={"system": "bounce", "bot": "automatic"}.get(letter.automatic),
        **letter.details,
    )


def names(letter: Letter, who: tuple[Identity, ...]) -> dict[str, str]:
    named = letter.author[0]
    shown = "" if "@" in named or nobody(named) else named[:200]
    return kept(name=shown, email=who[0].value) if who else {}


def own_address(letter: Letter) -> str:
    """The one of ours that it was written to, or by; else where the carrier took it in."""
    if letter.ours:
        return identity_text(letter.sender)
    own = [each for each in (*letter.addresses("To", "Cc"), *letter.envelope) if letter.is_own(each)]
    return identity_text(mail.untagged(next(iter((*own, *letter.envelope)), "")))


def identity_text(address: str) -> str:
    found = email(address)
    return Identity("email", found).text if found else ""


def captured(settings: Mapping[str, Any], name: str, written: str, usual: str = "") -> str:
    """What the pattern in a setting finds first. Raises PayloadMalformed for one that cannot be used."""
    pattern = text(settings, name) or usual
    try:
        return next(iter(patterns.find(pattern, written, 1)), "") if pattern else ""
    except ValueError as wrong:
        raise PayloadMalformed(f"{name}: {wrong}") from wrong


def passed(letter: Letter, servers: set[str]) -> bool:
    """Whether the results of one of `servers` say that the author's domain sent this."""
    domain = mail.domain_of(letter.sender)
    return bool(domain) and mail.dmarc_passed(letter.headers, servers, domain)


def servers(letter: Letter) -> set[str]:
    """Those of `authserv_ids`, whoever handed the mail over."""
    return {each.lower() for each in texts(letter.settings, "authserv_ids")}


def believed(letter: Letter, stamp: re.Pattern[str] = ANY_STAMP) -> set[str]:
    """Those of `authserv_ids` for whom the host speaks that handed the mail to the carrier, as the topmost
    `Received` says, which must be the carrier's own `stamp`: whoever sends straight to the carrier may have
    written their results himself. Hosts of another name are in `forwarders`."""
    top = mail.first(letter.headers, "Received")
    return handed_by(letter, mail.handed_over_by(top) if stamp.search(top) else "")


def handed_by(letter: Letter, host: str) -> set[str]:
    """Those of `authserv_ids` for whom this host speaks."""
    others = [each.lower() for each in texts(letter.settings, "forwarders")]
    return {each for each in servers(letter) if any(mail.under(host, home) for home in others or [mail.home_of(each)])}


def within(address: str, networks: list[str]) -> bool:
    """Whether an IP address is one of, or lies in one of, the `networks`."""
    return any(_within(address.strip(), each) for each in networks)


def _within(address: str, network: str) -> bool:
    try:
        return ip_address(address) in ip_network(network, strict=False)
    except (ValueError, TypeError):
        return False
