"""The tables for admins and integrators say what the code says, and each reason of /health has its runbook."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chalicelib import errors, settings
from chalicelib.api import deliveries, receipts
from chalicelib.api.settings import BOUNDS, SETTINGS
from chalicelib.fanout import reconcile
from chalicelib.kit.signatures import untimely
from chalicelib.model.connection import DISABLED, PAUSED, UNAUTHORIZED
from chalicelib.store import connections, keys, queues
from chalicelib.store.organisation import Organisation
from infra.local.embedded import hub_env
from tests.api.client import Api, key_with
from tests.docs.markdown import DOCS, ROOT, headings, prose, rows

OPERATE, INTEGRATORS = DOCS / "operate.md", DOCS / "integrators.md"
HOLE = "…"


def named(page_rows: list[list[str]]) -> list[str]:
    """What stands in code marks in the first cells."""
    return [re.sub(r"`", "", row[0]) for row in page_rows]


def test_the_settings_of_a_stage() -> None:
    source = (ROOT / "chalicelib" / "settings.py").read_text("utf-8")
    read = set(re.findall(r'(?:env\.get\(\s*|env, )"(\w+)"', source)) - {"AWS_DEFAULT_REGION"}
    table = {re.sub("`", "", row[0]): row for row in rows(OPERATE, "Settings of a stage")}
    assert set(table) == read
    found = settings.read({})
    for name in ("stage", "table", "bucket", "key_alias", "pepper"):
        assert table[f"DRAAD_{name.upper()}"][1] == f"`{getattr(found, name)}`"
    assert table["AWS_REGION"][1] == f"`{found.region}`"
    for name, default, least, most in re.findall(r'_whole\(env, "(\w+)", (\d+), "\w+", (\d+), (\d+)\)', source):
        assert table[name][1] == default and f"{least} to {most}" in table[name][2], name


def test_the_settings_of_the_organisation() -> None:
    table = {re.sub("`", "", row[0]): row for row in rows(OPERATE, "Settings of the organisation")}
    assert set(SETTINGS) <= set(table)
    defaults = msgspec.to_builtins(Organisation()) | {name: getattr(Organisation(), name) for name in SETTINGS}
    for name in SETTINGS:
        default = defaults[name]
        shown = (
            "none" if default in ((), {}, "") else ", ".join(default) if isinstance(default, tuple) else str(default)
        )
        assert table[name][1].replace("`", "") == shown, name
        if name in BOUNDS and BOUNDS[name][0]:
            assert "{} to {}".format(*BOUNDS[name]) in table[name][2], name


def test_the_outputs_of_the_stack() -> None:
    table = {re.sub("`", "", row[0]): re.sub("`", "", row[1]) for row in rows(OPERATE, "Deploy")}
    env = hub_env("prod", {name: f"output {name}" for name in table})
    assert {variable: f"output {output}" for output, variable in table.items()} | {"DRAAD_STAGE": "prod"} == env


@pytest.mark.parametrize(
    ("page", "heading", "known"),
    [
        (OPERATE, "Keys", keys.SCOPES),
        (INTEGRATORS, "What each verdict means", receipts.VERDICTS),
        (INTEGRATORS, "Keep a system informed", deliveries.STATUSES),
        (
            OPERATE,
            "Reconcile",
            (reconcile.MISSING, reconcile.GONE, reconcile.DIFFERS, reconcile.ASTRAY, reconcile.EXTRA),
        ),
    ],
)
def test_closed_sets_are_whole(page: Path, heading: str, known: tuple[str, ...]) -> None:
    assert sorted(named(rows(page, heading))) == sorted(known)


def test_the_answers_of_the_api() -> None:
    refused = {each.status for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "status")}
    shown = {int(status) for status in named(rows(INTEGRATORS, "What each API answer means"))}
    unused = {400, 413, 415}  # the root of the tree, and of hooks alone
    assert refused - unused | {500, 503} <= shown


def test_refusals_are_those_of_the_code() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "chalicelib").rglob("*.py"))
    now = "2026-09-01T12:00:00.000Z"
    code += f"\n{untimely('1', 's', 300, now)}\n{untimely('9999999999', 's', 300, now)}"
    shown = named(rows(INTEGRATORS, "What each refusal means"))
    assert len(shown) > 5
    for reason in shown:
        assert re.search(r"[^\n]{1,40}".join(map(re.escape, reason.split(HOLE))), code), reason


def reasons() -> Iterator[str]:
    """Of /health, as its code writes them; … where something is filled in."""
    tree = ast.parse((ROOT / "chalicelib" / "api" / "health.py").read_text("utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = re.sub(r"\{\w+\}", HOLE, node.value)
        if HOLE in text and ": " in text:
            yield text.partition(": ")[0]


def pattern(text: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, text.split(HOLE))))


def test_every_reason_of_health_has_a_runbook() -> None:
    found = list(reasons())
    assert len(found) >= 2
    known = headings(OPERATE)
    for reason in found:
        assert any(pattern(reason).fullmatch(each) for each in known), f"docs/operate.md has no runbook for: {reason}"


@pytest.mark.parametrize("status", [PAUSED, UNAUTHORIZED, DISABLED])
def test_a_stopped_connection_leads_to_its_runbook(memory_aws: dict[str, str], status: str) -> None:
    api = Api(key_with("admin"))
    made = connections.get(api.table, api.connect()["id"])
    assert made
    connections.save(api.table, msgspec.structs.replace(made, status=status, ver=made.ver + 1))
    assert _runbook(api.get("/health")["reasons"]) == [f"connection … is {status}"]


def test_dead_letters_lead_to_their_runbook(memory_aws: dict[str, str]) -> None:
    for name in (queues.INBOX, queues.DELIVERIES, queues.JOBS):
        queues.send(f"{name}-dlq", "dead")
    assert _runbook(Api(key_with("admin")).get("/health")["reasons"]) == ["… dead letters in …"] * 3


def _runbook(told: list[str]) -> list[str]:
    known = [each for each in headings(OPERATE) if HOLE in each]
    return [each for reason in told for each in known if pattern(each).fullmatch(reason.partition(": ")[0])]


def test_runbooks_have_all_their_parts() -> None:
    text = prose(OPERATE).partition("## Runbooks")[2].partition("\n## ")[0]
    for book in text.split("\n### ")[1:]:
        title, _, body = book.partition("\n")
        for part in ("Symptom", "Meaning", "Look", "Cure", "Over"):
            assert f"**{part}.**" in body, f"{title}: {part}"


def test_every_alert_has_a_runbook() -> None:
    """Those of connections that stop by themselves."""
    source = (ROOT / "chalicelib" / "fanout" / "deliver.py").read_text("utf-8")
    told = set(re.findall(r"_stop\(table, connection, (\w+), ", source))
    assert told == {"UNAUTHORIZED", "DISABLED"}
    assert [row[0] for row in rows(OPERATE, "Alerts")] == ["`status: unauthorized`", "`status: disabled`"]


def test_what_is_not_there_yet_is_not_there() -> None:
    """Whoever adds it rewrites the page. Runbooks of alarms: tests/infra/test_template.py."""
    missing = prose(OPERATE).partition("What is **not** there yet: ")[2].partition("\n\n")[0]
    template = (ROOT / "infra" / "template.yaml").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert ("alarms" in missing) == ("AWS::CloudWatch::Alarm" not in template)
    assert ("a dashboard" in missing) == ("AWS::CloudWatch::Dashboard" not in template)
    assert ("a deployment in one step" in missing) == ("\ndeploy:" not in makefile)
