"""HTTP to stages and back, nothing else. Every route's module is imported when it is first called,
so a hook pays for no other."""

from __future__ import annotations

from chalice.app import Chalice

from chalicelib.api.answers import accept_anything, in_our_words


def assemble(app: Chalice) -> None:
    """Hang every route on the app. All bytes of all content types arrive unchanged."""
    from chalicelib.api import routes

    app.api.binary_types = ["*/*"]
    app.register_middleware(in_our_words, "http")
    app.register_middleware(accept_anything, "http")
    app.register_blueprint(routes.blueprint)
