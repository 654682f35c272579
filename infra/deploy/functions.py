"""`chalice` in a process of its own, with the project's interpreter: the functions, their roles and policies, the API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from infra.deploy import environment, release
from infra.deploy.errors import DeployFailed
from infra.deploy.place import API, FUNCTIONS, Place, Tell, child_env
from infra.package import build
from infra.package.errors import PackageFailed
from infra.package.runtime import advice

RUN = "import sys; from chalice.cli import main; sys.exit(main())"
LAST = 15
"""Lines of its output that are shown when it fails."""


def chalice(place: Place, words: list[str], tell: Tell) -> None:
    """Raises DeployFailed with what it said last."""
    command = [sys.executable, "-c", RUN, *words]
    env = child_env(place) | {"PYTHONDONTWRITEBYTECODE": "1"}
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=place.root, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.strip():
                said.append(line.rstrip())
                tell(said[-1])
    if running.returncode:
        raise DeployFailed(
            f"chalice {words[0]} failed ({' / '.join(said[-LAST:])[-1500:]}). What it made is found again: "
            "mend the reason and run again."
        )


def pack(place: Place, tell: Tell) -> None:
    """The archive without what no function imports, where Chalice looks for one before it builds its own. Raises
    DeployFailed."""
    try:
        build.build(place.root, tell)
        if said := advice():
            tell(said)
    except PackageFailed as failed:
        raise DeployFailed(f"{failed} Then run again.") from failed


def codes(place: Place) -> dict[str, str]:
    """Function → digest of its code, as Lambda says; only of those that are there."""
    client = place.client("lambda")
    found = {}
    for name in FUNCTIONS:
        try:
            found[name] = client.get_function_configuration(FunctionName=place.function(name))["CodeSha256"]
        except client.exceptions.ResourceNotFoundException:
            continue
    return found


def up_to_date(found: Mapping[str, str], newest: release.Release | None, fingerprint: str) -> bool:
    """Whether what runs is what would be deployed, and the deployment of it came to its end. A rollback brought the code
    alone: what it went back to is deployed anew as a whole."""
    if newest is None or newest.get("fingerprint") != fingerprint or not newest.get("finished"):
        return False
    if newest.get("rolled_back_to"):
        return False
    return set(found) == set(FUNCTIONS) and set(found.values()) == {newest.get("code")}


def bring(place: Place, tell: Tell) -> str:
    """Deploy, and wait until Lambda has taken each function. The digest of the code."""
    pack(place, tell)
    chalice(place, ["deploy", "--stage", place.stage], tell)
    waiter = place.client("lambda").get_waiter("function_updated_v2")
    for name in FUNCTIONS:
        waiter.wait(FunctionName=place.function(name))
    return codes(place)[API]


def url_of(place: Place, config: environment.Config, api: str) -> str:
    return environment.environment(config, place.stage).get(environment.PUBLIC) or environment.api_url(
        place, config, api
    )
