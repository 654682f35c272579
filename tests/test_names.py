"""One vocabulary: providers are named in their own files only, and forbidden words nowhere."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from chalicelib import destinations, sources

ROOT = Path(__file__).parent.parent
CODE = ROOT / "chalicelib"
MODULES = sorted([ROOT / "app.py", *CODE.rglob("*.py")])
GENERIC = frozenset({"generic", "webhook", "web", "mail", "sms", "feedback", "twenty"})
"""Slugs that are ordinary words."""
CHANNEL_WORDS = frozenset(
    {"whatsapp", "messenger", "instagram", "facebook", "x", "line", "wechat", "telegram"}
) | frozenset({"viber", "slack", "matrix", "desk"})
"""Names of channels and of kinds of identity; a provider may be called like its channel."""
FORBIDDEN = frozenset(
    {"process", "handle", "handler", "manage", "manager", "util", "utils", "helper", "helpers"}
) | frozenset({"common", "data", "misc", "core", "base"})
ALLOWED = frozenset({"base_url"})
"""A vendor's own word for a setting."""
PLACES_OF_MACHINES = re.compile(
    r"\.\./shared|/work/|/tmp/w|/home/\w|/Users/\w|field-notes|identity-protocol\.md|journeys\.md"
)
TEXTS = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".cfg", ".html", ".css", ".js", ""}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def slugs() -> set[str]:
    return {*sources.slugs(), *destinations.slugs()}


def vendors() -> set[str]:
    """Slugs and the first words of vendors' names, in lower case."""
    return set().union(*map(names_of, slugs())) - GENERIC - CHANNEL_WORDS - {"outgoing", "standard"}


def names_of(slug: str) -> set[str]:
    """A provider's own: two of one vendor may share its name."""
    kinds = (sources, destinations)
    return {slug} | {kind.load(slug).name.split()[0].lower() for kind in kinds if slug in kind.slugs()}


def own_file(path: Path) -> bool:
    return path.stem in slugs() and path.parent.name in ("sources", "destinations")


def named(text: str) -> list[str]:
    words = "|".join(sorted(map(re.escape, vendors())))
    return re.findall(rf"(?i)(?<![a-z])(?:{words})(?![a-z])", text)


@pytest.mark.parametrize("path", [path for path in MODULES if not own_file(path)], ids=lambda path: path.stem)
def test_no_provider_is_named_outside_its_module(path: Path) -> None:
    assert named(path.read_text("utf-8")) == []


def test_a_provider_names_no_other() -> None:
    """A vendor with several products has a module for each, `<vendor>_<product>`."""
    for path in (path for path in MODULES if own_file(path)):
        others = vendors() - names_of(path.stem) - {path.stem.partition("_")[0]}
        words = "|".join(sorted(others))
        assert re.findall(rf"(?i)(?<![a-z])(?:{words})(?![a-z])", path.read_text("utf-8")) == [], path


def test_the_search_finds_names() -> None:
    """The check itself: at least the providers of today, in any spelling, and no ordinary words."""
    assert {"shopify", "twilio", "hubspot"} <= vendors()
    assert named("a Shopify order, hubspot_id, TWILIO") == ["Shopify", "hubspot", "TWILIO"]
    assert named("a generic webhook of a shop on the web, hubs") == []


def test_no_provider_has_test_code_of_its_own() -> None:
    """Its fixtures are data; generic checkers run them. Stand-ins play a vendor and carry its name."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        about = path.relative_to(ROOT).as_posix()
        if path.stem.startswith("test_"):
            assert not set(path.stem.split("_")) & vendors(), about


def test_every_source_and_destination_has_its_fixtures() -> None:
    for kind, found in (("sources", sources.slugs()), ("destinations", destinations.slugs())):
        folder = ROOT / "tests" / "fixtures" / kind
        assert {path.name for path in folder.iterdir() if path.is_dir()} == set(found)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_forbidden_word_names_a_thing(path: Path) -> None:
    assert not set(path.stem.split("_")) & FORBIDDEN
    assert not set(path.parent.name.split("_")) & FORBIDDEN
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name not in ALLOWED:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", node.name)}
            assert not words & FORBIDDEN, f"{path.name}: {node.name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_module_says_what_it_is(path: Path) -> None:
    text = ast.get_docstring(tree_of(path))
    assert text and not text[0].islower() and len(text.splitlines()[0]) > 15, path


def committed() -> list[Path]:
    skipped = {".git", ".draad", ".venv", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", "results"}
    return [
        path
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts) and path.suffix in TEXTS
    ]


def test_nothing_refers_to_what_is_not_in_the_repository() -> None:
    found = committed()
    assert len(found) > 100
    for path in found:
        if path == Path(__file__).resolve():
            continue
        hit = PLACES_OF_MACHINES.search(path.read_text("utf-8", "replace"))
        assert hit is None, f"{path.relative_to(ROOT)} refers to {hit and hit[0]}"
