"""`.chalice/config.json`: what the functions are told about the stack, and under which URL they are called.

Written only where something differs, and always in the same form, so that a diff shows what changed.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place
from infra.local.embedded import hub_env
from infra.policies import formed

Config = dict[str, Any]
OWN_URL = re.compile(r"https://[a-z0-9]+\.execute-api\.[a-z0-9.-]+/[\w-]+\Z")
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\Z")
PUBLIC = "DRAAD_PUBLIC_URL"


def path_of(root: Path) -> Path:
    return root / ".chalice" / "config.json"


def read(root: Path) -> Config:
    try:
        found: Config = json.loads(path_of(root).read_text("utf-8"))
    except ValueError as wrong:
        raise DeployFailed(f"{path_of(root)} is no JSON ({wrong}): mend it, or `git checkout` it.") from wrong
    return found


def write(root: Path, config: Config) -> None:
    """Whole or not at all."""
    path = path_of(root)
    fresh = path.with_suffix(".json.new")
    fresh.write_text(formed(config), "utf-8")
    fresh.replace(path)


def stage_of(config: Config, stage: str) -> Config:
    """The stage's own part; a new stage's API stage is called as the stage, so that alarms tell them apart."""
    found: Config = config.setdefault("stages", {}).setdefault(stage, {})
    found.setdefault("api_gateway_stage", stage)
    found.setdefault("environment_variables", {})
    return found


def environment_for(config: Config, stage: str) -> None:
    """Enter a stage that the configuration does not know, as far as it needs no stack."""
    stage_of(config, stage)["environment_variables"].setdefault("DRAAD_STAGE", stage)


def environment(config: Config, stage: str) -> dict[str, str]:
    """What Chalice gives each function of the stage."""
    own = config.get("stages", {}).get(stage, {}).get("environment_variables", {})
    return {**config.get("environment_variables", {}), **own}


def api_stage(config: Config, stage: str) -> str:
    return str(config.get("stages", {}).get(stage, {}).get("api_gateway_stage", stage))


def domain_of(config: Config, stage: str) -> Mapping[str, str] | None:
    found = config.get("stages", {}).get(stage, {}).get("api_gateway_custom_domain")
    return found if isinstance(found, dict) else None


def api_url(place: Place, config: Config, api: str) -> str:
    return f"https://{api}.execute-api.{place.region}.{place.suffix}/{api_stage(config, place.stage)}"


def public_url(place: Place, config: Config, api: str) -> str:
    """The domain's, else the API's. One that somebody entered by hand is left, because providers call it."""
    now = environment(config, place.stage).get(PUBLIC, "")
    if now and not OWN_URL.match(now):
        return now
    if domain := domain_of(config, place.stage):
        prefix = domain.get("url_prefix", "").strip("/")
        return f"https://{domain['domain_name']}" + (f"/{prefix}" if prefix and prefix != "(none)" else "")
    return api_url(place, config, api)


def refuse_elsewhere(place: Place, config: Config) -> None:
    """A stage whose configuration names a stream of another account or region: raises DeployFailed."""
    arn = environment(config, place.stage).get("DRAAD_STREAM_ARN", "").split(":")
    if len(arn) > 4 and arn[4] != "" and (arn[3], arn[4]) != (place.region, place.account):
        raise DeployFailed(
            f"The stage {place.stage} was deployed to {arn[4]} in {arn[3]}, and you are in {place.account} in {place.region}: "
            "take the other profile or region. If you mean a second one of that name, take its DRAAD_STREAM_ARN and "
            "DRAAD_PUBLIC_URL out of .chalice/config.json, and its record out of .chalice/deployed."
        )


def with_domain(place: Place, config: Config, name: str, certificate: str) -> Config:
    """The configuration with a domain of one's own. Raises DeployFailed."""
    if not name and not certificate:
        return config
    changed = copy.deepcopy(config)
    now = domain_of(changed, place.stage) or {}
    name, certificate = name or now.get("domain_name", ""), certificate or now.get("certificate_arn", "")
    if not DOMAIN.match(name):
        raise DeployFailed(f"{name!r} is no domain: give one such as hooks.example.nl (small letters).")
    if not certificate.startswith(f"arn:{place.partition}:acm:{place.region}:"):
        raise DeployFailed(
            f"A domain needs the ARN of its certificate in {place.region}: `aws acm list-certificates`, then CERTIFICATE=arn:…"
        )
    known = {**now, "domain_name": name, "certificate_arn": certificate}
    stage_of(changed, place.stage)["api_gateway_custom_domain"] = known
    return changed


def with_outputs(place: Place, config: Config, outputs: Mapping[str, str], api: str) -> Config:
    """The configuration with what the stack and the API are called."""
    changed = copy.deepcopy(config)
    variables = stage_of(changed, place.stage)["environment_variables"]
    variables.update(hub_env(place.stage, outputs))
    if api:
        variables[PUBLIC] = public_url(place, changed, api)
    return changed


def differing(before: Config, after: Config, stage: str) -> list[str]:
    """Names of what changed for a stage."""
    old, new = environment(before, stage), environment(after, stage)
    names = [name for name in new if new[name] != old.get(name)]
    if domain_of(before, stage) != domain_of(after, stage):
        names.append("api_gateway_custom_domain")
    if not names and before != after:
        names.append("the stage")
    return names
