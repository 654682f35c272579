"""Chalice's packager, and then `trim` on what it made."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from infra.package import rules, trim
from infra.package.errors import PackageFailed
from infra.package.runtime import runtime

Tell = Callable[[str], None]


def build(root: Path, tell: Tell) -> Path:
    """The archive, where Chalice finds it; one that is there already is left alone. Raises PackageFailed."""
    forget_bytecode(root)
    path = made(root, tell)
    if not trim.trimmed(path):
        tell("taking out what no function imports, adding bytecode")
        trim.trim(path)
    weigh(path)
    return path


def forget_bytecode(root: Path) -> None:
    """Chalice packs the folder as it lies there, and names the package by all that is in it."""
    for folder in sorted((root / "chalicelib").rglob("__pycache__")):
        shutil.rmtree(folder, ignore_errors=True)


def made(root: Path, tell: Tell) -> Path:
    from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
    from chalice.utils import UI, OSUtils

    architecture = json.loads((root / ".chalice" / "config.json").read_text("utf-8"))["lambda_architecture"]
    files = OSUtils()
    packager = LambdaDeploymentPackager(files, DependencyBuilder(files, architecture=architecture), UI(), architecture)
    path = Path(packager.deployment_package_filename(str(root), runtime()))
    if not sound(path) or trim.outdated(path):
        tell(f"building for {runtime()} on {architecture}: fetches the pinned packages, about half a minute")
        path.unlink(missing_ok=True)
        packager.create_deployment_package(str(root), runtime())
    return complete(path, root)


def sound(path: Path) -> bool:
    """A build that was stopped leaves half an archive, which Chalice would take for a whole one."""
    return path.exists() and zipfile.is_zipfile(path)


def complete(path: Path, root: Path) -> Path:
    """Chalice goes on with a warning where a package has no wheel for the architecture: here it stops."""
    with zipfile.ZipFile(path) as archive:
        there = {
            name.partition("/")[0].partition("-")[0].lower() for name in archive.namelist() if ".dist-info/" in name
        }
    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    asked = {line.partition("==")[0] for line in lines if "==" in line}
    gone = sorted(name for name in asked if name.lower().replace("-", "_") not in there and rules.kept(f"{name}-1/"))
    if gone:
        path.unlink()
        raise PackageFailed(
            f"No wheel for the functions' architecture was found for {', '.join(gone)}: choose another version in "
            "requirements.txt, or another Python."
        )
    return path


def weigh(path: Path) -> None:
    packed, unpacked = path.stat().st_size, sum(each.file_size for each in zipfile.ZipFile(path).infolist())
    if packed > rules.ZIP_LIMIT or unpacked > rules.UNZIPPED_LIMIT:
        raise PackageFailed(
            f"The package has {packed:,} bytes, {unpacked:,} unpacked: Lambda takes {rules.ZIP_LIMIT:,} and "
            f"{rules.UNZIPPED_LIMIT:,}. See the table of `make size`."
        )
