"""The generated pages are what the modules declare. DRAAD_WRITE=1 writes them."""

from __future__ import annotations

import os

from chalicelib.api.providers import all_slugs, declared, fields_of
from infra.docs.__main__ import main
from infra.docs.pages import FOLDER, GRADES, pages

OLD = "is old: run the tests once with DRAAD_WRITE=1, or python -m infra.docs"


def test_the_committed_pages_are_the_generated_ones() -> None:
    if os.environ.get("DRAAD_WRITE"):
        main()
    wanted = {path.name: text for path, text in pages().items()}
    there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    assert there.keys() == wanted.keys(), f"docs/providers {OLD}"
    for name, text in wanted.items():
        assert there[name] == text, f"docs/providers/{name} {OLD}"


def test_each_page_says_all_that_its_modules_declare() -> None:
    """By another way than the generator's: every fact is somewhere on the page."""
    for slug in all_slugs():
        text = (
            (FOLDER / f"{slug}.md")
            .read_text("utf-8")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("`", "")
            .replace("\\*", "*")
        )
        for each in filter(None, declared(slug)):
            for step in each.setup:
                assert step.partition('{"')[0].strip() in text, (slug, step)
            for fact in each.unverified:
                assert fact in text, (slug, fact)
            assert each.grade in text and each.docs in text, slug
        for fields in fields_of(slug):
            for name, setting in fields.items():
                known = text + (FOLDER / "index.md").read_text("utf-8").replace("`", "")
                assert f"| {name} | {setting.title}" in known, (slug, name)


def test_every_grade_is_explained() -> None:
    from chalicelib.kit.source import GRADES as KNOWN

    assert tuple(GRADES) == KNOWN
