"""One call of every view, in the order of a story, with what the hub answers: the examples of the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from chalicelib.api.routes import ROUTES
from tests.api.client import SECRET, Api

ROUTE = {target: (method, path) for method, path, target, _ in ROUTES}
TOKEN = "a-token-of-your-choice"
CHAT: dict[str, Any] = {
    "provider": "generic",
    "name": "Web chat",
    "settings": {"auth": "bearer", "channel": "webchat", "account": "shop.example.nl"},
    "secrets": {"token": TOKEN},
    "mapping": {
        "type": "message",
        "object": "id",
        "occurred_at": "at",
        "text": "text",
        "identities": [{"kind": "web", "value": "visitor"}, {"kind": "email", "value": "email", "assurance": "A2"}],
        "refs": [{"kind": "thread", "value": "conversation"}],
        "fields": {"name": "name", "consent_marketing": "consent"},
    },
}
PARTNER: dict[str, Any] = {
    "provider": "webhook",
    "name": "Parcel partner",
    "settings": {"url": "https://partner.example.nl/hooks"},
    "secrets": {"signing_secret": "whsec_" + "YWJj" * 8},
}
TILL: dict[str, Any] = {
    "provider": "stripe",
    "name": "Payments",
    "settings": {"accounts": "verified"},
    "secrets": {"signing_secret": SECRET, "api_key": "sk_test_1"},
}
SENDER: dict[str, Any] = {
    "provider": "twilio",
    "name": "Text messages",
    "settings": {"account_sid": "AC" + "0" * 32, "from_number": "+31201112233"},
    "secrets": {"auth_token": "auth-token"},
}
SAID = (
    ("m-1", "ch-1", "2026-09-01T09:05:00.000Z", "Is de trui in de winkel ook afgeprijsd?"),
    ("m-2", "ch-1", "2026-09-01T09:07:00.000Z", "En hebben jullie maat 38 nog?"),
)
LONGEST_LIST = 2
"""Of an answer that is kept; a catalogue would be most of the document."""


@dataclass
class Story:
    api: Api
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)

    def call(
        self, view: str, status: int = 200, *, body: Any = None, query: Mapping[str, Any] | None = None, **parts: str
    ) -> Any:
        """One call of a view, kept as its example unless it has one already."""
        method, path = ROUTE[view]
        url = re.sub(r"\{(\w+)\}", lambda part: quote(parts[part[1]], safe=""), path)
        url += f"?{urlencode(query, doseq=True)}" if query else ""
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.api.send(method, url, raw, [("Content-Type", "application/json")] if raw else [])
        assert answer.status == status, (view, answer.status, answer.raw[:1000])
        told = {"path": parts, "query": dict(query or {})} | ({"body": body} if body is not None else {})
        found = answer.json if answer.headers["Content-Type"] == "application/json" else answer.raw.decode()
        self.calls.setdefault(view, told | {"status": status, "answer": found})
        return found


def told(api: Api) -> dict[str, dict[str, Any]]:
    """View → its call and answer, without what differs between two runs."""
    story = Story(api)
    story.call("health.show")
    providers(story)
    chat, partner, till, sender = connected(story)
    customer = arrived(story, chat)
    people(story, customer, chat)
    kept(story, chat)
    systems(story, partner, till, customer)
    rules(story, sender)
    campaigns(story)
    decided(story)
    administration(story)
    story.call("connections.remove", id=partner)
    gone(story, customer)
    story.call("jobs.listing", query={"status": "done", "limit": 2})
    masked = Masked()
    return {view: masked.value(call) for view, call in sorted(story.calls.items())}


def providers(story: Story) -> None:
    story.call("providers.listing")
    story.call("providers.show", slug="feedback_form")


def connected(story: Story, asked: Iterable[Mapping[str, Any]] = (CHAT, PARTNER, TILL, SENDER)) -> list[str]:
    ids = [story.call("connections.create", 201, body=each)["id"] for each in asked]
    chat = ids[0]
    story.call("connections.listing", query={"limit": 2})
    story.call("connections.change", body={"name": "Chat on the web"}, id=chat)
    story.call("connections.pause", id=chat)
    story.call("connections.resume", id=chat)
    story.call("connections.rotate", body={"secrets": {"token": "another-token"}, "keep_old": True}, id=chat)
    story.call("connections.test", 202, id=chat)
    story.api.work()
    return ids


def arrived(story: Story, chat: str) -> str:
    for object_, thread, at, text in SAID:
        body = {"id": object_, "conversation": thread, "visitor": "a-71", "at": at, "text": text}
        body |= {"email": "jan@example.nl", "name": "Jan de Vries", "consent": "granted"}
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json")]
        assert story.api.send("POST", f"/hooks/{chat}", json.dumps(body).encode(), headers, key="").status == 200
    story.api.work()
    story.call("connections.show", id=chat)
    found = story.call("lookup.find", query={"identity": "email:jan@example.nl"})
    return str(found["customers"][0]["id"])


def people(story: Story, customer: str, chat: str) -> None:
    story.call("customers.show", id=customer)
    entries = story.call("customers.show_timeline", query={"limit": 2, "channel": "webchat"}, id=customer)["entries"]
    story.call("customers.sync", id=customer)
    story.call("customers.possible", id=customer)
    story.call("links.show_audit", id=customer)
    story.call("waiting.listing", query={"connection": chat})
    story.call("magic_links.mint", 201, body={"customer": customer, "expires_in": 3600})
    story.call(
        "settings.change", body={"login_url": "https://shop.example.nl/login", "channels": {"whatsapp": "+31201112233"}}
    )
    story.call("settings.show")
    conversation = entries[0]["conversation"]
    story.call("conversations.show", id=conversation)
    story.call("conversations.hand_over", 201, body={"channel": "whatsapp", "notify": True}, id=conversation)
    story.call("conversations.verify", 201, body={"expires_in": 3600}, id=conversation)
    story.call(
        "conversations.hand_over_thread", 201, body={"connection": chat, "thread": "ch-2", "channel": "whatsapp"}
    )


def kept(story: Story, chat: str) -> None:
    receipts = story.call("receipts.listing", query={"connection": chat, "verdict": "accepted"})["receipts"]
    newest = receipts[0]["id"]
    story.call("receipts.show", id=newest)
    story.call("connections.preview", body={"receipt": newest}, id=chat)
    job = story.call("receipts.replay", 202, id=newest)["job"]
    story.call("receipts.replay_range", 202, body={"connection": chat, "since": "2026-09-01T00:00:00Z"})
    story.api.work()
    story.call("jobs.show", id=job)


def systems(story: Story, partner: str, till: str, customer: str) -> None:
    """The partner was told one thing, which it refused."""
    from chalicelib.store import deliveries
    from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty

    at, sort = "2026-09-01T09:06:00.000Z", "E#2026-09-01T09:05:00.000Z#" + "e" * 26
    attempt = Attempt(1, at, at, ms=140, reason="422 by the destination", excerpt='{"error": "no such parcel"}')
    deliveries.parked(story.api.table, Duty(partner, ACTIVITY, "n", sort), attempt)
    found = story.call("deliveries.listing", query={"connection": partner, "status": "parked"})["deliveries"]
    story.call("deliveries.show", id=found[0]["id"])
    story.call("reconcile.drift", query={"connection": partner})
    story.call("deliveries.redrive", 202, id=found[0]["id"])
    story.call("deliveries.redrive_range", 202, body={"connection": partner, "since": "2026-09-01T00:00:00Z"})
    story.call("reconcile.start", 202, body={"connection": partner})
    story.call("reconcile.backfill", 202, body={"since": "2026-09-01T00:00:00Z"}, id=partner)
    story.call("missed.start", 202, body={}, id=till)


def rules(story: Story, sender: str) -> None:
    text = {"nl": "Er is een antwoord: {text}", "en": "There is an answer: {text}"}
    rule = story.call("rules.create", 201, body={"kind": "tell_answer", "connection": sender, "text": text})["id"]
    story.call("rules.listing")
    story.call("rules.change", body={"on": False}, id=rule)
    story.call("rules.remove", id=rule)


def campaigns(story: Story) -> None:
    wish = {"name": "Winter", "consent": ["marketing"], "contact_since": "2026-09-01T00:00:00Z"}
    audience = story.call("audiences.create", 201, body=wish)["id"]
    story.call("audiences.listing")
    story.call("audiences.show", id=audience)
    story.call("audiences.change", body={"name": "Winter sale"}, id=audience)
    job = story.call("audiences.export", 202, id=audience)["job"]
    story.api.work()
    story.call("audiences.download", query={"format": "csv", "limit": 100}, id=audience, job=job)
    story.call("audiences.remove", id=audience)


def decided(story: Story) -> None:
    pair = {"a": "email:jan@example.nl", "b": "phone:+31612345678", "reason": "Jan called from this number"}
    link = story.call("links.link", 201, body=pair)["id"]
    story.call("links.link", body=pair, query={"dry_run": "true"})
    story.call("links.unlink", body={"reason": "It was his wife's"}, id=link)
    pair = {"a": "email:jan@example.nl", "b": "phone:+31687654321", "reason": "Two people in one house"}
    cut = story.call("links.cut", 201, body=pair)["id"]
    story.call("links.uncut", id=cut)
    story.call("boundaries.draw", 202, body={"identity": "phone:+31612345678", "at": "2026-09-01T12:00:00Z"})


def administration(story: Story) -> None:
    key = story.call("keys.mint", 201, body={"name": "till", "scopes": ["read"]})["id"]
    story.call("keys.listing")
    story.call("keys.own")
    story.call("stats.show", query={"from": "2026-09-01", "by": "channel,day"})
    story.call("stats.recount", 202, body={"since": "2026-09-01T00:00:00Z"})
    story.call("keys.revoke", id=key)


def gone(story: Story, customer: str) -> None:
    story.call("erasures.export", query={"limit": 2}, id=customer)
    erasure = story.call("erasures.start", 202, body={"reason": "He asked for it"}, id=customer)["erasure"]
    story.call("erasures.show", id=erasure)
    story.call("erasures.listing")


ID = re.compile(r"\b(con|cus|rcp|del|job|rul|aud|conv|lnk|cut)_[\w.-]+")
SECRETS = re.compile(r"\b(draad|magic)_[\w.-]+")
HASH = re.compile(r"\b(?:[a-z2-7]{26}|[0-9a-f]{16}|[a-z2-7]{16})\b")
TODAY = re.compile(r"\b20\d\d-(?!09-0[12])\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


DAY = re.compile(r"20\d\d-(?!09-0[12])\d\d-\d\d\Z")
CURSOR, TOOK = "…", 140


@dataclass
class Masked:
    """Ids, secrets and moments of a run by names that stay: the first connection is always the same one."""

    names: dict[str, str] = field(default_factory=dict)

    def value(self, found: Any) -> Any:
        if isinstance(found, dict):
            found = found | ({"path": CURSOR} if found.keys() == {"size", "path"} else {})
            found = {name: TOOK if name.endswith("_ms") and value else value for name, value in found.items()}
            return {
                self.text(name): self.value(CURSOR if name == "next" and value else value)
                for name, value in found.items()
            }
        if isinstance(found, list):
            return [self.value(each) for each in found[:LONGEST_LIST]]
        return self.text(found) if isinstance(found, str) else found

    def text(self, found: str) -> str:
        found = ID.sub(lambda hit: self._named(hit[0], hit[1] + "_"), found)
        found = SECRETS.sub(lambda hit: f"{hit[1]}_…", found)
        found = HASH.sub(lambda hit: self._named(hit[0], ""), found)
        for id, name in self.names.items():
            found = found.replace(id, name)
        return DAY.sub("2026-09-02", TODAY.sub("2026-09-02T08:00:00.000Z", found))

    def _named(self, id: str, prefix: str) -> str:
        if id in self.names.values():
            return id
        number = sum(name.startswith(prefix or "e") for name in self.names.values()) + 1
        return self.names.setdefault(id, f"{prefix or 'e'}{number:04d}")
