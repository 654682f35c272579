"""The ledger says NOT OK, with the name, whenever anything is lost, doubled, astray or told wrongly."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chalicelib.model import instants
from infra.demo.ledger import Told
from infra.demo.tell import Tell
from infra.local.state import ROOT
from tests.chaos import kept, many, run, sums
from tests.chaos.ledger import PARKED, PLACES, POSSIBLE, TIMELINE, WAITING, Found, Ledger
from tests.chaos.soak import Sample
from tests.chaos.sums import Sums

SENT = {"order of 1": TIMELINE, "call": POSSIBLE, "parcel": WAITING, "nonsense": PARKED}


def found(sent: dict[str, str]) -> Found:
    made = Found()
    for name, place in sent.items():
        made.add(place, name)
    return made


def test_what_adds_up_is_ok_and_every_event_is_named() -> None:
    ledger = Ledger(SENT, found(SENT))
    assert ledger.mistakes() == []
    assert ledger.named == SENT
    (line,) = ledger.lines()
    assert line.split() == (
        [
            "ledger",
            "4",
            "sent",
            "=",
            "1",
            "on",
            "timelines",
            "+",
            "1",
            "possible",
            "+",
            "1",
            "waiting",
            "+",
            "1",
            "parked;",
            "0",
            "lost,",
            "0",
            "doubled",
            "OK",
        ]
    )


@pytest.mark.parametrize("name", SENT)
def test_a_lost_event_is_named(name: str) -> None:
    ledger = Ledger(SENT, found({each: place for each, place in SENT.items() if each != name}))
    assert ledger.mistakes() == [f"lost: {name}"]
    assert ledger.named[name] == "lost"
    assert any(line.endswith("NOT OK") for line in ledger.lines())


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("place", PLACES)
def test_a_doubled_event_is_named(name: str, place: str) -> None:
    places = found(SENT)
    places.add(place, name)
    wrong = Ledger(SENT, places).mistakes()
    assert wrong[0].startswith(f"2 times: {name}")


def test_an_event_in_the_wrong_place_is_named() -> None:
    ledger = Ledger(SENT, found(SENT | {"parcel": TIMELINE}))
    assert ledger.mistakes() == ["elsewhere: parcel is timeline, must be waiting"]


def test_what_nobody_sent_what_was_not_acked_and_more() -> None:
    strange = found(SENT)
    strange.strange = ["order of 2"]
    assert Ledger(SENT, strange).mistakes() == ["not sent by anybody: order of 2"]
    assert Ledger(SENT, found(SENT), refused=("call",)).mistakes() == ["never acked: call"]
    never = Ledger(SENT, found({"order of 1": TIMELINE, "parcel": WAITING, "nonsense": PARKED}), refused=("call",))
    assert never.mistakes() == ["never acked: call"], "what was not acked is still its sender's"
    assert never.named["call"] == "never acked" and never.lost == []
    assert Ledger(SENT, found(SENT), more=("parked at crm",)).mistakes() == ["parked at crm"]


def test_sums_of_several_processes_are_those_of_one(tmp_path: Path) -> None:
    first = Sums(2, 1, 9, Counter(timeline=8, lost=1), Counter(reset=3), 1, 2, 0, [8])
    second = Sums(1, 1, 5, Counter(timeline=5), Counter(slow=1, reset=1), 0, 1, 1, [], buried=False)
    first.write(tmp_path / "7.json")
    joined = sums.read(tmp_path / "7.json")
    assert joined == first
    joined.join(second)
    assert joined == Sums(3, 2, 14, Counter(timeline=13, lost=1), Counter(reset=4, slow=1), 1, 3, 1, [8], buried=False)
    assert not joined.all_good and not second.all_good and Sums(runs=1, good=1).all_good


def test_runs_of_a_driver_that_broke_down_count_as_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second group's process ends without its sums."""
    script = (
        "import sys; from pathlib import Path; from tests.chaos.sums import Sums\n"
        "told = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "seed = int(told['--seed'])\n"
        "if seed == 5: sys.exit(3)\n"
        "Sums(runs=2, good=2, facts=4).write(Path(told['--sums']))"
    )
    started, seen = subprocess.Popen, list[int]()
    monkeypatch.setattr(
        many.subprocess, "Popen", lambda command, **told: started([sys.executable, "-c", script, *command[3:]], **told)
    )
    monkeypatch.setattr(many, "KEPT", ROOT / ".draad" / "chaos" / f"test-{tmp_path.name}")
    said = io.StringIO()
    found = many.Drivers([[3, 4], [5, 6], [7, 8]], [], Tell(said), lambda made: seen.append(made.runs)).go(2)
    shutil.rmtree(many.KEPT)
    assert (found.runs, found.good, found.wrong) == (6, 4, [5, 6]) and sorted(seen) == [2, 4, 6]
    assert "make chaos SEED=5" in said.getvalue() and f"test-{tmp_path.name}/3.log" in said.getvalue()


@pytest.mark.parametrize("wrong", [{"missing": 1}, {"doubled": 1}, {"unwanted": 1}, {"contacts": 2}])
def test_a_destination_that_was_told_wrongly(wrong: dict[str, int]) -> None:
    told = Told("crm", **{"customers": 1, "contacts": 1, "due": 5, "got": 5} | wrong)
    assert Ledger(SENT, found(SENT), (told,)).mistakes()


def test_what_was_found_is_kept_by_date(tmp_path: Path) -> None:
    made = Sums(runs=2, good=1, facts=9, places=Counter(timeline=8, lost=1), injected=Counter(reset=3), wrong=[8])
    page = kept.keep("chaos", kept.of_runs(made, [7, 8]), tmp_path).read_text("utf-8")
    assert "| runs OK, of seeds 7 to 8 | 1 of 2 | all | **over** |" in page
    assert "| faults injected | 3 reset |" in page
    samples = [Sample(each, each / 10, {"workers": 140 + each}) for each in (1, 50)]
    page = kept.keep("soak", kept.of_soak(samples, Counter(reset=3), []), tmp_path).read_text("utf-8")
    assert "50 in 5 s, 10.0/s |  | ok |" in page
    assert "141 at 1 events, at most 190, 190 at 50" in page
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".md", ".md"]


@pytest.mark.parametrize(("queued", "seconds"), [([3], run.PUT_OFF), ([3, 4], 2 * run.PUT_OFF), ([0], 0)])
def test_a_run_ends_though_messages_come_and_go_for_ever(
    monkeypatch: pytest.MonkeyPatch, queued: list[int], seconds: float
) -> None:
    """Such as those of a worker that fails at all of them."""
    clock, polls = [1000.0], count()
    one = cast("run.Run", SimpleNamespace(world=None, due=5))
    lost = Ledger(SENT, found({}))

    def slept(_: float) -> None:
        clock[0] += 20

    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=slept))
    monkeypatch.setattr(run, "_looked", lambda runs: [])
    monkeypatch.setattr(run, "_progress", lambda world: (queued[next(polls) % len(queued)], 2))
    monkeypatch.setattr(run, "_put_off", lambda world: False)
    monkeypatch.setattr(run, "look", lambda each: lost)
    assert run.settle([one], Tell(io.StringIO()), 90.0) == [lost]
    assert seconds + 90 < clock[0] - 1000 <= seconds + 90 + 2 * 20


@pytest.mark.parametrize(
    ("row", "ahead"),
    [
        ({"st": "delayed", "gsk": "+400", "due": "-200"}, True),
        ({"st": "delayed", "gsk": "-30", "due": "-150"}, True),
        ({"st": "delayed", "gsk": "-90", "due": "-210"}, False),
        ({"st": "delayed", "due": "-30"}, False),
        ({"st": "parked", "gsk": "+400"}, False),
    ],
)
def test_a_run_waits_while_the_hub_will_look_again(
    monkeypatch: pytest.MonkeyPatch, row: dict[str, str], ahead: bool
) -> None:
    now = instants.now_ms()
    lies = {name: instants.from_ms(now + int(it) * 1000) if it[0] in "+-" else it for name, it in row.items()}
    monkeypatch.setattr(run, "open_rows", lambda world: iter([lies]))
    assert run._put_off(cast("Any", None)) is ahead
