"""One checker for every destination: fixtures are data, outages are the same for all."""

import ast
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.errors import Delayed, DeliveryFailed, NotFound, Rejected, Unauthorized, Unknown
from chalicelib.kit import http as http_module
from chalicelib.kit import outgoing, wire
from chalicelib.kit.destination import Destination
from chalicelib.kit.grant import Token
from chalicelib.kit.http import Http
from chalicelib.kit.request import Request
from chalicelib.kit.source import GRADES, Source
from chalicelib.model.audience import Told
from chalicelib.model.customer import Customer, Entry
from chalicelib.model.event import CHANNELS, Event
from chalicelib.model.identity import Identity
from chalicelib.model.message import Message
from tests.standins.server import Standin

FIXTURES = Path(__file__).parent.parent / "fixtures" / "destinations"
MODULES = Path(destinations.__file__).parent
SLUGS = destinations.slugs()


@dataclass
class Case:
    """One fixture against its own stand-in."""

    slug: str
    told: dict[str, Any]
    standin: Standin
    connection: dict[str, Any]

    @property
    def destination(self) -> Destination:
        return destinations.load(self.slug)

    def http(self, **options: Any) -> Http:
        text = json.dumps(self.connection["settings"] | self.told.get("settings", {}))
        settings = json.loads(text.replace("{url}", self.standin.url))
        told = self.told.get("secrets", self.connection["secrets"])
        secrets = {name: tuple(values) for name, values in told.items()}
        options = {"mapped": self.told.get("mapped", {})} | options
        return replace(self.destination.http(settings, secrets, allow_private=True), **options)

    @property
    def remote(self) -> str:
        return str(self.told.get("remote", ""))

    @property
    def entry(self) -> Entry:
        return msgspec.convert(self.told["entry"], Entry)

    @property
    def customer(self) -> Customer:
        return msgspec.convert(self.told["customer"], Customer)

    @property
    def message(self) -> Message:
        return msgspec.convert(self.told["message"], Message)

    def send(self, **changed: Any) -> str:
        assert self.destination.send_message is not None
        return self.destination.send_message(self.http(), msgspec.structs.replace(self.message, **changed))

    def again(self) -> str:
        """What the engine may do by itself about a message that may have been sent: send it by the same
        key, or look and send it if it is surely not there; else nothing. `found_after` goes by first."""
        self.standin.settle()
        if self.destination.message_keyed:
            return self.run()
        if self.destination.find_message is None:
            return ""
        return self.destination.find_message(self.http(), self.message) or self.run()

    def run(self, **options: Any) -> str:
        http = self.http(**options)
        if self.told["do"] == "append":
            assert self.destination.append_activity is not None
            return self.destination.append_activity(http, self.remote, self.entry)
        if self.told["do"] == "forget":
            assert self.destination.forget_contact is not None
            self.destination.forget_contact(http, self.remote)
            return ""
        if self.told["do"] == "send":
            assert self.destination.send_message is not None
            return self.destination.send_message(http, self.message)
        if self.told["do"] == "find":
            assert self.destination.find_message is not None
            return self.destination.find_message(http, self.message)
        if self.told["do"] == "tell":
            assert self.destination.tell_membership is not None
            return self.destination.tell_membership(http, msgspec.convert(self.told["membership"], Told))
        assert self.destination.upsert_contact is not None
        return self.destination.upsert_contact(http, self.customer, self.remote)


def names(slug: str, do: str = "", *, ends: bool = False, fails: bool = False, refused: bool = False) -> list[str]:
    """Those that make what they send; or those that make nothing, in one of the ways to say what becomes of them."""
    files = sorted(path for path in (FIXTURES / slug).glob("*.json") if path.stem != "connection")
    told = {path.stem: json.loads(path.read_text()) for path in files}
    marks = {"ends": ends, "fails": fails, "outcome": refused}
    wanted = [name for name, case in told.items() if all((mark in case) == on for mark, on in marks.items())]
    return [name for name in wanted if do in ("", told[name]["do"])]


def says(slug: str, name: str) -> bool:
    """Whether a refusal's case tells what its reason must say."""
    return "says" in json.loads((FIXTURES / slug / f"{name}.json").read_text())


def connections(slug: str) -> list[Path]:
    return list((FIXTURES / slug).glob("connection.json"))


def open_case(slug: str, name: str) -> Case:
    folder = FIXTURES / slug
    connection = json.loads((folder / "connection.json").read_text())
    told = json.loads((folder / f"{name}.json").read_text()) | {"name": name}
    module, _, kind = connection["standin"].partition(".")
    standin = getattr(import_module(f"tests.standins.{module}"), kind)()
    for method, arguments in told.get("before", []):
        getattr(standin, method)(**arguments)
    return Case(slug, told, standin, connection)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    found = open_case(*request.param)
    yield found
    found.standin.stop()
    wire.close_all()


EVERY = [(slug, name) for slug in SLUGS for name in names(slug)]
OUTCOMES = [(slug, name) for slug in SLUGS for name in names(slug, refused=True) if not says(slug, name)]
APPENDS = [(slug, name) for slug in SLUGS for name in names(slug, "append")]
UPSERTS = [(slug, name) for slug in SLUGS for name in names(slug, "upsert")]
FAILING = [(slug, name) for slug in SLUGS for name in names(slug, fails=True)]
SENDS = [(slug, name) for slug in SLUGS for name in names(slug, "send")]
REFUSED = [(slug, name) for slug in SLUGS for name in names(slug, refused=True) if says(slug, name)]
COMING_BACK = [slug for slug in SLUGS if "changes" in json.loads(connections(slug)[0].read_text())]
DOINGS = ("append", "upsert", "send", "tell")
ONE_OF_EACH = [(slug, names(slug, do)[0]) for slug in SLUGS for do in DOINGS if names(slug, do)]
ONE_APPEND = [(slug, names(slug, "append")[0]) for slug in SLUGS if names(slug, "append")]
ONE_SEND = [(slug, names(slug, "send")[0]) for slug in SLUGS if names(slug, "send")]
ONE_UPSERT = [(slug, names(slug, "upsert")[0]) for slug in SLUGS if names(slug, "upsert")]
MAKE_NOTHING = [(slug, name) for slug in SLUGS for name in names(slug, ends=True)]
GRANTED = [
    (slug, name)
    for slug, name in ONE_APPEND
    if destinations.load(slug).grant
    and not {"grant", "grants", "entered"} & json.loads(connections(slug)[0].read_text()).keys()
]


def each(cases: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=["-".join(one) for one in cases], indirect=True)


def outcome(case: Case, **options: Any) -> str:
    try:
        case.run(**options)
    except DeliveryFailed as failed:
        secrets = [value for values in case.connection["secrets"].values() for value in values]
        assert not [each for each in secrets if each in f"{failed.reason} {failed.excerpt}"]
        return failed.outcome
    return "delivered"


@each(EVERY)
def test_exactly_the_expected_calls_are_made(case: Case) -> None:
    returned = case.run()
    assert returned == case.told["returns"]
    compare(case)


@each(OUTCOMES)
def test_what_the_system_says_in_its_own_way_is_the_expected_outcome(case: Case) -> None:
    assert outcome(case) == case.told["outcome"]
    compare(case)


def compare(case: Case) -> None:
    assert len(case.standin.calls) == len(case.told["calls"])
    for made, expected in zip(case.standin.calls, case.told["calls"], strict=True):
        assert (made.method, made.path) == (expected["method"], expected["path"])
        assert made.query == expected.get("query", {})
        if "form" in expected:
            assert dict(parse_qsl(made.body.decode(), strict_parsing=True)) == expected["form"]
        else:
            assert (made.json if made.body else None) == expected.get("json")
        assert {name: made.headers.get(name) for name in expected.get("headers", {})} == expected.get("headers", {})


@each(MAKE_NOTHING)
def test_an_answer_that_says_more_than_its_status_is_the_expected_outcome(case: Case) -> None:
    before = case.standin.kept(), case.standin.people()
    assert outcome(case) == case.told["ends"]
    assert (case.standin.kept(), case.standin.people()) == before


@each(REFUSED)
def test_each_refusal_says_what_it_is(case: Case) -> None:
    earlier = case.standin.sent()
    with pytest.raises(DeliveryFailed) as failed:
        case.run()
    assert failed.value.outcome == case.told["outcome"]
    assert case.told["says"] in failed.value.reason
    assert getattr(failed.value, "retry_after", None) == case.told.get("retry_after")
    assert case.standin.sent() == earlier
    compare(case)


STATUSES = [
    (302, "rejected"),
    (400, "rejected"),
    (401, "unauthorized"),
    (403, "rejected"),
    (404, "rejected"),
    (409, "rejected"),
    (410, "gone"),
    (423, "delayed"),
    (429, "delayed"),
    (477, "rejected"),
    (500, "delayed"),
    (503, "delayed"),
]


@each(ONE_OF_EACH)
@pytest.mark.parametrize(("status", "expected"), STATUSES)
def test_each_status_is_the_declared_outcome(case: Case, status: int, expected: str) -> None:
    declared = case.destination.outcomes.get(status)
    case.standin.behave("status", status=status, headers={"Retry-After": "7"})
    assert outcome(case) == (declared.outcome if declared else expected)
    assert case.standin.kept() == case.standin.sent() == []


@each(FAILING)
def test_an_answer_of_the_vendors_own_is_the_outcome_that_it_means(case: Case) -> None:
    expected = case.told["fails"]
    with pytest.raises(DeliveryFailed) as failed:
        case.run(clock=lambda: float(expected.get("at", 0)))
    assert failed.value.outcome == expected["outcome"]
    assert getattr(failed.value, "retry_after", None) == expected.get("retry_after")
    assert expected.get("says", "") in f"{failed.value.reason} {failed.value.excerpt}"


@each(ONE_OF_EACH)
@pytest.mark.parametrize("mode", ["drop", "reset", "truncate", "slow", "dribble"])
def test_each_way_to_lose_the_answer_is_unknown(case: Case, mode: str) -> None:
    case.standin.behave(mode, delay=1.0)
    assert outcome(case, deadline=0.3) == "unknown"


@each(ONE_OF_EACH)
def test_a_closed_port_is_delayed(case: Case) -> None:
    case.standin.refuse(None)
    assert outcome(case) == "delayed"


@each(ONE_OF_EACH)
def test_a_success_with_an_error_inside_is_not_taken_for_a_row(case: Case) -> None:
    case.standin.behave("lie")
    assert outcome(case) == case.connection["lie"]


@each(ONE_OF_EACH)
def test_wrong_secrets_are_unauthorized_and_leave_nothing(case: Case) -> None:
    wrong = {name: ["whsec_" + "A" * 32] for name in case.connection["secrets"]}
    case.connection["secrets"] = wrong
    assert outcome(case) == "unauthorized"
    assert case.standin.kept() == case.standin.sent() == []


@each(ONE_APPEND)
def test_a_token_is_asked_for_with_what_was_entered(case: Case) -> None:
    destination = case.destination
    if destination.grant is None or "entered" not in case.connection:
        pytest.skip("asks for no token")
    settings = case.http().settings
    entered = {name: tuple(values) for name, values in case.connection["entered"].items()}
    asking = Http(destination.grant_address(settings), settings=settings, secrets=entered, allow_private=True)
    token = destination.grant(asking)
    assert token.seconds > 0
    case.connection["secrets"] = {**case.connection["entered"], "access_token": [token.value]}
    assert case.run() == case.told["returns"]
    for secrets in ({}, dict.fromkeys(entered, ("wrong",))):
        with pytest.raises(DeliveryFailed) as failed:
            destination.grant(replace(asking, secrets=secrets))
        assert failed.value.outcome == "unauthorized"


@each(ONE_OF_EACH)
def test_without_secrets_nothing_is_delivered(case: Case) -> None:
    case.connection["secrets"] = {}
    assert outcome(case) in ("unauthorized", "rejected")


@each(ONE_OF_EACH)
def test_refusals_that_quote_our_secrets_hide_them(case: Case) -> None:
    secrets = [value for values in case.connection["secrets"].values() for value in values]
    case.standin.behave("status", status=400, body={"message": f"bad credentials {secrets} of jan@example.nl"})
    with pytest.raises(DeliveryFailed) as failed:
        case.run()
    shown = f"{failed.value.reason} {failed.value.excerpt}"
    assert "bad credentials" in shown
    assert not [secret for secret in [*secrets, "jan@example.nl"] if secret in shown]


@each(APPENDS)
def test_sending_again_leaves_one_activity(case: Case) -> None:
    if not case.destination.keyed:
        pytest.skip("takes no key of ours: the engine claims and looks first")
    for mode in ("drop", "truncate", "reset", "drop"):
        case.standin.behave(mode, times=1)
        outcome(case)
    first, second = case.run(), case.run()
    assert first == second
    assert case.standin.kept() == [case.entry.event.id]


@each(ONE_APPEND)
def test_workers_that_send_the_same_at_once_leave_one_activity(case: Case) -> None:
    if not case.destination.keyed:
        pytest.skip("takes no key of ours: the engine claims and looks first")
    workers = [threading.Thread(target=case.run) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert case.standin.kept() == [case.entry.event.id]


@each(APPENDS)
def test_an_activity_is_found_once_it_is_whole(case: Case) -> None:
    find = case.destination.find_activity
    if find is None:
        assert case.destination.keyed
        return
    assert find(case.http(), case.remote, case.entry) == ""
    for drops in range(1, len(case.told["calls"])):
        case.standin.behave("reset", path=case.told["calls"][drops]["path"], times=1)
        assert outcome(case) == "unknown"
        assert find(case.http(), case.remote, case.entry) == ""
    sent = case.run()
    assert find(case.http(), case.remote, case.entry) == sent


@each(SENDS)
@pytest.mark.parametrize("mode", ["drop", "truncate", "reset", "status"])
def test_a_message_that_may_have_been_sent_never_goes_twice(case: Case, mode: str) -> None:
    case.standin.behave(mode, times=1, status=502)
    unsure = outcome(case)
    assert unsure == "unknown" or case.destination.message_keyed
    returned, twice = case.again(), case.again()
    assert returned == twice
    mends = case.destination.message_keyed or case.destination.find_message is not None
    arrived = mode in ("drop", "truncate")
    assert len(case.standin.sent()) == int(mends or arrived)
    assert [returned] == case.standin.sent() or not mends


@each(ONE_SEND)
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_that_fails_may_have_sent_all_the_same(case: Case, status: int) -> None:
    case.standin.behave("status", status=status)
    assert outcome(case) == "unknown" or case.destination.message_keyed


@each(ONE_SEND)
def test_workers_that_send_the_same_message_at_once_send_one(case: Case) -> None:
    if not case.destination.message_keyed:
        pytest.skip("takes no key of ours: the engine claims first")
    workers = [threading.Thread(target=case.run) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(case.standin.sent()) == 1


@each(SENDS)
def test_two_messages_are_two(case: Case) -> None:
    case.run()
    case.send(key="another0message0key")
    assert len(set(case.standin.sent())) == 2


@each(SENDS)
def test_a_message_is_found_by_what_makes_it_this_one(case: Case) -> None:
    find = case.destination.find_message
    if find is None:
        return
    assert find(case.http(), case.message) == ""
    sent = case.run()
    case.standin.settle()
    assert find(case.http(), case.message) == sent
    if case.message.text:
        other = msgspec.structs.replace(case.message, key="another0message0key", text="Something else")
        assert find(case.http(), other) == ""


@each(ONE_SEND)
def test_an_answer_without_what_was_asked_for_finds_nothing_and_says_so(case: Case) -> None:
    find = case.destination.find_message
    if find is None:
        return
    for mode in ("lie", "drop", "status"):
        case.standin.behave(mode, times=1)
        with pytest.raises(DeliveryFailed):
            find(case.http(), case.message)


@each(ONE_SEND)
def test_what_may_not_go_makes_no_request(case: Case) -> None:
    empty = {"template": "", "values": (), "free": True}
    wrong: list[dict[str, Any]] = [{**empty, "text": " "}, {"to": Identity("loyalty", "7", "tc")}]
    if case.destination.window_of(case.message.channel):
        wrong.append({**empty, "free": False})
    for changed in wrong:
        with pytest.raises(Rejected):
            case.send(**changed)
    assert case.standin.calls == []


@each(ONE_UPSERT)
def test_a_contact_is_found_and_forgotten(case: Case) -> None:
    destination = case.destination
    assert destination.find_contact is not None
    assert destination.forget_contact is not None
    assert destination.find_contact(case.http(), case.customer) == ""
    remote = case.run()
    assert destination.find_contact(case.http(), case.customer) == remote
    for _ in range(2):
        destination.forget_contact(case.http(), remote)
    assert destination.find_contact(case.http(), case.customer) == ""


def granted(case: Case, **wrong: str) -> Token:
    """As the engine asks: with what an integrator entered, and without a token."""
    destination, http = case.destination, case.http()
    assert destination.grant is not None
    entered = {name: values for name, values in http.secrets.items() if name in destination.secrets}
    told = entered | {name: (value,) for name, value in wrong.items()}
    return destination.grant(Http(case.standin.url, settings=http.settings, secrets=told, allow_private=True))


@each(GRANTED)
def test_a_token_that_was_asked_for_lets_in(case: Case) -> None:
    token, asked_at = granted(case), case.destination.grant_url
    assert (asked_at if isinstance(asked_at, str) else asked_at(case.http().settings)).startswith("https://")
    assert token.seconds > 60
    assert [token.value] != case.connection["secrets"]["access_token"]
    case.connection["secrets"] = {"access_token": [token.value]}
    case.standin.calls.clear()
    assert case.run() == case.told["returns"]
    assert [call.path for call in case.standin.calls] == [call["path"] for call in case.told["calls"]]
    assert all(token.value in call.headers["authorization"] for call in case.standin.calls)


@each(GRANTED)
def test_each_secret_is_needed_for_a_token(case: Case) -> None:
    for name, declared in case.destination.secrets.items():
        if declared.required:
            with pytest.raises(Unauthorized) as refused:
                granted(case, **{name: "not-the-right-one"})
            assert "not-the-right-one" not in refused.value.reason + refused.value.excerpt


@each(GRANTED)
def test_a_refused_token_hides_the_secrets_that_are_quoted(case: Case) -> None:
    secrets = [case.connection["secrets"][name][0] for name in case.destination.secrets]
    case.standin.behave("status", status=400, body={"error": "invalid_client", "error_description": f"bad: {secrets}"})
    with pytest.raises(DeliveryFailed) as failed:
        granted(case)
    shown = f"{failed.value.reason} {failed.value.excerpt}"
    assert "invalid_client" in shown
    assert not [secret for secret in secrets if secret in shown]


@each(GRANTED)
def test_what_becomes_of_asking_for_a_token(case: Case) -> None:
    for mode, status, expected in [
        ("status", 429, "delayed"),
        ("status", 503, "delayed"),
        ("status", 401, "unauthorized"),
        ("lie", 200, "unknown"),
        ("drop", 200, "unknown"),
    ]:
        case.standin.behave(mode, status=status, times=1)
        with pytest.raises(DeliveryFailed) as failed:
            granted(case)
        assert failed.value.outcome == expected


@each([one for one in ONE_APPEND if destinations.load(one[0]).contacts])
def test_forgetting_takes_along_what_was_written(case: Case) -> None:
    case.run()
    assert case.standin.kept() == [case.entry.event.id]
    assert case.destination.forget_contact is not None
    case.destination.forget_contact(case.http(), case.remote)
    assert case.standin.kept() == []


@each(ONE_UPSERT)
def test_forgetting_leaves_nothing_by_which_he_is_known(case: Case) -> None:
    """In no field at all, those too that the system fills by itself."""
    before, remote = json.dumps(case.standin.state()), case.run()
    reached = {case.customer.id, case.customer.first("email"), case.customer.first("phone")}
    values = {each for each in reached if each and each not in before and each in json.dumps(case.standin.state())}
    assert values
    assert case.destination.forget_contact is not None
    case.destination.forget_contact(case.http(), remote)
    assert not {each for each in values if each in json.dumps(case.standin.state())}


@each([(slug, name) for slug in COMING_BACK for name in names(slug, "upsert")])
def test_what_comes_back_of_a_push_says_whose_record_it_is_and_no_other_value(case: Case) -> None:
    source, own = case.destination.changes, case.connection["changes"]
    assert source is not None
    remote = case.run()
    fields = {name: found.value for name, found in case.customer.fields.items()}
    written = {"email": case.customer.first("email"), "phone": case.customer.first("phone"), **fields}
    for body in case.standin.changes():
        for event in came_back(case, source, body, own["settings"]):
            mine = [each for each in event.identities if each.kind == "crm"]
            assert [each.value for each in mine] == [remote]
            assert not event.fields
            attested = {each.text for each in event.identities if each.assurance > 1} - {each.text for each in mine}
            assert attested <= {each.text for each in case.customer.identities}
        if case.customer.mapped:
            continue
        for event in came_back(case, source, body, {}):
            assert all(word in " ".join(written.values()) for word in event.fields.get("name", "").split()[:1])
            assert all(event.fields[name] == written[name] for name in ("email", "phone") if name in event.fields)


def came_back(case: Case, source: Source, body: bytes, settings: dict[str, Any]) -> list[Event]:
    """What a webhook with this body becomes: signed, verified, looked up at the stand-in."""
    http, headers = case.http(), (("content-type", "application/json"),)
    at, url = "2026-09-02T08:31:00.000Z", "https://hub.example.nl/hooks/con_back"
    asked = Request("POST", url, headers, body, at, settings={**http.settings, **settings}, connection="con_back")
    secrets = {name: tuple(each) for name, each in case.connection["changes"]["secrets"].items()} | dict(http.secrets)
    module = import_module(f"chalicelib.destinations.{case.slug}")
    signed = (getattr(module, "sign", None) or source.verify.sign)(asked, secrets)
    assert source.verify(signed, secrets) is None
    wanted = list(source.fetch(signed, secrets)) if source.fetch else []
    found = {each.name: http.request("GET", each.path, headers=each.headers).json() for each in wanted}
    return list(source.normalize(replace(signed, fetched=found)))


@each(UPSERTS)
def test_a_contact_pushed_again_after_any_lost_answer_is_one_record(case: Case) -> None:
    for lost in range(len(case.told["calls"])):
        fresh = open_case(case.slug, case.told["name"])
        fresh.standin.behave("drop", times=1, skip=lost)
        assert outcome(fresh) == "unknown"
        assert fresh.run() == case.told["returns"]
        assert fresh.run() == case.told["returns"]
        fresh.standin.stop()
        case.standin.clear()
        for method, arguments in case.told.get("before", []):
            getattr(case.standin, method)(**arguments)
        case.run()
        assert sorted(fresh.standin.people()) == sorted(case.standin.people())


GRANTED = [slug for slug in SLUGS if '"grant":' in "".join(each.read_text() for each in connections(slug))]


def asked(case: Case, **changed: list[str]) -> Token:
    """A token, by the secrets that an integrator enters."""
    grant, destination = case.connection["grant"], case.destination
    settings = json.loads(json.dumps(case.connection["settings"]).replace("{url}", case.standin.url))
    secrets = {name: tuple(values) for name, values in (grant["secrets"] | changed).items()}
    http = Http(settings["base_url"], settings=settings, secrets=secrets, allow_private=True, deadline=0.5)
    assert destination.grant is not None
    return destination.grant(http)


@each([(slug, names(slug)[0]) for slug in GRANTED])
def test_a_token_is_asked_for_and_taken(case: Case) -> None:
    token = asked(case)
    assert token.seconds == case.connection["grant"]["seconds"]
    assert token.base_url == case.connection["grant"].get("base_url", "").replace("{url}", case.standin.url)
    assert token.value not in case.connection["secrets"]["access_token"]
    case.connection["secrets"]["access_token"] = [token.value]
    assert outcome(case) == "delivered"


@each([(slug, names(slug)[0]) for slug in GRANTED])
def test_a_token_is_refused_to_whom_it_is_not_due(case: Case) -> None:
    for name in case.connection["grant"]["secrets"]:
        for wrong in (["whsec_" + "A" * 32], []):
            with pytest.raises(Unauthorized):
                asked(case, **{name: wrong})
    for mode, expected in (("drop", Unknown), ("lie", Unknown), ("status", Delayed)):
        case.standin.behave(mode, times=1)
        with pytest.raises(expected):
            asked(case)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_module_has_the_same_shape(slug: str) -> None:
    text = (MODULES / f"{slug}.py").read_text()
    tree = ast.parse(text)
    assert "https://" in (ast.get_docstring(tree) or "")
    last = tree.body[-1]
    assert isinstance(last, ast.Assign)
    assert [target.id for target in last.targets if isinstance(target, ast.Name)] == ["DESTINATION"]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.Global | ast.AsyncFunctionDef)]
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {name for name in modules if name.startswith("chalicelib")}
    assert all(name.startswith(("chalicelib.kit", "chalicelib.model", "chalicelib.errors")) for name in ours)
    assert not (modules | plain) & {"logging", "requests", "urllib3", "time", "random", "threading"}


@pytest.mark.parametrize("slug", SLUGS)
def test_every_declaration_is_complete(slug: str) -> None:
    destination = destinations.load(slug)
    assert destination.name
    assert destination.docs.startswith("https://")
    assert destination.grade in GRADES
    assert destination.setup
    assert destination.secrets
    assert "base_url" in destination.settings
    assert not destination.base_url or destination.base_url.startswith("https://")
    assert destination.informed or destination.send_message
    assert destination.keyed or destination.find_activity or not destination.history
    assert not destination.contacts or (destination.find_contact and destination.forget_contact)
    assert len(names(slug, "append")) >= (3 if destination.history else 0)
    assert bool(names(slug, "append")) == destination.history
    assert bool(names(slug, "tell")) == (destination.tell_membership is not None)
    assert bool(names(slug, "upsert")) == destination.contacts


@pytest.mark.parametrize("slug", SLUGS)
def test_every_system_takes_a_mapping_of_what_it_keeps(slug: str) -> None:
    destination, settings = destinations.load(slug), json.loads(connections(slug)[0].read_text())["settings"]
    assert destination.mapped.keys() == {
        section for section, has in (("contact", destination.contacts), ("activity", destination.history)) if has
    }
    for section, (do, of) in {"contact": ("upsert", "customer"), "activity": ("append", "entry")}.items():
        told = [json.loads((FIXTURES / slug / f"{name}.json").read_text()) for name in names(slug, do)]
        found = [(each[of]["mapped"], settings | each.get("settings", {})) for each in told if "mapped" in each[of]]
        assert bool(found) == (section in destination.mapped), f"{section}: a fixture with what a mapping found"
        for mapped, own in found:
            assert outgoing.check({section: dict.fromkeys(mapped, "@")}, destination, own) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_no_mapping_touches_what_records_are_known_by(slug: str) -> None:
    destination, settings = destinations.load(slug), json.loads(connections(slug)[0].read_text())["settings"]
    for section in destination.mapped:
        ours = outgoing.reserved(destination, section, settings)
        assert ours
        for way in ours:
            name = ".".join(part.replace(".", "\\.") for part in way)
            for tried in {name, name.upper(), f"{name}.part", name.split(".")[0] if len(way) > 1 else name}:
                wrong = outgoing.check({section: {tried: "id"}}, destination, settings)
                assert [each["detail"] for each in wrong] == [
                    "is filled by the hub itself: it is how records are known"
                ]


@each(
    [(slug, name) for slug in SLUGS for name in [*names(slug, "upsert"), *names(slug, "append")] if "_mapped" in name]
)
def test_what_is_known_by_stays_in_every_row_with_a_mapping(case: Case) -> None:
    """The same keys and addresses leave with and without it."""
    case.run()
    plain = open_case(case.slug, case.told["name"])
    of = "entry" if case.told["do"] == "append" else "customer"
    del plain.told[of]["mapped"]
    plain.run()
    assert case.standin.kept() == plain.standin.kept()
    assert case.standin.people() == plain.standin.people()
    plain.standin.stop()


@pytest.mark.parametrize("slug", SLUGS)
def test_every_sender_says_how_it_may_be_used(slug: str) -> None:
    destination = destinations.load(slug)
    if destination.send_message is None:
        assert not (destination.channels or destination.window_hours or destination.message_keyed)
        return
    told = [json.loads((FIXTURES / slug / f"{name}.json").read_text())["message"] for name in names(slug, "send")]
    assert len(told) >= 3
    assert destination.channels
    assert set(destination.channels) == {each["channel"] for each in told} <= CHANNELS
    assert set(destination.windowless) <= set(destination.channels)
    assert bool(destination.found_after) == bool(destination.find_message)
    assert not destination.key_hours or destination.message_keyed
    assert names(slug, "send", refused=True)


@pytest.mark.parametrize("slug", SLUGS)
def test_loading_gives_what_the_file_declares(slug: str) -> None:
    assert destinations.load(slug) is import_module(f"chalicelib.destinations.{slug}").DESTINATION


@pytest.mark.parametrize("slug", ["", "nobody", "../webhook", "webhook.py", "__init__", "os"])
def test_an_unknown_slug_is_not_found(slug: str) -> None:
    with pytest.raises(NotFound):
        destinations.load(slug)


def test_statuses_mean_the_same_everywhere_unless_declared() -> None:
    assert [http_module.outcome(status).outcome for status, _ in STATUSES] == [expected for _, expected in STATUSES]
