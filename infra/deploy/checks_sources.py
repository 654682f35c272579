"""Checks of what starts the functions: event sources with each of their flags, and the schedule of the sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from infra.deploy import sources
from infra.deploy.asked import Check, Gone, Said, Stage, judged, wrong
from infra.deploy.mappings import WANTED
from infra.deploy.place import FUNCTIONS

EVERY_MINUTE = "rate(1 minute)"
FLAGS = {
    "BatchSize": "batch",
    "MaximumBatchingWindowInSeconds": "window",
    "FunctionResponseTypes": "partial batch",
    "BisectBatchOnFunctionError": "bisect",
    "MaximumRetryAttempts": "retries",
    "MaximumRecordAgeInSeconds": "oldest record",
    "DestinationConfig": "on failure",
    "ScalingConfig": "at once",
    "ParallelizationFactor": "at once a shard",
    "FilterCriteria": "filters",
}
"""AWS's name of a setting → ours."""


def checks() -> Iterator[Check]:
    for name in WANTED:
        why = (
            "Without its filters and limits the stream is read for nothing, or one bad record holds up a shard."
            if WANTED[name].of == "stream"
            else "Without partial batches one bad message makes its whole batch come again; without a limit hooks starve."
        )
        yield Check(f"event source of {name}", why, partial(_source, name))
    yield Check("other event sources", "A second source makes a function take work that is not its own.", _others)
    yield Check(
        "schedule of sweep",
        "Without it nothing is retried after a quarter of an hour, and dead letters stay.",
        _schedule,
    )


def _mappings(stage: Stage, name: str) -> list[dict[str, Any]]:
    function = stage.place.function(name)
    found = stage.pages("lambda", "list_event_source_mappings", "EventSourceMappings", FunctionName=function)
    return [each for each in found if each.get("State") != "Deleting"]


def _source(name: str, stage: Stage) -> Said:
    wanted = WANTED[name]
    arn = sources.source_arn(stage.place, wanted, stage.outputs)
    found = next((each for each in _mappings(stage, name) if each["EventSourceArn"] == arn), None)
    if found is None:
        return wrong(f"nothing brings it {arn}", stage.forced)
    asked = sources.wanted(wanted, stage.outputs)
    problems = [
        f"{FLAGS[each]} is {flag(found, each)}, not {flag(asked, each)}" for each in sources.differing(found, asked)
    ]
    if found.get("State") not in ("Enabled", "Creating", "Enabling", "Updating"):
        problems.append(f"it is {found.get('State')}")
    if str(found.get("LastProcessingResult", "")).startswith("PROBLEM"):
        problems.append(f"Lambda says {found['LastProcessingResult'][:200]}")
    return judged(problems, flags(found), stage.again)


def flags(found: Mapping[str, Any]) -> str:
    return ", ".join([*(f"{ours} {flag(found, name)}" for name, ours in FLAGS.items()), str(found.get("State", ""))])


def flag(found: Mapping[str, Any], name: str) -> str:
    """A setting in few words."""
    value = found.get(name)
    if name == "FunctionResponseTypes":
        return "on" if value else "off"
    if name == "BisectBatchOnFunctionError":
        return "on" if value else "off"
    if name == "FilterCriteria":
        return str(len((value or {}).get("Filters", [])))
    if name == "ScalingConfig":
        return str((value or {}).get("MaximumConcurrency", "no limit"))
    if name == "DestinationConfig":
        arn = ((value or {}).get("OnFailure") or {}).get("Destination") or ""
        return arn.rpartition(":")[2] or "nowhere"
    if value is None:
        return "none"
    return "for ever" if value == -1 else str(value)


def _others(stage: Stage) -> Said:
    strange: list[str] = []
    for name in FUNCTIONS:
        wanted = sources.source_arn(stage.place, WANTED[name], stage.outputs) if name in WANTED else ""
        try:
            found = _mappings(stage, name)
        except Gone:
            continue
        strange += [
            f"{name} takes {each['EventSourceArn']} too ({each['UUID']})"
            for each in found
            if each["EventSourceArn"] != wanted
        ]
    return judged(strange, "none", "aws lambda delete-event-source-mapping --uuid UUID")


def _schedule(stage: Stage) -> Said:
    rule = f"{stage.place.stack}-sweep-event"
    found = stage.ask("events", "describe_rule", Name=rule)
    targets = stage.ask("events", "list_targets_by_rule", Rule=rule)["Targets"]
    if found.get("State") != "ENABLED":
        return wrong(f"{rule} is {found.get('State')}", f"aws events enable-rule --name {rule}")
    problems = []
    if found.get("ScheduleExpression") != EVERY_MINUTE:
        problems.append(f"it runs by {found.get('ScheduleExpression')}, not by {EVERY_MINUTE}")
    if not any(each["Arn"].endswith(f":function:{stage.place.function('sweep')}") for each in targets):
        problems.append("it starts no sweep")
    return judged(problems, f"{EVERY_MINUTE}, on", stage.forced)
