"""The command line in this process, against a hub whose answers a test writes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.cli.__main__ import main
from tests.standins.server import Answer, Call, Standin

Said = Answer | Callable[[Call], Answer]


class Scripted(Standin):
    """Answers what a test wrote for a method and a path: in turn, the last of them again and again."""

    script: dict[tuple[str, str], list[Said]]

    def reset(self) -> None:
        self.script = {}

    def state(self) -> Any:
        return [f"{call.method} {call.path}" for call in self.calls]

    def say(self, method: str, path: str, *answers: Said | Mapping[str, Any]) -> None:
        said = [each if isinstance(each, Answer) or callable(each) else Answer(body=dict(each)) for each in answers]
        self.script[method, path] = said

    def answer(self, call: Call) -> Answer:
        left = self.script.get((call.method, call.path))
        if not left:
            return problem(404, "Not found", f"nothing is written for {call.method} {call.path}")
        said = left.pop(0) if len(left) > 1 else left[0]
        return said if isinstance(said, Answer) else said(call)

    def asked(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if (call.method, call.path) == (method, path)]


def problem(status: int, title: str, detail: str = "", errors: Sequence[Mapping[str, str]] = (), **head: str) -> Answer:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Answer(status, body | ({"errors": list(errors)} if errors else {}), head)


@dataclass
class Typed:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Shell:
    """`slept`: what the command would have waited; nothing waits here."""

    hub: Scripted
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    slept: list[float] = field(default_factory=list)
    waking: Callable[[], None] = lambda: None

    def run(self, *words: str, keyboard: str | io.StringIO = "") -> Typed:
        self.capsys.readouterr()
        typed = io.StringIO(keyboard) if isinstance(keyboard, str) else keyboard
        self.monkeypatch.setattr("sys.stdin", typed)
        try:
            code = main(list(words), self.sleep)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Typed(code, *self.capsys.readouterr())

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.waking()


def shell_at(hub: Scripted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("DRAAD_KEY", "DRAAD_ADMIN_KEY", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAAD_URL", hub.url)
    monkeypatch.setenv("DRAAD_KEY", "draad_key")
    return Shell(hub, capsys, monkeypatch)
