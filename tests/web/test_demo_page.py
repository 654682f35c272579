"""The demo's customer on the timeline page, filling up while the demo runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.local.hub import Hub
from tests.drive import Integrator, eventually
from tests.infra.test_demo import steps
from tests.web.browser import Visit, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parent.parent.parent
NAMED = re.compile(r"customer .*?(\+31\d+),")


@pytest.fixture
def who(hub: Hub) -> Iterator[Integrator]:
    """A hub without connections, and without any again afterwards."""
    found = Integrator(hub.url, hub.admin_key)
    for _ in range(2):
        for each in found.get("/v1/connections")["connections"]:
            found.call("DELETE", f"/v1/connections/{each['id']}")
        if not _:
            yield found


def demo(hub: Hub) -> subprocess.Popen[str]:
    env = dict(os.environ) | {"DRAAD_URL": hub.url, "DRAAD_ADMIN_KEY": hub.admin_key}
    command = [sys.executable, "-u", "-m", "infra.demo"]
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def open_early(seen: Visit, who: Integrator, phone: str) -> int:
    """The page of the demo's customer as soon as he is somebody; the entries that it has then."""
    customer = eventually(lambda: who.customer(f"phone:{phone}"))
    link = who.call("POST", "/v1/magic-links", 201, json={"customer": customer["id"]})["url"]
    seen.page.goto(link)
    seen.page.wait_for_selector("#entries article")
    return seen.page.locator("#entries article").count()


def test_the_page_fills_by_itself_while_the_demo_runs(browser: Browser, hub: Hub, who: Integrator) -> None:
    with demo(hub) as playing, visit(browser, hub.url, locale="en-GB") as seen:
        assert playing.stdout
        named = next(found for line in playing.stdout if (found := NAMED.search(line)))
        early = open_early(seen, who, named[1])
        said = playing.stdout.read()
        assert playing.wait(120) == 0, said
        facts = sum(each.facts for each in steps())
        assert early < facts, "it was opened while the demo ran"
        eventually(lambda: seen.page.locator("#entries article").count() == facts, 30)
        assert seen.wrong == []
