"""What was deployed: in the record bucket, so that any machine knows it and can go back.

`<stage>/releases.json` lists releases, the newest last; `<stage>/code/<sha256>.zip` is the code of each. A release that was begun and
not finished has no `finished`: the next run does all of it again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chalicelib.model import instants
from infra.deploy import environment
from infra.deploy.place import Place
from infra.package import trim

Release = dict[str, Any]
KEPT = 20
"""Releases that are listed; the bucket keeps their code for as long as its own rules say."""


def key_of(stage: str) -> str:
    return f"{stage}/releases.json"


def code_key(stage: str, digest: str) -> str:
    return f"{stage}/code/{digest}.zip"


def read(place: Place, bucket: str) -> list[Release]:
    client = place.client("s3")
    if not bucket:
        return []
    try:
        body = client.get_object(Bucket=bucket, Key=key_of(place.stage))["Body"].read()
    except client.exceptions.NoSuchKey:
        return []
    found: list[Release] = json.loads(body)["releases"]
    return found


def write(place: Place, bucket: str, releases: list[Release]) -> None:
    text = json.dumps({"releases": releases[-KEPT:]}, indent=2)
    place.client("s3").put_object(
        Bucket=bucket, Key=key_of(place.stage), Body=text.encode(), ContentType="application/json"
    )


def add(releases: list[Release], release: Release) -> list[Release]:
    """With this one at the end, in the place of the one of the same id."""
    return [each for each in releases if each["id"] != release["id"]] + [release]


def live(releases: list[Release]) -> Release | None:
    """The one that runs: the newest, or the one that a rollback went back to."""
    if not releases:
        return None
    back = releases[-1].get("rolled_back_to")
    return next((each for each in releases if each["id"] == back), releases[-1])


def fingerprint(place: Place, config: environment.Config) -> str:
    """Of all that Chalice would deploy."""
    whole = hashlib.sha256()
    own = {name: value for name, value in config.items() if name != "stages"}
    stage = config.get("stages", {}).get(place.stage, {})
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    about = [place.account, place.region, place.stage, own, stage, python, version("chalice"), trim.MARK.decode()]
    whole.update(json.dumps(about, sort_keys=True).encode())
    for path in _files(place.root, [own, stage]):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(place.root)}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _files(root: Path, parts: Iterable[Any]) -> Iterator[Path]:
    yield from (path for path in (root / "app.py", root / "requirements.txt") if path.exists())
    for folder in ("chalicelib", "vendor"):
        found = sorted((root / folder).rglob("*"))
        yield from (path for path in found if path.is_file() and "__pycache__" not in path.parts)
    for name in sorted(set(_policies(parts))):
        yield root / ".chalice" / name


def _policies(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "iam_policy_file":
                yield value
            yield from _policies(value)
    elif isinstance(part, list):
        for each in part:
            yield from _policies(each)


def begun(fingerprint_now: str, root: Path) -> Release:
    now = instants.now()
    return {"id": now, "at": now, "commit": commit(root), "fingerprint": fingerprint_now}


def commit(root: Path) -> str:
    """The commit of the checkout, with + where files differ from it; empty outside of git."""
    said = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", "app.py", "chalicelib", "requirements.txt", ".chalice")
    return said[:12] + ("+" if said and changed else "")


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def keep_code(place: Place, bucket: str, code: str) -> str:
    """Put the archive whose digest Lambda names (base64) into the bucket; its key, empty where it is not at hand."""
    path = archive_of(place.root, code)
    if path is None or not bucket:
        return ""
    digest = base64.b64decode(code).hex()
    key, client = code_key(place.stage, digest), place.client("s3")
    found = client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    if not found:
        with path.open("rb") as file:
            client.put_object(Bucket=bucket, Key=key, Body=file)
    return key


def archive_of(root: Path, code: str) -> Path | None:
    for path in sorted((root / ".chalice" / "deployments").glob("*.zip")):
        if base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode() == code:
            return path
    return None
