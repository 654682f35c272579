"""The whole stage as one template: what Chalice packages, merged with infra/template.yaml and all that Chalice cannot say.

Chalice merges key by key. So a value that is an intrinsic on both sides would end with two keys; nothing here sets one
that Chalice makes an intrinsic of: queues keep the names that Chalice gives them, and only come first.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra import gateway_responses, log_groups
from infra.deploy import answers, functions, sources, stack
from infra.deploy.mappings import WANTED, Source
from infra.deploy.place import API, FUNCTIONS, Place, Tell
from infra.local.embedded import hub_env

Template = dict[str, Any]
HANDLER = "APIHandler"
"""What Chalice calls the API's function in a template."""
QUEUE = "JobsQueue"
"""What the queue `Jobs` is called there, where the function of that name is `Jobs`."""
OF_CHALICE = {"BatchSize", "MaximumBatchingWindowInSeconds"}
SUB = re.compile(r"\$\{Jobs(?=[.}])")


def folder_of(place: Place) -> Path:
    return place.root / ".chalice" / "package" / place.stage


def bring(place: Place, tell: Tell) -> str:
    """`sam.json` and `deployment.zip` in the stage's folder."""
    folder = folder_of(place)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    merge = folder / "merge.json"
    merge.write_text(json.dumps(merge_template(place.stage), indent=2), "utf-8")
    functions.pack(place, tell)
    functions.chalice(place, ["package", "--stage", place.stage, "--merge-template", str(merge), str(folder)], tell)
    return f"{folder.relative_to(place.root)}/sam.json"


def how(place: Place) -> str:
    """The commands that bring it to AWS."""
    folder = folder_of(place).relative_to(place.root)
    return (
        f"aws cloudformation package --template-file {folder}/sam.json --s3-bucket BUCKET "
        f"--output-template-file {folder}/packaged.yaml\n"
        f"aws cloudformation deploy --template-file {folder}/packaged.yaml --stack-name {place.stack} --s3-bucket BUCKET "
        "--capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
    )


def merge_template(stage: str) -> Template:
    """For `chalice package --merge-template`."""
    merged: Template = _renamed(own_template())
    merged["Resources"][QUEUE] = merged["Resources"].pop("Jobs")
    merged["Parameters"]["Stage"] |= {"Default": stage, "AllowedValues": [stage]}
    values = {name: each["Value"] for name, each in merged["Outputs"].items()}
    for name in FUNCTIONS:
        merged["Resources"][resource_of(name)] = _function(stage, name, values)
        merged["Resources"][f"{resource_of(name)}Log"] = _log(called(stage, name))
    merged["Resources"]["RestAPI"] = {
        "Properties": {
            "OpenApiVersion": "2.0",  # or SAM makes a second stage, called Stage, without limits
            "DefinitionBody": gateway_responses.definition(),
            "MethodSettings": [
                {
                    "HttpMethod": "*",
                    "ResourcePath": "/*",
                    "ThrottlingRateLimit": answers.RATE,
                    "ThrottlingBurstLimit": answers.BURST,
                }
            ],
        }
    }
    return merged


def own_template() -> Template:
    """infra/template.yaml with CloudFormation's tags in their long form."""
    from chalice.package import YAMLTemplateSerializer

    found: Template = YAMLTemplateSerializer().load_template(stack.TEMPLATE.read_text("utf-8"), str(stack.TEMPLATE))
    return found


def _renamed(part: Any) -> Any:
    """The template with everything that names the queue `Jobs` naming it otherwise."""
    if isinstance(part, list):
        return [_renamed(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part == {"Ref": "Jobs"}:
        return {"Ref": QUEUE}
    if part.get("Fn::GetAtt", [""])[0] == "Jobs":
        return {"Fn::GetAtt": [QUEUE, *part["Fn::GetAtt"][1:]]}
    if isinstance(part.get("Fn::Sub"), str):
        return {"Fn::Sub": SUB.sub("${" + QUEUE, part["Fn::Sub"])}
    return {name: _renamed(each) for name, each in part.items()}


def resource_of(name: str) -> str:
    from chalice.utils import to_cfn_resource_name

    return HANDLER if name == API else str(to_cfn_resource_name(name))


def called(stage: str, name: str) -> str:
    """As `chalice deploy` calls a function, by which alarms and policies know it."""
    return f"draad-{stage}" if name == API else f"draad-{stage}-{name}"


def _log(function: str) -> Template:
    return {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": f"/aws/lambda/{function}", "RetentionInDays": log_groups.DAYS},
    }


def _function(stage: str, name: str, values: Mapping[str, Any]) -> Template:
    properties: Template = {"FunctionName": called(stage, name), "Environment": {"Variables": hub_env(stage, values)}}
    found: Template = {"Properties": properties, "DependsOn": [f"{resource_of(name)}Log"]}
    if source := WANTED.get(name):
        properties["Events"] = {_event_name(name, source): {"Properties": _event(source, values)}}
        if source.of != "stream":
            found["DependsOn"].append(QUEUE if source.of == "jobs" else source.of.capitalize())
    return found


def _event_name(name: str, source: Source) -> str:
    from chalice.utils import to_cfn_resource_name

    kind = "dynamodb" if source.of == "stream" else "sqs"
    return str(to_cfn_resource_name(f"{name}-{kind}-event-source"))


def _event(source: Source, values: Mapping[str, Any]) -> Template:
    """As SAM calls the settings. Those of the batch Chalice writes itself."""
    asked: Template = {name: each for name, each in sources.wanted(source, values).items() if name not in OF_CHALICE}
    if not asked["FunctionResponseTypes"]:
        del asked["FunctionResponseTypes"]
    if source.on_failure:
        asked["DestinationConfig"]["OnFailure"]["Type"] = "SQS"
    return asked | ({"Stream": values["StreamArn"]} if source.of == "stream" else {})
