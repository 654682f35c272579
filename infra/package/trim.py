"""One archive from another: the same input gives the same bytes, so that Lambda's digest tells whether code changed.

Bytecode is of the unchecked kind. Lambda's disk is read-only, so without it each cold start compiles what it
imports; and the checked kinds look at the source's time or content, which costs what it should save.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode

from infra.package import rules
from infra.package.errors import PackageFailed

RULES = repr((rules.DROPPED, rules.SERVICES)).encode()
TRIMMED = b"draad trimmed by "
MARK = TRIMMED + hashlib.sha256(RULES).hexdigest()[:16].encode()
"""The archive's comment: what carries it was trimmed by the rules of now and needs no work."""
FIXED = (1980, 1, 1, 0, 0, 0)


def trimmed(path: Path) -> bool:
    return comment(path) == MARK


def outdated(path: Path) -> bool:
    """Trimmed by other rules: what those took out is not there to be kept."""
    return comment(path).startswith(TRIMMED) and not trimmed(path)


def comment(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.comment


def trim(path: Path) -> None:
    """In place, or not at all: whoever stops in between leaves the archive as it was."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder)
        unpack(path, unpacked)
        add_bytecode(unpacked)
        half = path.with_suffix(".half")
        pack(unpacked, half)
    half.replace(path)


def unpack(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if wrong := sorted(name for name in names if rules.forbidden(name)):
            raise PackageFailed(
                f"{wrong[0]} is in the package and has no place there: look at requirements.txt and at the folder vendor/."
            )
        archive.extractall(folder, [name for name in names if rules.kept(name)])


def add_bytecode(folder: Path) -> None:
    """Compiled by the Python that builds, which is the one that Chalice names as the runtime."""
    done = compileall.compile_dir(
        folder,
        quiet=2,
        force=True,
        workers=1,
        stripdir=str(folder),
        prependdir="/var/task",
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        raise PackageFailed("A file of the package does not compile: run `python -m compileall chalicelib`.")


def pack(folder: Path, path: Path) -> None:
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for each in files:
            about = zipfile.ZipInfo(each.relative_to(folder).as_posix(), FIXED)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = (0o755 if os.access(each, os.X_OK) else 0o644) << 16
            archive.writestr(about, each.read_bytes())
        archive.comment = MARK
