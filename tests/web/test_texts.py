"""What the pages say: the same keys in every language, each used, each word of our closed sets said.

The words that all pages share are in `en.js` and `nl.js`; those of one page or view in `<name>_en.js` and `<name>_nl.js`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

import pytest

from chalicelib import sources
from chalicelib.api.deliveries import STATUSES as DELIVERY_STATUSES
from chalicelib.api.health import SAYINGS
from chalicelib.api.jobs import STATUSES
from chalicelib.api.receipts import VERDICTS
from chalicelib.context import candidates, graph, resolve
from chalicelib.context.record import EXPIRED, REFUSED
from chalicelib.fanout import messages
from chalicelib.fanout.forget import FAILED, FORGOTTEN, NOTHING, UNABLE
from chalicelib.fanout.reconcile import ASTRAY, DIFFERS, EXTRA, GONE, MISSING
from chalicelib.kit.source import GRADES
from chalicelib.model.connection import ACTIVE, DISABLED, PAUSED, UNAUTHORIZED
from chalicelib.model.event import ACTORS, CHANNELS, DIRECTIONS, TYPES
from chalicelib.model.identity import KINDS
from chalicelib.model.rule import KINDS as RULE_KINDS
from chalicelib.model.rule import LANGUAGES as RULE_LANGUAGES
from chalicelib.model.rule import MARKETING, SERVICE
from chalicelib.store.deliveries import ACTIVITY, AUDIENCE, CONTACT, MOVE
from chalicelib.store.keys import SCOPES
from chalicelib.store.pulse import QUEUES
from chalicelib.store.receipts import ERASED
from chalicelib.workers import jobs
from chalicelib.workers.erase import RUNS_OUT
from tests.web.test_pages import SCRIPT_OF, loaded

WEB = Path(__file__).parent.parent.parent / "chalicelib" / "web"
SOURCES = WEB.parent / "sources"
WORKERS = WEB.parent / "workers"
FIXTURES = Path(__file__).parent.parent / "fixtures" / "sources"
LANGUAGES = ("en", "nl")
CLOSED = {
    "channel": CHANNELS,
    "type": TYPES,
    "direction": DIRECTIONS,
    "actor": ACTORS,
    "kind": KINDS,
    "assurance": {"A0", "A1", "A2", "A3"},
    "candidate": {candidates.ASSERTED, candidates.SHARED, candidates.TYPED_REF},
    "conflict": {"anchor", "cut", resolve.HELD, "oversize"},
    "decision": {graph.LINK, graph.CUT, graph.FORCE},
    "state": {"in step", "behind", "parked"},
}
CERTIFICATES = "\n".join((WORKERS / f"{name}.py").read_text("utf-8") for name in ("erase", "redact"))
LINE = re.compile(r'line\(\s*table, job, "([^"]+)", "([^"]+)"')
PLACES = {place for place, _ in LINE.findall(CERTIFICATES)} | set(RUNS_OUT)
RESULTS = {said for _, said in LINE.findall(CERTIFICATES)} | {FORGOTTEN, NOTHING, FAILED, UNABLE}
RESULTS |= {"stays", "runs out by itself"}
OWN_CLOSED: dict[str, dict[str, Collection[str]]] = {
    "console_": {
        "grade": GRADES,
        "job_status": STATUSES,
        "provider_kind": {"source", "destination", "both"},
        "template_name": {each for slug in sources.slugs() for each in sources.load(slug).templates},
        "standing": {"waiting", "receiving", ACTIVE, PAUSED, DISABLED},
        "verdict": {*VERDICTS, ERASED, EXPIRED, REFUSED},
    },
    "operate_": {
        "delivery_about": DELIVERY_STATUSES,
        "delivery_kind": {ACTIVITY, CONTACT, MOVE, AUDIENCE.rstrip("."), messages.PREFIX.rstrip(".")},
        "delivery_status": DELIVERY_STATUSES,
        "drift_kind": {MISSING, GONE, EXTRA, ASTRAY, DIFFERS, "not looked at"},
        "erasure_place": PLACES,
        "erasure_result": RESULTS,
        "erasure_runs_out": RUNS_OUT,
        "job_kind": jobs.KINDS,
        "language": RULE_LANGUAGES,
        "purpose": {SERVICE, MARKETING},
        "queue_about": QUEUES,
        "queue_name": QUEUES,
        "rule_about": RULE_KINDS,
        "rule_kind": RULE_KINDS,
        "runbook": SAYINGS,
        "scope": SCOPES,
        "scope_about": SCOPES,
        "stopped": {PAUSED, UNAUTHORIZED, DISABLED},
    },
}
"""The same for words that only one page says."""
OF_DESKS = {"hold", "pending"}
"""Statuses of tickets that no fixture happens to have."""
WORD = "word"
"""The family of statuses, which are the providers' own words: as many as our sources say."""


def texts(language: str, of: str = "") -> dict[str, str]:
    source = (WEB / f"{of}{language}.js").read_text("utf-8")
    body = source.partition("export default ")[2].rstrip().removesuffix(";")
    found: dict[str, str] = json.loads(body)
    assert len(found) == body.count('": "'), "a key twice"
    return found


OF = ["", *sorted(path.stem.removesuffix("en") for path in WEB.glob("*_en.js"))]
"""Before the language in the name of each dictionary: of all pages, then of each of its own."""


def family(key: str) -> str:
    return key.partition(".")[0]


def open_keys(of: str) -> set[str]:
    own = OWN_CLOSED.get(of, CLOSED if not of else {})
    return {key for key in texts("en", of) if family(key) not in own and family(key) != WORD}


def code(of: str = "") -> str:
    """All code, or that which may say the words of a dictionary: the pages and views that load it, and what they import."""
    dictionaries = {f"{each}{language}" for each in OF for language in LANGUAGES}
    paths = [path for path in WEB.iterdir() if path.suffix in (".js", ".html") and path.stem not in dictionaries]
    return "\n".join(path.read_text("utf-8") for path in sorted(paths) if not of or path.stem != "timeline")


@pytest.mark.parametrize("of", OF)
def test_the_languages_have_the_same_keys_in_order(of: str) -> None:
    english, dutch = texts("en", of), texts("nl", of)
    assert list(english) == list(dutch) == sorted(english)
    assert all(text.strip() == text and text for text in [*english.values(), *dutch.values()])


@pytest.mark.parametrize("of", OF)
def test_the_same_values_are_filled_in(of: str) -> None:
    for key, text in texts("en", of).items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", texts("nl", of)[key])), key


def test_no_dictionary_has_a_key_of_another() -> None:
    keys = [key for of in OF for key in texts("en", of)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("of", "name"), [(of, name) for of in OWN_CLOSED for name in sorted(OWN_CLOSED[of])])
def test_each_word_of_a_closed_set_of_a_page_is_said(of: str, name: str) -> None:
    found = {key.partition(".")[2] for key in texts("en", of) if family(key) == name}
    assert found == set(OWN_CLOSED[of][name])
    assert re.search(rf'(?:word|select)\("{name}", ', code()), "the family is used"


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_each_word_of_a_closed_set_is_said(name: str) -> None:
    found = {key.partition(".")[2] for key in texts("en") if family(key) == name}
    assert found == set(CLOSED[name])
    assert re.search(rf'word\("{name}", ', code()), "the family is used"


def test_each_status_that_we_say_is_one_of_a_source() -> None:
    told = "\n".join(path.read_text("utf-8") for path in [*SOURCES.glob("*.py"), *FIXTURES.rglob("*.json")]).lower()
    for key in texts("en"):
        if family(key) == WORD:
            status = key.partition(".")[2]
            assert status in OF_DESKS or re.search(rf"\b{re.escape(status)}\b", told), status


@pytest.mark.parametrize("of", OF)
def test_every_other_key_is_used(of: str) -> None:
    source = code(of)
    for key in open_keys(of):
        name = re.sub(r"\.(one|other)$", "", key)
        assert f'"{name}"' in source, key


def used(source: str) -> set[str]:
    said = re.findall(r'(?<!\w)text\("([^"]+)"', source) + re.findall(r'data-(?:text|label)="([^"]+)"', source)
    said += re.findall(r'(?<!\w)text: "([^"]+)"', source)
    counted = re.findall(r'(?<!\w)count\("([^"]+)"', source)
    return {*said, *(f"{key}.{form}" for key in counted for form in ("one", "other"))}


def test_every_key_that_is_used_is_there() -> None:
    assert used(code()) <= {key for of in OF for key in texts("en", of)}


def test_the_timeline_page_needs_no_dictionary_of_another_page() -> None:
    for name in ("timeline.html", *loaded(SCRIPT_OF["timeline.html"])):
        assert used((WEB / name).read_text("utf-8")) <= texts("en").keys(), name


@pytest.mark.parametrize("name", SCRIPT_OF)
def test_no_word_of_a_page_is_outside_its_languages(name: str) -> None:
    """The frame has no text of its own but names: everything is filled in."""
    html = re.sub(r"<noscript>.*?</noscript>", "", (WEB / name).read_text("utf-8"))
    said = {text.strip() for text in re.findall(r">([^<>]*[A-Za-z][^<>]*)<", html)}
    assert said == {"Draad", "NL", "EN"}


@pytest.mark.parametrize("of", OF)
def test_dutch_is_not_english(of: str) -> None:
    english, dutch = texts("en", of), texts("nl", of)
    same = [
        key
        for key in english
        if english[key] == dutch[key] and len(english[key].split()) > 2 and "{" not in english[key]
    ]
    assert same == []
