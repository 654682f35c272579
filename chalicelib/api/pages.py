"""The pages: files of chalicelib/web with the headers that keep them to themselves.

Everything that a page loads lies in one folder named by the digest of all files, so a browser may
keep it for ever, and modules that import each other are always of one version.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Template
from types import MappingProxyType

from chalice.app import Request, Response

from chalicelib.api.answers import guarded
from chalicelib.errors import NotFound
from chalicelib.model.event import digest
from chalicelib.settings import settings
from chalicelib.store import organisation
from chalicelib.store.table import DynamoTable

WEB = Path(__file__).parent.parent / "web"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
FEATURES = ("camera", "display-capture", "geolocation", "microphone", "payment", "publickey-credentials-get", "usb")


def policy(**changed: str) -> str:
    """The policy, with other values for some of it."""
    told = POLICY | {name.replace("_", "-"): value for name, value in changed.items()}
    return "; ".join(f"{name} {value}" for name, value in told.items())


GUARDS = {
    "Content-Security-Policy": policy(),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{name}=()" for name in FEATURES),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
VIEW = "view_"
FOR_EVER, EACH_TIME = "public, max-age=31536000, immutable", "no-cache"


@lru_cache(maxsize=1)
def files() -> dict[str, bytes]:
    """Name → bytes of all that the pages are made of. Nothing outside this folder has a name here."""
    return {path.name: path.read_bytes() for path in sorted(WEB.iterdir()) if path.suffix in MEDIA_TYPES}


@lru_cache(maxsize=1)
def version() -> str:
    return digest(*(part for name, raw in files().items() for part in (name, raw)))


def page(name: str, request: Request, up: str = "../") -> Response:
    """A page's frame. Who may see what in it, the API decides. `up`: from the page to where the hub's paths begin."""
    return _file(_filled(name, up, ""), ".html", EACH_TIME, request)


def embedded(name: str, request: Request) -> Response:
    """The same, made for a frame in somebody else's page: only in those that the organisation named."""

    def work() -> Response:
        guards = framed(organisation.read(DynamoTable()).frame_ancestors)
        return _file(_filled(name, "../../", "embed"), ".html", EACH_TIME, request, guards)

    return guarded(work)


def framed(ancestors: tuple[str, ...]) -> dict[str, str]:
    """X-Frame-Options knows no list of origins: where some may frame the page, the policy alone says which."""
    if not ancestors:
        return GUARDS
    opened = {
        "Content-Security-Policy": policy(frame_ancestors=" ".join(ancestors)),
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return {name: value for name, value in (GUARDS | opened).items() if name != "X-Frame-Options"}


def _filled(name: str, up: str, place: str) -> bytes:
    """`place`: where it is shown."""
    values = {"assets": f"{up}assets/{version()}", "poll": settings().poll_seconds, "place": place}
    return Template(files()[name].decode()).substitute(values, views=" ".join(_views())).encode()


def _views() -> list[str]:
    """Names of the console's views that are there; each is a file of its own, loaded when it is opened."""
    names = (Path(name) for name in files())
    return [each.stem.removeprefix(VIEW) for each in names if each.stem.startswith(VIEW) and each.suffix == ".js"]


def home(request: Request) -> Response:
    """To the console, by a relative address: which stage prefix the gateway cut off, only the caller knows."""
    last = str(request.context.get("path", "/")).rpartition("/")[2]
    location = f"{last}/console" if last else "console"
    return Response(b"", {"Location": location, "Cache-Control": EACH_TIME, **GUARDS}, 302)


def asset(version_asked: str, name: str, request: Request) -> Response:
    """A page that was opened before a deployment gets today's file, and must not keep it."""
    kept = FOR_EVER if version_asked == version() else EACH_TIME
    return guarded(lambda: _file(_found(name), Path(name).suffix, kept, request))


def _found(name: str) -> bytes:
    raw = files().get(name)
    if raw is None or name.endswith(".html"):
        raise NotFound("no such file")
    return raw


def _file(
    raw: bytes, suffix: str, kept: str, request: Request, guards: Mapping[str, str] = MappingProxyType(GUARDS)
) -> Response:
    """Headers belong to what is kept: a copy is not taken for good when only they changed."""
    tag = f'"{digest(raw, guards["Content-Security-Policy"])}"'
    headers: dict[str, str | list[str]] = {
        "Content-Type": MEDIA_TYPES[suffix],
        "Cache-Control": kept,
        "ETag": tag,
        **guards,
    }
    known = tag in str(request.headers.get("if-none-match", ""))
    return Response(b"" if known else raw, headers, 304 if known else 200)
