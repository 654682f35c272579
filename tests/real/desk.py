"""A real help desk on loopback: customers by its public pages, agents by its own API."""

from __future__ import annotations

import os
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import requests

from infra.local.embedded import free_port
from tests.drive import eventually

SITE = Path(__file__).with_name("desk_site.py")


class Desk:
    """Entered again after it was left, it is the same desk, started again."""

    def __init__(self, folder: Path, python: Path, webhook: str) -> None:
        self.folder, self.python = folder, python
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        told = dict.fromkeys(("HELPDESK_NEW_TICKET_WEBHOOK_URLS", "HELPDESK_FOLLOWUP_WEBHOOK_URLS"), webhook)
        self.env = os.environ | told | {"DESK_FOLDER": str(folder), "PYTHONUNBUFFERED": "1"}
        self.log = folder / "log"
        for step in (["migrate", "-v0"], ["furnish"]):
            done = subprocess.run(self._command(*step), env=self.env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3000:]

    def _command(self, *words: str) -> list[str]:
        return [str(self.python), str(SITE), *words]

    def __enter__(self) -> Desk:
        self._output = self.log.open("ab")
        serve = self._command("runserver", "--noreload", f"127.0.0.1:{self.port}")
        self._child = subprocess.Popen(serve, env=self.env, stdout=self._output, stderr=subprocess.STDOUT)
        eventually(self._answers)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._child.terminate()
        self._child.wait(timeout=30)
        self._output.close()

    def _answers(self) -> bool:
        assert self._child.poll() is None, self.log.read_text("utf-8", "replace")[-3000:]
        try:
            return requests.get(f"{self.url}/tickets/submit/", timeout=5).ok
        except requests.ConnectionError:
            return False

    def form(self, **filled: str) -> str:
        """The address of the public form with fields filled in, as a link in a chat carries it."""
        return f"{self.url}/tickets/submit/?{urlencode(filled)}"

    def ask(self, form: str, **typed: str) -> Ticket:
        """What somebody without an account does: open the form, type, send it and look at the ticket's page."""
        with requests.Session() as browser:
            page = browser.get(form, timeout=60)
            fields = Fields(page.text).found
            fields |= {"queue": "1", **typed} | (
                {"body": f"{typed['body']}\n{fields['body']}"} if "body" in typed else {}
            )
            shown = browser.post(form, data=fields, timeout=60)
            assert shown.ok and "/view/?ticket=" in shown.url, shown.text
        return Ticket(int(shown.url.partition("ticket=questions-")[2].partition("&")[0]), shown.url)

    def call(self, agent: str, method: str, path: str, body: dict[str, Any]) -> int:
        """By the desk's API; the number of what was made or changed."""
        url, who = f"{self.url}/api/{path}/", (agent, f"{agent}-password")
        answer = requests.request(method, url, json=body, auth=who, timeout=60)
        assert answer.ok, (path, answer.status_code, answer.text[:2000])
        return int(answer.json()["id"])

    def record(self, agent: str, mail: str, title: str, body: str) -> int:
        """A ticket that an agent opens at the counter for somebody who stands there."""
        asked = {"queue": 2, "title": title, "description": body, "submitter_email": mail, "priority": 3}
        return self.call(agent, "POST", "tickets", asked)

    def reply(self, agent: str, ticket: int, words: str, public: bool = True, status: int | None = None) -> int:
        asked = {"ticket": ticket, "comment": words, "public": public} | ({"new_status": status} if status else {})
        return self.call(agent, "POST", "followups", asked)

    def correct(self, agent: str, followup: int, words: str) -> None:
        """It stays the same follow-up, and no webhook tells."""
        self.call(agent, "PATCH", f"followups/{followup}", {"comment": words})

    def move(self, agent: str, ticket: int, queue: int) -> None:
        self.call(agent, "PATCH", f"tickets/{ticket}", {"queue": queue})


class Ticket:
    def __init__(self, number: int, page: str) -> None:
        self.number, self.page = number, page

    def accept(self) -> None:
        """The link by which the customer says that it is solved."""
        answer = requests.get(f"{self.page}&close", timeout=60, allow_redirects=False)
        assert answer.status_code == 302, answer.text


class Fields(HTMLParser):
    """What a form would send if nothing were typed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._select = self._area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "input" and told.get("name") and told.get("type") != "file":
            self.found[told["name"]] = told.get("value", "")
        elif tag == "select":
            self._select = told.get("name", "")
        elif tag == "option" and "selected" in told:
            self.found[self._select] = told.get("value", "")
        elif tag == "textarea":
            self._area = told.get("name", "")
            self.found[self._area] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.found[self._area] = self.found[self._area].removeprefix("\n").removeprefix("\r\n")
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.found[self._area] += data
