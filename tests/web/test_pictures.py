"""The pictures of the README and the docs are of pages that are there. `DRAAD_WRITE=1` takes them anew."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from infra.demo.api import Api
from infra.demo.place import Place
from infra.demo.play import play
from infra.demo.systems import systems
from infra.demo.tell import Tell
from infra.local.embedded import free_port
from infra.local.errors import LocalRunFailed
from infra.local.hub import Hub, must_be_free
from tests.docs.markdown import ROOT, name_of, pages, prose
from tests.web.browser import visit
from tests.web.pictures import FOLDER, MOST_BYTES, PICTURES, Picture, Stage, a_week, apart, clock, outside, small, taken

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WRITE = bool(os.environ.get("DRAAD_WRITE"))
WEEK = (1, 2, 1, 2, 2, 1, 1)
"""Customers of each day of a picture. To see that the pages still show what they did, a few of two days do."""
MOST_APART = 6.0
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^()\s]+)\)")
OLD = "take them anew: DRAAD_WRITE=1 python -m pytest tests/web/test_pictures.py"


def shown() -> dict[Path, list[tuple[str, Path]]]:
    """Page → (alternative text, file) of each picture on it."""
    found = {}
    for page in pages():
        images = [(text, (page.parent / path).resolve()) for text, path in IMAGE.findall(prose(page))]
        if images:
            found[page] = images
    return found


def test_each_picture_that_a_page_shows_is_taken_here_and_each_that_is_taken_is_shown() -> None:
    named = {path for images in shown().values() for _, path in images}
    drawn = set(FOLDER.glob("*.svg"))  # tests/bench/test_growth.py holds these to their figures
    assert named == {each.path for each in PICTURES} | drawn == set(FOLDER.glob("*"))


def test_each_says_in_words_what_is_on_it() -> None:
    short = [(name_of(page), text) for page, images in shown().items() for text, _ in images if len(text.split()) < 6]
    assert short == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda each: each.name)
def test_each_has_its_size_and_is_small(picture: Picture) -> None:
    assert picture.path.stat().st_size <= MOST_BYTES
    with Image.open(picture.path) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", picture.pixels)


def test_one_page_is_not_taken_for_another() -> None:
    """Or the comparison below could not fail. The two handovers differ in language only."""
    raws = {each.name: each.path.read_bytes() for each in PICTURES if each.name != "handover-nl"}
    near = [
        (one, other) for one in raws for other in raws if one < other and apart(raws[one], raws[other]) < MOST_APART
    ]
    assert near == []


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A hub of its own, so that nothing else is on the pictures: the demo's day, after a week of others'."""
    back = tmp_path_factory.mktemp("clock") / "back"
    back.write_text("0", "utf-8")
    env = {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1", "DRAAD_SWEEP_SECONDS": "2", "DRAAD_SET_BACK": str(back)}
    hub = Hub(port=usual_port(), app="tests.web.set_back", env={"": env}, visibility_seconds=30)
    with hub, systems() as around:
        made = Stage(Api(hub.url, hub.admin_key), around, back, clock())
        a_week(made, WEEK if WRITE else WEEK[-2:])
        made.customer = his_day(made)
        yield made


def his_day(stage: Stage) -> str:
    """Jan's, as `make demo` plays it; answers his id."""
    out = io.StringIO()
    place = Place(stage.api, own=False, logs="")
    assert play(place, stage.around, Tell(out), clock=stage.clock), out.getvalue()
    found = re.search(r"/customers/(cus_\w+)", out.getvalue())
    assert found
    return found[1]


def usual_port() -> int:
    """The one that the README names, where it is free: it is on the pictures."""
    try:
        must_be_free(8000)
    except LocalRunFailed:
        return free_port()
    return 8000


@pytest.mark.embedded
@pytest.mark.parametrize("picture", PICTURES, ids=lambda each: each.name)
def test_the_page_still_looks_like_its_picture(browser: Browser, stage: Stage, picture: Picture) -> None:
    with visit(browser, stage.url, **picture.options) as seen:
        width, height = picture.size
        seen.page.set_viewport_size({"width": width, "height": height})
        picture.open(stage, seen)
        raw = taken(seen)
        assert outside(picture, seen) == []
        assert seen.wide() <= 0 and seen.wrong == []
    if WRITE:
        picture.path.write_bytes(small(raw))
    assert apart(raw, picture.path.read_bytes()) < MOST_APART, f"{picture.path.relative_to(ROOT)} is old: {OLD}"
