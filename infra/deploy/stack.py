"""infra/template.yaml as a stack: a change set, shown, executed and waited for."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place, Tell

TEMPLATE = Path(__file__).resolve().parents[1] / "template.yaml"
PARAMETER = re.compile(r"(?m)^  (\w+):\n    Type: ")
KEPT = ("Table", "SecretsKey", "Pepper", "Bodies", "Deployed")
"""What cannot be made again: no change that removes or replaces one of them is executed."""
PAUSE_SECONDS = 2.0
NOTHING = ("didn't contain changes", "No updates are to be performed")
CASCADE = re.compile(r"(?i)resource (creation|update) cancelled")
FAILED = re.compile(r".*_FAILED\Z")
STUCK = {
    "UPDATE_ROLLBACK_FAILED": "aws cloudformation continue-update-rollback --stack-name {name}",
    "ROLLBACK_FAILED": "aws cloudformation delete-stack --stack-name {name}",
    "DELETE_FAILED": "aws cloudformation delete-stack --stack-name {name}",
}


@dataclass(frozen=True)
class Brought:
    outputs: dict[str, str]
    result: str


def parameters() -> list[str]:
    """Names of the template's parameters."""
    text = TEMPLATE.read_text("utf-8").partition("\nParameters:\n")[2].partition("\nResources:\n")[0]
    return PARAMETER.findall("\n" + text)


def look(place: Place) -> dict[str, Any] | None:
    """The stack, None where there is none."""
    client = place.client("cloudformation")
    try:
        found: dict[str, Any] = client.describe_stacks(StackName=place.stack)["Stacks"][0]
    except client.exceptions.ClientError as wrong:
        if "does not exist" in str(wrong):
            return None
        raise
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def outputs_of(found: Mapping[str, Any] | None) -> dict[str, str]:
    return {each["OutputKey"]: each["OutputValue"] for each in (found or {}).get("Outputs", [])}


def bring(place: Place, given: Mapping[str, str], dry: bool, tell: Tell) -> Brought:
    """Made or brought up to date. Raises DeployFailed with the resource that was refused and why."""
    known = parameters()
    if strange := sorted(set(given) - set(known)):
        raise DeployFailed(f"The template has no parameter {', '.join(strange)}: it has {', '.join(known)}.")
    found = _ready(place, dry, tell)
    kind = "UPDATE" if found else "CREATE"
    before = [each["ParameterKey"] for each in (found or {}).get("Parameters", [])]
    asked = {"Stage": place.stage, **given}
    name = _change_set(place, kind, _parameters(known, asked, before), found)
    changes = _changes(place, name)
    if not changes:
        _forget(place, name, kind)
        return Brought(outputs_of(found), "unchanged")
    _refuse_loss(changes)
    _show(changes, kind, tell)
    if dry:
        _forget(place, name, kind)
        return Brought(outputs_of(found), f"would change {len(changes)} resources")
    return _execute(place, name, kind, changes, tell)


def _parameters(known: list[str], asked: Mapping[str, str], before: list[str]) -> list[dict[str, Any]]:
    """What is not given stays as it is."""
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in asked.items()]
    kept = [name for name in known if name in before and name not in asked]
    return given + [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]


def _ready(place: Place, dry: bool, tell: Tell) -> dict[str, Any] | None:
    """The stack as it is when nobody changes it; None where it is to be made."""
    found = look(place)
    status = found["StackStatus"] if found else ""
    if status == "REVIEW_IN_PROGRESS":
        return None
    if status.endswith("_IN_PROGRESS"):
        tell(f"{status}: waiting for what is under way")
        found = _settled(place)
        status = found["StackStatus"] if found else ""
    if status in STUCK:
        cure = STUCK[status].format(name=place.stack)
        raise DeployFailed(f"The stack {place.stack} is {status}: `{cure}`, wait for its end, and run again.")
    if status == "ROLLBACK_COMPLETE":
        if not dry:
            tell("an earlier attempt left an empty stack: deleting it")
            place.client("cloudformation").delete_stack(StackName=place.stack)
            _settled(place)
        return None
    return found


def _settled(place: Place) -> dict[str, Any] | None:
    while (found := look(place)) and found["StackStatus"].endswith("_IN_PROGRESS"):
        time.sleep(PAUSE_SECONDS)
    return found


def _change_set(place: Place, kind: str, asked: list[dict[str, Any]], found: Mapping[str, Any] | None) -> str:
    """Whoever makes a stack that fails finds it as far as it came, so that the next run goes on there: a rollback
    would have to delete a table that refuses to be deleted. An update goes back to what was."""
    half = found is not None and FAILED.match(found["StackStatus"])
    name = f"draad-{secrets.token_hex(8)}"
    place.client("cloudformation").create_change_set(
        StackName=place.stack,
        ChangeSetName=name,
        ChangeSetType=kind,
        TemplateBody=TEMPLATE.read_text("utf-8"),
        Parameters=asked,
        Capabilities=["CAPABILITY_IAM"],
        OnStackFailure="DO_NOTHING" if kind == "CREATE" or half else "ROLLBACK",
        Tags=[{"Key": "draad-stage", "Value": place.stage}],
    )
    return name


def _changes(place: Place, name: str) -> list[dict[str, Any]]:
    client = place.client("cloudformation")
    while (found := client.describe_change_set(StackName=place.stack, ChangeSetName=name))["Status"] in (
        "CREATE_PENDING",
        "CREATE_IN_PROGRESS",
    ):
        time.sleep(PAUSE_SECONDS)
    if found["Status"] == "FAILED":
        reason = found.get("StatusReason", "no reason given")
        if any(words in reason for words in NOTHING):
            return []
        raise DeployFailed(f"CloudFormation refuses the template ({reason}): mend it and run again.")
    changes: list[dict[str, Any]] = found["Changes"]
    while token := found.get("NextToken"):
        found = client.describe_change_set(StackName=place.stack, ChangeSetName=name, NextToken=token)
        changes += found["Changes"]
    return [each["ResourceChange"] for each in changes]


def _refuse_loss(changes: list[dict[str, Any]]) -> None:
    lost = [
        each["LogicalResourceId"]
        for each in changes
        if each["LogicalResourceId"] in KEPT and (each["Action"] == "Remove" or each.get("Replacement") == "True")
    ]
    if lost:
        raise DeployFailed(
            f"This change would remove or replace {', '.join(lost)}, where the data is: nothing was changed. "
            "Take it out of infra/template.yaml, or move the data by hand first."
        )


def _show(changes: list[dict[str, Any]], kind: str, tell: Tell) -> None:
    if kind == "CREATE":
        tell(f"{len(changes)} resources to make")
        return
    for each in changes:
        replaced = " (a new one in its place)" if each.get("Replacement") == "True" else ""
        tell(f"{each['Action'].lower():7} {each['LogicalResourceId']} {each['ResourceType']}{replaced}")


def _forget(place: Place, name: str, kind: str) -> None:
    """A change set that is not executed goes; so does the shell of a stack that was made only for it."""
    client = place.client("cloudformation")
    client.delete_change_set(StackName=place.stack, ChangeSetName=name)
    found = look(place)
    if kind == "CREATE" and found and found["StackStatus"] == "REVIEW_IN_PROGRESS":
        client.delete_stack(StackName=place.stack)


def _execute(place: Place, name: str, kind: str, changes: list[dict[str, Any]], tell: Tell) -> Brought:
    client = place.client("cloudformation")
    seen = {each["EventId"] for each in _events(place)}
    client.execute_change_set(StackName=place.stack, ChangeSetName=name)
    progress = Progress(place.stack, frozenset(each["LogicalResourceId"] for each in changes), tell)
    while not progress.ended:
        time.sleep(PAUSE_SECONDS)
        for event in reversed(_events(place)):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                progress.take(event)
    found = _settled(place)
    if found is None or found["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeployFailed(_refusal(place, found, progress.failures))
    return Brought(outputs_of(found), f"{'made' if kind == 'CREATE' else 'changed'}: {len(changes)} resources")


def _events(place: Place) -> list[dict[str, Any]]:
    """The newest first."""
    client = place.client("cloudformation")
    pages = client.get_paginator("describe_stack_events").paginate(StackName=place.stack)
    return [event for page in pages for event in page["StackEvents"]]


@dataclass
class Progress:
    """What the events of one change say. It has ended when the stack itself says so: its status lags behind."""

    stack: str
    asked: frozenset[str]
    tell: Tell
    done: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    ended: bool = False

    def take(self, event: Mapping[str, Any]) -> None:
        name, status = event["LogicalResourceId"], event.get("ResourceStatus", "")
        reason = event.get("ResourceStatusReason", "")
        if name == self.stack:
            self.ended = not status.endswith("_IN_PROGRESS")
        elif FAILED.match(status) and not CASCADE.search(reason):
            self.failures.append(f"{name} ({event['ResourceType']}): {reason or 'no reason given'}")
            self.tell(f"refused {self.failures[-1]}")
        elif status.endswith("_COMPLETE") and name in self.asked - self.done:
            self.done.add(name)
            if len(self.done) % 10 == 0:
                self.tell(f"{len(self.done)} of {len(self.asked)} done")


def _refusal(place: Place, found: Mapping[str, Any] | None, failures: list[str]) -> str:
    status = found["StackStatus"] if found else "gone"
    why = "; ".join(failures) or (found or {}).get("StackStatusReason", "no reason given")
    left = "What was made stays" if status == "CREATE_FAILED" else "It is as it was before"
    return f"The stack {place.stack} is {status}. {why}. {left}: mend the reason and run again."
