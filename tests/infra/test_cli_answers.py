"""What the command line makes of a hub's answers, and of a hub that refuses, is busy, is away, or is none."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from infra.cli.api import Api, retry_after
from infra.cli.words import Secrets
from infra.local.state import ROOT
from tests.infra.command_line import Scripted, Shell, problem, shell_at
from tests.standins.server import Answer, Call

CON = "con_aaaaaaaaaaaaaaaaaaaaaaaaaa"
CUS = "cus_1795636622904eptshnhwcrpm4iig7q6cb5htdu"
JOB = {
    "id": "job_1",
    "kind": "backfill",
    "status": "running",
    "done": 0,
    "total": 4,
    "errors": [],
    "created_at": "2026-09-01T09:00:00.000Z",
    "customer": None,
    "reason": None,
    "counts": None,
}
KEYS = {"keys": [], "next": None}


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as made:
        yield made


@pytest.fixture
def shell(scripted: Scripted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return shell_at(scripted, capsys, monkeypatch)


def test_the_key_goes_as_a_header_whatever_a_netrc_file_says(
    scripted: Scripted, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hush\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    scripted.say("GET", "/v1/keys", KEYS)
    assert shell.run("keys", "list").code == 0
    assert scripted.calls[0].headers["authorization"] == "Bearer draad_key"


def test_json_is_what_the_api_said_letter_for_letter(scripted: Scripted, shell: Shell) -> None:
    raw = (
        b'{"keys": [{"id":"1","name":"R\xc3\xa9n\xc3\xa9e \\u001b[2J","scopes":["read"],"later":null}],   "next":null}'
    )
    scripted.say("GET", "/v1/keys", Answer(200, raw))
    for words in (["--json", "keys", "list"], ["keys", "list", "--json"]):
        assert shell.run(*words).out == raw.decode() + "\n"


@pytest.mark.parametrize(
    ("part", "out"),
    [
        ("keys[0].name", "Jan\n"),
        ("keys[].name", "Jan\nPiet\n"),
        ("keys[?name == 'Piet'] | [0].scopes", "read\nadmin\n"),
        ("keys[0]", '{"name": "Jan", "on": true}\n'),
        ("keys[0].on", "true\n"),
        ("keys[7].name", ""),
    ],
)
def test_a_shell_gets_the_part_that_it_names(scripted: Scripted, shell: Shell, part: str, out: str) -> None:
    scripted.say(
        "GET", "/v1/keys", {"keys": [{"name": "Jan", "on": True}, {"name": "Piet", "scopes": ["read", "admin"]}]}
    )
    done = shell.run("keys", "list", "--get", part)
    assert (done.code, done.out, done.err) == (0, out, "")
    broken = shell.run("keys", "list", "--get", "keys[")
    assert (broken.code, broken.out) == (2, "") and "JMESPath" in broken.err
    scripted.say("GET", "/v1/keys", problem(403, "This key lacks the scope"))
    refused = shell.run("keys", "list", "--get", part)
    assert (refused.code, refused.out) == (1, "") and "lacks the scope" in refused.err


@pytest.mark.parametrize(
    ("answer", "told", "todo"),
    [
        (
            problem(401, "API key missing or unknown", "send a key"),
            "API key missing or unknown: send a key",
            "DRAAD_KEY",
        ),
        (problem(403, "This key lacks the scope", "this needs admin"), "this needs admin", "keys create --scope"),
        (problem(404, "Not found", "no such key"), "no such key", "`list`"),
        (problem(409, "Changed meanwhile"), "Changed meanwhile", "run the command again"),
        (problem(410, "Erased"), "Erased", "certificate"),
        (problem(500, "Our mistake"), "Our mistake", "hub's own log"),
    ],
)
def test_a_refusal_says_what_to_do_next(scripted: Scripted, shell: Shell, answer: Answer, told: str, todo: str) -> None:
    scripted.say("GET", "/v1/keys", answer)
    done = shell.run("keys", "list")
    wrong, next_ = done.err.rstrip().split("\n")
    assert (done.code, done.out) == (1, "")
    assert wrong.startswith("error: ") and told in wrong
    assert next_.startswith("next:  ") and todo in next_
    bare = shell.run("keys", "list", "--json")
    assert (bare.code, bare.out, bare.err) == (1, answer.raw.decode() + "\n", done.err)


def test_each_wrong_field_is_told_with_the_option_that_mends_it(scripted: Scripted, shell: Shell) -> None:
    schema = {"properties": {}, "required": []}
    scripted.say(
        "GET", "/v1/providers/generic", {"slug": "generic", "name": "G", "settings": schema, "secrets": schema}
    )
    errors = [
        {"pointer": "/settings/rate\x1b[2J", "detail": "no such field"},
        {"pointer": "/secrets/token", "detail": "is required"},
        {"pointer": "/name", "detail": "is too long"},
        {"pointer": "", "detail": "as a whole"},
    ]
    scripted.say("POST", "/v1/connections", problem(422, "Input invalid", "all of it", errors))
    done = shell.run("connections", "create", "generic", "--setting", "rate=1")
    assert done.code == 1
    assert done.err.splitlines() == [
        "error: Input invalid",
        "  /settings/rate\\x1b[2J: no such field   (--setting rate\\x1b[2J=…)",
        "  /secrets/token: is required   (--secret-from token=file:… (or env:…))",
        "  /name: is too long   (--name …)",
        "  the request: as a whole",
        "next:  mend what is named and run the command again",
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_busy_hub_is_asked_again_when_it_says(scripted: Scripted, shell: Shell, method: str) -> None:
    busy = problem(429, "Too many requests", "slow down", **{"Retry-After": "7"})
    made = {"id": "1", "name": "n", "scopes": ["read"], "created_at": "", "revoked": False, "key": "draad_new"}
    path = "/v1/keys"
    scripted.say(method, path, busy, busy, Answer(200, KEYS if method == "GET" else made))
    done = shell.run("keys", "list") if method == "GET" else shell.run("keys", "create", "--scope", "read")
    assert (done.code, shell.slept, len(scripted.asked(method, path))) == (0, [7.0, 7.0], 3)
    assert done.err.count("the hub asks to wait 7 s") == 2


def test_a_hub_that_stays_busy_or_asks_for_too_much_is_left_alone(scripted: Scripted, shell: Shell) -> None:
    scripted.say("GET", "/v1/keys", problem(429, "Too many requests", **{"Retry-After": "1"}))
    done = shell.run("keys", "list")
    assert (done.code, len(shell.slept), len(scripted.calls)) == (1, 4, 5)
    assert "wait a little and run the command again" in done.err
    scripted.say("GET", "/v1/rules", problem(429, "Too many requests", **{"Retry-After": "86400"}))
    assert (shell.run("rules").code, len(shell.slept)) == (1, 4)


def test_what_may_have_been_done_is_not_done_again(scripted: Scripted, shell: Shell) -> None:
    away = problem(503, "Try again", "StorageUnavailable", **{"Retry-After": "5"})
    scripted.say("GET", "/v1/keys", away, KEYS)
    assert (shell.run("keys", "list").code, shell.slept) == (0, [5.0])
    scripted.say("POST", "/v1/keys", away, {"id": "1"})
    done = shell.run("keys", "create", "--scope", "read")
    assert (done.code, len(scripted.asked("POST", "/v1/keys"))) == (1, 1)
    scripted.script.clear()
    scripted.behave("drop", method="POST")
    lost = shell.run("keys", "create", "--scope", "read")
    assert lost.code == 3 and "look first whether it was done" in lost.err
    assert len(scripted.asked("POST", "/v1/keys")) == 2


def test_retry_after_is_seconds_or_a_moment() -> None:
    assert retry_after("3") == 3 and retry_after("0") == 0.1 and retry_after("") == retry_after("soon") == 2.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 27 < retry_after(soon) <= 30


def test_the_clock_is_the_hubs(scripted: Scripted) -> None:
    scripted.say("GET", "/v1/keys", KEYS)
    found = Api(scripted.url, "", print).get("/v1/keys").at
    assert abs(found - datetime.now(UTC)) < timedelta(seconds=5) and found.microsecond == 0


def test_nobody_there_is_another_exit_code(scripted: Scripted, shell: Shell) -> None:
    scripted.refuse(None)
    done = shell.run("health")
    assert (done.code, done.out) == (3, "")
    assert f"no hub answers at {scripted.url}" in done.err and "make run" in done.err and "done" not in done.err
    assert shell.run("keys", "list", "--url", "http://no-such-host.invalid").code == 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>It works</html>", {"Content-Type": "text/html"}),
        Answer(404, b"<html>no</html>", {"Content-Type": "text/html"}),
        Answer(403, {"message": "Missing Authentication Token"}),
        Answer(302, b"", {"Location": "https://elsewhere.example/"}),
        Answer(200, b"[1]"),
        Answer(200, b'{"keys": ['),
    ],
)
def test_what_is_no_hub_is_said_to_be_none(scripted: Scripted, shell: Shell, answer: Answer) -> None:
    scripted.say("GET", "/v1/keys", answer)
    done = shell.run("keys", "list")
    assert done.code == 3 and "is no hub" in done.err and "DRAAD_URL" in done.err


def test_a_mistyped_command_is_another_exit_code_and_asks_nothing(scripted: Scripted, shell: Shell) -> None:
    for words in (
        ["nonsense"],
        [],
        ["keys", "create", "--scope", "king"],
        ["replay"],
        ["replay", "rcp_1", "--connection", CON],
        ["replay", "--connection", CON],
        ["redrive"],
        ["receipts", "tail", "-n", "201"],
        ["receipts", "list", "--since", "lately"],
        ["keys", "revoke", "draad_hush"],
        ["erase", "email:jan@example.nl", "--yes"],
        ["keys", "list", "--url", "nowhere"],
        ["connections", "rotate", CON],
    ):
        done = shell.run(*words)
        assert done.code == 2 and "next:" in done.err and done.out == "", words
        assert "hush" not in done.err
    assert scripted.calls == []


def test_a_key_on_the_command_line_is_not_taken_and_not_repeated(scripted: Scripted, shell: Shell) -> None:
    for words in (["--key", "draad_hush", "keys", "list"], ["keys", "list", "--key=draad_hush"]):
        done = shell.run(*words)
        assert done.code == 2 and "DRAAD_KEY" in done.err and "hush" not in done.err
    assert scripted.calls == []


def test_a_key_over_an_open_network_is_warned_of(shell: Shell) -> None:
    done = shell.run("health", "--url", "http://hub.invalid")
    assert done.code == 3 and "unencrypted" in done.err and "draad_key" not in done.err


def test_lists_say_how_to_see_more_or_show_all(scripted: Scripted, shell: Shell) -> None:
    def page(call: Call) -> Answer:
        number = int(call.query.get("next", "1"))
        rows = [JOB | {"id": f"job_{number}", "kind": f"kind{number}", "errors": ["x"] * number}]
        return Answer(body={"jobs": rows, "next": str(number + 1) if number < 3 else None})

    scripted.say("GET", "/v1/jobs", page)
    one = shell.run("jobs", "list", "--limit", "1", "--status", "running")
    assert "job_1" in one.out and "job_2" not in one.out and "--next 2" in one.err
    assert scripted.calls[-1].query == {"status": "running", "limit": "1"}
    assert "job_2" in shell.run("jobs", "list", "--next", "2").out
    every = shell.run("jobs", "list", "--all")
    assert [f"job_{number}" in every.out for number in (1, 2, 3)] == [True] * 3 and every.err == ""
    lines = shell.run("jobs", "list", "--all", "--json").lines
    assert [page["jobs"][0]["id"] for page in lines] == ["job_1", "job_2", "job_3"]


def test_health_is_an_exit_code(scripted: Scripted, shell: Shell) -> None:
    queues = {"inbox": 3, "deliveries": 0, "jobs": 0}
    scripted.say("GET", "/health", {"status": "ok", "reasons": [], "queues": queues})
    assert shell.run("health").code == 0
    scripted.say("GET", "/health", {"status": "degraded", "reasons": ["connection con_1 is paused"], "queues": queues})
    done = shell.run("health")
    assert done.code == 1 and "con_1 is paused" in done.out and done.err == ""
    assert shell.run("health", "--json").json["queues"] == queues


def connections(*names: str) -> dict[str, Any]:
    made = [{"id": f"con_{number}", "name": name} for number, name in enumerate(names)]
    return {"connections": made, "next": None}


def test_a_connection_goes_by_its_name(scripted: Scripted, shell: Shell) -> None:
    scripted.say("GET", "/v1/connections", connections("Web chat", "shop", "shop"))
    scripted.say("DELETE", "/v1/connections/con_0", {"id": "con_0", "status": "deleted"})
    assert shell.run("connections", "delete", "web CHAT").code == 0
    twice = shell.run("connections", "delete", "shop")
    assert twice.code == 1 and "con_1, con_2" in twice.err
    nobody = shell.run("connections", "delete", "till")
    assert nobody.code == 1 and "Web chat, shop, shop" in nobody.err
    assert [call.path for call in scripted.calls if call.method == "DELETE"] == ["/v1/connections/con_0"]


def test_an_id_cannot_lead_to_another_path(scripted: Scripted, shell: Shell) -> None:
    shell.run("customers", "show", "../keys?x=1#y")
    assert scripted.calls[-1].path == "/v1/customers/../keys?x=1#y" and scripted.calls[-1].query == {}


def test_a_customer_goes_by_an_identity_that_is_his_alone(scripted: Scripted, shell: Shell) -> None:
    jan = {"id": CUS, "name": "Jan", "identities": ["email:jan@example.nl"]}
    scripted.say("GET", "/v1/customers", {"match": "exact", "customers": [jan], "next": None})
    scripted.say("POST", "/v1/magic-links", {"url": "http://h/x#t=1", "expires_at": "2026-09-01T09:00:00.000Z"})
    done = shell.run("magic-link", "email:jan@example.nl", "--hours", "0.5")
    assert (done.code, done.out) == (0, "http://h/x#t=1\n") and "until" in done.err
    assert scripted.calls[-1].json == {"customer": CUS, "expires_in": 1800}
    scripted.say(
        "GET", "/v1/customers", {"match": "candidate", "customers": [jan, jan | {"id": "cus_2"}], "next": None}
    )
    assert f"{CUS}, cus_2" in shell.run("customers", "show", "phone:0612345678").err
    scripted.say("GET", "/v1/customers", {"match": "none", "customers": [], "next": None})
    assert "nobody is known by phone:0612345678" in shell.run("customers", "show", "phone:0612345678").err


def test_create_sends_typed_settings_and_secrets_that_were_never_typed(
    scripted: Scripted, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = {"own_system": {"type": "boolean"}, "addresses": {"type": "array", "items": {"type": "string"}}}
    provider = {"slug": "generic", "name": "Generic", "settings": {"properties": properties, "required": []}}
    scripted.say("GET", "/v1/providers/generic", provider | {"secrets": {"properties": {}, "required": ["token"]}})
    made = {"id": CON, "name": "till", "hook_url": "http://h/hooks/1", "status": "active", "secrets": {"token": 1}}
    scripted.say("POST", "/v1/connections", Answer(201, made))
    monkeypatch.setenv("OTHER", "from the environment")
    (tmp_path / "mapping.json").write_text('{"type": "message"}')
    words = ["--setting", "own_system=yes", "--setting", "addresses=a,b", "--secret-from", "other=env:OTHER"]
    words += ["--secret", "token", "--mapping", f"{tmp_path}/mapping.json"]
    done = shell.run("connections", "create", "generic", *words, keyboard="a-token\nnot this\n")
    assert done.code == 0 and "http://h/hooks/1" in done.out and "a-token" not in done.out + done.err
    assert scripted.calls[-1].json == {
        "provider": "generic",
        "name": "Generic",
        "settings": {"own_system": True, "addresses": ["a", "b"]},
        "secrets": {"other": "from the environment", "token": "a-token"},
        "mapping": {"type": "message"},
    }
    both = shell.run("connections", "create", "generic", "--secret", "token", "--mapping", "-", keyboard="{}")
    assert both.code == 2 and "more than one thing" in both.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_required_secrets_are_asked_for(
    scripted: Scripted, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {"properties": {}, "required": []}
    provider = {"slug": "shop", "name": "Shop", "settings": none, "secrets": none | {"required": ["token", "secret"]}}
    scripted.say("GET", "/v1/providers/shop", provider)
    made = {"id": CON, "name": "Shop", "hook_url": None, "status": "active", "secrets": {"token": 1, "secret": 1}}
    scripted.say("POST", "/v1/connections", Answer(201, made))
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return f"hush{len(asked)}"

    monkeypatch.setattr("infra.cli.commands.connections.Secrets", lambda keyboard: Secrets(keyboard, ask))
    monkeypatch.setenv("TOKEN", "named")
    done = shell.run("connections", "create", "shop", "--secret-from", "token=env:TOKEN", keyboard=Terminal())
    assert (done.code, asked) == (0, ["secret: "]) and "hush" not in done.out + done.err
    assert scripted.calls[-1].json["secrets"] == {"token": "named", "secret": "hush1"}


def test_long_work_is_followed_to_its_end(scripted: Scripted, shell: Shell) -> None:
    scripted.say("POST", f"/v1/connections/{CON}/backfill", Answer(202, JOB | {"job": "job_1"}))
    steps = [JOB | {"done": number} for number in (1, 3)] + [JOB | {"done": 4, "status": "done"}]
    scripted.say("GET", "/v1/jobs/job_1", *steps)
    done = shell.run("backfill", CON, "--since", "2026-09-01T00:00Z")
    assert done.code == 0 and "4 of 4" in done.out
    assert scripted.calls[0].json == {"since": "2026-09-01T00:00:00.000Z"}
    scripted.say("GET", "/v1/jobs/job_1", *steps)
    assert shell.run("backfill", CON, "--json").json == steps[-1]
    begun = shell.run("backfill", CON, "--no-wait")
    assert begun.code == 0 and "jobs wait job_1" in begun.out


def test_work_that_fails_or_leaves_errors_is_an_exit_code(scripted: Scripted, shell: Shell) -> None:
    scripted.say("GET", "/v1/jobs/job_1", JOB | {"status": "failed", "errors": ["rcp_1: gone"]})
    assert shell.run("jobs", "wait", "job_1").code == 1
    scripted.say("GET", "/v1/jobs/job_1", JOB | {"status": "done", "errors": ["rcp_1: gone"]})
    done = shell.run("jobs", "wait", "job_1")
    assert done.code == 1 and "rcp_1: gone" in done.out
    assert shell.run("jobs", "show", "job_1").code == 0


def test_a_hub_that_goes_away_has_not_lost_the_job(scripted: Scripted, shell: Shell) -> None:
    scripted.say(
        "GET",
        "/v1/jobs/job_1",
        JOB | {"done": 2},
        problem(500, "Our mistake"),
        lambda call: (scripted.behave("reset", times=2), Answer(body=JOB | {"done": 3}))[1],
        JOB | {"done": 4, "status": "done"},
    )
    done = shell.run("jobs", "wait", "job_1")
    assert done.code == 0 and "4 of 4" in done.out
    assert len(scripted.asked("GET", "/v1/jobs/job_1")) == 4


def test_who_stops_looking_is_told_how_to_look_again(scripted: Scripted, shell: Shell) -> None:
    scripted.say("POST", "/v1/reconcile", Answer(202, JOB | {"job": "job_1"}))
    scripted.say("GET", "/v1/jobs/job_1", JOB)

    def interrupted() -> None:
        raise KeyboardInterrupt

    shell.waking = interrupted
    done = shell.run("reconcile", CON, "--look", "--url", scripted.url)
    assert done.code == 130 and "job_1 goes on" in done.err
    assert f"python -m infra.cli --url {scripted.url} jobs wait job_1" in done.err
    assert [call.method for call in scripted.calls] == ["POST", "GET"]


def erasable(scripted: Scripted) -> None:
    person = {"id": CUS, "name": "Jan", "identities": [{"identity": "email:jan@example.nl"}]}
    scripted.say("GET", f"/v1/customers/{CUS}", person)
    begun = {"id": "job_1", "job": "job_1", "erasure": "job_1", "status": "running"}
    scripted.say("POST", f"/v1/customers/{CUS}/erase", Answer(202, begun))
    scripted.say("GET", "/v1/jobs/job_1", JOB | {"kind": "erase", "status": "done"})
    line = {"what": "graph", "result": "erased", "at": "2026-09-01T09:00:00.000Z", "detail": None}
    certificate = {"id": "job_1", "customer": CUS, "status": "done", "erased_up_to": "2026-09-01T09:00:00.000Z"}
    scripted.say("GET", "/v1/erasures/job_1", certificate | {"lines": [line], "errors": [], "reason": "asked"})


@pytest.mark.parametrize("typed", ["", "yes\n", f"{CUS[:-1]}\n", "email:jan@example.nl\n"])
def test_nobody_is_erased_by_mistake(scripted: Scripted, shell: Shell, typed: str) -> None:
    erasable(scripted)
    done = shell.run("erase", CUS, keyboard=typed)
    assert done.code == 1 and "nothing was erased" in done.err and "Jan (email:jan@example.nl)" in done.err
    assert [call.method for call in scripted.calls] == ["GET"]


def test_erasing_ends_with_the_certificate(scripted: Scripted, shell: Shell) -> None:
    erasable(scripted)
    done = shell.run("erase", CUS, "--reason", "asked", keyboard=f"{CUS}\n")
    assert done.code == 0 and "certificate" in done.out and "graph" in done.out
    assert scripted.asked("POST", f"/v1/customers/{CUS}/erase")[0].json == {"reason": "asked"}
    assert shell.run("erase", CUS, "--yes", "--json").json["lines"][0]["result"] == "erased"
    assert shell.run("certificate", "job_1").code == 0


def test_an_export_is_one_document_that_only_its_owner_can_read(
    scripted: Scripted, shell: Shell, tmp_path: Path
) -> None:
    path = f"/v1/customers/{CUS}/export"
    first = {"customer": {"id": CUS}, "audit": [], "entries": [{"id": "e1"}], "next": "more"}
    second = first | {"entries": [{"id": "e2"}], "next": None}
    scripted.say("GET", path, lambda call: Answer(body=second if call.query.get("next") == "more" else first))
    target = tmp_path / "jan.json"
    done = shell.run("export", CUS, "--to", str(target))
    assert done.code == 0 and done.out == "" and stat.S_IMODE(target.stat().st_mode) == 0o600
    assert json.loads(target.read_text("utf-8")) == first | {"entries": [{"id": "e1"}, {"id": "e2"}], "next": None}
    assert shell.run("export", CUS, "--to", str(target)).code == 2
    assert shell.run("export", CUS, "--json").lines == [first, second]


def test_settings_keep_their_kind(scripted: Scripted, shell: Shell) -> None:
    now = {"own": ["phone:+31201112233"], "region": "NL", "limit": 5, "channels": {}, "login_url": ""}
    scripted.say("GET", "/v1/settings", now)
    scripted.say("PATCH", "/v1/settings", now)
    words = ["own=phone:+31201112233,email:info@x.nl", "region=BE", "limit=7", 'channels={"sms": "x"}', "login_url="]
    assert shell.run("settings", "set", *words).code == 0
    assert scripted.calls[-1].json == {
        "own": ["phone:+31201112233", "email:info@x.nl"],
        "region": "BE",
        "limit": 7,
        "channels": {"sms": "x"},
        "login_url": "",
    }
    assert shell.run("settings", "get", "region").out.split() == ["region", "NL"]
    unknown = shell.run("settings", "get", "colour")
    assert unknown.code == 2 and "own, region" in unknown.err


def test_a_reader_that_has_enough_is_no_error(scripted: Scripted) -> None:
    rows = [JOB | {"id": f"job_{number}", "kind": "k" * 200} for number in range(2000)]
    scripted.say("GET", "/v1/jobs", {"jobs": rows, "next": None})
    for options in ([], ["--json"]):
        command = [sys.executable, "-m", "infra.cli", "jobs", "list", *options, "--url", scripted.url]
        started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert started.stdout and started.stderr
        assert started.stdout.read(10)
        started.stdout.close()
        assert started.stderr.read() == b"" and started.wait(20) == 141
        started.stderr.close()


class Receipts:
    """A list as the hub keeps it, newest first, in pages; `now` is the hub's clock."""

    def __init__(self, scripted: Scripted) -> None:
        self.now = datetime(2026, 9, 1, 9, 0, 0, tzinfo=UTC)
        self.rows: list[dict[str, Any]] = []
        self.page = 3
        scripted.say("GET", "/v1/receipts", self.answer)
        scripted.say("GET", "/v1/connections", connections("Web chat"))

    def add(self, id: str, seconds_ago: float = 0) -> None:
        at = (self.now - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        row = {"id": f"rcp_{id}", "connection": "con_0", "received_at": at, "verdict": "accepted", "reason": None}
        self.rows.append(row | {"events": [], "test": False, "missed": False})

    def answer(self, call: Call) -> Answer:
        after = call.query.get("next", "~")
        found = sorted((row["received_at"] + row["id"], row) for row in self.rows)
        wanted = [pair for pair in reversed(found) if pair[0] >= call.query.get("since", "") and pair[0] < after]
        size = min(self.page, int(call.query["limit"]))
        page, more = wanted[:size], len(wanted) > size
        return Answer(200, {"receipts": [row for _, row in page], "next": page[-1][0] if more else None})


class Play:
    """What befalls the hub at each look of a tail; after the last of it somebody presses Ctrl-C."""

    def __init__(self, shell: Shell, receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[Any] = []
        self.passed = 0.0
        self.receipts = receipts
        shell.waking = self.wake
        self.shell = shell
        monkeypatch.setattr("infra.cli.commands.receipts.time.monotonic", lambda: self.passed)
        monkeypatch.setattr("infra.cli.api.clock_of", lambda answer: receipts.now)

    def wake(self) -> None:
        if not self.steps:
            raise KeyboardInterrupt
        seconds = self.shell.slept[-1]
        self.passed += seconds
        self.receipts.now += timedelta(seconds=seconds)
        self.steps.pop(0)()


@pytest.fixture
def receipts(scripted: Scripted) -> Receipts:
    return Receipts(scripted)


@pytest.fixture
def play(shell: Shell, receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> Play:
    return Play(shell, receipts, monkeypatch)


def quiet() -> None:
    """Nothing happens."""


def test_a_tail_shows_the_newest_oldest_first(receipts: Receipts, shell: Shell) -> None:
    for number in range(5):
        receipts.add(str(number), seconds_ago=50 - number)
    receipts.page = 200
    assert [row["id"] for row in shell.run("receipts", "tail", "-n", "3", "--json").lines] == [
        "rcp_2",
        "rcp_3",
        "rcp_4",
    ]
    assert shell.run("receipts", "tail", "-n", "0").out == ""
    shown = shell.run("receipts", "tail", "-n", "1").out
    assert "Web chat" in shown and "accepted" in shown and "rcp_4" in shown


def test_a_followed_tail_shows_each_once_whenever_it_is_taken_from_the_inbox(
    receipts: Receipts, play: Play, shell: Shell
) -> None:
    """Late ones appear among what was shown already: by seconds, by minutes after retries, by hours after an outage of
    the workers."""
    receipts.add("before", seconds_ago=70)
    receipts.add("recent", seconds_ago=5)
    late: list[tuple[float, str]] = [(0, "a"), (1.5, "b"), (0, "c"), (58, "d")]
    for number in range(8):
        late += [(0, f"burst{number}")]
    play.steps = [lambda each=each: receipts.add(each[1], each[0]) for each in late]
    play.steps += [quiet] * 40
    play.steps += [lambda: receipts.add("by minutes", 700)] + [quiet] * 4
    play.steps += [quiet] * 100 + [lambda: receipts.add("by an hour", 2000)] + [quiet] * 190
    done = shell.run("receipts", "tail", "-f", "-n", "1", "--every", "20", "--json")
    shown = [row["id"].removeprefix("rcp_") for row in done.lines]
    assert done.code == 130
    assert shown == ["recent", *(name for _, name in late), "by minutes", "by an hour"]


@pytest.mark.parametrize("request_number", [1, 2, 3, 4, 5])
def test_what_comes_while_a_tail_begins_is_shown_too(
    scripted: Scripted, receipts: Receipts, play: Play, shell: Shell, request_number: int
) -> None:
    receipts.add("before", seconds_ago=5)

    def answer(call: Call) -> Answer:
        if len(scripted.asked("GET", "/v1/receipts")) == request_number:
            receipts.add("between")
        return receipts.answer(call)

    scripted.say("GET", "/v1/receipts", answer)
    play.steps = [quiet, quiet, quiet]
    shown = [row["id"] for row in shell.run("receipts", "tail", "-f", "-n", "1", "--json").lines]
    assert shown.count("rcp_between") == 1 and shown.count("rcp_before") <= 1


def test_a_tail_outlives_an_outage_without_gap_or_double(
    scripted: Scripted, receipts: Receipts, play: Play, shell: Shell
) -> None:
    def away() -> None:
        receipts.add("just before the outage")
        scripted.refuse(None)

    def back() -> None:
        for number in range(7):
            receipts.add(f"meanwhile{number}", seconds_ago=400 - number)
        scripted.accept()

    def half() -> None:
        """The second page of a look is lost: what the first had is shown once, later."""
        for number in range(7):
            receipts.add(f"half{number}")
        scripted.behave("status", status=500, body={"title": "Our mistake"}, skip=1, times=1)

    play.steps = [lambda: receipts.add("one"), away, *[quiet] * 20, back, quiet, half, quiet, quiet]
    done = shell.run("receipts", "tail", "-f", "-n", "0", "--json", "--connection", "con_0")
    shown = [row["id"].removeprefix("rcp_") for row in done.lines]
    expected = ["one", "just before the outage", *(f"meanwhile{n}" for n in range(7)), *(f"half{n}" for n in range(7))]
    assert sorted(shown) == sorted(expected) and shown[-7:] == expected[-7:]
    assert done.err.count("no hub answers") == 1 and done.err.count("the hub answers again") == 2
    assert max(shell.slept) == 30.0
    assert all(call.query["connection"] == "con_0" for call in scripted.asked("GET", "/v1/receipts"))


def test_a_tail_ends_when_its_key_is_revoked(scripted: Scripted, receipts: Receipts, play: Play, shell: Shell) -> None:
    play.steps = [quiet, lambda: scripted.say("GET", "/v1/receipts", problem(401, "API key missing or unknown")), quiet]
    done = shell.run("receipts", "tail", "-f")
    assert done.code == 1 and "DRAAD_KEY" in done.err


def test_help_is_fast() -> None:
    """Nobody waits for the hub's own libraries, which the command line does not need."""
    code = "import sys, infra.cli.arguments as a; a.parser(); print(sorted(m for m in sys.modules if m.partition('.')[0] in ('chalice', 'chalicelib', 'botocore')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
