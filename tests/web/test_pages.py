"""The pages as HTTP sees them: headers, media types, caching, and that they load nothing from elsewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chalicelib.api import pages, providers
from chalicelib.errors import StorageUnavailable
from chalicelib.settings import read
from tests.api.client import Answer, Api

ROOT = Path(__file__).parent.parent.parent
WEB = ROOT / "chalicelib" / "web"
FILES = sorted(path for path in WEB.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
CUSTOMER = "/customers/cus_1795470033451kd2q53j23eofkcdi2jgfkmahfi"
CONSOLE, DOCS = "/console", "/docs"
PAGES = {CUSTOMER: ("timeline.html", "../"), CONSOLE: ("console.html", ""), DOCS: ("docs.html", "")}
"""Path → its file, and the way from it to the stage's root."""
SCRIPT_OF = {"timeline.html": "timeline.js", "console.html": "console.js", "docs.html": "docs.js"}
STYLES_OF = {
    "timeline.html": {"style.css"},
    "console.html": {"style.css", "console.css"},
    "docs.html": {"style.css", "docs.css"},
}
HEAVIEST = 150_000
"""Bytes of a page's first load, without fonts: of those there are none."""
MUST = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
}


@pytest.fixture
def web() -> Iterator[Api]:
    """Without a key, and without an AWS: the frame of a page asks for neither."""
    yield Api("", table=None)


def asset(name: str, version: str = "") -> str:
    return f"/assets/{version or pages.version()}/{name}"


def assert_guarded(answer: Answer) -> None:
    assert set(answer.headers["Content-Security-Policy"].split("; ")) == MUST
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "camera=()" in answer.headers["Permissions-Policy"]


@pytest.mark.parametrize("paths", [(CUSTOMER, "/customers/x", "/customers/%3Cscript%3E"), (CONSOLE, CONSOLE + "?x=1")])
def test_the_page_is_the_same_for_everybody(web: Api, paths: tuple[str, ...]) -> None:
    answers = [web.send("GET", path) for path in paths]
    for answer in answers:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert_guarded(answer)
    assert len({answer.raw for answer in answers}) == 1


EMBED = f"/embed{CUSTOMER}"
CRM, DESK = "https://crm.example.nl", "https://desk.example:8443"


def framed_by(answer: Answer) -> str:
    (found,) = [each for each in answer.headers["Content-Security-Policy"].split("; ") if "frame-ancestors" in each]
    return found


def test_nobody_frames_the_embedded_page_until_the_settings_say_who(api: Api) -> None:
    answer = api.send("GET", EMBED, key="")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert_guarded(answer)
    api.call("PATCH", "/v1/settings", json_body={"frame_ancestors": [CRM, DESK]})
    opened = api.send("GET", EMBED, key="")
    assert opened.raw == answer.raw and b'data-place="embed"' in opened.raw
    assert framed_by(opened) == f"frame-ancestors {CRM} {DESK}"
    assert "X-Frame-Options" not in opened.headers, "it could only say nobody, or everybody"
    rest = set(opened.headers["Content-Security-Policy"].split("; ")) - {framed_by(opened)}
    assert rest == MUST - {"frame-ancestors 'none'"}
    assert opened.headers["Referrer-Policy"] == "no-referrer" and opened.headers["X-Content-Type-Options"] == "nosniff"
    api.call("PATCH", "/v1/settings", json_body={"frame_ancestors": []})
    assert_guarded(api.send("GET", EMBED, key=""))


def test_a_kept_copy_of_the_embedded_page_ends_with_its_list(api: Api) -> None:
    tag = api.send("GET", EMBED, key="").headers["ETag"]
    assert api.send("GET", EMBED, headers=[("If-None-Match", tag)], key="").status == 304
    api.call("PATCH", "/v1/settings", json_body={"frame_ancestors": [CRM]})
    again = api.send("GET", EMBED, headers=[("If-None-Match", tag)], key="")
    assert again.status == 200 and framed_by(again) == f"frame-ancestors {CRM}"


def test_only_the_embedded_page_may_be_framed(api: Api) -> None:
    api.call("PATCH", "/v1/settings", json_body={"frame_ancestors": [CRM]})
    for path in (CUSTOMER, asset("style.css"), asset("timeline.js")):
        assert_guarded(api.send("GET", path, key=""))


def test_without_its_table_the_embedded_page_is_no_page(web: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(table: object) -> None:
        raise StorageUnavailable("the table")

    monkeypatch.setattr(pages.organisation, "read", broken)
    answer = web.send("GET", EMBED)
    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")


def test_whatever_a_browser_accepts_it_gets_the_page(web: Api) -> None:
    for accept in ("text/html,application/xhtml+xml", "application/json", "image/png", "*/*"):
        assert web.send("GET", CUSTOMER, headers=[("Accept", accept)]).status == 200


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix != ".html"], ids=lambda path: path.name)
def test_each_file_comes_whole_and_may_be_kept(web: Api, path: Path) -> None:
    answer = web.send("GET", asset(path.name))
    assert (answer.status, answer.raw) == (200, path.read_bytes())
    assert answer.headers["Content-Type"] == pages.MEDIA_TYPES[path.suffix]
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert_guarded(answer)


@pytest.mark.parametrize("path", [*PAGES, "asset"])
def test_what_did_not_change_is_not_sent_again(web: Api, path: str) -> None:
    path = asset("style.css") if path == "asset" else path
    tag = web.send("GET", path).headers["ETag"]
    again = web.send("GET", path, headers=[("If-None-Match", tag)])
    assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", tag)
    assert web.send("GET", path, headers=[("If-None-Match", '"other"')]).status == 200


def test_a_page_from_before_a_deployment_gets_todays_file_and_does_not_keep_it(web: Api) -> None:
    answer = web.send("GET", asset("style.css", "old"))
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "name",
    ["none.js", "timeline.html", "..", "%2e%2e%2fsettings.py", "..%2f..%2fapp.py", "__init__.py", "%00", "a" * 3000],
)
def test_there_is_no_other_file(web: Api, name: str) -> None:
    answer = web.send("GET", asset(name))
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_the_version_is_that_of_every_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pages.version()
    changed = dict(pages.files()) | {"nl.js": pages.files()["nl.js"] + b"\n"}
    pages.version.cache_clear()
    monkeypatch.setattr(pages, "files", lambda: changed)
    assert pages.version() != before
    pages.version.cache_clear()


def loaded(script: str) -> set[str]:
    """A module and all that it imports at once, by name."""
    found, left = set[str](), [script]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += re.findall(r'from "\./([^"]+)"', (WEB / name).read_text("utf-8"))
    return found


LATER = {"decide.js", "handover.js"}
"""Loaded when somebody whose key may decide or hand over does so."""


def test_what_comes_later_is_asked_for_by_name() -> None:
    first = loaded("timeline.js")
    sources = [(WEB / name).read_text("utf-8") for name in first]
    asked = [name for source in sources for name in re.findall(r'=> import\("\./([^"]+)"\)', source)]
    assert set(asked) == LATER and not LATER & first


PLACED = PAGES | {f"/embed{CUSTOMER}": ("timeline.html", "../../")}


@pytest.mark.parametrize("path", PLACED)
def test_a_page_names_at_once_all_that_it_loads(api: Api, path: str) -> None:
    (name, up), html = PLACED[path], api.send("GET", path, key="").raw.decode()
    named = re.findall(r'<(?:link|script)[^>]*\s(?:href|src)="([^"]*)"', html)
    assert all(each.startswith(f"{up}assets/{pages.version()}/") for each in named), "relative, below any stage prefix"
    names = [each.rpartition("/")[2] for each in named]
    assert set(names) == loaded(SCRIPT_OF[name]) | STYLES_OF[name] | {"icon.svg"}, "one round trip for all modules"
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SCRIPT_OF)
def test_a_page_is_light(name: str) -> None:
    files = {name, "icon.svg"} | loaded(SCRIPT_OF[name]) | STYLES_OF[name]
    weight = sum((WEB / each).stat().st_size for each in files)
    print(f"{name} weighs {weight} bytes")
    assert weight < HEAVIEST


def test_each_file_belongs_to_a_page() -> None:
    views = {path.name for path in SCRIPTS if path.stem.startswith(pages.VIEW)}
    scripts = set().union(*(loaded(script) for script in [*SCRIPT_OF.values(), *LATER, *views]))
    assert scripts == {path.name for path in SCRIPTS}


def test_each_view_is_in_the_menu_and_the_page_knows_which_are_there(web: Api) -> None:
    views = {path.stem.removeprefix(pages.VIEW) for path in SCRIPTS if path.stem.startswith(pages.VIEW)}
    html = web.send("GET", CONSOLE).raw.decode()
    (told,) = re.findall(r'data-views="([^"]*)"', html)
    assert set(told.split()) == views
    entries = re.findall(r'name: "(\w+)", module: "\./view_(\w+)\.js"', (WEB / "console.js").read_text("utf-8"))
    assert all(name == module for name, module in entries)
    assert views <= {name for name, _ in entries}


@pytest.mark.parametrize(
    ("context", "location"),
    [({"path": "/"}, "console"), ({"path": "/api/"}, "console"), ({"path": "/api"}, "api/console"), ({}, "console")],
)
def test_the_root_leads_to_the_console_below_any_stage(context: dict[str, str], location: str) -> None:
    answer = pages.home(SimpleNamespace(context=context))
    assert (answer.status_code, answer.headers["Location"]) == (302, location)


def test_the_root_answers_with_the_way(web: Api) -> None:
    answer = web.send("GET", "/")
    assert (answer.status, answer.headers["Location"], answer.raw) == (302, "console", b"")
    assert_guarded(answer)


@pytest.mark.parametrize("name", SCRIPT_OF)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(name: str) -> None:
    html = (WEB / name).read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<base|<form[^>]*\saction=|https?:", html)
    assert [found.strip() for found in re.findall(r"<script[^>]*>([^<]*)</script>", html)] == [""]
    for style in STYLES_OF[name]:
        assert not re.search(r"@import|url\(|expression\(", (WEB / style).read_text("utf-8"))


MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML"
    r"|\beval\b|new Function|srcdoc|setTimeout\(\s*[\"'`]"
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_text_is_ever_read_as_markup(path: Path) -> None:
    source = path.read_text("utf-8")
    assert MARKUP.search(source) is None
    assert set(re.findall(r"https?://[^\s\"'`)]+", source)) <= {"http://www.w3.org/2000/svg"}
    assert source.startswith("/** "), "says what it is"
    for imported in re.findall(r'from "([^"]+)"', source):
        assert (WEB / imported).exists() and imported.startswith("./")


def test_modules_are_small() -> None:
    sizes = {path.name: len(path.read_text("utf-8").splitlines()) for path in SCRIPTS}
    assert max(sizes.values()) < 420, sizes


def test_settings_that_every_provider_has_are_known_to_the_form() -> None:
    source = (WEB / "catalogue.js").read_text("utf-8").partition("const COMMON = [")[2].partition("]")[0]
    assert set(re.findall(r'"(\w+)"', source)) == providers.COMMON.keys()


def test_a_hook_loads_no_page() -> None:
    code = "import sys, app; from chalicelib.api import hooks; print([n for n in sys.modules if 'pages' in n or 'magic' in n])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_pages_are_read_when_first_asked_for() -> None:
    tree = ast.parse((ROOT / "chalicelib" / "api" / "pages.py").read_text("utf-8"))
    top = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    assert not any("read_" in ast.unparse(node) for node in top)


def test_how_often_a_page_asks_is_a_setting(web: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert b'data-poll="5"' in web.send("GET", CUSTOMER).raw
    monkeypatch.setattr(pages, "settings", lambda: read({"DRAAD_POLL_SECONDS": "7"}))
    assert b'data-poll="7"' in web.send("GET", CUSTOMER).raw
    for wrong in ("1", "61", "2.5", "x", ""):
        with pytest.raises(Exception, match="DRAAD_POLL_SECONDS"):
            read({"DRAAD_POLL_SECONDS": wrong})
