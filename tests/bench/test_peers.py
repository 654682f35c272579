"""The comparison's own counting: a peer that loses and one that doubles are found out, by the load and the CRM of the
real runs. No other's program runs here."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from bench.peers import __main__ as entry
from bench.peers import crm as peers_crm
from bench.peers import install, load, memory, paper, scenarios
from bench.peers.__main__ import PEERS
from bench.peers.crm import IN, CountingCrm, Crm, told
from bench.peers.job import EACH, SECRET, jobs, keys_in
from bench.peers.load import Plan
from bench.peers.programs import PeerFailed
from bench.peers.running import Peer, Place, Running
from bench.peers.scenarios import Extent, Failure, Outcome, Speed
from bench.peers.tally import Spread, Tally, spread, tally
from tests.standins.server import Answer, Call, Standin

FLOWS = Path(paper.__file__).with_name("flows")


class InProcess(Crm):
    """The counting CRM in this process, by the same commands."""

    def __init__(self) -> None:
        self.standin = CountingCrm()
        self.url = self.standin.url

    def ask(self, what: str, **options: Any) -> Any:
        return json.loads(json.dumps(told(self.standin, what, options)))


@pytest.fixture
def crm() -> Iterator[InProcess]:
    found = InProcess()
    yield found
    found.standin.stop()


class FakePeer(Standin):
    """Verifies, acks, tells the CRM `copies(number)` times. `refuses`: so many requests get a 503 first."""

    crm = ""
    refuses = 0
    copies: Callable[[int], int] = staticmethod(lambda number: 1)

    def reset(self) -> None:
        self.taken = 0

    def answer(self, call: Call) -> Answer:
        wanted = hmac.new(SECRET.encode(), call.body, hashlib.sha256).hexdigest()
        if call.headers.get("x-signature") != wanted:
            return Answer(401)
        if self.refuses > 0:
            self.refuses -= 1
            return Answer(503)
        self.taken += 1
        for _ in range(self.copies(self.taken)):
            post(self.crm, call.body)
        return Answer(200)


def post(url: str, body: bytes) -> int:
    line = HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        line.request("POST", IN, body)
        return line.getresponse().status
    except OSError:
        return 0
    finally:
        line.close()


@contextmanager
def fake(copies: Callable[[int], int], place: Place, kill: Callable[[], None] = lambda: None) -> Iterator[Running]:
    peer = FakePeer()
    peer.crm, peer.copies = place.crm, copies
    yield Running(peer.url + "/hook", tuple, kill, lambda: None)
    peer.stop()


def measured(copies: Callable[[int], int], crm: Crm, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr(scenarios, "WARM", 4)
    monkeypatch.setattr(scenarios, "FEWEST", 12)
    monkeypatch.setattr(scenarios, "LAST_COPIES", 0.0)
    peer = Peer("fake", "Fake", "1", "MIT", "nothing", lambda tell: None, partial(fake, copies))
    extent = Extent(seconds=0.01, events=12, quiet=0.3, outage=0.4, senders=(1, 8))
    return scenarios.measured(peer, crm, extent, lambda text: None)


def test_a_sound_peer_loses_and_doubles_nothing_while_it_can(crm: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = measured(lambda number: 1, crm, monkeypatch)
    assert [(each.senders, each.tally.lost, each.tally.doubled) for each in outcome.speeds] == [(1, 0, 0), (8, 0, 0)]
    under_load, down, outage = outcome.failures
    assert (under_load.tally.lost, under_load.tally.doubled) == (0, 0)
    assert (down.tally.acked, down.tally.lost) == (12, 12)
    assert (outage.tally.acked, outage.tally.lost) == (4, 4)
    assert outcome.rest.p50 > 0


def test_a_peer_that_loses_is_found_out(crm: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = measured(lambda number: int(number % 4 > 0), crm, monkeypatch)
    assert [each.tally.lost for each in outcome.speeds] == [3, 3]
    assert outcome.failures[0].tally.lost == 3
    assert all(each.tally.doubled == 0 for each in outcome.speeds)


def test_a_peer_that_doubles_is_found_out(crm: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = measured(lambda number: 2 if number % 4 == 0 else 1, crm, monkeypatch)
    assert [each.tally.doubled for each in outcome.speeds] == [3, 3]
    assert outcome.failures[0].tally.doubled == 3
    assert all(each.tally.lost == 0 for each in outcome.speeds)


def test_killing_comes_in_the_middle_of_the_load(crm: InProcess) -> None:
    killed_at = []
    peer = FakePeer()
    peer.crm = crm.url
    running = Running(peer.url, tuple, lambda: killed_at.append(peer.taken), lambda: None)
    scene = scenarios.Scene(running, crm, Extent(events=60, quiet=0.3), lambda text: None)
    scenarios.killed_under_load(scene)
    peer.stop()
    assert len(killed_at) == 1 and 20 <= killed_at[0] < 60


def test_a_peer_that_cannot_come_back_ends_the_run(crm: InProcess) -> None:
    def broken() -> None:
        raise PeerFailed("it does not answer")

    peer = FakePeer()
    peer.crm = crm.url
    scene = scenarios.Scene(Running(peer.url, tuple, lambda: None, broken), crm, Extent(events=6, quiet=0.1), print)
    with pytest.raises(PeerFailed, match="does not answer"):
        scenarios.killed_under_load(scene)
    peer.stop()


def test_what_is_not_answered_is_sent_again_and_counted_once(crm: InProcess) -> None:
    peer = FakePeer()
    peer.crm, peer.refuses = crm.url, 3
    counts: list[int] = []
    wanted = jobs("again", 6)
    sent = load.send(Plan(peer.url, 1), wanted, counts.append)
    peer.stop()
    assert [each.tries for each in sent] == [4, 1, 1, 1, 1, 1]
    assert all(each.acked and each.ended > each.began for each in sent) and counts == [1, 2, 3, 4, 5, 6]
    assert set(crm.ask("tell")["posts"].values()) == {1}


def test_what_is_never_acked_is_not_lost() -> None:
    with Silent() as nobody:
        sent = load.send(Plan(nobody.url, 2, patience=0.1), jobs("never", 4))
    assert [each.acked for each in sent] == [False] * 4
    found = tally([each.key for each in sent], [], {})
    assert (found.unacked, found.lost, found.acked) == (4, 0, 0)


class Silent(Standin):
    def reset(self) -> None:
        """Nothing is kept."""

    def answer(self, call: Call) -> Answer:
        return Answer(503)


def test_a_pace_is_kept(crm: InProcess) -> None:
    peer = FakePeer()
    peer.crm = crm.url
    begun = time.monotonic()
    sent = load.send(Plan(peer.url, 4, apart=0.05), jobs("pace", 6))
    peer.stop()
    assert max(each.began for each in sent) - begun >= 0.25


def test_senders_send_at_the_same_time() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    class Slow(Silent):
        def work(self, call: Call) -> Answer:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with lock:
                inside -= 1
            return Answer(200)

    with Slow() as slow:
        load.send(Plan(slow.url, 8), jobs("many", 16))
    assert most == 8


@pytest.mark.parametrize(
    ("acked", "posts", "found"),
    [
        ("abc", {"a": 1, "b": 1, "c": 1}, Tally(4, 3, 3, 0, 0, 1, 0)),
        ("abc", {"a": 1, "c": 3}, Tally(4, 3, 2, 1, 2, 1, 0)),
        ("abc", {"a": 1, "b": 1, "c": 1, "d": 2}, Tally(4, 3, 4, 0, 1, 1, 0)),
        ("abcd", {}, Tally(4, 4, 0, 4, 0, 0, 0)),
        ("abcd", {"a": 1, "b": 1, "c": 1, "d": 1, "x": 1}, Tally(4, 4, 4, 0, 0, 0, 1)),
    ],
)
def test_tallies(acked: str, posts: dict[str, int], found: Tally) -> None:
    assert tally("abcd", acked, posts) == found


def test_spread_of_few_and_of_many() -> None:
    assert spread([]) == Spread(0.0, 0.0, 0.0) and spread([7.0]) == Spread(7.0, 7.0, 7.0)
    mixed = [float(number) for number in range(1, 102)]
    random.Random(1).shuffle(mixed)
    assert spread(mixed) == Spread(51.0, 96.0, 100.0)


def test_jobs_are_signed_and_never_come_twice() -> None:
    first, second = jobs("r1", 12), jobs("r2", 12)
    assert len({each.key for each in first + second}) == 24
    for each in first:
        assert each.signature == hmac.new(SECRET.encode(), each.body, hashlib.sha256).hexdigest()
        assert keys_in(each.body) == {each.key}
    people = [json.loads(each.body)["identities"][0]["value"] for each in first]
    assert [people.count(each) for each in dict.fromkeys(people)] == [EACH, EACH, 2]
    assert not set(people) & {json.loads(each.body)["identities"][0]["value"] for each in second}


def test_the_crm_counts_posts_it_took_and_no_others(crm: InProcess) -> None:
    (job,) = jobs("count", 1)
    assert [post(crm.url, job.body), post(crm.url, job.body), post(crm.url, b"{}")] == [200, 200, 200]
    crm.ask("behave", mode="status", status=500, times=1)
    assert post(crm.url, job.body) == 500
    assert crm.ask("tell")["posts"] == {job.key: 2} and crm.count() == 1
    crm.ask("down")
    assert post(crm.url, job.body) == 0
    crm.ask("up")
    assert post(crm.url, job.body) == 200
    crm.ask("reset")
    assert crm.ask("tell") == {"posts": {}, "first": {}}
    with pytest.raises(ValueError, match="no command"):
        crm.ask("dance")


def test_the_crm_in_a_process_of_its_own() -> None:
    (job,) = jobs("own", 1)
    with peers_crm.running() as crm:
        before = time.monotonic()
        assert post(crm.url, job.body) == 200
        assert crm.count() == 1 and before < crm.ask("tell")["first"][job.key] < time.monotonic()


def test_memory_is_that_of_a_whole_family() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
    assert memory.descendants([10], parents) == {10, 11, 12}
    assert memory.descendants([10, 21, 99], parents) == {10, 11, 12, 21}


def outcome(speed: float, lost: int = 0, doubled: int = 0) -> Outcome:
    counted = Tally(100, 100, 100 - lost, lost, doubled, 0, 0)
    one = Speed(8, counted, speed * 2, speed, Spread(1, 2, 3), Spread(4, 5, 6))
    failures = [Failure(name, counted, 100, 2.0) for name in ("kill -9 under load", "kill -9 while the CRM is down")]
    return Outcome(Spread(1, 2, 3), [replace(one, senders=1, per_second=999.0), one], failures, 200, 90, 4.0)


def about(**missing: str) -> paper.About:
    return paper.About(Extent(), 12.0, 0.5, missing)


def test_budgets_are_judged_by_eight_senders() -> None:
    found = {
        each.what: each for each in paper.verdicts({"draad": outcome(40), "n8n": outcome(10), "n8n-tuned": outcome(20)})
    }
    assert found["draad against n8n"].holds and found["draad against n8n"].measured == "4.0 × (40 / 10 /s)"
    assert not found["draad against n8n-tuned"].holds and not found["draad: events a second"].holds
    assert found["draad: kill -9 under load"].holds


@pytest.mark.parametrize(("lost", "doubled"), [(1, 0), (0, 1)])
def test_one_lost_or_one_doubled_is_one_too_many(lost: int, doubled: int) -> None:
    found = {each.what: each.holds for each in paper.verdicts({"draad": outcome(200, lost, doubled)})}
    assert found["draad: events a second"] and not found["draad: kill -9 under load"]


def test_the_page_says_who_is_left_out_and_what_is_not_met(tmp_path: Path) -> None:
    outcomes = {"draad": outcome(40, doubled=1), "node-red": outcome(500, lost=7)}
    verdicts = paper.verdicts(outcomes)
    path = paper.keep(outcomes, PEERS, verdicts, about(restate="`npm install` failed (E404)"), tmp_path)
    page, kept = path.read_text("utf-8"), json.loads((tmp_path / "peers.json").read_text("utf-8"))
    assert "Restate is left out: `npm install` failed (E404)" in page and paper.NOT_MET in page
    assert "| Node-RED | kill -9 under load | 100 | 7 | 0 |" in page
    assert all(line in page for line in paper.EQUAL + paper.NOT_EQUAL)
    assert kept["left_out"] == {"restate": "`npm install` failed (E404)"} and "restate" not in kept["outcomes"]
    assert kept["outcomes"]["node-red"]["failures"][0]["tally"]["lost"] == 7
    assert str(Path.home()) not in page


def test_a_surprise_costs_nobody_else_his_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one(peer: Peer, crm: Crm, extent: Extent) -> Outcome:
        if peer.name == "restate":
            raise ValueError("a surprise")
        return outcome(40)

    monkeypatch.setattr(entry, "_one", one)
    monkeypatch.setattr("sys.argv", ["peers", "--only", "restate,node-red", "--keep-nothing"])
    assert entry.main() == 1
    page = capsys.readouterr().out
    assert (
        "Restate is left out: it failed while measured, ValueError: a surprise" in page
        and "| Node-RED | 5.0.7 |" in page
    )


def test_everything_installed_is_pinned_and_has_a_licence() -> None:
    for package in (install.N8N, install.NODE_RED, install.RESTATE):
        pins = {**package.npm, **package.pip, **package.overrides}
        assert all(version[0].isdigit() and not set(version) & set("^~*x> ") for version in pins.values())
        assert package.licence and package.version == {**package.npm, **package.pip}[package.first]
    assert install.wanted(install.N8N)["overrides"] == {"linkedom": "0.18.12"}
    assert "overrides" not in install.wanted(install.NODE_RED)


def test_an_installation_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "PLACE", tmp_path)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    npm = tmp_path / "node" / "bin" / "npm"
    npm.parent.mkdir(parents=True)
    npm.write_text(
        "#!/bin/sh\necho 'npm error 404 node-red is not there'\necho 'npm error A complete log of this'\nexit 1\n"
    )
    npm.chmod(0o755)
    (tmp_path / "node" / "installed").write_text(install.NODE)
    with pytest.raises(PeerFailed, match="404 node-red is not there"):
        install.ensure(install.NODE_RED, lambda text: None)
    assert not (tmp_path / "node-red" / "installed").exists()


def test_what_is_installed_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "PLACE", tmp_path)
    (tmp_path / "node-red").mkdir()
    (tmp_path / "node-red" / "installed").write_text(install.NODE_RED.mark)
    said: list[str] = []
    install.ensure(install.NODE_RED, said.append)
    assert said == []
    newer = replace(install.NODE_RED, npm={"node-red": "9.9.9"})
    assert newer.mark != install.NODE_RED.mark


def test_flows_do_the_whole_job() -> None:
    """Verified, made canonical, kept twice, acked, told; n8n with the most tries that it has."""
    red = (FLOWS / "node-red.json").read_text("utf-8")
    n8n = (FLOWS / "n8n.json").read_text("utf-8")
    restate = (FLOWS / "restate_app.py").read_text("utf-8")
    for flow in (red, n8n, restate):
        assert "x-signature" in flow and "canonical" in flow and "customer" in flow and "entry" in flow
    (tell,) = [each for each in json.loads(n8n)["nodes"] if each["type"].endswith("httpRequest")]
    assert (tell["retryOnFail"], tell["maxTries"], tell["waitBetweenTries"]) == (True, 5, 5000)
    acks = [each for each in json.loads(red) if each["type"] == "function"]
    assert acks[0]["wires"] == [["ack"], ["crm"]]
