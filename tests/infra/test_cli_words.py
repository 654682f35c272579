"""What people type and what they see: arguments, moments, secrets, tables, progress. Nothing here asks a hub."""

from __future__ import annotations

import argparse
import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from infra.cli import api, arguments, progress, words
from infra.cli.progress import Progress
from infra.cli.screen import Column, Screen, cell, clean, local, said, told, widths
from infra.cli.stopped import USAGE, Stopped

ESCAPES = re.compile(r"\x1b\[\d+m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def amsterdam(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def parsers(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, f"{path} {name}".strip())


PARSERS = dict(parsers(arguments.parser()))


@pytest.mark.parametrize("path", sorted(PARSERS))
def test_every_help_says_what_it_does_and_shows_an_example_that_can_be_typed(path: str) -> None:
    parser = PARSERS[path]
    text = parser.format_help()
    assert parser.description and "example:" in text
    for action in parser._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), (path, action.dest)
    for line in text.partition("example:")[2].strip().splitlines():
        if line.strip().startswith("export "):
            continue
        typed = words_of(line.strip().removeprefix("python -m infra.cli "))
        assert " ".join(typed).startswith(path)
        assert callable(arguments.parser().parse_args(typed).run), line


def words_of(line: str) -> list[str]:
    import shlex

    return shlex.split(line)


def test_every_command_that_was_asked_for_is_there() -> None:
    wanted = """providers; connections list; connections show; connections create; connections change; connections pause;
    connections resume; connections rotate; connections test; connections delete; receipts list; receipts show;
    receipts tail; replay; deliveries list; deliveries show; redrive; backfill; catch-up; drift; reconcile;
    customers find; customers show; customers timeline; customers sync; customers audit; customers link; customers cut;
    erase; export; keys list; keys create; keys revoke; rules; settings get; settings set; health; jobs list; jobs show;
    jobs wait; magic-link"""
    assert {" ".join(each.split()) for each in wanted.split(";")} <= set(PARSERS)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_json_and_url_go_before_a_command_or_behind_it(place: str) -> None:
    options, command = ["--json", "--url", "http://h"], ["keys", "list"]
    found = arguments.parser().parse_args(options + command if place == "before" else command + options)
    assert (found.json, found.url) == (True, "http://h")


def test_no_option_takes_a_key_or_a_secret_by_value() -> None:
    options = {option for parser in PARSERS.values() for each in parser._actions for option in each.option_strings}
    assert {each for each in options if "key" in each or "token" in each or "password" in each} == set()
    assert {each for each in options if "secret" in each} == {"--secret", "--secret-from"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-09-01T11:05", "2026-09-01T09:05:00.000Z"),
        ("2026-12-01T11:05", "2026-12-01T10:05:00.000Z"),
        ("2026-09-01", "2026-08-31T22:00:00.000Z"),
        ("2026-09-01T11:05Z", "2026-09-01T11:05:00.000Z"),
        ("2026-09-01T11:05:00.123+02:00", "2026-09-01T09:05:00.123Z"),
        ("15m", "2026-09-02T11:45:00.000Z"),
        ("2h", "2026-09-02T10:00:00.000Z"),
        ("3d", "2026-08-30T12:00:00.000Z"),
    ],
)
def test_a_moment_is_read_in_the_zone_of_whoever_types_it(text: str, found: str, amsterdam: None) -> None:
    assert words.moment(text, datetime(2026, 9, 2, 12, tzinfo=UTC)) == found


@pytest.mark.parametrize("text", ["", "yesterday", "1y", "2026-13-01", "9999999h"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(Stopped, match="is no moment") as stopped:
        words.moment(text)
    assert stopped.value.code == USAGE and "15m" in stopped.value.todo


def test_times_are_shown_in_the_zone_of_whoever_reads_them(amsterdam: None) -> None:
    assert local("2026-09-01T09:05:00.000Z") == "2026-09-01 11:05:00"
    assert local("2026-12-01T09:05:00.000Z", zone=True) == "2026-12-01 10:05:00 CET"
    assert local(None) == "–" and local("soon\x1b[2J") == "soon\\x1b[2J"


def test_settings_are_read_as_their_schema_wants_them() -> None:
    properties = {
        "region": {"type": "string"},
        "own_system": {"type": "boolean"},
        "rate_limit": {"type": "integer"},
        "addresses": {"type": "array", "items": {"type": "string"}},
        "ref_scopes": {"type": "object"},
    }
    given = [
        "region=NL",
        "own_system=yes",
        "rate_limit=25",
        "addresses=a@x.nl, b@x.nl",
        'ref_scopes={"order": "con_1"}',
    ]
    assert words.settings([*given, "url=https://x/?a=b", "account="], properties) == {
        "region": "NL",
        "own_system": True,
        "rate_limit": 25,
        "addresses": ["a@x.nl", "b@x.nl"],
        "ref_scopes": {"order": "con_1"},
        "url": "https://x/?a=b",
        "account": None,
    }
    assert words.settings(["rate_limit=many", "own_system=perhaps"], properties) == {
        "rate_limit": "many",
        "own_system": "perhaps",
    }
    with pytest.raises(Stopped, match="no name and value"):
        words.settings(["region"], properties)


def test_secrets_come_from_files_the_environment_the_prompt_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from a file\r\n")
    (tmp_path / "pem").write_text("-----BEGIN\nabc\n-----END\n\n")
    monkeypatch.setenv("TILL_SECRET", "from the environment")
    sources = [f"token=file:{tmp_path}/token", "token=env:TILL_SECRET", f"key=file:{tmp_path}/pem"]
    found = words.Secrets(io.StringIO("one\ntwo\n")).read(["first", "second"], sources)
    assert found == {
        "token": ["from a file", "from the environment"],
        "key": "-----BEGIN\nabc\n-----END\n",
        "first": "one",
        "second": "two",
    }
    asked: list[str] = []
    prompted = words.Secrets(Terminal(), lambda prompt: asked.append(prompt) or "typed")
    assert prompted.read(["password"], []) == {"password": "typed"} and asked == ["password: "]


@pytest.mark.parametrize(
    ("names", "sources", "wrong"),
    [
        (["token=hush-1"], [], "seen by everybody"),
        ([], ["token=hush-1"], "from where"),
        ([], ["token=env:NOT_SET_ANYWHERE"], "is empty"),
        ([], ["token=file:/nowhere/hush"], "cannot be read"),
        (["token"], [], "no value for token"),
    ],
)
def test_a_secret_that_is_missing_or_typed_openly_is_refused(names: list[str], sources: list[str], wrong: str) -> None:
    with pytest.raises(Stopped, match=wrong) as stopped:
        words.Secrets(io.StringIO("")).read(names, sources)
    assert stopped.value.code == USAGE and "hush-1" not in stopped.value.wrong + stopped.value.todo


@pytest.mark.parametrize(
    ("pointer", "option"),
    [
        ("/settings/url", "--setting url=…"),
        ("/secrets/token/0", "--secret-from token=file:… (or env:…)"),
        ("/since", "--since …"),
        ("/scopes/1", "--scope …"),
        ("/elsewhere", ""),
        ("", ""),
    ],
)
def test_a_field_that_the_api_names_is_an_option_here(pointer: str, option: str) -> None:
    assert api.option_of(pointer) == option


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://hub", "http://", "https://me:hush@hub", "https://hub/?key=hush", "https://hub/#hush"],
)
def test_an_address_that_is_none_is_refused_and_what_is_secret_in_it_not_repeated(url: str) -> None:
    with pytest.raises(Stopped) as stopped:
        api.address(url)
    assert stopped.value.code == USAGE and "hush" not in stopped.value.wrong + stopped.value.todo


def test_the_address_and_the_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRAAD_URL", "DRAAD_KEY", "DRAAD_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert api.address(None) == "http://127.0.0.1:8000" and api.key() == ""
    monkeypatch.setenv("DRAAD_URL", "https://hub.example/prod/")
    monkeypatch.setenv("DRAAD_ADMIN_KEY", "draad_admin")
    assert api.address(None) == "https://hub.example/prod" and api.key() == "draad_admin"
    monkeypatch.setenv("DRAAD_KEY", " draad_mine\n")
    assert api.address("http://other:1") == "http://other:1" and api.key() == "draad_mine"
    monkeypatch.setenv("DRAAD_KEY", "draad\r\nX-Other: 1")
    with pytest.raises(Stopped, match="letters that no key has"):
        api.key()
    assert api.in_the_clear("http://hub.example") and not api.in_the_clear("http://localhost:1")
    assert not api.in_the_clear("https://hub.example")


def test_what_others_wrote_does_not_steer_the_terminal() -> None:
    assert clean("a\x1b]0;title\x07b\r\nc\x9b2J\u202eevil\x00") == "a\\x1b]0;title\\x07b\\x0d c\\x9b2J\\x202eevil\\x00"
    assert clean("Renée 日本 👩‍👩‍👧 naïef") == "Renée 日本 👩‍👩‍👧 naïef"
    assert said({"a": "\x1b[2J", "b": None, "c": 1}) == "a \\x1b[2J, c 1"
    assert said([{"a": "\x1b[2J"}]) == '[{"a": "\\u001b[2J"}]'


def test_a_field_that_is_a_moment_is_shown_as_one(amsterdam: None) -> None:
    at = "2026-09-01T09:05:00.000Z"
    assert told("due_at", at) == told("at", at) == told("erased_up_to", at) == "2026-09-01 11:05:00 CEST"
    assert said({"at": at, "text": "x"}) == "at 2026-09-01 11:05:00 CEST, text x"
    assert told("text", at) == at and told("due_at", None) == "–"


@pytest.mark.parametrize("width", [30, 60, 100])
def test_what_is_long_goes_on_under_itself_and_an_id_stays_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = io.StringIO()
    Screen(out=out).fields({"id": ID, "about": "a word " * 30, "on": "yes"})
    lines = out.getvalue().splitlines()
    assert lines[0] == f"id     {ID}" and lines[-1] == "on     yes"
    assert all(len(line) <= max(width, 31) for line in lines[1:])
    assert [line[:7].strip() for line in lines[1:-1]] == ["about", *[""] * (len(lines) - 3)]
    assert " ".join("".join(line[7:].strip() + " " for line in lines[1:-1]).split()) == ("a word " * 30).strip()


@given(st.text(), st.integers(1, 40))
def test_a_cell_is_exactly_as_wide_as_it_must_be(text: str, width: int) -> None:
    assert wcwidth.width(cell(clean(text), width)) == width


COLUMNS = [Column("when", 19), Column("name"), Column("reason"), Column("id", key=True)]
ID = "rcp_" + "x" * 60
ROWS = [["2026-09-01 11:05:00", "日本 shop", "a long reason " * 6, ID], ["2026-09-01 11:06:00", "till", "", ID]]


def shown(width: int, monkeypatch: pytest.MonkeyPatch, out: io.StringIO) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    Screen(out=out).table(COLUMNS, ROWS)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_table_fits_the_terminal_and_cuts_no_id(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, monkeypatch, io.StringIO())
    assert all(wcwidth.width(line) <= width for line in lines if ID not in line)
    assert sum(ID in line for line in lines) == 2
    alone = [line for line in lines if line.strip() == ID]
    assert len(alone) == (0 if len(lines) == 3 else 2)
    assert sum(line.startswith("2026-0") for line in lines) == 2


def test_the_columns_of_a_table_stand_under_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(200, monkeypatch, io.StringIO())
    places = [
        wcwidth.width(line.partition(mark)[0]) for line, mark in zip(lines, ["NAME", "日本", "till"], strict=True)
    ]
    assert places == [21, 21, 21]
    assert len({wcwidth.width(line.partition(mark)[0]) for line, mark in zip(lines, ["ID", ID, ID], strict=True)}) == 1


def test_a_pipe_gets_whole_lines_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()
    Screen(out=out).table(COLUMNS, ROWS)
    assert len(out.getvalue().splitlines()) == 3 and "…" not in out.getvalue() and "\x1b" not in out.getvalue()
    empty = io.StringIO()
    Screen(out=empty).table(COLUMNS, [], "no receipt")
    assert empty.getvalue() == "no receipt\n"


@pytest.mark.parametrize(
    ("variable", "value", "coloured"), [("X", "1", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)]
)
def test_colours_are_for_terminals_that_want_them(
    variable: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv(variable, value)
    out = Terminal()
    Screen(out=out).table([Column("verdict")], [["accepted"], ["failed"]])
    assert bool(ESCAPES.search(out.getvalue())) is coloured
    assert ESCAPES.sub("", out.getvalue()).split() == ["VERDICT", "accepted", "failed"]


def test_a_time_is_cut_last() -> None:
    columns, rows = [Column("when", 19), Column("why")], [["2026-09-01 11:05:00", "because of this and that"]]
    assert widths(columns, rows, 60) == [19, 24]
    assert widths(columns, rows, 30) == [19, 9]
    assert widths(columns, rows, 20) == [12, 6]


@given(st.lists(st.lists(st.text("abc日", max_size=50), min_size=3, max_size=3), max_size=5), st.integers(20, 100))
def test_columns_give_way_until_all_fit(rows: list[list[str]], room: int) -> None:
    found = widths([Column("one"), Column("two"), Column("three")], rows, room)
    assert sum(found) + 4 <= max(room, 22)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(out: Any, steps: list[tuple[float, int, int | None]]) -> str:
    clock = Clock()
    shown = Progress("backfill", out, clock)
    for seconds, done, total in steps:
        clock.now = 100.0 + seconds
        shown.show(done, total)
    shown.close()
    return str(out.getvalue())


def test_a_bar_grows_on_one_line_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    text = drawn(Terminal(), [(0, 0, 300), (10, 120, 300), (25, 300, 300)])
    assert text.count("\n") == 1 and text.endswith("\n")
    steps = text.split("\r\x1b[2K")[1:]
    assert [step.count("█") for step in steps] == [0, 9, 24]
    assert "120 of 300 (40%), 12.0 /s, 15 s left" in steps[1] and "300 of 300 (100%)" in steps[2]
    assert all(wcwidth.width(step.strip()) < 100 for step in steps)


def test_work_whose_end_nobody_knows_shows_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    steps = drawn(Terminal(), [(0, 0, None), (1, 5, None), (2, 10, None)]).split("\r\x1b[2K")[1:]
    assert len({step.partition("  ")[2][:24] for step in steps}) == 3
    assert "10 done, 5.0 /s" in steps[2] and "%" not in steps[2]


def test_a_log_gets_a_line_now_and_then() -> None:
    text = drawn(io.StringIO(), [(second, second, 60) for second in range(36)])
    assert text.splitlines() == [
        "backfill  10 of 60 (16%), 1.0 /s, 50 s left",
        "backfill  20 of 60 (33%), 1.0 /s, 40 s left",
        "backfill  30 of 60 (50%), 1.0 /s, 30 s left",
    ]


@given(st.integers(0, 10**6), st.one_of(st.none(), st.integers(0, 10**6)), st.integers(0, 500))
def test_a_bar_is_always_as_long(done: int, total: int | None, turn: int) -> None:
    assert len(progress.bar(done, total, turn)) == progress.CELLS
