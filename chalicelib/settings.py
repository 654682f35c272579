"""The hub's own settings, read once from the environment. A bad one refuses to start."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache

from chalicelib.errors import SettingsInvalid

STAGE = re.compile(r"[a-z][a-z0-9-]{0,19}\Z")


@dataclass(frozen=True)
class Settings:
    """Names of a stage's resources; each can be overridden by its environment variable."""

    stage: str
    """DRAAD_STAGE: part of every resource name. Default: local."""
    region: str
    """AWS_REGION."""
    table: str
    bucket: str
    key_alias: str
    """KMS key that encrypts secrets of connections."""
    pepper: str
    """Secrets Manager name of the node pepper; never rotated, moves with the data."""
    stream_arn: str
    """DRAAD_STREAM_ARN: set by the deployment."""
    public_url: str
    """DRAAD_PUBLIC_URL: base of hook URLs; signatures are computed over it. Empty: the URL as called."""
    allow_private_destinations: bool
    """DRAAD_ALLOW_PRIVATE_DESTINATIONS=1: loopback destinations, for local tests only."""
    event_retention_days: int
    """DRAAD_EVENT_RETENTION_DAYS. Default 1095."""
    receipt_retention_days: int
    """DRAAD_RECEIPT_RETENTION_DAYS. Default 30."""
    certificate_years: int
    """DRAAD_CERTIFICATE_YEARS: how long the certificate of an erasure is kept. Default 5: whoever erases must be
    able to show it, for as long as somebody may claim damages, which in the Netherlands is five years."""
    erase_settle_seconds: int
    """DRAAD_ERASE_SETTLE_SECONDS: an erasure looks once more after this, for what was being written
    when it began. Default 120, twice a worker's timeout; at most 900."""
    poll_seconds: int
    """DRAAD_POLL_SECONDS: how often an open page asks for news. Default 5."""
    rate_limit: int
    """DRAAD_RATE_LIMIT: requests a minute of one key or magic link. Default 6000; 0 sets no limit."""

    @property
    def local(self) -> bool:
        return self.stage == "local" or self.stage.startswith("test")

    def queue(self, name: str) -> str:
        """Queue name of this stage: inbox, deliveries or jobs."""
        return f"draad-{self.stage}-{name}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. Raises SettingsInvalid naming the variable."""
    return read(dict(os.environ))


def read(env: dict[str, str]) -> Settings:
    stage = env.get("DRAAD_STAGE", "local")
    if not STAGE.match(stage):
        raise SettingsInvalid(f"DRAAD_STAGE is {stage!r}: use a letter, then letters, digits or dashes, 20 at most")
    found = Settings(
        stage=stage,
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "eu-west-1",
        table=env.get("DRAAD_TABLE", f"draad-{stage}"),
        bucket=env.get("DRAAD_BUCKET", f"draad-{stage}-bodies"),
        key_alias=env.get("DRAAD_KEY_ALIAS", f"alias/draad-{stage}"),
        pepper=env.get("DRAAD_PEPPER", f"draad-{stage}-pepper"),
        stream_arn=env.get(
            "DRAAD_STREAM_ARN", f"arn:aws:dynamodb:eu-west-1:000000000000:table/draad-{stage}/stream/unset"
        ),
        public_url=_public_url(env.get("DRAAD_PUBLIC_URL", "")),
        allow_private_destinations=env.get("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "") == "1",
        event_retention_days=_whole(env, "DRAAD_EVENT_RETENTION_DAYS", 1095, "days", 1, 36500),
        receipt_retention_days=_whole(env, "DRAAD_RECEIPT_RETENTION_DAYS", 30, "days", 1, 36500),
        certificate_years=_whole(env, "DRAAD_CERTIFICATE_YEARS", 5, "years", 1, 100),
        poll_seconds=_whole(env, "DRAAD_POLL_SECONDS", 5, "seconds", 2, 60),
        erase_settle_seconds=_whole(env, "DRAAD_ERASE_SETTLE_SECONDS", 120, "seconds", 0, 900),
        rate_limit=_whole(env, "DRAAD_RATE_LIMIT", 6000, "requests", 0, 99_999),
    )
    if found.allow_private_destinations and not found.local:
        raise SettingsInvalid(
            f"DRAAD_ALLOW_PRIVATE_DESTINATIONS is for local tests and refused on stage {stage}: unset it"
        )
    return found


def _public_url(value: str) -> str:
    if value and not value.startswith(("https://", "http://")):
        raise SettingsInvalid(f"DRAAD_PUBLIC_URL is {value!r}: it must begin with https:// or http://")
    return value.rstrip("/")


def _whole(env: dict[str, str], name: str, default: int, unit: str, least: int, most: int) -> int:
    value = env.get(name, str(default))
    if not value.isascii() or not value.isdigit() or not least <= int(value[:6]) <= most:
        raise SettingsInvalid(f"{name} is {value!r}: use whole {unit}, {least} to {most}")
    return int(value)
