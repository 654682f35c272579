"""One checker for every destination: fixtures are data, outages are the same for all."""

import ast
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.errors import DeliveryFailed, NotFound
from chalicelib.kit import http as http_module
from chalicelib.kit import wire
from chalicelib.kit.destination import Destination
from chalicelib.kit.http import Http
from chalicelib.kit.request import Request
from chalicelib.kit.source import GRADES, Source
from chalicelib.model.customer import Customer, Entry
from chalicelib.model.event import Event
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

    def run(self, **options: Any) -> str:
        http = self.http(**options)
        if self.told["do"] == "append":
            return self.destination.append_activity(http, self.remote, self.entry)
        assert self.destination.upsert_contact is not None
        return self.destination.upsert_contact(http, self.customer, self.remote)


def names(slug: str, do: str = "", *, failing: bool = False) -> list[str]:
    files = sorted(path for path in (FIXTURES / slug).glob("*.json") if path.stem != "connection")
    told = {path.stem: json.loads(path.read_text()) for path in files}
    return [name for name, each in told.items() if do in ("", each["do"]) and ("outcome" in each) == failing]


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
FAILING = [(slug, name) for slug in SLUGS for name in names(slug, failing=True)]
APPENDS = [(slug, name) for slug in SLUGS for name in names(slug, "append")]
UPSERTS = [(slug, name) for slug in SLUGS for name in names(slug, "upsert")]
ONE_OF_EACH = [(slug, names(slug, do)[0]) for slug in SLUGS for do in ("append", "upsert") if names(slug, do)]
ONE_APPEND = [(slug, names(slug, "append")[0]) for slug in SLUGS]
ONE_UPSERT = [(slug, names(slug, "upsert")[0]) for slug in SLUGS if names(slug, "upsert")]


def each(cases: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=["-".join(one) for one in cases], indirect=True)


def outcome(case: Case, **options: Any) -> str:
    try:
        case.run(**options)
    except DeliveryFailed as failed:
        return failed.outcome
    return "delivered"


@each(EVERY)
def test_exactly_the_expected_calls_are_made(case: Case) -> None:
    returned = case.run()
    assert returned == case.told["returns"]
    expect_calls(case)


@each(FAILING)
def test_what_the_system_says_in_its_own_way_is_the_expected_outcome(case: Case) -> None:
    assert outcome(case) == case.told["outcome"]
    expect_calls(case)


def expect_calls(case: Case) -> None:
    assert len(case.standin.calls) == len(case.told["calls"])
    for made, expected in zip(case.standin.calls, case.told["calls"], strict=True):
        assert (made.method, made.path) == (expected["method"], expected["path"])
        assert made.query == expected.get("query", {})
        assert (made.json if made.body else None) == expected.get("json")
        assert {name: made.headers.get(name) for name in expected.get("headers", {})} == expected.get("headers", {})


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
    assert case.standin.kept() == []


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
    assert case.standin.kept() == []


@each(ONE_APPEND)
def test_a_token_is_asked_for_with_what_was_entered(case: Case) -> None:
    destination = case.destination
    if destination.grant is None:
        pytest.skip("asks for no token")
    settings = case.http().settings
    entered = {name: tuple(values) for name, values in case.connection["entered"].items()}
    asking = Http(destination.grant_base(settings), settings=settings, secrets=entered, allow_private=True)
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


@each(ONE_UPSERT)
def test_what_was_told_of_a_contact_is_forgotten_with_it(case: Case) -> None:
    destination = case.destination
    assert destination.append_activity is not None
    assert destination.forget_contact is not None
    remote = case.run()
    for number, entry in enumerate(plain_entries(case.slug)):
        own = msgspec.structs.replace(entry.event, id=f"told{number:022d}")
        destination.append_activity(case.http(), remote, msgspec.structs.replace(entry, event=own))
    assert json.dumps(case.standin.state()).count("told0000") >= number + 1
    destination.forget_contact(case.http(), remote)
    assert "told0000" not in json.dumps(case.standin.state())


def plain_entries(slug: str) -> list[Entry]:
    """What the fixtures tell without settings of their own."""
    told = [json.loads((FIXTURES / slug / f"{name}.json").read_text()) for name in names(slug, "append")]
    return [msgspec.convert(each["entry"], Entry) for each in told if not {"settings", "secrets"} & each.keys()]


@each([(slug, name) for slug in SLUGS if destinations.load(slug).changes for name in names(slug, "upsert")])
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
    assert destination.keyed or destination.find_activity
    assert not destination.contacts or (destination.find_contact and destination.forget_contact)
    assert len(names(slug, "append")) >= 3
    assert bool(names(slug, "upsert")) == destination.contacts


@pytest.mark.parametrize("slug", SLUGS)
def test_loading_gives_what_the_file_declares(slug: str) -> None:
    assert destinations.load(slug) is import_module(f"chalicelib.destinations.{slug}").DESTINATION


@pytest.mark.parametrize("slug", ["", "nobody", "../webhook", "webhook.py", "__init__", "os"])
def test_an_unknown_slug_is_not_found(slug: str) -> None:
    with pytest.raises(NotFound):
        destinations.load(slug)


def test_statuses_mean_the_same_everywhere_unless_declared() -> None:
    assert [http_module.outcome(status).outcome for status, _ in STATUSES] == [expected for _, expected in STATUSES]
