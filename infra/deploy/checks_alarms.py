"""Checks of every alarm of the template, and of whoever is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from infra.deploy.asked import Check, Said, Stage, judged, ok, wrong
from infra.deploy.stack import TEMPLATE

ALARM = re.compile(r'(?m)^      AlarmName: !Sub "draad-\$\{Stage\}-(\S+)"$')
ON_AN_EXPRESSION = re.compile(r"(?m)^errors-")
RUNBOOK = re.compile(r"Alarm ([\w-]+)")


def names() -> list[str]:
    """Of the alarms, without the stage."""
    return ALARM.findall(TEMPLATE.read_text("utf-8"))


def checks() -> Iterator[Check]:
    for name in names():
        yield Check(f"alarm {name}", "Without it nobody hears of this until a customer does.", partial(_alarm, name))
    yield Check("who is told of alarms", "An alarm that nobody hears is none.", _told)


def _alarm(name: str, stage: Stage) -> Said:
    whole = f"{stage.place.stack}-{name}"
    found = stage.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{stage.place.stack}-")
    alarm = next((each for each in found if each["AlarmName"] == whole), None)
    if alarm is None and ON_AN_EXPRESSION.match(name) and _without_expressions(stage):
        return ok("left out: the stack has MetricMath=no")
    if alarm is None:
        return wrong(
            "it is not there",
            f"it was deleted by hand: take its block out of infra/template.yaml, {stage.again}, put it back, and once more",
        )
    if not alarm.get("ActionsEnabled", True):
        return wrong(
            "it tells nobody: its actions are off", f"aws cloudwatch enable-alarm-actions --alarm-names {whole}"
        )
    if stage.outputs["AlarmTopicArn"] not in alarm.get("AlarmActions", []):
        return wrong(
            "it does not tell the topic",
            f"put the topic back as its alarm action in CloudWatch: {stage.outputs['AlarmTopicArn']}",
        )
    if alarm.get("StateValue") == "ALARM":
        runbook = RUNBOOK.search(alarm.get("AlarmDescription", ""))
        return wrong("it rings", f"docs/operate.md, Alarm {runbook[1] if runbook else name}")
    return ok({"OK": "quiet", "INSUFFICIENT_DATA": "no measures yet"}.get(alarm.get("StateValue", ""), "quiet"))


def _without_expressions(stage: Stage) -> bool:
    found = stage.ask("cloudformation", "describe_stacks", StackName=stage.place.stack)["Stacks"][0]
    return {"ParameterKey": "MetricMath", "ParameterValue": "no"} in [
        _plain(each) for each in found.get("Parameters", [])
    ]


def _plain(parameter: dict[str, Any]) -> dict[str, Any]:
    return {name: parameter.get(name) for name in ("ParameterKey", "ParameterValue")}


def _told(stage: Stage) -> Said:
    """Whoever they are: an address is nobody's business here."""
    topic = stage.outputs["AlarmTopicArn"]
    found = stage.pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    sure = [each for each in found if str(each["SubscriptionArn"]).startswith("arn:")]
    if sure:
        return ok(f"{len(sure)} of {len(found)} who were asked")
    problems = ["the mail was not confirmed yet" if found else "nobody"]
    mend = (
        f"confirm it in the mail that AWS sent, or: make deploy STAGE={stage.name} PARAMETERS=AlarmMail=ops@example.nl"
    )
    return judged(problems, "", mend)
