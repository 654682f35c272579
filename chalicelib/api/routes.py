"""Every route with its scope; the views are loaded on the first call."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.answers import ANY_KEY, WHOEVER, answered

blueprint = Blueprint(__name__)

HOOK_METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT"]
DEEPEST_HOOK = 6
"""Segments below a hook's URL; a gateway's own greedy paths are unknown to the local server."""

ROUTES: tuple[tuple[str, str, str, str], ...] = (
    ("GET", "/health", "health.show", ""),
    ("GET", "/openapi.json", "openapi.show", ""),
    ("GET", "/v1/providers", "providers.listing", "integrate"),
    ("GET", "/v1/providers/{slug}", "providers.show", "integrate"),
    ("POST", "/v1/connections", "connections.create", "integrate"),
    ("GET", "/v1/connections", "connections.listing", "integrate"),
    ("GET", "/v1/connections/{id}", "connections.show", "integrate"),
    ("PATCH", "/v1/connections/{id}", "connections.change", "integrate"),
    ("DELETE", "/v1/connections/{id}", "connections.remove", "integrate"),
    ("POST", "/v1/connections/{id}/pause", "connections.pause", "integrate"),
    ("POST", "/v1/connections/{id}/resume", "connections.resume", "integrate"),
    ("POST", "/v1/connections/{id}/rotate", "connections.rotate", "integrate"),
    ("POST", "/v1/connections/{id}/test", "connections.test", "integrate"),
    ("POST", "/v1/connections/{id}/preview", "connections.preview", "integrate"),
    ("GET", "/v1/receipts", "receipts.listing", "integrate"),
    ("GET", "/v1/receipts/{id}", "receipts.show", "integrate"),
    ("POST", "/v1/receipts/{id}/replay", "receipts.replay", "integrate"),
    ("POST", "/v1/receipts/replay", "receipts.replay_range", "integrate"),
    ("GET", "/v1/customers", "lookup.find", "read"),
    ("GET", "/v1/customers/{id}", "customers.show", "read"),
    ("GET", "/v1/customers/{id}/timeline", "customers.show_timeline", "read"),
    ("GET", "/v1/customers/{id}/sync", "customers.sync", "read"),
    ("GET", "/v1/customers/{id}/possible", "customers.possible", "read"),
    ("GET", "/v1/customers/{id}/export", "erasures.export", "admin"),
    ("POST", "/v1/customers/{id}/erase", "erasures.start", "admin"),
    ("GET", "/v1/erasures", "erasures.listing", "admin"),
    ("GET", "/v1/erasures/{id}", "erasures.show", "admin"),
    ("GET", "/v1/customers/{id}/audit", "links.show_audit", "read"),
    ("GET", "/v1/conversations/{id}", "conversations.show", "read"),
    ("POST", "/v1/conversations/{id}/handovers", "conversations.hand_over", "agent"),
    ("POST", "/v1/conversations/{id}/verifications", "conversations.verify", "agent"),
    ("POST", "/v1/handovers", "conversations.hand_over_thread", "agent"),
    ("POST", "/v1/magic-links", "magic_links.mint", "read"),
    ("POST", "/v1/links", "links.link", "agent"),
    ("DELETE", "/v1/links/{id}", "links.unlink", "agent"),
    ("POST", "/v1/cuts", "links.cut", "agent"),
    ("DELETE", "/v1/cuts/{id}", "links.uncut", "agent"),
    ("POST", "/v1/boundaries", "boundaries.draw", "admin"),
    ("GET", "/v1/waiting", "waiting.listing", "read"),
    ("GET", "/v1/deliveries", "deliveries.listing", "integrate"),
    ("GET", "/v1/deliveries/{id}", "deliveries.show", "integrate"),
    ("POST", "/v1/deliveries/{id}/redrive", "deliveries.redrive", "integrate"),
    ("GET", "/v1/drift", "reconcile.drift", "integrate"),
    ("POST", "/v1/reconcile", "reconcile.start", "integrate"),
    ("POST", "/v1/connections/{id}/backfill", "reconcile.backfill", "integrate"),
    ("POST", "/v1/connections/{id}/catch-up", "missed.start", "integrate"),
    ("POST", "/v1/deliveries/redrive", "deliveries.redrive_range", "integrate"),
    ("GET", "/v1/jobs", "jobs.listing", "integrate"),
    ("GET", "/v1/jobs/{id}", "jobs.show", ANY_KEY),
    ("GET", "/v1/me", "keys.own", ANY_KEY),
    ("POST", "/v1/keys", "keys.mint", "admin"),
    ("GET", "/v1/keys", "keys.listing", "admin"),
    ("DELETE", "/v1/keys/{id}", "keys.revoke", "admin"),
    ("GET", "/v1/rules", "rules.listing", "admin"),
    ("POST", "/v1/rules", "rules.create", "admin"),
    ("PATCH", "/v1/rules/{id}", "rules.change", "admin"),
    ("DELETE", "/v1/rules/{id}", "rules.remove", "admin"),
    ("GET", "/v1/audiences", "audiences.listing", "audience"),
    ("POST", "/v1/audiences", "audiences.create", "admin"),
    ("GET", "/v1/audiences/{id}", "audiences.show", "audience"),
    ("PATCH", "/v1/audiences/{id}", "audiences.change", "admin"),
    ("DELETE", "/v1/audiences/{id}", "audiences.remove", "admin"),
    ("POST", "/v1/audiences/{id}/export", "audiences.export", "audience"),
    ("GET", "/v1/audiences/{id}/exports/{job}", "audiences.download", "audience"),
    ("GET", "/v1/stats", "stats.show", "read"),
    ("POST", "/v1/stats/recount", "stats.recount", "admin"),
    ("GET", "/v1/settings", "settings.show", "admin"),
    ("PATCH", "/v1/settings", "settings.change", "admin"),
)
ONE_CUSTOMER = "/v1/customers/{id}"
ONESELF = "/v1/me"


def opened_by_magic_link(method: str, path: str, scope: str) -> bool:
    """Whether a route only reads the one customer whom its path names."""
    return (method, scope) == ("GET", "read") and path.startswith(ONE_CUSTOMER)


def _add(method: str, path: str, target: str, scope: str) -> None:
    module, _, name = target.partition(".")
    magic = opened_by_magic_link(method, path, scope)

    def endpoint(**parts: str) -> Response:
        view: Callable[..., Any] = getattr(import_module(f"chalicelib.api.{module}"), name)
        customer = parts["id"] if magic else WHOEVER if path == ONESELF else None
        return answered(lambda call: view(call, **parts), blueprint.current_request, scope, customer)

    types = ["*/*"] if method in ("POST", "PATCH") else []
    blueprint.route(path, methods=[method], content_types=types, name=target.replace(".", "_"))(endpoint)


for entry in ROUTES:
    _add(*entry)


def _add_hook(depth: int) -> None:
    """A hook with `depth` segments below its URL: a path secret, or the paths of a provider's own protocol."""
    below = [f"below{number}" for number in range(1, depth + 1)]

    def endpoint(**parts: str) -> Response:
        from chalicelib.api import hooks

        return hooks.answer(blueprint.current_request, parts["connection_id"], *(parts[name] for name in below))

    path = "".join(f"/{{{name}}}" for name in ("connection_id", *below))
    blueprint.route(f"/hooks{path}", methods=HOOK_METHODS, content_types=["*/*"], name=f"hook_{depth}")(endpoint)


for depth in range(DEEPEST_HOOK + 1):
    _add_hook(depth)


@blueprint.route("/", methods=["GET"])
def home() -> Response:
    from chalicelib.api import pages

    return pages.home(blueprint.current_request)


@blueprint.route("/console", methods=["GET"])
def console_page() -> Response:
    from chalicelib.api import pages

    return pages.page("console.html", blueprint.current_request, up="")


@blueprint.route("/customers/{id}", methods=["GET"])
def customer_page(id: str) -> Response:
    from chalicelib.api import pages

    return pages.page("timeline.html", blueprint.current_request)


@blueprint.route("/docs", methods=["GET"])
def docs_page() -> Response:
    from chalicelib.api import pages

    return pages.page("docs.html", blueprint.current_request, up="")


@blueprint.route("/embed/customers/{id}", methods=["GET"])
def embedded_customer_page(id: str) -> Response:
    from chalicelib.api import pages

    return pages.embedded("timeline.html", blueprint.current_request)


@blueprint.route("/assets/{version}/{name}", methods=["GET"])
def asset(version: str, name: str) -> Response:
    from chalicelib.api import pages

    return pages.asset(version, name, blueprint.current_request)
