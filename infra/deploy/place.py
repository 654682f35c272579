"""Where a stage is: account, region, partition, and what its things are called there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.settings import STAGE
from infra.deploy.errors import DeployFailed

APP = "draad"
API = "api_handler"
FUNCTIONS = (API, "context", "fanout", "deliver", "jobs", "sweep")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    stage: str
    root: Path
    region: str
    account: str
    partition: str
    session: Any
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        return f"{APP}-{self.stage}"

    @property
    def suffix(self) -> str:
        """Of host names."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def function(self, name: str) -> str:
        """Chalice calls the function of the API as app and stage alone."""
        return self.stack if name == API else f"{self.stack}-{name}"

    def client(self, service: str) -> Any:
        from botocore.config import Config

        if service not in self._clients:
            patient = Config(retries={"mode": "standard", "max_attempts": 8}, read_timeout=120)
            self._clients[service] = self.session.create_client(service, region_name=self.region, config=patient)
        return self._clients[service]


def find(stage: str, root: Path) -> Place:
    """By the credentials and the region of the environment. Raises DeployFailed."""
    import botocore.session

    session = botocore.session.Session()
    region = session.get_config_variable("region")
    if not region:
        raise DeployFailed("No region is set: export AWS_DEFAULT_REGION, or set one in the profile.")
    arn = _caller(session, region)["Arn"]
    return Place(_stage(stage), root, region, arn.split(":")[4], arn.split(":")[1], session)


def who(place: Place) -> str:
    """The caller's ARN, for a person to recognise."""
    arn: str = place.client("sts").get_caller_identity()["Arn"]
    return arn


def without_account(stage: str, root: Path) -> Place:
    """For what is made on this machine alone."""
    import botocore.session

    session = botocore.session.Session()
    region = session.get_config_variable("region") or "eu-west-1"
    return Place(_stage(stage), root, region, "", session.get_partition_for_region(region), session)


def _stage(name: str) -> str:
    if not STAGE.match(name) or name == "local":
        raise DeployFailed(
            f"{name!r} is no stage to deploy: use a letter, then letters, digits or dashes, 20 at most; "
            "local is the hub of `make run`."
        )
    return name


def _caller(session: Any, region: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found: dict[str, Any] = session.create_client("sts", region_name=region).get_caller_identity()
    except (BotoCoreError, ClientError) as wrong:
        code = getattr(wrong, "response", {}).get("Error", {}).get("Code", type(wrong).__name__)
        raise DeployFailed(
            f"AWS does not know who you are ({code}): sign in (`aws sso login`), or export AWS_PROFILE, and run again."
        ) from wrong
    return found


def child_env(place: Place) -> dict[str, str]:
    """The environment of a process that works on the stage: the caller's, without settings of another hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAAD_")}
    return kept | {"AWS_DEFAULT_REGION": place.region, "AWS_REGION": place.region, "PYTHONUNBUFFERED": "1"}


def code_of(wrong: Exception) -> str:
    """AWS's error code, without the service's prefix."""
    found = getattr(wrong, "response", {}).get("Error", {}).get("Code", "")
    return str(found).rpartition(".")[2]
