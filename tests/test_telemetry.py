"""What is logged, when even that goes wrong."""

from __future__ import annotations

import io
import logging

import pytest

from chalicelib import telemetry
from chalicelib.api import answers


def fails() -> None:
    raise KeyError("marieke.plant@example.nl")


@pytest.fixture
def closed_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads it any more: what is written there fails."""
    telemetry.note("made")
    closed = io.StringIO()
    closed.close()
    (handler,) = logging.getLogger("draad").handlers
    monkeypatch.setattr(handler, "stream", closed)


def test_a_log_that_cannot_be_written_tells_nobody_what_it_was_about(
    closed_log: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python prints why a line could not be written, and with it the mistake that was being logged."""
    assert answers.guarded(fails).status_code == 500  # type: ignore[arg-type]
    out, err = capfd.readouterr()
    assert "marieke" not in out + err
