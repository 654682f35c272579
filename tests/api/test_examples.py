"""The examples of the contract run: every call is made here, and the hub answers what the document shows."""

from __future__ import annotations

import json
import os

from chalicelib.api.contract import document
from chalicelib.api.routes import ROUTES
from tests.api import examples
from tests.api.client import Api

WRITE = "record it with DRAAD_WRITE=1 python -m pytest tests/api/test_examples.py"


def test_every_example_runs_and_is_answered_as_shown(api: Api) -> None:
    """DRAAD_WRITE=1 writes chalicelib/api/contract/examples.json."""
    found = examples.told(api)
    if os.environ.get("DRAAD_WRITE"):
        document.EXAMPLES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        document.examples.cache_clear()
    shown = document.examples()
    for view, call in found.items():
        assert shown.get(view) == call, f"the example of {view} is not what the hub answers: {WRITE}"
    assert shown.keys() == found.keys(), f"examples of calls that are not made: {WRITE}"


def test_every_route_has_an_example() -> None:
    """Add a call of it to a step of tests/api/examples.py."""
    views = {target for _, _, target, _ in ROUTES} - {"openapi.show"}
    missing = sorted(views - set(document.examples()))
    assert not missing, f"no example of {', '.join(missing)}: call it in tests/api/examples.py, then {WRITE}"
