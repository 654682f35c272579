"""A real CRM on loopback, with its own database file, and the people who work in it by its own API."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from infra.local.embedded import free_port
from tests.drive import eventually

DATABASE, ADMIN = "tc", "admin"
HUB, AGENT = "hub", "fatima"
SETTINGS = """[database]
uri = sqlite://
path = {folder}
[web]
listen = 127.0.0.1:{port}
[attachment]
retention_days = 0
store_prefix = letters
"""
ALSO_INACTIVE = ["active", "in", [True, False]]

Row = dict[str, Any]


class Crm:
    """Entered again after it was left or killed, it is the same CRM on the same database, started again."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.programs = folder, python.parent
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self._settings, secret = folder / "settings", folder / "secret"
        self._settings.write_text(SETTINGS.format(folder=folder, port=self.port), "utf-8")
        secret.write_text(password(ADMIN), "utf-8")
        (folder / f"{DATABASE}.sqlite").touch()
        modules = ["-u", "party", "--activate-dependencies", "--email", "admin@tc.example"]
        env = os.environ | {"TRYTONPASSFILE": str(secret)}
        done = subprocess.run(
            [*self._command("trytond-admin"), *modules], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def _command(self, program: str) -> list[str]:
        return [str(self.programs / program), "-c", str(self._settings), "-d", DATABASE]

    def __enter__(self) -> Crm:
        self._output = self.log.open("ab")
        self._child = subprocess.Popen(self._command("trytond"), stdout=self._output, stderr=subprocess.STDOUT)
        eventually(self._answers)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._child.terminate()
        self._child.wait(timeout=30)
        self._output.close()

    def kill(self) -> None:
        """It has no time for anything: what it had in hand is cut off."""
        self._child.kill()
        self._child.wait(timeout=30)
        self._output.close()

    def _answers(self) -> bool:
        assert self._child.poll() is None, self.log.read_text("utf-8", "replace")[-3000:]
        asked = {"id": 0, "method": "common.server.version", "params": []}
        try:
            return requests.post(f"{self.url}/rpc/", json=asked, timeout=5).ok
        except requests.ConnectionError:
            return False

    def furnish(self) -> None:
        """The hub's user and an agent, as the destination's setup says."""
        admin = Colleague(self, ADMIN)
        groups = admin.found("res.group", [["name", "=", "Party Administration"]], active=False)
        for name in (HUB, AGENT):
            rights = [["add", [each["id"] for each in groups]]]
            admin.make("res.user", name=name, login=name, password=password(name), groups=rights)

    def sweep_files(self) -> None:
        """Its own cleaner of attachments that were deleted, which comes once a month, comes now."""
        admin = Colleague(self, ADMIN)
        (job,) = admin.found("ir.cron", [["method", "=", "ir.filestore.queue|remove"]])
        admin.call("model.ir.cron.run_once", [job["id"]])

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """As they lie in the database, whether it runs or not."""
        path = f"file:{self.folder / DATABASE}.sqlite?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as database:
            return list(database.execute(f'SELECT * FROM "{table}"'))

    def rows_with(self, values: Iterable[str]) -> Iterator[str]:
        """`table: value` of every row of every table, history tables too, that has one of the values."""
        wanted = [each.lower() for each in values]
        for _, table, *_ in [row for row in self.rows("sqlite_master") if row[0] == "table"]:
            shown = " ".join(map(repr, self.rows(table))).lower()
            yield from (f"{table}: {each}" for each in wanted if each in shown)

    def compact(self) -> None:
        """What whoever runs the database does once in a while: until then erased bytes may lie in its free pages."""
        with closing(sqlite3.connect(self.folder / f"{DATABASE}.sqlite")) as database:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def files_with(self, values: Iterable[str]) -> Iterator[str]:
        """`file: value` of every file of the CRM whose bytes hold one of the values."""
        wanted = [each.lower().encode() for each in values]
        for path in sorted(each for each in self.folder.rglob("*") if each.is_file()):
            raw = path.read_bytes().lower()
            yield from (f"{path.name}: {each.decode()}" for each in wanted if each in raw)


class Colleague:
    """Somebody with a login, by JSON-RPC as its documentation has it: none of the hub's code."""

    def __init__(self, crm: Crm, login: str = AGENT) -> None:
        self.url = f"{crm.url}/{DATABASE}/rpc/"
        asked = {"id": 0, "method": "common.db.login", "params": [login, {"password": password(login)}]}
        user, session, *_ = requests.post(self.url, json=asked, timeout=60).json()["result"]
        whole = base64.b64encode(f"{login}:{user}:{session}".encode()).decode()
        self.headers = {"Authorization": f"Session {whole}"}

    def call(self, method: str, *params: Any) -> Any:
        asked = {"id": 1, "method": method, "params": [*params, {}]}
        answer = requests.post(self.url, json=asked, headers=self.headers, timeout=60)
        assert answer.ok, (method, answer.status_code)
        told = answer.json()
        assert "result" in told, (method, told)
        return told["result"]

    def found(self, model: str, wanted: list[Any], *names: str, active: bool = True) -> list[Row]:
        """`active`: whether the model knows records that are out of use; then those too."""
        domain = [*wanted, ALSO_INACTIVE] if active else wanted
        rows: list[Row] = self.call(f"model.{model}.search_read", domain, 0, 1000, None, ["id", *names])
        return rows

    def make(self, model: str, **values: Any) -> int:
        return int(self.call(f"model.{model}.create", [values])[0])

    def party(self, name: str, mail: str, phone: str = "") -> int:
        """As an agent enters somebody by hand."""
        ways = [{"type": kind, "value": value} for kind, value in (("email", mail), ("mobile", phone)) if value]
        return self.make("party.party", name=name, contact_mechanisms=[["create", ways]])

    def note(self, party: int, words: str) -> int:
        return self.make("ir.note", resource=f"party.party,{party}", message=words)

    def replace(self, party: int, by: int) -> None:
        """Her own judgement that the two are one."""
        (session, *_) = self.call("wizard.party.replace.create")
        self.call("wizard.party.replace.execute", session, {"ask": {"source": party, "destination": by}}, "replace")

    def holders(self, *ids: str) -> list[int]:
        """Parties by the hub's customer ids."""
        return sorted({row["party"] for row in self.found("party.identifier", [["code", "in", list(ids)]], "party")})

    def shown(self, party: int) -> Row:
        (row,) = self.found("party.party", [["id", "=", party]], "name", "active", "replaced_by")
        return row

    def ways(self, party: int) -> list[str]:
        """Numbers and addresses, as they are compared."""
        rows = self.found("party.contact_mechanism", [["party", "=", party]], "value", "value_compact")
        return sorted(row["value_compact"] or row["value"] for row in rows)

    def notes(self, party: int) -> list[str]:
        rows = self.found("ir.note", [["resource", "=", f"party.party,{party}"]], "message", active=False)
        return [row["message"] for row in rows]

    def events(self, *parties: int) -> list[str]:
        """The hub's event ids in the last lines of notes; one that is there twice, twice."""
        last = [words.rsplit("\n", 1)[-1] for party in parties for words in self.notes(party)]
        return [each.removeprefix("draad:") for each in last if each.startswith("draad:")]


def password(login: str) -> str:
    return f"{login}-correct-horse"
