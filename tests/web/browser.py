"""A headless Chromium that says everything that went wrong in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "Chromium is not installed: install it (Debian: apt-get install chromium), or name one with DRAAD_CHROMIUM"
REPORT = (
    "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))"
)
SIZES = {"desk": (1280, 900), "phone": (360, 740)}


def chromium() -> str:
    """The installed browser. Without one tests are skipped, unless DRAAD_BROWSER=1 asks for them."""
    found = os.environ.get("DRAAD_CHROMIUM") or shutil.which("chromium")
    if found and Path(found).exists():
        return found
    if os.environ.get("DRAAD_BROWSER") == "1":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@contextmanager
def launched() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as tools:
        running = tools.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@dataclass
class Visit:
    """A tab of its own. `wrong`: console errors and warnings, exceptions, policy violations, and requests elsewhere."""

    page: Page
    context: BrowserContext
    origin: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda sent: self._elsewhere(sent.url))

    def _elsewhere(self, url: str) -> None:
        if not url.startswith(self.origin + "/"):
            self.wrong.append(f"request to {url}")

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def wide(self) -> int:
        """By how many pixels the page is wider than its window."""
        found: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return found


@contextmanager
def visit(browser: Browser, origin: str, size: str = "desk", **options: Any) -> Iterator[Visit]:
    width, height = SIZES[size]
    settings: dict[str, Any] = {"locale": "nl-NL", "timezone_id": "Europe/Amsterdam", "color_scheme": "light"}
    context = browser.new_context(viewport={"width": width, "height": height}, **settings | options)
    context.add_init_script(REPORT)
    found = Visit(context.new_page(), context, origin)
    yield found
    context.close()
