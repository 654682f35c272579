"""The forwarder against recorded events: pure, then over a real TCP server and to a real HTTP server, killed and cut off."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib import sources
from chalicelib.kit.request import Request
from chalicelib.model import instants
from infra.forwarders import asterisk
from infra.forwarders.asterisk import (
    Ami,
    Calls,
    Forwarder,
    Hub,
    Journal,
    Message,
    Order,
    Reader,
    Report,
    Settings,
    Spool,
)

LOGS = sorted((Path(__file__).parent / "forwarders").glob("*.ami"))
TRUNK = re.compile(r"^PJSIP/trunk-")
SECRET = "een-geheim-van-de-centrale"
SOURCE = sources.load("asterisk")
EVER = 4e9
each_log = pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
each_trunk = pytest.mark.parametrize("trunk", [None, TRUNK], ids=["by number", "by trunk"])


def messages(log: Path) -> list[Message]:
    return list(Reader().feed(log.read_bytes()))


def named(stem: str) -> Path:
    return next(path for path in LOGS if path.stem == stem)


def told(found: list[Message], trunk: re.Pattern[str] | None = TRUNK) -> list[Report]:
    """What is told of messages that come at once, in this order."""
    order, calls = Order(1.5), Calls(Settings(server="pbx1", trunk=trunk))
    for message in filter(asterisk.relevant, found):
        order.add(message, 1e9)
    for now, message in order.ready(EVER):
        calls.take(message, now)
    reports = list(calls.ready(EVER))
    assert not calls.calls and not calls.homes
    return reports


def expected(log: Path) -> list[Report]:
    found: list[Report] = json.loads(log.with_suffix(".json").read_text("utf-8"))
    return found


@each_trunk
@each_log
def test_a_recorded_log_is_told_as_expected(log: Path, trunk: re.Pattern[str] | None) -> None:
    assert told(messages(log), trunk) == expected(log)


@each_trunk
@each_log
def test_the_order_in_which_events_come_changes_nothing(log: Path, trunk: re.Pattern[str] | None) -> None:
    found, wanted = messages(log), expected(log)
    for seed in range(60):
        chance = random.Random(seed)
        mixed = sorted(range(len(found)), key=lambda place: place + chance.random() * (4 if seed % 2 else 1000))
        assert told([found[place] for place in mixed], trunk) == wanted, seed


@each_log
def test_events_twice_are_told_once(log: Path) -> None:
    assert told([message for message in messages(log) for _ in range(2)]) == expected(log)


@each_log
def test_without_timestamps_the_order_of_arrival_counts(log: Path) -> None:
    order, calls = Order(1.5), Calls(Settings(server="pbx1", trunk=TRUNK))
    for message in filter(asterisk.relevant, messages(log)):
        order.add({name: value for name, value in message.items() if name != "Timestamp"}, float(message["Timestamp"]))
    for now, message in order.ready(EVER):
        calls.take(message, now)
    assert list(calls.ready(EVER)) == expected(log)


@each_log
def test_every_report_is_an_entry_of_the_right_customer(log: Path) -> None:
    for report in expected(log):
        (event,) = SOURCE.normalize(request(json.dumps(report).encode()))
        assert event.object == report["call"] and event.occurred_at == report["at"]
        assert {each.value for each in event.identities} == (
            {"+31" + report["customer"][1:]} if report["customer"] else set()
        )


def test_no_two_reports_of_all_logs_share_an_event() -> None:
    for log in LOGS:
        names = [report["id"] for report in expected(log)]
        assert len(names) == len(set(names))


@each_log
def test_any_event_may_be_lost_and_nothing_breaks(log: Path) -> None:
    """A call whose end was lost ends when the list of channels no longer has it, and says that it is unsure."""
    found = messages(log)
    for missing in range(len(found)):
        calls = Calls(Settings(server="pbx1", trunk=TRUNK))
        for message in filter(asterisk.relevant, found[:missing] + found[missing + 1 :]):
            calls.take(message, asterisk.stamp(message, 0))
        calls.sync(set(), EVER, EVER)
        reports = list(calls.ready(EVER + 10))
        assert not calls.calls
        assert len({report["id"] for report in reports}) == len(reports)
        if expected(log) and found[missing]["Event"] == "Hangup":
            assert {report["id"] for report in reports} >= {expected(log)[-1]["id"]}


def test_channels_that_are_listed_go_on() -> None:
    calls = Calls(Settings(server="pbx1", trunk=TRUNK))
    for message in messages(named("inbound_completed"))[:9]:
        calls.take(message, 100.0) if asterisk.relevant(message) else None
    (call,) = calls.calls.values()
    calls.sync(set(call.channels), 200.0, 200.0)
    calls.sync(set(), 50.0, 200.0)
    assert not list(calls.ready(EVER))
    calls.sync(set(), 200.0, 201.0)
    (report,) = calls.ready(EVER)
    assert report["uncertain"] is True and report["at"] == asterisk.iso(201.0)


def test_a_reader_takes_bytes_in_any_pieces_and_refuses_what_never_ends() -> None:
    whole = named("blind_transfer").read_bytes()
    for seed in range(20):
        chance, reader, found, rest = random.Random(seed), Reader(), [], whole
        while rest:
            size = chance.randint(1, 700)
            found += reader.feed(rest[:size])
            rest = rest[size:]
        assert found == messages(named("blind_transfer"))
    assert list(
        Reader().feed(b"Asterisk Call Manager/9.0.0\r\nResponse: Success\r\nA: b: c\r\nA: d\r\n\r\n\xff: \xfe\r\n\r\n")
    ) == [
        {"Response": "Success", "A": "b: c"},
        {"\ufffd": "\ufffd"},
    ]
    with pytest.raises(ConnectionError):
        list(Reader().feed(b"x" * 100_000))


def test_hostile_events_break_nothing() -> None:
    junk = ["", "<unknown>", "x", "-1", "9" * 400, "PJSIP/", "\x00", "1788337800.65"]
    names = {name for log in LOGS for message in messages(log) for name in message} - {"Event"}
    chance, calls = random.Random(7), Calls(Settings())
    for _ in range(20_000):
        message = {name: chance.choice(junk) for name in chance.sample(sorted(names), 12)}
        message["Event"] = chance.choice(sorted(asterisk.RELEVANT))
        message.update(Uniqueid=chance.choice(junk)) if chance.random() < 0.9 else None
        calls.take(message, 1.0) if asterisk.relevant(message) else None
    calls.sync(set(), EVER, EVER)
    for report in calls.ready(EVER + 10):
        json.dumps(report)
    assert not calls.calls


# Over the network


class Pbx:
    """A manager interface: banner, login, list of channels, then what is played, in pieces of any size."""

    def __init__(self, secret: str = "s3cret") -> None:
        self.secret, self.listed, self.logins = secret, list[Message](), 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        reader = Reader()
        with client, contextlib.suppress(OSError):
            client.sendall(b"Asterisk Call Manager/9.0.0\r\n")
            while data := client.recv(4096):
                for asked in reader.feed(data):
                    client.sendall(self._answer(asked, client))

    def _answer(self, asked: Message, client: socket.socket) -> bytes:
        told = [{"Response": "Success", "ActionID": asked.get("ActionID", "")}]
        if asked["Action"] == "Login" and asked.get("Secret") != self.secret:
            told[0] |= {"Response": "Error", "Message": "Authentication failed"}
        elif asked["Action"] == "CoreShowChannels":
            told += [{"Event": "CoreShowChannel", "ActionID": "sync", **each} for each in self.listed]
            told.append({"Event": "CoreShowChannelsComplete", "ActionID": "sync"})
            self.clients.append(client)
            self.logins += 1
        return b"".join(wire(each) for each in told)

    def play(self, found: list[Message]) -> None:
        data, chance = b"".join(map(wire, found)), random.Random(len(found))
        while data:
            size = chance.randint(1, 900)
            self.clients[-1].sendall(data[:size])
            data = data[size:]

    def cut(self) -> None:
        self.clients[-1].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for client in self.clients:
            client.close()


def wire(message: Message) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in message.items()).encode() + b"\r\n"


class Hooks:
    """A hub's hook: what it was sent, each checked as the hub checks it. `statuses`: what it answers first."""

    def __init__(self, port: int = 0) -> None:
        self.statuses: list[int] = []
        self.taken: list[Report] = []
        self.refused: list[Report] = []
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reason = SOURCE.verify(request(body, tuple(self.headers.items())), {"signing_secret": (SECRET,)})
                status = hooks.statuses.pop(0) if hooks.statuses else 200 if reason is None else 401
                (hooks.taken if status == 200 else hooks.refused).append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def request(body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    return Request("POST", "https://hub.example.nl/hooks/con_1", headers, body, instants.now(), connection="con_1")


@pytest.fixture
def pbx() -> Iterator[Pbx]:
    running = Pbx()
    yield running
    running.close()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    running = Hooks()
    yield running
    running.close()


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@contextlib.contextmanager
def running(pbx: Pbx, hub_port: int, folder: Path, secret: str = SECRET) -> Iterator[Forwarder]:
    hub = Hub(f"http://127.0.0.1:{hub_port}/hooks/con_1", secret, timeout=2.0)
    made = Forwarder(Ami("127.0.0.1", "draad", "s3cret", pbx.port), hub, folder, Settings(TRUNK, "pbx1", 0.2))
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    yield made
    made.stop()
    thread.join(10)
    assert not thread.is_alive()


def names(reports: list[Report]) -> list[str]:
    return [report["id"] for report in reports]


@each_log
def test_over_the_network(log: Path, pbx: Pbx, hooks: Hooks, tmp_path: Path) -> None:
    with running(pbx, hooks.port, tmp_path) as forwarder:
        until(lambda: pbx.logins)
        pbx.play(messages(log))
        until(lambda: len(hooks.taken) >= len(expected(log)) and not forwarder.order.held and not forwarder.calls.calls)
    assert sorted(names(hooks.taken)) == sorted(names(expected(log))) and not hooks.refused
    assert [each for each in hooks.taken if each["event"] == "call.ended"] == [
        each for each in expected(log) if each["event"] == "call.ended"
    ]
    assert Spool(tmp_path).waiting() == []


def test_while_the_hub_is_away_reports_wait_and_then_go_in_order(pbx: Pbx, tmp_path: Path) -> None:
    away = Hooks()
    away.close()
    with running(pbx, away.port, tmp_path) as forwarder:
        until(lambda: pbx.logins)
        pbx.play(messages(named("blind_transfer")))
        until(lambda: len(forwarder.spool.waiting()) == 2)
        back = Hooks(away.port)
        until(lambda: len(back.taken) == 2)
        until(lambda: not forwarder.spool.waiting())
    assert back.taken == expected(named("blind_transfer"))
    back.close()


@pytest.mark.parametrize("statuses", [[500, 503], [429], [401], [302], [400]])
def test_a_refusal_is_tried_again_until_it_is_taken(
    pbx: Pbx, hooks: Hooks, tmp_path: Path, statuses: list[int]
) -> None:
    hooks.statuses = list(statuses)
    with running(pbx, hooks.port, tmp_path) as forwarder:
        until(lambda: pbx.logins)
        pbx.play(messages(named("inbound_completed")))
        until(lambda: hooks.taken)
        until(lambda: not forwarder.spool.waiting())
    assert hooks.taken == expected(named("inbound_completed")) and len(hooks.refused) == len(statuses)


def test_one_that_the_hub_never_takes_holds_up_no_other(hooks: Hooks, tmp_path: Path) -> None:
    spool, hub = Spool(tmp_path), Hub(f"http://127.0.0.1:{hooks.port}/hooks/con_1", SECRET)
    reports = expected(named("attended_transfer_to_outside"))
    for report in reports:
        spool.keep(report)
    hooks.statuses = [413]
    assert asterisk.post_all(spool, hub) is False
    assert hooks.taken == reports[1:] and [json.loads(each.read_bytes()) for each in spool.waiting()] == reports[:1]
    assert asterisk.post_all(spool, hub) is True and spool.waiting() == []


def test_a_wrong_secret_loses_nothing(hooks: Hooks, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(expected(named("inbound_completed"))[0])
    for secret, clear in (("wrong", False), (SECRET, True)):
        assert asterisk.post_all(spool, Hub(f"http://127.0.0.1:{hooks.port}/hooks/con_1", secret)) is clear
    assert len(hooks.refused) == len(hooks.taken) == 1


def test_a_call_goes_on_over_a_cut_connection(pbx: Pbx, hooks: Hooks, tmp_path: Path) -> None:
    found = messages(named("inbound_completed"))
    middle = next(place for place, each in enumerate(found) if each["Event"] == "BridgeEnter") + 2
    with running(pbx, hooks.port, tmp_path):
        until(lambda: pbx.logins)
        pbx.play(found[:middle])
        time.sleep(0.3)
        pbx.listed = [
            {name: each[name] for name in ("Channel", "Uniqueid", "Linkedid", "CallerIDNum", "Exten")}
            for each in found[:middle]
            if each["Event"] == "Newchannel"
        ]
        pbx.cut()
        until(lambda: pbx.logins == 2)
        assert not hooks.taken
        pbx.play(found[middle:])
        until(lambda: hooks.taken)
    assert hooks.taken == expected(named("inbound_completed"))


def test_a_refused_login_is_tried_again(pbx: Pbx, hooks: Hooks, tmp_path: Path) -> None:
    pbx.secret = "other"
    with running(pbx, hooks.port, tmp_path) as forwarder:
        time.sleep(0.5)
        assert pbx.logins == 0 and not forwarder.stopping.is_set()
        pbx.secret = "s3cret"
        until(lambda: pbx.logins)


# Killed


def started(pbx: Pbx, hub_port: int, folder: Path) -> subprocess.Popen[bytes]:
    config = folder / "forwarder.ini"
    config.write_text(
        f"[ami]\nport = {pbx.port}\nusername = draad\nsecret = s3cret\n"
        f"[hub]\nurl = http://127.0.0.1:{hub_port}/hooks/con_1\nsecret = {SECRET}\n"
        f"[spool]\nfolder = {folder / 'spool'}\n[calls]\ntrunk = ^PJSIP/trunk-\nserver = pbx1\nsettle = 0.2\n"
    )
    return subprocess.Popen([sys.executable, "-I", str(asterisk.__file__), str(config)], stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_killed_in_the_middle_it_goes_on_where_it_was(pbx: Pbx, hooks: Hooks, tmp_path: Path, share: float) -> None:
    found = messages(named("blind_transfer"))
    middle = int(len(found) * share)
    first = started(pbx, hooks.port, tmp_path)
    until(lambda: pbx.logins)
    pbx.play(found[:middle])
    journal = tmp_path / "spool" / "journal"
    wanted = sum(map(asterisk.relevant, found[:middle]))
    until(
        lambda: journal.exists() and sum(b'"message"' in line for line in journal.read_bytes().splitlines()) >= wanted
    )
    kill(first)
    pbx.listed = list({each["Uniqueid"]: each for each in found[:middle] if each["Event"] == "Newchannel"}.values())
    pbx.listed = [{name: each[name] for name in ("Channel", "Uniqueid", "Linkedid")} for each in pbx.listed]
    second = started(pbx, hooks.port, tmp_path)
    until(lambda: pbx.logins == 2)
    pbx.play(found[middle:])
    until(lambda: {*names(hooks.taken)} == {*names(expected(named("blind_transfer")))})
    second.terminate()
    assert second.wait(10) == 0
    last = next(each for each in reversed(hooks.taken) if each["event"] == "call.ended")
    assert last == expected(named("blind_transfer"))[-1]


def test_what_ended_while_it_was_dead_is_told_and_says_that_it_is_unsure(
    pbx: Pbx, hooks: Hooks, tmp_path: Path
) -> None:
    found = messages(named("inbound_completed"))
    first = started(pbx, hooks.port, tmp_path)
    until(lambda: pbx.logins)
    pbx.play(found[:-3])
    journal = tmp_path / "spool" / "journal"
    until(lambda: journal.exists() and journal.read_bytes().count(b"BridgeEnter") >= 2)
    kill(first)
    second = started(pbx, hooks.port, tmp_path)
    until(lambda: hooks.taken)
    kill(second)
    (report,) = hooks.taken
    wanted = expected(named("inbound_completed"))[0]
    assert report["uncertain"] is True and report["status"] == "completed"
    for name in ("id", "customer", "agent", "answered_at", "recording"):
        assert report[name] == wanted[name]


def test_killed_between_spool_and_hub_nothing_is_lost(pbx: Pbx, tmp_path: Path) -> None:
    away = Hooks()
    away.close()
    first = started(pbx, away.port, tmp_path)
    until(lambda: pbx.logins)
    pbx.play(messages(named("attended_transfer")))
    until(lambda: len(list((tmp_path / "spool").glob("*.json"))) == 2)
    kill(first)
    back = Hooks(away.port)
    second = started(pbx, back.port, tmp_path)
    until(lambda: len(back.taken) == 2)
    second.terminate()
    assert second.wait(10) == 0
    assert names(back.taken) == names(expected(named("attended_transfer")))
    back.close()


def test_what_was_told_before_it_was_killed_is_not_told_again(pbx: Pbx, hooks: Hooks, tmp_path: Path) -> None:
    """While another call goes on, so that the journal still holds both."""
    other = [
        {"Event": "Newchannel", "Uniqueid": "1788337999.1", "Linkedid": "1788337999.1", "Channel": "PJSIP/trunk-1"}
    ]
    first = started(pbx, hooks.port, tmp_path)
    until(lambda: pbx.logins)
    pbx.play([*other, *messages(named("attended_transfer_to_outside"))])
    until(lambda: len(hooks.taken) == 3 and not list((tmp_path / "spool").glob("*.json")))
    kill(first)
    pbx.listed = [{name: value for name, value in other[0].items() if name != "Event"}]
    second = started(pbx, hooks.port, tmp_path)
    until(lambda: pbx.logins == 2)
    pbx.play([{"Event": "Hangup", "Uniqueid": "1788337999.1", "Linkedid": "1788337999.1", "Cause": "16"}])
    until(lambda: names(hooks.taken)[-1] == "pbx1/1788337999.1:ended")
    kill(second)
    assert len(hooks.taken) == 4


def test_a_journal_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for message in messages(named("inbound_completed")):
        journal.add(now=1.0, message=message)
    journal.add(told="pbx1/1:ended")
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-5])
    again = Journal(journal.path)
    assert len(list(again.entries())) == len(messages(named("inbound_completed"))) and again.told == set()
    journal.path.write_bytes(whole)
    assert list(again.entries()) and again.told == {"pbx1/1:ended"}


def test_a_journal_is_shortened_to_the_calls_that_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, calls = Journal(tmp_path / "journal"), Calls(Settings(server="pbx1", trunk=TRUNK))
    for message in filter(asterisk.relevant, messages(named("inbound_completed"))[:9]):
        journal.add(now=1.0, message=message)
        calls.take(message, 1.0)
    (number,) = calls.calls
    journal.add(told=f"pbx1/{number}:transferred:1")
    for place in range(50):
        journal.add(now=1.0, message={"Event": "Hangup", "Uniqueid": f"old.{place}"})
        journal.add(told=f"pbx1/old.{place}:ended")
    monkeypatch.setattr(asterisk, "LARGEST_JOURNAL", 100)
    order, late = Order(1.5), {"Event": "Hangup", "Uniqueid": number}
    order.add(late, 2.0)
    journal.shorten(calls, order)
    again = Journal(journal.path)
    (call,) = calls.calls.values()
    assert list(again.entries()) == [*call.messages, (2.0, late)] and again.told == {f"pbx1/{number}:transferred:1"}
    calls.calls.clear()
    calls.finished[number] = EVER
    journal.add(now=1.0, message=late)
    journal.shorten(calls, Order(1.5))
    assert list(again.entries()) == [] and again.told == {f"pbx1/{number}:transferred:1"}
    before = journal.path.stat().st_mtime_ns
    journal.shorten(calls, Order(1.5))
    assert journal.path.stat().st_mtime_ns == before


def test_the_settings_file_must_be_whole(tmp_path: Path) -> None:
    config = tmp_path / "forwarder.ini"
    config.write_text("[ami]\nusername = a\n[hub]\nurl = https://hub.example.nl/hooks/con_1\nsecret = s\n")
    with pytest.raises(KeyError, match="secret"):
        asterisk.configured(config)
    assert asterisk.main([]) == 2
