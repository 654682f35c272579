"""Event sources as `mappings.WANTED` wants them, each waited for until it is on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from infra.deploy.errors import DeployFailed
from infra.deploy.mappings import WANTED, Source
from infra.deploy.place import Place, Tell, code_of

WAIT_SECONDS = 300.0
PAUSE_SECONDS = 2.0


def wanted(source: Source, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """As `update_event_source_mapping` takes it."""
    asked: dict[str, Any] = {
        "BatchSize": source.batch_size,
        "MaximumBatchingWindowInSeconds": source.window_seconds,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if source.partial_batch else [],
        "BisectBatchOnFunctionError": source.bisect,
        "MaximumRetryAttempts": source.maximum_retries,
        "MaximumRecordAgeInSeconds": source.maximum_age_seconds,
        "ParallelizationFactor": source.parallelization,
    }
    if source.maximum_concurrency:
        asked["ScalingConfig"] = {"MaximumConcurrency": source.maximum_concurrency}
    if source.on_failure:
        asked["DestinationConfig"] = {"OnFailure": {"Destination": outputs[source.on_failure]}}
    if source.filters:
        asked["FilterCriteria"] = {"Filters": [{"Pattern": json.dumps(each)} for each in source.filters]}
    return {name: value for name, value in asked.items() if value is not None}


def differing(found: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Names of settings that are not as asked."""
    return [name for name, value in asked.items() if _plain(name, found.get(name)) != _plain(name, value)]


def _plain(name: str, value: Any) -> Any:
    """AWS leaves out what is empty, and keeps a filter as the text that it was given."""
    if name == "FilterCriteria":
        return [json.loads(each["Pattern"]) for each in (value or {}).get("Filters", [])]
    if name == "DestinationConfig":
        return ((value or {}).get("OnFailure") or {}).get("Destination")
    return value or (0 if name == "MaximumBatchingWindowInSeconds" else None)


def source_arn(place: Place, source: Source, outputs: Mapping[str, str]) -> str:
    if source.of == "stream":
        return outputs["StreamArn"]
    return f"arn:{place.partition}:sqs:{place.region}:{place.account}:{place.stack}-{source.of}"


def mapping_of(place: Place, name: str, arn: str) -> dict[str, Any] | None:
    """The event source of a function, None where there is none."""
    client = place.client("lambda")
    try:
        found = client.list_event_source_mappings(FunctionName=place.function(name), EventSourceArn=arn)
    except client.exceptions.ResourceNotFoundException:
        return None
    alive = [each for each in found["EventSourceMappings"] if each["State"] != "Deleting"]
    return alive[0] if alive else None


def bring(place: Place, outputs: Mapping[str, str], dry: bool, tell: Tell) -> str:
    """Everything as wanted, and on. Says what was changed."""
    changed: list[str] = []
    for name, source in WANTED.items():
        found = mapping_of(place, name, source_arn(place, source, outputs))
        if found is None and dry:
            changed.append(f"{name}: all")
            continue
        if found is None:
            raise DeployFailed(
                f"{place.function(name)} has no event source {source_arn(place, source, outputs)}: run again with --force."
            )
        if names := _bring(place, name, found, wanted(source, outputs), dry, tell):
            changed.append(f"{name}: {', '.join(names)}")
    return ("would change " if dry else "changed ") + "; ".join(changed) if changed else "unchanged"


def _bring(place: Place, name: str, found: dict[str, Any], asked: dict[str, Any], dry: bool, tell: Tell) -> list[str]:
    names = differing(found, asked)
    off = found["State"] in ("Disabled", "Disabling")
    if off:
        tell(f"{name} was switched off: {'would be' if dry else 'it is'} switched on")
        names.append("on")
    if dry:
        return names
    if names:
        _update(place, name, found["UUID"], asked | {"Enabled": True})
    _wait(place, name, found["UUID"])
    return names


def _update(place: Place, name: str, uuid: str, asked: dict[str, Any]) -> None:
    """Lambda refuses while an earlier change of the same source is under way."""
    client = place.client("lambda")
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client.update_event_source_mapping(UUID=uuid, **asked)
            return
        except client.exceptions.ResourceInUseException:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        except client.exceptions.ClientError as wrong:
            raise DeployFailed(
                f"Lambda refuses the event source of {name} ({code_of(wrong)}: {wrong.response['Error'].get('Message', '')}): "
                "most often its policy lacks a permission; mend it and run again."
            ) from wrong


def _wait(place: Place, name: str, uuid: str) -> None:
    client = place.client("lambda")
    deadline = time.monotonic() + WAIT_SECONDS
    while (state := client.get_event_source_mapping(UUID=uuid)["State"]) != "Enabled":
        if time.monotonic() > deadline:
            raise DeployFailed(f"The event source of {name} is still {state}: look at it in Lambda, and run again.")
        time.sleep(PAUSE_SECONDS)
