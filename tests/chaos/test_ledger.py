"""The ledger says NOT OK, with the name, whenever anything is lost, doubled, astray or told wrongly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from infra.demo.ledger import Told
from tests.chaos import kept
from tests.chaos.__main__ import Sums
from tests.chaos.ledger import PARKED, PLACES, POSSIBLE, TIMELINE, WAITING, Found, Ledger
from tests.chaos.soak import Sample

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


@pytest.mark.parametrize("wrong", [{"missing": 1}, {"doubled": 1}, {"unwanted": 1}, {"contacts": 2}])
def test_a_destination_that_was_told_wrongly(wrong: dict[str, int]) -> None:
    told = Told("crm", **{"customers": 1, "contacts": 1, "due": 5, "got": 5} | wrong)
    assert Ledger(SENT, found(SENT), (told,)).mistakes()


def test_what_was_found_is_kept_by_date(tmp_path: Path) -> None:
    sums = Sums(runs=2, good=1, facts=9, places=Counter(timeline=8, lost=1), injected=Counter(reset=3), wrong=[8])
    page = kept.keep("chaos", kept.of_runs(sums, [7, 8]), tmp_path).read_text("utf-8")
    assert "| runs OK, seeds 7 to 8 | 1 of 2 | all | **over** |" in page
    assert "| faults injected | 3 reset |" in page
    samples = [Sample(each, each / 10, {"workers": 140 + each}) for each in (1, 50)]
    page = kept.keep("soak", kept.of_soak(samples, Counter(reset=3), []), tmp_path).read_text("utf-8")
    assert "50 in 5 s, 10.0/s |  | ok |" in page
    assert "141 at 1 events, at most 190, 190 at 50" in page
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".md", ".md"]
