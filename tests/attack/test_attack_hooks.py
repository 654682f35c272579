"""Every source's hook under all corpora: no answer of 5xx, no storage call for a bad signature, no failed receipt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from chalicelib import sources
from chalicelib.errors import PayloadMalformed
from chalicelib.ingest import read as reading
from chalicelib.kit.request import MAX_BODY, Request
from chalicelib.kit.signatures import BodyToken, PathSecret
from chalicelib.model import instants
from chalicelib.store import connections
from tests.api.client import Api, key_with
from tests.attack import corpus, world
from tests.attack.corpus import Line
from tests.attack.tally import Tally, full, share
from tests.attack.world import Target

SHARE = {"bodies": 5, "headers": 3, "paths": 3, "signed": 3, "spoiled": 1}
"""Of each corpus for one source in `make test`: other ones for each, so that all are thrown at some."""
LARGE = 100_000
NOTE = ("dynamodb", "put_item")


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"), checked=False)


def chosen(name: str, turn: int) -> list[Line]:
    return corpus.some(corpus.lines(name), share(SHARE[name]), turn)


def unsigned(target: Target, turn: int) -> list[tuple[str, Request]]:
    """(kind, request) of what has an old signature of another body, or one by another key."""
    found = []
    for line in chosen("bodies", turn):
        request = target.request(line.body, line.headers)
        found += [(line.kind, request), (line.kind, forged(target, request))]
    found += [(line.kind, target.request(headers=line.headers)) for line in chosen("headers", turn)]
    for line in chosen("paths", turn):
        bare = target.request()
        found.append((line.kind, replace(bare, url=f"https://{world.HOST}/hooks/{target.id}{line.text}")))
    return found


def forged(target: Target, request: Request) -> Request:
    """By a key that nobody has. Where a scheme cannot sign this body, or takes a private key, it keeps the old signature."""
    try:
        return target.forged(request)
    except (PayloadMalformed, AttributeError, TypeError, IndexError, ValueError):
        return request


def is_open(target: Target, request: Request) -> bool:
    """Whether what was sent carries the right secret all the same, or is a question that everybody may ask."""
    case = target.case
    request = replace(request, settings=case.request.settings)
    if case.source.verify(request, case.secrets) is None:
        return True
    return bool(case.source.handshake_first and case.source.handshake and case.source.handshake(request, case.secrets))


def test_no_bad_signature_costs_more_than_its_note(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection of each provider, one minute: one read of the connection, its secrets, and one note."""
    monkeypatch.setattr(connections, "now_seconds", lambda: 1_800_000_000)
    tally, failures = Tally("hooks, unsigned or forged"), []
    for turn, target in enumerate(world.every_target(api)):
        world.send(api, target.request())
        with world.asked_of_aws() as calls:
            for kind, request in unsigned(target, turn):
                request = replace(request, method="POST") if request.method == "PUT" else request
                taken = is_open(target, request)
                before = len(calls)
                answer = world.send(api, request)
                tally.add(kind, answer.status)
                wrong = world.problem_of(answer)
                if not taken and answer.status < 400:
                    wrong = f"{answer.status} without a signature"
                if wrong:
                    failures.append(f"{target.name}: {kind}: {wrong}")
                if taken:
                    del calls[before:]
        cost = [each for each in calls if each != NOTE]
        if cost or calls.count(NOTE) > 1:
            failures.append(f"{target.name}: {len(calls)} requests to AWS: {calls[:5]}")
    tally.facts["storage calls beyond the note"] = 0 if not failures else "see the failures"
    tally.keep()
    assert failures == [], "\n".join(failures)
    assert sum(tally.inputs.values()) > 500 and set(tally.statuses) <= {"200", "401", "404", "405", "413"}


def authentic(target: Target, turn: int) -> list[tuple[str, Request]]:
    """(kind, request) that the provider's own secret signed over a hostile body. Large ones in the long run only, two for
    each: what they cost is a question of processor time, not of answers."""
    small = [line for line in corpus.lines("bodies") if len(line.body) <= LARGE]
    large = [line for line in corpus.lines("bodies") if len(line.body) > LARGE]
    lines = corpus.some(small, share(SHARE["signed"]), turn) + (corpus.some(large, 2, turn) if full() else [])
    found = [(line.kind, target.request(line.body, line.headers)) for line in lines]
    fields = chosen("spoiled", turn)
    if target.case.request.media_type == "application/json":
        found += [(line.kind, target.request(body)) for line in fields for body in spoiled(target, line)]
    return found


def spoiled(target: Target, line: Line) -> list[bytes]:
    """The body of its fixture with one field, and with every field, in place of what belongs there."""
    import json

    told = json.loads(target.case.request.body)
    if not isinstance(told, dict):
        return []
    names = sorted(told)
    at = names[len(line.name) % len(names)] if names else "id"
    return [json.dumps(told | {at: line.value}).encode(), json.dumps(dict.fromkeys(told, line.value)).encode()]


def signed(target: Target, request: Request) -> Request | None:
    """None where a scheme cannot sign what it cannot read, or has its token in a body that has no place for it."""
    try:
        return target.signed(request)
    except (PayloadMalformed, AttributeError, TypeError, IndexError, ValueError):
        return None if isinstance(target.case.verifier, BodyToken) or unsignable(target) else missed(target)


def unsignable(target: Target) -> bool:
    return getattr(target.case.verifier, "place", "header") == "body" or hasattr(target.case.module, "sign")


def in_the_body(target: Target) -> bool:
    """Whether a body must be read to find what signs it, as far as one can see."""
    return unsignable(target) or isinstance(target.case.verifier, BodyToken) or is_its_own(target)


def is_its_own(target: Target) -> bool:
    """A scheme of one provider alone."""
    return type(target.case.verifier).__module__.startswith(sources.__name__)


def missed(target: Target) -> None:
    raise AssertionError(f"{target.name}: its scheme does not sign bytes that it need not read")


def targets_without_network(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[Target]:
    """A look-up at a provider finds what its fixture says, whatever was asked."""
    targets = world.every_target(api)
    known = {target.id: dict(target.case.request.fetched) for target in targets}
    monkeypatch.setattr(reading, "fetch_all", lambda table, source, request, secrets: known[request.connection])
    return targets


def test_what_a_provider_signs_is_acked_and_ends_as_a_receipt(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile bodies under a right signature: taken or refused, worked on, and none of them a mistake of ours."""
    tally, failures = Tally("hooks, signed"), []
    for turn, target in enumerate(targets_without_network(api, monkeypatch)):
        for kind, bare in authentic(target, turn):
            request = signed(target, bare)
            if request is None:
                continue
            answer = world.send(api, request)
            tally.add(kind, answer.status)
            wrong = world.problem_of(answer)
            if not wrong and answer.status == 401 and covers(target):
                wrong = "refused under its own signature"
            if wrong:
                failures.append(f"{target.name}: {kind}: {wrong}: {request.body[:100]!r}")
        failures += worked(api, target)
    tally.facts["receipts by verdict"] = verdicts(api)
    tally.keep()
    assert failures == [], "\n".join(failures)
    assert "failed" not in verdicts(api)


def covers(target: Target) -> bool:
    """Whether any body counts under the signature, so that a refusal is none of the body."""
    return bool(getattr(target.case.verifier, "covers_body", False)) and not unsignable(target)


def worked(api: Api, target: Target) -> list[str]:
    try:
        api.work()
    except Exception as wrong:
        return [f"{target.name}: the worker stopped: {type(wrong).__name__}: {str(wrong)[:300]}"]
    return []


def verdicts(api: Api) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in api.pages("/v1/receipts", "receipts", limit=200):
        found[each["verdict"]] = found.get(each["verdict"], 0) + 1
    return found


SECOND = re.compile(rb"\b1[67]\d{8}\b")


def stamped_now(target: Target) -> Request:
    """A request of now. Where the moment is in what is signed, it is put there: the fixture's own is of another year."""
    request = target.request()
    if not in_the_body(target):
        return request
    now = b"%d" % (instants.now_ms() // 1000)
    url = SECOND.sub(now, request.url.encode()).decode()
    return replace(request, url=url, query=tuple(parse_qsl(urlsplit(url).query)), body=SECOND.sub(now, request.body))


def test_a_replay_makes_nothing_twice(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes five times, and once more with its headers in another order: one set of events."""
    tally, failures = Tally("hooks, replayed"), []
    targets = targets_without_network(api, monkeypatch)
    for target in targets if full() else targets[:: len(targets) // 12]:
        request = target.signed(stamped_now(target))
        for sent in (*[request] * 5, replace(request, headers=tuple(reversed(request.headers)))):
            answer = world.send(api, sent)
            tally.add("replays", answer.status)
            if answer.status >= 300:
                failures.append(f"{target.name}: {answer.status}")
        failures += worked(api, target)
        events = [
            each
            for receipt in api.pages("/v1/receipts", "receipts", connection=target.id)
            for each in api.get(f"/v1/receipts/{receipt['id']}")["events"]
        ]
        once = len([each for each in events if each["verdict"] != "duplicate"])
        expected = len(target.case.expected)
        if once > max(expected, 1):
            failures.append(f"{target.name}: {once} events for {expected}: {[each['verdict'] for each in events]}")
    tally.keep()
    assert failures == [], "\n".join(failures)


def aged(target: Target, seconds: int) -> Request:
    now = instants.now_ms()
    return target.signed(replace(target.request(), received_at=instants.from_ms(now + seconds * 1000)))


def test_a_signature_of_another_time_is_refused_where_it_has_a_time(api: Api) -> None:
    tally, failures = Tally("hooks, replayed late"), []
    for target in world.every_target(api):
        if not getattr(target.case.verifier, "timed", False):
            continue
        for seconds in (-86_400, -3600, 3600, 86_400):
            answer = world.send(api, aged(target, seconds))
            tally.add("replays", answer.status)
            if answer.status != 401:
                failures.append(f"{target.name}: {answer.status} after {seconds} s")
    tally.keep()
    assert failures == [] and sum(tally.inputs.values()) >= 20, failures


Other = Callable[[Target, Target], Request]


def test_no_connections_request_counts_at_another(api: Api) -> None:
    """Two connections of each provider with secrets of their own: what is signed for one is refused at the other."""
    tally, failures = Tally("hooks, across connections"), []
    for target in world.every_target(api):
        other = world.connected(api, replace(target.case, secrets=others(target)))
        request = target.signed(target.request())
        moved = replace(request, url=request.url.replace(target.id, other.id))
        answer = world.send(api, moved)
        tally.add("crossed", answer.status)
        if answer.status != 401 and not is_open(other, replace(moved, connection=other.id)):
            failures.append(f"{target.name}: {answer.status}")
    tally.keep()
    assert failures == [], failures


def others(target: Target) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(target.case.secrets, (WRONG,))


WRONG = world.WRONG


def test_secrets_of_one_connection_open_nothing_of_another(api: Api) -> None:
    """A ciphertext that somebody moved in the table to another connection is no secret there: no 5xx, no way in."""
    failures = []
    for target in world.every_target(api):
        stored = connections.get(api.table, target.id)
        assert stored
        thief = world.connected(api, target.case)
        mine = connections.get(api.table, thief.id)
        assert mine
        fields = {name: getattr(mine, name) for name in mine.__struct_fields__}
        assert connections.save(api.table, type(mine)(**fields | {"secrets": stored.secrets, "ver": 2}))
        answer = world.send(api, thief.signed(thief.request()))
        if answer.status < 400 and not isinstance(target.case.verifier, PathSecret):
            failures.append(f"{target.name}: {answer.status}")
    assert failures == [], failures


def test_the_share_of_every_run_reaches_every_line(api: Api) -> None:
    targets = world.every_target(api)
    for name in ("bodies", "headers", "paths"):
        used: set[Any] = set()
        for turn, _ in enumerate(targets):
            used |= {line.label for line in corpus.some(corpus.lines(name), SHARE[name], turn)}
        assert used == {line.label for line in corpus.lines(name)}, name
    assert len(corpus.of_kind("bodies", "oversize")[0].body) == MAX_BODY + 1
