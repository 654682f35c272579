"""The catalogue of destinations: the module files in this folder, each loaded on its first use."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from chalicelib.errors import NotFound
from chalicelib.kit.destination import Destination


@cache
def slugs() -> tuple[str, ...]:
    """Every system that we can keep informed, in alphabetical order; nothing is loaded."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@cache
def load(slug: str) -> Destination:
    """The declaration in the file of that name. Raises NotFound for a slug without one."""
    if slug not in slugs():
        raise NotFound(f"no destination is called {slug[:60]!r}")
    destination = import_module(f"{__name__}.{slug}").DESTINATION
    if not isinstance(destination, Destination):
        raise NotFound(f"{slug} declares no destination")
    return destination
