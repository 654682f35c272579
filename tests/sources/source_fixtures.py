"""Fixtures of sources: a raw request (`case.http`), its events (`case.json`), what fetch found (`case.fetch.json`).

`case.http`: request line, headers, an empty line (lines end with LF or CRLF), then the body: every
byte up to the end of the file, a last newline included. The URL is https + Host + the target.

A request with a `case.answer.json` is a handshake: that is what it is answered with, null where it is refused.

`connection.json` of the folder: `connection`, `settings`, `secrets` (name → list), `mapping` or the
name of a `template`, `received_at`; the same under `cases` → case name, for what one case has otherwise.
`private`: what signs in the place of secrets that only verify.

    PYTHONPATH=. python tests/sources/source_fixtures.py [slug …]            sign every request anew after an edit
    PYTHONPATH=. python tests/sources/source_fixtures.py --expect [slug …]   also write missing `case.json`: read them!
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from chalicelib import destinations, sources
from chalicelib.kit.request import Request
from chalicelib.kit.schemes import OneOf
from chalicelib.kit.source import Source

FOLDER = Path(__file__).parent.parent / "fixtures" / "sources"
CHANGES = FOLDER.parent / "destinations"
"""What comes back from destinations: the folder `changes` of each."""
RECEIVED_AT = "2026-09-01T12:00:00.000Z"


@dataclass(frozen=True)
class Case:
    path: Path
    request: Request
    secrets: Mapping[str, tuple[str, ...]]
    private: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def comes_back(self) -> bool:
        return self.path.parent.name == "changes"

    @property
    def slug(self) -> str:
        return self.path.parent.parent.name if self.comes_back else self.path.parent.name

    @property
    def module(self) -> ModuleType:
        return import_module(f"chalicelib.{'destinations' if self.comes_back else 'sources'}.{self.slug}")

    @property
    def source(self) -> Source:
        """As the engine runs it: what was encrypted is opened before it is normalized."""
        found = changes(self.slug) if self.comes_back else sources.load(self.slug)
        opened = found.opened
        if opened is None:
            return found
        normalize = found.normalize
        return replace(found, normalize=lambda sent: normalize(replace(sent, body=opened(sent, self.secrets))))

    @property
    def verifier(self) -> Any:
        """What verifies this case: by its settings, where the source lets them choose."""
        verify = self.source.verify
        chosen = verify.of if isinstance(verify, OneOf) else getattr(self.module, "scheme", None)
        return chosen(self.request.settings) if chosen else verify

    @property
    def expected(self) -> Any:
        return json.loads(self.path.with_suffix(".json").read_text("utf-8"))

    @property
    def answer(self) -> Any:
        return json.loads(_answer(self.path).read_text("utf-8"))

    def signed(self, request: Request) -> Request:
        sign: Callable[..., Request] = getattr(self.module, "sign", None) or self.verifier.sign
        return sign(request, {**self.secrets, **self.private})


def changes(slug: str) -> Source:
    found = destinations.load(slug).changes
    assert found is not None, f"from {slug} nothing comes back"
    return found


def cases(slug: str = "*") -> list[Case]:
    return [load(path) for path in sorted(FOLDER.glob(f"{slug}/*.http")) if not _answer(path).exists()]


def coming_back(slug: str = "*") -> list[Case]:
    return [load(path) for path in sorted(CHANGES.glob(f"{slug}/changes/*.http"))]


def handshakes(slug: str = "*") -> list[Case]:
    return [load(path) for path in sorted(FOLDER.glob(f"{slug}/*.http")) if _answer(path).exists()]


def name_of(case: Case) -> str:
    return f"{case.slug}/{'changes/' if case.comes_back else ''}{case.path.stem}"


def load(path: Path) -> Case:
    about = _about(path)
    fetched = path.with_suffix(".fetch.json")
    request = replace(
        parse(path.read_bytes()),
        received_at=about.get("received_at", RECEIVED_AT),
        settings=about.get("settings", {}),
        mapping=_mapping(path.parent.name, about),
        connection=about["connection"],
        fetched=json.loads(fetched.read_text("utf-8")) if fetched.exists() else {},
    )
    secrets, private = (
        {name: tuple(values) for name, values in about.get(each, {}).items()} for each in ("secrets", "private")
    )
    return Case(path, request, secrets, private)


def parse(raw: bytes) -> Request:
    head, body = _split(raw)
    first, *lines = head.decode("latin-1").splitlines()
    method, target, _ = first.split(" ")
    headers = tuple((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    host = next(value for name, value in headers if name.lower() == "host")
    query = tuple(parse_qsl(target.partition("?")[2], keep_blank_values=True))
    return Request(method, f"https://{host}{target}", headers, body, RECEIVED_AT, query)


def write(case: Case, request: Request) -> None:
    """The request as a file. The body stays byte-true; the target keeps what the signature made of it."""
    host = request.header("host") or ""
    target = request.url.partition(f"https://{host}")[2]
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers)]
    case.path.write_bytes("\n".join(lines).encode("latin-1") + b"\n\n" + request.body)


def as_json(case: Case, request: Request | None = None) -> Any:
    events = list(case.source.normalize(request or case.request))
    return json.loads(msgspec.json.encode(events))


def _answer(path: Path) -> Path:
    return path.with_suffix(".answer.json")


def _mapping(slug: str, about: dict[str, Any]) -> Any:
    return sources.load(slug).templates[about["template"]] if "template" in about else about.get("mapping")


def _about(path: Path) -> dict[str, Any]:
    about = json.loads((path.parent / "connection.json").read_text("utf-8"))
    return about | about.pop("cases", {}).get(path.stem, {})


def _split(raw: bytes) -> tuple[bytes, bytes]:
    ends = [(at, mark) for mark in (b"\n\n", b"\r\n\r\n") if (at := raw.find(mark)) >= 0]
    at, mark = min(ends)
    return raw[:at], raw[at + len(mark) :]


def _sign_all(arguments: list[str]) -> None:
    for slug in [name for name in arguments if not name.startswith("-")] or ["*"]:
        for case in [*cases(slug), *coming_back(slug)]:
            write(case, case.signed(_bare(case)))
            if "--expect" in arguments and not case.path.with_suffix(".json").exists():
                text = json.dumps(as_json(load(case.path)), indent=1, ensure_ascii=False)
                case.path.with_suffix(".json").write_text(text + "\n", "utf-8")


def _bare(case: Case) -> Request:
    """Without the path segment that authenticates, so that signing twice adds it once."""
    head, hook, _ = case.request.url.partition(f"/hooks/{case.request.connection}")
    return case.request if case.verifier.__class__.__name__ != "PathSecret" else replace(case.request, url=head + hook)


if __name__ == "__main__":
    _sign_all(sys.argv[1:])
