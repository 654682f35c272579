"""The catalogue of sources: the module files in this folder, each loaded on its first use."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from chalicelib.errors import NotFound
from chalicelib.kit import signatures  # noqa: F401  (every source verifies: part of the start, not of a first webhook)
from chalicelib.kit.source import Source


@cache
def slugs() -> tuple[str, ...]:
    """Every provider that can call us, in alphabetical order; nothing is loaded."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@cache
def load(slug: str) -> Source:
    """The declaration in the file of that name. Raises NotFound for a slug without one."""
    name = f"{__name__}.{slug}"
    try:
        # A look at the whole folder would cost a first webhook as much as its source does.
        module = import_module(name) if slug.isidentifier() and not slug.startswith("_") else None
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        module = None
    if module is None:
        raise NotFound(f"no source is called {slug[:60]!r}")
    source = module.SOURCE
    if not isinstance(source, Source):
        raise NotFound(f"{slug} declares no source")
    return source
