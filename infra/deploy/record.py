"""The record of what Chalice deployed: `.chalice/deployed/<stage>.json`, and its copy in the record bucket.

Chalice writes it at its very end. Without it, it makes a second API, whose hook URLs nobody knows, and cannot make the
event sources, because they are there. So the record is completed from the account before Chalice runs: what is there counts, the
record only remembers. The API is made here, beforehand, and bears the stage as a tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.deploy import environment, sources
from infra.deploy.errors import DeployFailed
from infra.deploy.mappings import WANTED
from infra.deploy.place import API, APP, FUNCTIONS, Place, Tell

Record = dict[str, Any]
Entry = dict[str, Any]
TAG = "draad-stage"
SUFFIXES = ("", "_role", "-sqs-event-source", "-dynamodb-event-source", "-event")
ASKED = frozenset(["rest_api", *(f"{name}{suffix}" for name in FUNCTIONS for suffix in SUFFIXES)])
"""Names that the account is asked about: what it does not have of these is gone. Others stay as the record has them."""


def key_of(stage: str) -> str:
    return f"{stage}.json"


def path_of(place: Place) -> Path:
    return place.root / ".chalice" / "deployed" / f"{place.stage}.json"


def local(place: Place) -> Record | None:
    path = path_of(place)
    return _sound(path.read_bytes()) if path.exists() else None


def remote(place: Place, bucket: str) -> Record | None:
    client = place.client("s3")
    if not bucket:
        return None
    try:
        body = client.get_object(Bucket=bucket, Key=key_of(place.stage))["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
    return _sound(body)


def _sound(text: str | bytes) -> Record | None:
    """None for one that is damaged: the account knows better."""
    try:
        found: Record = json.loads(text)
        return found if isinstance(found["resources"], list) else None
    except (ValueError, KeyError, TypeError):
        return None


def dumps(record: Record) -> str:
    """As Chalice writes it."""
    return json.dumps(record, indent=2, separators=(",", ": ")) + "\n"


def keep(place: Place, bucket: str, record: Record) -> bool:
    """The record here and in the bucket, each only where it differs. Whether anything was written."""
    path, text = path_of(place), dumps(record)
    wrote = False
    if not path.exists() or path.read_text("utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".json.new")
        fresh.write_text(text, "utf-8")
        fresh.replace(path)
        wrote = True
    if bucket and remote(place, bucket) != record:
        place.client("s3").put_object(
            Bucket=bucket, Key=key_of(place.stage), Body=text.encode(), ContentType="application/json"
        )
        wrote = True
    return wrote


def api_of(record: Record | None) -> str:
    """The API that a record names, empty for none."""
    for entry in (record or {}).get("resources", []):
        if entry["resource_type"] == "rest_api":
            return str(entry.get("rest_api_id", ""))
    return ""


@dataclass(frozen=True)
class Apis:
    """Who names which API. `there`: those of them that exist."""

    here: str = ""
    bucket: str = ""
    tagged: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    there: frozenset[str] = frozenset()


def choose(apis: Apis, wanted: str = "", new: bool = False) -> str:
    """The API of the stage, empty when it has none yet. Raises DeployFailed where a wrong guess would lose hook URLs."""
    named = {each for each in (apis.here, apis.bucket, *apis.tagged, *apis.permitted) if each}
    alive = sorted(named & apis.there)
    if wanted:
        if wanted not in apis.there:
            raise DeployFailed(f"There is no API {wanted} in this account and region: `aws apigateway get-rest-apis`.")
        return wanted
    if len(alive) == 1:
        return alive[0]
    if len(alive) > 1:
        raise DeployFailed(
            f"The stage has several APIs: {_who_names(apis, alive)}. Nothing was changed. Find the one whose URL the providers "
            f"call (DRAAD_PUBLIC_URL in .chalice/config.json), and run again with --api {alive[0]} or --api {alive[1]}."
        )
    if recorded := sorted({apis.here, apis.bucket} - {""}):
        if new:
            return ""
        raise DeployFailed(
            f"The record names the API {', '.join(recorded)}, which is not in this account and region: are they the right "
            "ones? If it was deleted, every hook URL without a custom domain is dead, and --new-api makes another."
        )
    return ""


def _who_names(apis: Apis, alive: Iterable[str]) -> str:
    said = {
        "the record here": {apis.here},
        "the record bucket": {apis.bucket},
        "its tag": set(apis.tagged),
        "the function's policy": set(apis.permitted),
    }
    return ", ".join(f"{api} (by {', '.join(who for who, having in said.items() if api in having)})" for api in alive)


def apis(place: Place, here: Record | None, kept: Record | None) -> Apis:
    """Asks the account."""
    client = place.client("apigateway")
    pages = client.get_paginator("get_rest_apis").paginate()
    found = {each["id"]: each.get("tags", {}) for page in pages for each in page["items"]}
    tagged = tuple(name for name, tags in found.items() if tags.get(TAG) == place.stage)
    return Apis(api_of(here), api_of(kept), tagged, _permitted(place), frozenset(found))


def _permitted(place: Place) -> tuple[str, ...]:
    """APIs that may call the stage's function, as each deployment by Chalice lets its own."""
    client = place.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=place.function(API))["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return ()
    arns = [_source(each) for each in policy["Statement"]]
    return tuple(dict.fromkeys(arn.split(":")[5].split("/")[0] for arn in arns if ":execute-api:" in arn))


def _source(statement: Mapping[str, Any]) -> str:
    conditions = statement.get("Condition", {}).values()
    return next(
        (str(value) for each in conditions for name, value in each.items() if name.lower() == "aws:sourcearn"), ""
    )


def make_api(place: Place) -> str:
    """An empty API that bears the stage as a tag: Chalice fills it."""
    made: str = place.client("apigateway").create_rest_api(
        name=APP, endpointConfiguration={"types": ["REGIONAL"]}, tags={TAG: place.stage}
    )["id"]
    return made


def mark_api(place: Place, api: str) -> None:
    """One that Chalice made gets the tag too."""
    client = place.client("apigateway")
    if client.get_rest_api(restApiId=api).get("tags", {}).get(TAG) != place.stage:
        arn = f"arn:{place.partition}:apigateway:{place.region}::/restapis/{api}"
        client.tag_resource(resourceArn=arn, tags={TAG: place.stage})


def seen(place: Place, config: environment.Config, outputs: Mapping[str, str], api: str) -> list[Entry]:
    """What of the stage is in the account, in the order in which Chalice records it."""
    entries: list[Entry] = []
    for name in FUNCTIONS:
        entries += _role(place, name)
        if arn := _function(place, name):
            entries.append({"name": name, "resource_type": "lambda_function", "lambda_arn": arn})
            entries += _event(place, name, arn, outputs)
    if api:
        url = environment.api_url(place, config, api) + "/"
        entries.append({"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api, "rest_api_url": url})
    return entries + _domain(place, config)


def _role(place: Place, name: str) -> list[Entry]:
    client, role = place.client("iam"), f"{place.stack}-{name}"
    try:
        arn = client.get_role(RoleName=role)["Role"]["Arn"]
    except client.exceptions.NoSuchEntityException:
        return []
    return [{"name": f"{name}_role", "resource_type": "iam_role", "role_arn": arn, "role_name": role}]


def _function(place: Place, name: str) -> str:
    client = place.client("lambda")
    try:
        found = client.get_function_configuration(FunctionName=place.function(name))
    except client.exceptions.ResourceNotFoundException:
        return ""
    return str(found["FunctionArn"])


def _event(place: Place, name: str, arn: str, outputs: Mapping[str, str]) -> list[Entry]:
    if name == "sweep":
        return _rule(place, name)
    if name not in WANTED or not outputs:
        return []
    of = sources.source_arn(place, WANTED[name], outputs)
    found = sources.mapping_of(place, name, of)
    if found is None:
        return []
    entry = {"name": "", "resource_type": "", "event_uuid": found["UUID"], "lambda_arn": arn}
    if WANTED[name].of == "stream":
        return [entry | {"name": f"{name}-dynamodb-event-source", "resource_type": "dynamodb_event", "stream_arn": of}]
    queue = of.rpartition(":")[2]
    about = {"queue_arn": of, "queue": queue}
    return [entry | {"name": f"{name}-sqs-event-source", "resource_type": "sqs_event", **about}]


def _rule(place: Place, name: str) -> list[Entry]:
    client, rule = place.client("events"), f"{place.stack}-{name}-event"
    try:
        client.describe_rule(Name=rule)
    except client.exceptions.ResourceNotFoundException:
        return []
    return [{"name": f"{name}-event", "resource_type": "cloudwatch_event", "rule_name": rule}]


def _domain(place: Place, config: environment.Config) -> list[Entry]:
    """Chalice fails where a domain is there that the record does not know."""
    wanted = environment.domain_of(config, place.stage)
    client = place.client("apigateway")
    if wanted is None:
        return []
    try:
        found = client.get_domain_name(domainName=wanted["domain_name"])
        paths = client.get_base_path_mappings(domainName=wanted["domain_name"]).get("items", [])
    except client.exceptions.NotFoundException:
        return []
    return [
        {
            "name": "api_gateway_custom_domain",
            "resource_type": "domain_name",
            "hosted_zone_id": found.get("regionalHostedZoneId", ""),
            "alias_domain_name": found.get("regionalDomainName", ""),
            "certificate_arn": found.get("regionalCertificateArn", ""),
            "security_policy": found.get("securityPolicy", ""),
            "domain_name": wanted["domain_name"],
            "api_mapping": [{"key": "/" + each["basePath"].replace("(none)", "")} for each in paths],
        }
    ]


def merged(records: Sequence[Record | None], entries: list[Entry]) -> Record:
    """The record as the account has it. What the account is not asked about stays: Chalice takes away what is no longer
    in the app by it. But no log: Chalice would lift its end."""
    names = {entry["name"] for entry in entries}
    more: dict[str, Entry] = {}
    for record in records:
        for entry in (record or {}).get("resources", []):
            if entry["name"] not in names | ASKED and entry["resource_type"] != "log_group":
                more.setdefault(entry["name"], entry)
    found = {"resources": entries + list(more.values()), "schema_version": "2.0", "backend": "api"}
    return next((record for record in records if record and _by_name(record) == _by_name(found)), found)


def _by_name(record: Record) -> dict[str, Entry]:
    """The order is Chalice's own, and no difference."""
    return {entry["name"]: entry for entry in record["resources"]}


@dataclass(frozen=True)
class Known:
    record: Record
    api: str
    result: str


def bring(
    place: Place, config: environment.Config, outputs: Mapping[str, str], wanted: str, new: bool, dry: bool, tell: Tell
) -> Known:
    """The record complete, here and in the bucket; the API there. Raises DeployFailed."""
    bucket = outputs.get("DeployedBucket", "")
    here, kept = local(place), remote(place, bucket)
    api = choose(apis(place, here, kept), wanted, new)
    _say(here, kept, api, tell)
    if dry:
        entries = seen(place, config, outputs, api)
        return Known(merged((kept, here), entries), api, f"API {api}" if api else "would make the API")
    made = not api
    api = api or make_api(place)
    mark_api(place, api)
    record = merged((kept, here), seen(place, config, outputs, api))
    wrote = keep(place, bucket, record)
    if made:
        return Known(record, api, f"API {api} made, and recorded")
    return Known(record, api, f"API {api}, record brought up to date" if wrote else f"API {api}, unchanged")


def _say(here: Record | None, kept: Record | None, api: str, tell: Tell) -> None:
    if here is None and kept is not None:
        tell("no record here: taken from the record bucket")
    elif here is not None and kept is None:
        tell("the record bucket has none: the one here goes there")
    elif here != kept:
        tell("the records here and in the bucket differ: both become what the account has")
    elif here is None and api:
        tell("no record anywhere: it is made anew from the account")
