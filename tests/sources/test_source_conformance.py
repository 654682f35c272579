"""What every source must do, checked on every fixture: a new provider adds data, no test code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from source_fixtures import FOLDER, Case, as_json, cases, changes, coming_back, handshakes, name_of

from chalicelib import destinations, sources
from chalicelib.errors import PayloadMalformed
from chalicelib.kit.request import Request
from chalicelib.kit.signatures import BodyToken, PathSecret
from chalicelib.kit.source import GRADES, Answer, Setting
from chalicelib.model.event import ACTORS, CHANNELS, DIRECTIONS, REF_KINDS, TYPES, Event
from chalicelib.model.identity import KINDS, parse

ALL = [*cases(), *coming_back()]
HANDSHAKES = handshakes()
HOSTILE = json.loads((Path(__file__).parent.parent / "vectors" / "hostile_headers.json").read_text("utf-8"))
MALFORMED: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b"null",
    b"1",
    b'"x"',
    b"\xff\xfe",
    b"\x00",
    b"NaN",
    b'{"id": 1e999}',
    b'{"id":' + b"9" * 5000 + b"}",
    b'{"a": "\\ud800"}',
    b"[" * 100_000,
    b'{"id":{"id":[]},"order_id":[{}],"customer":[1],"line_items":{"x":1},"created_at":[],"updated_at":{}}',
    b"MessageSid=&MessageSid=%ff",
    b"%ff=%ff",
    b"&" * 5000,
    "{}".encode("utf-16"),
]
JUNK: list[Any] = [None, "", "x", 0, -1, True, 1.5, [], {}, [None, 1, "x", {}], {"id": {}}, "\u0000", "9" * 400]

PROBES = frozenset({"HEAD", "OPTIONS"})
"""Methods that ask whether somebody is at home and what he permits: whoever asks gets the same empty answer."""

each_case = pytest.mark.parametrize("case", ALL, ids=name_of)
each_handshake = pytest.mark.parametrize("case", HANDSHAKES, ids=name_of)
each_slug = pytest.mark.parametrize("slug", sources.slugs())
each_coming_back = pytest.mark.parametrize(
    "slug", [slug for slug in destinations.slugs() if destinations.load(slug).changes]
)


def outcome(case: Case, request: Request) -> list[Event] | None:
    """The events, or None for a malformed payload. Whatever else is raised fails the test."""
    try:
        return list(case.source.normalize(request))
    except PayloadMalformed as wrong:
        assert str(wrong)
        return None


def verdict(case: Case, request: Request, secrets: Any = None) -> str | None:
    found = case.source.verify(request, case.secrets if secrets is None else secrets)
    assert found is None or (found and "\n" not in found)
    return found


def exchanged(case: Case, request: Request, secrets: Any = None) -> Any:
    """What a proof of ownership is answered with; None where it is none or is refused."""
    source, known = case.source, case.secrets if secrets is None else secrets
    if source.handshake is None or not (source.handshake_first or source.verify(request, known) is None):
        return None
    found = source.handshake(request, known)
    if found is None:
        return None
    told = {"status": found.status, "media_type": found.media_type, "body": found.body}
    return told | ({"headers": dict(found.headers)} if found.headers else {})


@each_case
def test_is_accepted_and_becomes_the_expected_events(case: Case) -> None:
    assert verdict(case, case.request) is None
    assert exchanged(case, case.request) is None
    assert as_json(case) == case.expected


@each_case
def test_events_are_in_the_vocabulary(case: Case) -> None:
    for event in case.source.normalize(case.request):
        assert event.type in TYPES and event.channel in CHANNELS
        assert event.direction in DIRECTIONS and event.actor in ACTORS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.occurred_at)
        assert event.object and not (event.id or event.connection or event.source)
        assert all(each.kind in KINDS and each.value and parse(each.text) for each in event.identities)
        assert all(ref.kind in REF_KINDS and ref.value for ref in event.refs)
        assert all(parse(text) for text in (event.address, event.own_address) if text)
        assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


@each_case
def test_nothing_that_a_retry_changes_is_in_an_event(case: Case) -> None:
    later = replace(case.request, received_at="2031-01-01T00:00:00.000Z", url="https://elsewhere.example/")
    assert list(case.source.normalize(later)) == list(case.source.normalize(case.request))


@each_case
def test_a_tampered_body_is_refused(case: Case) -> None:
    if not getattr(case.verifier, "covers_body", True):
        pytest.skip("a scheme that covers no body")
    for body in (case.request.body + b"x", case.request.body[:-1], b"x" + case.request.body, b"x"):
        assert verdict(case, replace(case.request, body=body))


@each_case
def test_without_its_authentication_it_is_refused(case: Case) -> None:
    alone = [
        replace(case.request, headers=tuple(h for h in case.request.headers if h != one))
        for one in case.request.headers
    ]
    if isinstance(case.verifier, PathSecret):
        alone = [replace(case.request, url=case.request.url.rpartition("/")[0])]
    if isinstance(case.verifier, BodyToken):
        alone = [replace(case.request, body=each) for each in tokenless(case.request.body, case.verifier.path)]
        assert all(verdict(case, request) for request in alone)
    alone += list(elsewhere(case))
    assert any(verdict(case, request) for request in alone)
    nothing = replace(case.request, headers=(), query=(), url=case.request.url.partition("/hooks/")[0])
    assert verdict(case, replace(nothing, body=b"{}") if place_of(case) == "body" else nothing)


def place_of(case: Case) -> str:
    """Where a scheme has its signature: in a header, unless it says otherwise."""
    return "body" if isinstance(case.verifier, BodyToken) else str(getattr(case.verifier, "place", "header"))


def elsewhere(case: Case) -> Iterator[Request]:
    """Without each part of the query, or of the JSON body, where the signature is there."""
    if place_of(case) == "query":
        for one in case.request.query:
            yield replace(case.request, query=tuple(pair for pair in case.request.query if pair != one))
    if place_of(case) == "body" and not isinstance(case.verifier, BodyToken):
        for name in json.loads(case.request.body):
            told = {key: value for key, value in json.loads(case.request.body).items() if key != name}
            yield replace(case.request, body=json.dumps(told).encode())


def tokenless(body: bytes, path: tuple[str, ...]) -> Iterator[bytes]:
    """The body without its token, with an empty one, and with values that are no token."""
    for other in (None, "", "x", 0, True, [], {}, ["x"]):
        told = json.loads(body)
        node = told
        for name in path[:-1]:
            node = node[name]
        node[path[-1]] = other
        yield json.dumps(told).encode()
        del node[path[-1]]
        yield json.dumps(told).encode()


@each_case
def test_a_stale_or_future_timestamp_is_refused(case: Case) -> None:
    if not getattr(case.verifier, "timed", False):
        pytest.skip("a scheme without a timestamp")
    for moment in ("2026-08-31T12:00:00.000Z", "2026-09-02T12:00:00.000Z"):
        assert "timestamp" in (verdict(case, replace(case.request, received_at=moment)) or "")


@each_case
def test_only_the_configured_secrets_count(case: Case) -> None:
    wrong = dict.fromkeys(case.secrets, ("d3Jvbmc=",))
    assert verdict(case, case.request, wrong)
    assert verdict(case, case.request, {})
    assert verdict(case, case.request, dict.fromkeys(case.secrets, ("",)))
    assert verdict(case, case.request, {name: ("d3Jvbmc=", *values) for name, values in case.secrets.items()}) is None


@each_case
def test_hostile_headers_are_refused_with_a_reason(case: Case) -> None:
    values = HOSTILE["values"] + [text * 5000 for text in HOSTILE["long"]]
    decisive = 0
    for name, _ in case.request.headers:
        others = tuple(pair for pair in case.request.headers if pair[0] != name)
        needed = verdict(case, replace(case.request, headers=others)) is not None
        decisive += needed
        for value in values[::9]:
            outcome(case, replace(case.request, headers=(*others, (name, value))))
        for value in values:
            refused = verdict(case, replace(case.request, headers=(*others, (name, value))))
            assert refused or not needed or name.lower() in ("content-type", "host"), (name, value)
    assert decisive or isinstance(case.verifier, PathSecret) or place_of(case) != "header"


@each_case
def test_repeated_headers_do_not_raise(case: Case) -> None:
    twice = tuple(pair for name, value in case.request.headers for pair in ((name, "x"), (name.upper(), value)))
    verdict(case, replace(case.request, headers=twice))
    outcome(case, replace(case.request, headers=twice))


@each_case
def test_hostile_urls_do_not_raise(case: Case) -> None:
    for url in ("", "https://", "://", "http://[", "https://h:99999/x?%ff&&=", "?bodySHA256=é", "\ud800"):
        verdict(case, replace(case.request, url=url))


@each_case
def test_a_malformed_body_is_malformed_and_nothing_else(case: Case) -> None:
    for body in MALFORMED:
        verdict(case, replace(case.request, body=body))
        outcome(case, replace(case.request, body=body))


def spoiled(node: Any, junk: list[Any]) -> Iterator[Any]:
    """`node` with each of its values, however deep, replaced by each piece of junk."""
    places = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for place, value in places:
        for other in (*junk, *spoiled(value, junk[-5:])):
            broken = node.copy()
            broken[place] = other
            yield broken


@each_case
def test_any_field_may_hold_anything(case: Case) -> None:
    if case.request.media_type != "application/json":
        pytest.skip("not JSON")
    for broken in spoiled(json.loads(case.request.body), JUNK):
        outcome(case, replace(case.request, body=json.dumps(broken).encode()))


@each_case
def test_fetched_documents_may_hold_anything(case: Case) -> None:
    for found in ({}, {"missing": True}, {"at": 1}, [], None, "x", {"date_created": [], "date_updated": {}}):
        outcome(case, replace(case.request, fetched=dict.fromkeys(case.request.fetched, found)))


@each_case
def test_what_the_fixture_fetched_is_what_the_source_asks_for(case: Case) -> None:
    if case.source.fetch is None:
        pytest.skip("fetches nothing")
    asked = list(case.source.fetch(replace(case.request, fetched={}), case.secrets))
    assert {each.name for each in asked} >= case.request.fetched.keys()
    paths = case.path.with_suffix(".asked.json")
    if paths.exists():
        assert {each.name: each.path for each in asked} == json.loads(paths.read_text("utf-8"))
    assert all(each.base.startswith("https://") and each.path.startswith("/") and each.headers for each in asked)
    assert list(case.source.fetch(replace(case.request, fetched={}, received_at="2031-01-01"), case.secrets)) == asked


@each_case
def test_the_delivery_key_is_repeatable(case: Case) -> None:
    if case.source.dedupe is None:
        pytest.skip("no delivery key")
    key = case.source.dedupe(case.request)
    assert key is None or key
    assert case.source.dedupe(replace(case.request, received_at="2031-01-01T00:00:00.000Z")) == key


@each_case
def test_the_answer_is_a_success(case: Case) -> None:
    answer = case.source.answer
    found = answer if isinstance(answer, Answer) else answer(case.request)
    assert 200 <= found.status < 300
    if not isinstance(answer, Answer):
        assert all(200 <= answer(replace(case.request, body=body)).status < 300 for body in MALFORMED)


@each_handshake
def test_a_handshake_is_answered_or_refused(case: Case) -> None:
    assert exchanged(case, case.request) == case.answer
    assert case.answer or verdict(case, case.request)


@each_handshake
def test_our_proof_is_made_with_our_secret(case: Case) -> None:
    if not case.source.handshake_proves:
        pytest.skip("asks for a proof")
    for secrets in ({}, dict.fromkeys(case.secrets, ("",))):
        assert exchanged(case, case.request, secrets) is None
    other = exchanged(case, case.request, dict.fromkeys(case.secrets, ("wrong",)))
    assert other != case.answer if case.answer else other is None


@each_handshake
def test_an_open_handshake_tells_nothing(case: Case) -> None:
    if not case.source.handshake_open:
        pytest.skip("asks for a proof")
    assert case.source.handshake_first
    for secrets in ({}, dict.fromkeys(case.secrets, ("wrong",)), case.secrets):
        found = exchanged(case, case.request, secrets)
        assert found == case.answer
        assert not found or found["body"] in ("", *(value for _, value in case.request.query))


@each_handshake
def test_only_who_knows_the_secrets_is_answered(case: Case) -> None:
    if case.source.handshake_proves or case.source.handshake_open:
        pytest.skip("answers everybody")
    assert (
        exchanged(case, case.request, {name: ("wrong", *values) for name, values in case.secrets.items()})
        == case.answer
    )
    for secrets in ({}, dict.fromkeys(case.secrets, ("",))):
        assert exchanged(case, case.request, secrets) is None
    if case.request.method not in PROBES or verdict(case, case.request) is None:
        assert exchanged(case, case.request, dict.fromkeys(case.secrets, ("wrong",))) is None


@each_handshake
def test_a_probe_learns_nothing(case: Case) -> None:
    if not case.answer or case.request.method not in PROBES:
        pytest.skip("no probe that is answered")
    body, told = case.answer["body"], json.dumps(case.answer)
    assert body == "" and not [value for values in case.secrets.values() for value in values if value in told]


@each_handshake
def test_every_part_of_a_handshake_counts(case: Case) -> None:
    if not case.answer:
        pytest.skip("a refused handshake")
    for name, value in case.request.query:
        others = tuple(pair for pair in case.request.query if pair[0] != name)
        for query in (others, (*others, (name, "")), (*others, (name, value + "x"))):
            assert exchanged(case, replace(case.request, query=query)) != case.answer
    assert exchanged(case, replace(case.request, method="PUT")) is None


@each_slug
def test_a_declared_handshake_has_fixtures_of_both_ends(slug: str) -> None:
    shown = {bool(case.answer) for case in handshakes(slug)}
    assert shown == ({True, False} if sources.load(slug).handshake else set())


@each_slug
def test_has_a_fixture_for_every_declared_type(slug: str) -> None:
    mine = cases(slug)
    shown = {(each.get("provider_type"), each["type"]) for case in mine for each in case.expected}
    missing = [pair for pair in sources.load(slug).types.items() if pair not in shown]
    assert not missing and len(mine) >= 3


@each_coming_back
def test_what_comes_back_has_a_fixture_for_every_declared_type(slug: str) -> None:
    mine, source = coming_back(slug), changes(slug)
    shown = {each["type"] for case in mine for each in case.expected}
    assert shown == set(source.types.values()) and len(mine) >= 3
    assert any(case.path.stem.startswith("unknown") and case.expected == [] for case in mine)
    assert any(case.path.stem.startswith("own") for case in mine), "what we wrote ourselves comes back too"


@each_slug
def test_an_unknown_type_yields_nothing(slug: str) -> None:
    unknown = [case for case in cases(slug) if case.path.stem.startswith("unknown")]
    assert unknown and all(case.expected == [] for case in unknown)


@each_slug
def test_the_sample_is_signed_and_makes_no_customer(slug: str) -> None:
    source = sources.load(slug)
    if source.sample is None:
        pytest.skip("no sample")
    for case in cases(slug):
        request = source.sample(
            case.secrets, f"https://hub.example.nl/hooks/{case.request.connection}", case.request.settings
        )
        assert source.verify(request, case.secrets) is None
        assert not [event for event in source.normalize(request) if event.identities]


@each_slug
def test_the_declaration_is_complete(slug: str) -> None:
    source = sources.load(slug)
    assert source.name and source.channel in CHANNELS and source.grade in GRADES and source.docs.startswith("https://")
    assert source.types and set(source.types.values()) <= TYPES
    assert source.secrets and source.setup and any("{hook_url}" in step for step in source.setup)
    for setting in [*source.settings.values(), *source.secrets.values()]:
        assert isinstance(setting, Setting) and setting.title
        assert not setting.choices or setting.default is None or setting.default in setting.choices
    assert all(secret.default is None for secret in source.secrets.values())
    assert {name for case in cases(slug) for name in case.secrets} <= source.secrets.keys()


@each_slug
def test_every_template_is_right_and_shown_by_a_fixture(slug: str) -> None:
    source = sources.load(slug)
    for name, template in source.templates.items():
        assert source.check_mapping and source.check_mapping(template, {}) == [], name
        assert any(case.request.mapping is template and case.expected for case in cases(slug)), name


@each_slug
def test_the_module_has_the_one_shape(slug: str) -> None:
    tree = ast.parse((Path(sources.__path__[0]) / f"{slug}.py").read_text("utf-8"))
    assert "https://" in (ast.get_docstring(tree) or "")
    names = [name for node in tree.body for name in declared(node)]
    assert [name for name in names if name in ("TYPES", "normalize", "SOURCE")] == ["TYPES", "normalize", "SOURCE"]
    assert names[-1] == "SOURCE"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Try), f"line {node.lineno}"
        for module in imported(node):
            assert module.partition(".")[0] not in (
                "logging",
                "requests",
                "urllib3",
                "socket",
                "time",
                "boto3",
                "botocore",
            )
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 27, node.name


def declared(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_every_fixture_folder_belongs_to_a_source() -> None:
    assert sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) == list(sources.slugs())


def test_one_source_loads_none_of_the_others_and_nothing_heavy() -> None:
    root = Path(sources.__path__[0]).parent.parent
    for slug in sources.slugs():
        program = f"import sys\nfrom chalicelib import sources\nsources.load({slug!r})\nprint(*sys.modules)"
        run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
        loaded = set(run.stdout.split())
        assert {f"chalicelib.sources.{slug}"} == {name for name in loaded if name.startswith("chalicelib.sources.")}
        assert not loaded & {"requests", "cryptography", "phonenumbers", "jmespath", "pydantic", "botocore", "chalice"}
