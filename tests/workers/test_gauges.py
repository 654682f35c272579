"""What the sweep measures for the alarms: one line, with the stage as its only dimension."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, DELETED, DISABLED, PAUSED, UNAUTHORIZED
from chalicelib.store import connections, deliveries, queues
from chalicelib.store.deliveries import Attempt, Duty
from chalicelib.workers import gauges, sweep
from infra.local.embedded import TEMPLATE
from tests.api.client import Api, key_with

NODE = "n" * 26


@pytest.fixture
def api(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Api:
    """On Lambda, where what is printed is a line of the log."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "draad-test-sweep")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "would be a second dimension")
    return Api(key_with("admin"))


def swept(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    sweep.take()
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "_aws" in each]
    found: dict[str, Any] = json.loads(line)
    return found


def value(line: dict[str, Any], name: str) -> int:
    (found,) = line[name]
    return int(found)


def told(api: Api, status: str = ACTIVE, reason: str = "") -> str:
    asked = {
        "provider": "webhook",
        "settings": {"url": "https://x.example/"},
        "secrets": {"signing_secret": "whsec_" + "YWJj" * 8},
    }
    made = connections.get(api.table, api.call("POST", "/v1/connections", 201, asked)["id"])
    assert made
    if status != ACTIVE:
        connections.save(api.table, msgspec.structs.replace(made, status=status, reason=reason, ver=made.ver + 1))
    return made.id


def put_off(api: Api, connection: str, number: int, waits: int, due_in: int = 0, kind: str = "activity") -> None:
    """A delivery that was first attempted `waits` seconds ago, long after its event happened."""
    now = instants.now_ms()
    first, at = instants.from_ms(now - waits * 1000), instants.now()
    duty = Duty(connection, kind, NODE, f"E#2020-01-01T00:00:{number:02d}.000Z#evt{number}")
    deliveries.delayed(api.table, duty, Attempt(2, first, at), due_in)


def test_the_line_has_one_dimension_and_every_number_that_an_alarm_looks_at(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    line = swept(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"], line["Stage"]) == ("Draad", [["Stage"]], "test")
    measured = {each["Name"] for each in directive["Metrics"]}
    assert measured == {gauges.SWEEPS, gauges.TAKEN, gauges.CONNECTIONS_STOPPED, gauges.CONNECTIONS_PAUSED, gauges.LAG}
    assert value(line, gauges.SWEEPS) == 1 and value(line, gauges.LAG) == 0 and line["waiting"] == []
    assert all(f"MetricName: {name}\n" in TEMPLATE.read_text("utf-8") for name in measured), "nobody looks at it"


def test_a_connection_that_stopped_is_not_one_that_somebody_paused(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    told(api)
    told(api, PAUSED, "paused by hand")
    told(api, UNAUTHORIZED, "401")
    told(api, DISABLED, "410")
    told(api, DISABLED, DELETED)
    line = swept(capsys)
    assert (value(line, gauges.CONNECTIONS_STOPPED), value(line, gauges.CONNECTIONS_PAUSED)) == (2, 1)


def test_the_lag_is_that_of_the_destination_that_lets_wait_longest(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    slow, slower, stopped = told(api), told(api), told(api, UNAUTHORIZED, "401")
    put_off(api, slow, 1, waits=600)
    put_off(api, slow, 2, waits=10)
    put_off(api, slower, 3, waits=4000)
    put_off(api, stopped, 4, waits=9000)
    line = swept(capsys)
    assert 4000 <= value(line, gauges.LAG) <= 4060
    assert [each["connection"] for each in line["waiting"]] == [slower, slow]
    assert 600 <= line["waiting"][1]["seconds"] <= 660
    assert "2020" not in json.dumps(line) and NODE not in json.dumps(line), "of whom it is stays with us"


def test_what_must_come_later_counts_now_and_a_message_that_waits_for_its_moment_does_not(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    crm = told(api)
    put_off(api, crm, 1, waits=0, due_in=7200)
    put_off(api, crm, 2, waits=0, due_in=86_400, kind="message.rule1")
    assert 7195 <= value(swept(capsys), gauges.LAG) <= 7205


def test_what_came_through_waits_no_longer(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    crm = told(api)
    put_off(api, crm, 1, waits=5000)
    duty = Duty(crm, "activity", NODE, "E#2020-01-01T00:00:01.000Z#evt1")
    deliveries.delivered(api.table, duty, Attempt(3, instants.now(), instants.now()), "r", "a")
    assert value(swept(capsys), gauges.LAG) == 0


def test_many_that_fail_since_a_moment_do_not_hide_the_one_that_fails_for_hours(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    crm = told(api)
    put_off(api, crm, 1, waits=9000, due_in=3000)
    for number in range(2, 5 * deliveries.ASKED):
        put_off(api, crm, number, waits=2, due_in=5)
    assert value(swept(capsys), gauges.LAG) >= 9000


def test_dead_letters_are_counted_and_a_pulse_is_none(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    queues.send("inbox-dlq", "dead")
    queues.send("jobs-dlq", f"pulse|{instants.now_ms()}")
    assert value(swept(capsys), gauges.TAKEN) == 1
    assert value(swept(capsys), gauges.TAKEN) == 0


def test_a_sweep_that_fails_gives_no_sign_of_life(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep.pulse, "beat", lambda table: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep.take()
    assert "_aws" not in capsys.readouterr().out


def test_elsewhere_than_on_lambda_nothing_is_measured(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME")
    monkeypatch.setattr(deliveries, "waiting", lambda table: 1 / 0)
    sweep.take()
    assert "_aws" not in capsys.readouterr().out
