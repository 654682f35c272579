"""What the hub says in English is said in Dutch on a Dutch page: the texts of the catalogue, and the reasons of the API.

Providers and refusals are written in English, for integrators, with the docs and the contract. The pages have a
dictionary of each: `catalogue_nl.json` by the whole text, `reasons_nl.json` by the text with a hole for each value.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import jmespath
import pytest

from chalicelib.api import providers, settings, wishes
from chalicelib.api.connections import DELETED
from chalicelib.kit import expressions
from tests.api.client import Api
from tests.web.test_pages import LATER, SCRIPT_OF, WEB, loaded

ROOT = WEB.parent.parent


def dictionary(name: str) -> dict[str, str]:
    raw = (WEB / f"{name}_nl.json").read_text("utf-8")
    found: dict[str, str] = json.loads(raw)
    assert len(found) == raw.count('": "'), "a text twice"
    return found


CATALOGUE, REASONS = dictionary("catalogue"), dictionary("reasons")

# The catalogue

BRANDS = """
Adobe Commerce|AFAS Profit|Aircall|Asterisk|bol.com|Chatwoot|CM.com|Dynamics 365|EspoCRM|Freshdesk|Genesys Cloud|HubSpot
HubSpot Conversations|Instagram|Intercom|Lightspeed eCom C-Series|Lightspeed Retail X-Series|LINE|Mailgun|Matrix
MessageBird|Messenger|Mollie|Odoo|Pipedrive|Postmark|RingCentral|Salesforce|SendGrid Inbound Parse|Shopify|Silvasoft
Sinch Fax|Slack|Stripe|Sunshine Conversations|SuperOffice|SurveyMonkey|Telegram|3CX|Trustpilot|Tryton|Twenty|Twilio
Typeform|Viber|VoIPGRID|Vonage|Webhook (Standard Webhooks)|WeChat|WhatsApp Cloud|WooCommerce|X|Zammad|Zendesk|Zoho CRM
"""
"""Names of providers that are the same in every language."""


def told(slug: str) -> Iterator[str]:
    """Each text of a provider that the pages show, as the API answers it."""
    source, destination = providers.declared(slug)
    for each in (source, destination):
        yield from (*each.setup, *each.unverified) if each else ()
    for fields in providers.fields_of(slug):
        for shown in providers.schema(fields)["properties"].values():
            yield shown["title"]
            yield from [shown["description"]] if "description" in shown else []
    yield from {providers.summary(slug)["name"]} - set(re.split(r"[|\n]", BRANDS))


@pytest.mark.parametrize("slug", providers.all_slugs())
def test_all_that_a_provider_says_is_said_in_dutch(slug: str) -> None:
    missing = [text for text in told(slug) if text not in CATALOGUE]
    assert missing == [], "write them in chalicelib/web/catalogue_nl.json"


def test_nothing_else_is_in_the_dictionary_of_the_catalogue() -> None:
    assert CATALOGUE.keys() == {text for slug in providers.all_slugs() for text in told(slug)}
    assert list(CATALOGUE) == sorted(CATALOGUE)


FILLED_IN = {
    "path secret": "padgeheim",
    "secret": "geheim",
    "secret key": "geheime sleutel",
    "webhook id": "webhook-id",
    "username": "gebruikersnaam",
    "password": "wachtwoord",
    "page id": "pagina-id",
    "account id": "account-id",
    "page": "pagina",
    "region": "regio",
    "hex of HMAC-SHA256 by the client secret over the body": "hex van HMAC-SHA256 met het clientgeheim over de inhoud",
}
"""What stands in angle brackets for the reader to fill in, where it is a word and no name."""
CODE = re.compile(
    r"\{\{?[^{}]*\}\}?"  # a placeholder of ours or of a vendor
    r"|<[^<>]+>"
    r"|[\w$~@]*(?:[._:/@=*+~]+[\w$…~]+)+[*]?"  # names with dots and the like, paths, addresses
    r"|\b\w*[a-z][A-Z]\w*\b"
    r"|\b[A-Z]{2,}[0-9]*\b"
    r"|\b\w*\d\w*\b"
)
PLAIN = {"IVR", "SMS", "sms", "VAT", "URL", "ARN", "ID", "KvK", "CRM", "@domains", "@domeinen"}
"""Words of both languages, or of one."""


def words(text: str) -> set[str]:
    """What must be the same in both languages: placeholders, addresses, code, numbers, abbreviations."""
    plain = re.sub(r"(?<=\d)[.,](?=\d{3}\b)", "", text)
    return {found for found in CODE.findall(plain) if found not in PLAIN}


@pytest.mark.parametrize("english", CATALOGUE, ids=lambda english: english[:40])
def test_placeholders_addresses_and_code_are_the_same(english: str) -> None:
    wanted = re.sub(r"<([^<>]+)>", lambda found: f"<{FILLED_IN.get(found[1], found[1])}>", english)
    assert words(wanted) == words(CATALOGUE[english])
    assert (english[-1:] in ".:") == (CATALOGUE[english][-1:] in ".:")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Post to {hook_url}", "Stuur naar {hook}"),
        ("Post to {hook_url}/<path secret>", "Stuur naar {hook_url}"),
        ("https://crm.example.nl", "https://crm.example.com"),
        ("Enter api_key", "Vul api_sleutel in"),
        ("Choose hubCustomerId", "Kies klantId"),
        ("at most 1,200", "hooguit 1.300"),
        ('{"a": "{{ticket.id}}"}', '{"a": "{{ticket.nummer}}"}'),
    ],
)
def test_what_differs_is_seen(one: str, other: str) -> None:
    assert words(one) != words(other)


ENGLISH = re.compile(r"\b(the|that|which|and|with|where|whose|its|this|must|every|when|of the|to the)\b")
CODES = re.compile(
    r"\{[^{}]*\}|\"[^\"]*\"|<[^<>]*>|\([^()]*\)|`[^`]*`|POST the raw, full MIME message|Find and Merge Contacts"
)


@pytest.mark.parametrize("name", ["catalogue", "reasons"])
def test_what_is_dutch_has_no_english_words(name: str) -> None:
    found = {text: ENGLISH.findall(CODES.sub("", text)) for text in dictionary(name).values()}
    assert {text: english for text, english in found.items() if english} == {}


def test_a_short_text_that_is_the_same_in_both_is_a_name() -> None:
    same = {english for english, dutch in CATALOGUE.items() if english == dutch}
    assert same <= SAME | {text for text in same if text.startswith("https://")}


SAME = {"Account", "API", "Bots", "Database", "EncodingAESKey", "Host", "Login", "Token", "Topics", "URL", "basic"}
SAME |= {"bearer", "hs_token", "Extra headers", "12345 of 12345.rest.afas.online"}


# Reasons

SAMPLE = "X1"
"""A value in a reason."""
REFUSING = {
    "wrong": 1,
    "_error": 1,
    "_mistake": 1,
    "Conflict": 0,
    "Erased": 0,
    "InputInvalid": 0,
    "KeyMissing": 0,
    "MediaUnsupported": 0,
    "NotFound": 0,
    "PayloadMalformed": 0,
    "ScopeMissing": 0,
    "TooLarge": 0,
    "TooMany": 0,
    "ValueError": 0,
}
"""What is called with a reason → which argument that is."""

PLACES = [
    *sorted((ROOT / "chalicelib" / "api").glob("*.py")),
    *(ROOT / "chalicelib" / "context" / f"{name}.py" for name in ("decisions", "people")),
    *(
        ROOT / "chalicelib" / "kit" / f"{name}.py"
        for name in ("expressions", "jwt", "mapping", "outgoing", "public_keys", "request", "schemes", "signatures")
    ),
]
TELLING = {"jwt", "outgoing", "public_keys", "signatures", "wishes"}
"""Whose functions answer with a reason."""
WORKING = ("Delayed", "FetchDelayed", "Gone", "Paced", "Rejected", "Unauthorized", "Unknown")
"""What is raised with a reason that a receipt, a delivery or a job then shows."""
WORKS = [
    ROOT / "chalicelib" / f"{name}.py"
    for name in [
        "context/adopted",
        "ingest/certificates",
        "ingest/fetch",
        "ingest/grants",
        "ingest/read",
        "fanout/deliver",
        "fanout/forget",
        "fanout/grants",
        "fanout/messages",
        "fanout/reconcile",
        "kit/addresses",
        "kit/http",
        "kit/sending",
        "kit/signing",
        "workers/alert",
        "workers/context",
        "workers/jobs",
        "workers/missed",
        "workers/sweep",
    ]
]
COMPOSED = {"X1: X1", "must be a X1", "must hold X1s only", "no such X1", "X1 keeps no X1 that could be filled"}
"""Made of other reasons, or of words of a closed set: those are in `CLOSED`."""
CLOSED = {
    *(f"must be a {each}" for each in wishes.PYTHON_TYPES),
    *(f"must hold {each}s only" for each in ("string", "integer", "number", "boolean", "object", "array")),
    "no such link",
    "no such cut",
    "Odoo keeps no contact that could be filled",
    "Odoo keeps no activity that could be filled",
    "occurred before an erasure",
    "occurred longer ago than this connection's events are kept",
    "paused by hand",
    "the connection was deleted",
    DELETED,
}


def said(node: ast.expr | None, module: ModuleType) -> list[str]:
    """Each text that an expression may be, with a sample for what is only known later."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return said(node.body, module) + said(node.orelse, module)
    if isinstance(node, ast.Name) and node.id.isupper():
        return [str(getattr(module, node.id))]
    if isinstance(node, ast.JoinedStr):
        parts = [
            [str(part.value)]
            if isinstance(part, ast.Constant)
            else (said(part.value, module) if isinstance(part, ast.FormattedValue) else []) or [SAMPLE]
            for part in node.values
        ]
        return ["".join(each) for each in itertools.product(*parts)]
    return []


def reasons(path: Path) -> Iterator[str]:
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            at = REFUSING.get(node.func.id, len(node.args))
            yield from said(node.args[at], module) if at < len(node.args) else ()
        elif isinstance(node, ast.Dict):
            named = zip(node.keys, node.values, strict=True)
            for value in (value for key, value in named if isinstance(key, ast.Constant) and key.value == "detail"):
                yield from said(value, module)
        elif isinstance(node, ast.Return):
            yield from (each for each in said(node.value, module) if " " in each and path.stem in TELLING)


def works(path: Path) -> Iterator[str]:
    """The reasons in a module of the workers: raised, given by the name `reason`, or answered."""
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            raised = isinstance(node.func, ast.Name) and node.func.id in WORKING
            yield from said(node.args[0], module) if raised and node.args else ()
            for named in (each for each in node.keywords if each.arg == "reason"):
                yield from said(named.value, module)
        elif isinstance(node, ast.Return) and path.stem in ("forget", "messages", "reconcile"):
            yield from (each for each in said(node.value, module) if " " in each and each != "in step")


@lru_cache(maxsize=1)
def patterns() -> list[tuple[re.Pattern[str], str]]:
    """Those with holes, the most telling first: as `spoken.js` has them."""
    hole = re.compile(r"\{(\w+)\}")
    open_ = sorted((each for each in REASONS if hole.search(each)), key=lambda each: -len(hole.sub("", each)))
    escaped = [[part if at % 2 else re.escape(part) for at, part in enumerate(hole.split(each))] for each in open_]
    found = ["".join("(.+)" if at % 2 else part for at, part in enumerate(parts)) for parts in escaped]
    return [(re.compile(text, re.DOTALL), english) for text, english in zip(found, open_, strict=True)]


def dutch(reason: str) -> str:
    """The text of ours that it is said by; empty where there is none."""
    fits = (english for pattern, english in patterns() if pattern.fullmatch(reason))
    return REASONS.get(reason) or REASONS.get(next(fits, ""), "")


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.stem)
def test_each_reason_that_is_raised_is_said_in_dutch(path: Path) -> None:
    missing = sorted({each for each in reasons(path) if each and each not in COMPOSED and not dutch(each)})
    assert missing == [], "write them in chalicelib/web/reasons_nl.json"


@pytest.mark.parametrize("path", WORKS, ids=lambda path: path.stem)
def test_each_reason_of_the_workers_is_said_in_dutch(path: Path) -> None:
    missing = sorted({each for each in works(path) if each and each not in COMPOSED and not dutch(each)})
    assert missing == [], "write them in chalicelib/web/reasons_nl.json"


def test_the_reasons_are_found_where_they_are_raised() -> None:
    """So that the test above cannot pass because it looks at nothing."""
    found = {each for path in PLACES for each in reasons(path)}
    some = {"is required", "say why in at most 500 characters", "the signature does not match", settings.FRAME}
    assert some <= found and len(found) > 150, len(found)
    later = {each for path in WORKS for each in works(path)}
    assert {"no text to send", "given up after three days: X1", "no agent answered"} <= later and len(later) > 35, len(
        later
    )


@pytest.mark.parametrize("reason", sorted(CLOSED))
def test_each_reason_of_a_closed_set_is_said(reason: str) -> None:
    assert dutch(reason)


def needs() -> set[str]:
    every = [source for slug in providers.all_slugs() if (source := providers.declared(slug)[0])]
    return {source.missed.needs for source in every if source.missed}


def test_what_asking_for_the_missed_takes_is_said() -> None:
    assert [each for each in needs() if not dutch(each)] == []


@pytest.mark.parametrize("expression", ["a[", "a ^ b", "'a", "a b", "foo(", "a..b", "a | ", "[?a=", "]"])
def test_what_is_wrong_with_an_expression_is_said(expression: str) -> None:
    with pytest.raises(ValueError) as wrong:
        expressions.compiled(expression)
    assert dutch(str(wrong.value)) == "geen JMESPath: {why}"
    with pytest.raises(jmespath.exceptions.JMESPathError) as theirs:
        jmespath.compile(expression)
    assert dutch(str(theirs.value).splitlines()[0][:160]), "the library's own words"


ODOO = {
    "provider": "odoo",
    "settings": {"base_url": "https://odoo.example", "database": "d"},
    "secrets": {"api_key": "k"},
}
RULE = {"kind": "order_message", "purpose": "service", "text": {"nl": "Dank"}, "connection": "con_none"}
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a connection without what it needs": ("POST", "connections", {"provider": "aircall"}),
    "settings of other types": (
        "POST",
        "connections",
        {
            "provider": "generic",
            "name": "n" * 201,
            "settings": {"auth": "magic", "tolerance": "soon", "own_system": "yes", "rate_limit": 0, "shop": "x"},
            "secrets": {"signing_secret": 7, "other": "x"},
            "mapping": [{"type": "order", "occured_at": "a["}],
        },
    ),
    "references and priorities": (
        "POST",
        "connections",
        {
            "provider": "generic",
            "settings": {
                "ref_scopes": {"order": "nobody", "song": "x"},
                "field_priority": {"name": 9999, "consent": 1},
            },
        },
    ),
    "a destination's mapping": (
        "POST",
        "connections",
        ODOO | {"mapping": {"contact": {"": "a[", "ref": "x"}, "song": {}}},
    ),
    "a key without a scope": ("POST", "keys", {"name": "n" * 201, "scopes": []}),
    "a key with another scope": ("POST", "keys", {"name": "x", "scopes": ["king"]}),
    "a rule that nobody sends": ("POST", "rules", RULE),
    "a rule without a text": ("POST", "rules", RULE | {"text": {}}),
    "a rule with a scale that is none": ("POST", "rules", RULE | {"scale": [5, 1]}),
    "a rule whose scale is no number": ("POST", "rules", RULE | {"scale": ["low", 5]}),
    "an audience without consent": ("POST", "audiences", {"name": "x", "consent": []}),
    "an audience with a purpose that is none": ("POST", "audiences", {"name": "x", "consent": ["Is it?"]}),
    "an audience of a channel that is none": (
        "POST",
        "audiences",
        {"name": "x", "consent": ["email"], "channels": ["smoke"]},
    ),
    "an audience with a filter that is none": (
        "POST",
        "audiences",
        {"name": "x", "consent": ["email"], "filter": "a["},
    ),
    "an audience with a moment that is none": (
        "POST",
        "audiences",
        {"name": "x", "consent": ["email"], "contact_since": "once"},
    ),
    "an audience of too many orders": ("POST", "audiences", {"name": "x", "consent": ["email"], "orders_least": 9999}),
    "an audience of many orders, in words": (
        "POST",
        "audiences",
        {"name": "x", "consent": ["email"], "orders_least": "two"},
    ),
    "an audience fed to nobody": ("POST", "audiences", {"name": "x", "consent": ["email"], "feed": "con_none"}),
    "settings of the organisation": (
        "PATCH",
        "settings",
        {
            "own": ["nobody"],
            "blocked": ["a:b"],
            "limit": 0,
            "cap": "many",
            "region": "nl",
            "login_url": "http://x",
            "alerts": "con_x",
            "channels": {"smoke": "x"},
            "frame_ancestors": ["*"],
        },
    ),
    "a link of one with itself": (
        "POST",
        "links",
        {"a": "email:a@tc.example", "b": "email:a@tc.example", "reason": "x"},
    ),
    "a link of two whom nobody knows": (
        "POST",
        "links",
        {"a": "email:a@tc.example", "b": "email:b@tc.example", "reason": "x"},
    ),
    "a link without a reason": ("POST", "links", {"a": "email:a@tc.example", "b": "email:b@tc.example", "reason": " "}),
    "a cut without an identity": ("POST", "cuts", {"a": "somebody", "b": "email:b@tc.example", "reason": "x"}),
    "a replay of nothing": ("POST", "receipts/replay", {"connection": "con_x", "since": "2026-01-01"}),
    "a redrive of nothing": ("POST", "deliveries/redrive", {"connection": "con_x", "since": "2026-01-01"}),
    "a comparison with nothing": ("POST", "reconcile", {"connection": "con_x"}),
    "a handover of nothing": ("POST", "conversations/cnv_x/handovers", {"channel": "email"}),
    "an erasure of nobody": ("POST", "customers/cus_x/erase", {}),
}
"""What the forms and buttons of the pages may send, with all the mistakes that a person can make there."""


@pytest.mark.parametrize("name", BODIES)
def test_what_a_form_may_provoke_is_said(api: Api, name: str) -> None:
    method, path, body = BODIES[name]
    answer = api.send(method, f"/v1/{path}", json.dumps(body).encode())
    assert 400 <= answer.status < 500, answer.raw
    details = [each["detail"] for each in answer.json.get("errors", [])] or [answer.json["detail"]]
    assert [each for each in details if not dutch(each)] == []


@pytest.mark.parametrize(
    ("made", "then", "body"),
    [
        ({"provider": "generic"}, "test", {}),
        ({"provider": "generic", "settings": {"auth": "bearer"}}, "test", {}),
        ({"provider": "generic"}, "rotate", {"secrets": {}}),
        ({"provider": "generic"}, "rotate", {"secrets": {"other": "x"}}),
        ({"provider": "generic"}, "preview", {"receipt": "rcp_x"}),
        ({"provider": "generic"}, "catch-up", {}),
        ({"provider": "generic"}, "backfill", {}),
        ({"provider": "shopify", "secrets": {"client_secret": "x"}}, "catch-up", {}),
        (ODOO, "test", {}),
        (ODOO, "preview", {"customer": "cus_x"}),
    ],
)
def test_what_a_button_of_a_connection_may_provoke_is_said(
    api: Api, made: dict[str, Any], then: str, body: dict[str, Any]
) -> None:
    asked = {"name": "x", "settings": {}, "secrets": {}} | made
    connection = api.send("POST", "/v1/connections", json.dumps(asked).encode())
    assert connection.status == 201, connection.raw
    answer = api.send("POST", f"/v1/connections/{connection.json['id']}/{then}", json.dumps(body).encode())
    assert 400 <= answer.status < 500, answer.raw
    details = [each["detail"] for each in answer.json.get("errors", [])] or [answer.json["detail"]]
    assert [each for each in details if not dutch(each)] == []


# How they come to the page


def test_no_page_pays_for_them_at_once() -> None:
    """They are data that a Dutch reader's page asks for when it needs them; the timeline's first view needs none."""
    first = {script for page in SCRIPT_OF.values() for script in loaded(page)}
    assert not [name for name in first if name.endswith(".json")]
    assert "spoken.js" not in loaded(SCRIPT_OF["timeline.html"])
    assert all("spoken.js" in loaded(name) for name in LATER)


def test_a_hook_reads_none_of_it() -> None:
    for path in (ROOT / "chalicelib").rglob("*.py"):
        assert "_nl.json" not in path.read_text("utf-8"), path
