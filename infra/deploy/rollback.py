"""Back to the code before: `python -m infra.deploy rollback`.

The code alone: what the API's routes, the policies, memory or environment were then comes back by deploying that commit.
Always from the newest release to the one before it, so that a second run does not go further back.
"""

from __future__ import annotations

import base64
from typing import Any

from infra.deploy import functions, release
from infra.deploy.errors import DeployFailed
from infra.deploy.place import FUNCTIONS, Place, Tell


def target_of(releases: list[release.Release], wanted: str) -> release.Release:
    """Raises DeployFailed where there is nothing to go back to."""
    able = [each for each in releases if each.get("finished") and each.get("key")]
    if wanted:
        found = next((each for each in able if each["id"] == wanted), None)
        if found is None:
            raise DeployFailed(f"There is no release {wanted}. There are: {named(able)}.")
        return found
    newest = releases[-1] if releases else {}
    before = [each for each in able if each["id"] != newest.get("id") and each["code"] != newest.get("code")]
    if not before:
        raise DeployFailed(f"There is no release with other code to go back to. There are: {named(able)}.")
    return before[-1]


def named(releases: list[release.Release]) -> str:
    return ", ".join(f"{each['id']} (commit {each['commit'] or 'unknown'})" for each in releases) or "none"


def back(place: Place, bucket: str, wanted: str, dry: bool, tell: Tell) -> str:
    """Each function has the code of the target, and the list of releases says so."""
    releases = release.read(place, bucket)
    target = target_of(releases, wanted)
    tell(f"to {target['id']}, commit {target['commit'] or 'unknown'}")
    found = functions.codes(place)
    if len(found) < len(FUNCTIONS):
        raise DeployFailed(f"The stage has no functions {', '.join(sorted(set(FUNCTIONS) - set(found)))}: deploy it.")
    differing = [name for name, code in found.items() if code != target["code"]]
    if dry:
        return f"would change {', '.join(differing)}" if differing else "unchanged"
    for name in differing:
        _change(place, bucket, name, target)
        tell(name)
    noted = {**releases[-1], "rolled_back_to": target["id"]}
    if noted != releases[-1]:
        release.write(place, bucket, [*releases[:-1], noted])
    return f"changed {', '.join(differing)}" if differing else "unchanged"


def _change(place: Place, bucket: str, name: str, target: release.Release) -> None:
    client = place.client("lambda")
    now = client.get_function_configuration(FunctionName=place.function(name))
    if target.get("runtime") not in (None, now["Runtime"]):
        raise DeployFailed(
            f"That code was built for {target['runtime']} and the functions run {now['Runtime']}: "
            f"`git checkout {target['commit'].rstrip('+')}` and deploy with that Python."
        )
    client.update_function_code(
        FunctionName=place.function(name), S3Bucket=bucket, S3Key=target["key"], Architectures=now["Architectures"]
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=place.function(name))
    _compare(place, name, target)


def _compare(place: Place, name: str, target: dict[str, Any]) -> None:
    code = place.client("lambda").get_function_configuration(FunctionName=place.function(name))["CodeSha256"]
    if code != target["code"]:
        raise DeployFailed(
            f"{name} has the code {base64.b64decode(code).hex()[:12]} after the change and not that of {target['id']}: "
            "somebody else deploys at the same time. Wait for them and run again."
        )
