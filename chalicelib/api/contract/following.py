"""Where an answer leads: the calls that take an id which it names, as OpenAPI links.

They follow from the paths. What is made at a path is read, changed and removed below it, and so is what was looked
at; of a list each row is looked at there. Long work names its job, and what else it names has a route of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.api.routes import ROUTES

Json = dict[str, Any]
NAMED = {"job": "jobs.show", "erasure": "erasures.show", "receipt": "receipts.show"}
"""Field of an answer → the view that takes it as its id."""
MADE = {"id": "$response.body#/id"}
ALSO: Mapping[tuple[str, int], Json] = {
    ("audiences.export", 202): {"audiences.download": {"id": "$request.path.id", "job": "$response.body#/job"}},
    ("customers.show", 200): {"conversations.show": {"id": "$response.body#/conversations/0/id"}},
    ("links.link", 201): {"links.unlink": MADE},
    ("links.cut", 201): {"links.uncut": MADE},
}
"""Links that no path shows."""


def links(method: str, path: str, target: str, status: int, schema: Mapping[str, Any]) -> Json:
    """Of an answer with that schema, by the name of the operation to which it leads."""
    found = dict(ALSO.get((target, status), {}))
    for name, view in NAMED.items():
        if _always(schema, name):
            found[view] = {"id": f"$response.body#/{name}"}
    if _always(schema, "id") and (method == "GET" or status == 201):
        found |= dict.fromkeys(_below(path, status), MADE)
    rows = path.rpartition("/")[2]
    if schema.get("properties", {}).get(rows, {}).get("type") == "array":
        found |= {view: {"id": f"$response.body#/{rows}/0/id"} for view in _shown(path)}
    return {_id(view): {"operationId": _id(view), "parameters": taken} for view, taken in found.items()}


def _always(schema: Mapping[str, Any], name: str) -> bool:
    """Whether it is a text in every such answer."""
    return name in schema.get("required", ()) and schema["properties"][name].get("type") == "string"


def _below(path: str, status: int) -> Iterator[str]:
    """Of something made at a path, or looked at: its own path ends on its id."""
    one = f"{path}/{{id}}" if status == 201 else path
    for _, other, view, _ in ROUTES:
        made = other == one and status == 201
        if one.endswith("/{id}") and (made or other.startswith(f"{one}/")) and other.count("{") == 1:
            yield view


def _shown(path: str) -> Iterator[str]:
    return (view for method, other, view, _ in ROUTES if (method, other) == ("GET", f"{path}/{{id}}"))


def _id(view: str) -> str:
    return view.replace(".", "_")
