"""Checks of what keeps the data: stack, table, queues, buckets and the record of what is deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from chalicelib.store.receipts import STEPS
from infra.deploy import record
from infra.deploy.asked import Check, Gone, Said, Stage, asking, judged, ok, unsure, wrong
from infra.deploy.checks_functions import setting
from infra.deploy.mappings import WANTED

DAYS_14 = 14 * 24 * 3600
LARGE_BODY_DAYS = 15
"""At least: longer than a queue keeps the message that names it."""
QUEUES = ("inbox", "deliveries", "jobs")
DEAD = (*(f"{name}-dlq" for name in QUEUES), "fanout-dlq")
TAKERS = {source.of: name for name, source in WANTED.items()}
BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")


def checks() -> Iterator[Check]:
    yield from _of_table()
    yield from _of_queues()
    yield from _of_buckets()
    yield Check("record", "Lost or wrong, the next deployment makes a new API, and every hook URL is dead.", _record)


def _of_table() -> Iterator[Check]:
    yield Check("stack", "Everything else is found by its outputs.", _stack)
    yield Check("table", "All data lies in it.", _table)
    yield Check(
        "time to live", "Without it what is over stays, and is paid for and kept longer than promised.", _time_to_live
    )
    yield Check("recovery", "Without point-in-time recovery a mistake cannot be taken back.", _recovery)
    yield Check("stream", "Without it no system is told of anything.", _stream)
    yield Check("deletion protection", "One wrong command deletes the table.", _protection)
    yield Check(
        "encryption of the table",
        "The key that AWS manages leaves a trace of each use; the default does not.",
        _encryption,
    )


def _of_queues() -> Iterator[Check]:
    for name in QUEUES:
        yield Check(
            f"queue {name}",
            "Shorter than six timeouts, and a message is worked on twice at once.",
            partial(_queue, name),
        )
    for name in DEAD:
        yield Check(f"dead letters {name.removesuffix('-dlq')}", "What is in it was not done.", partial(_dead, name))


def _of_buckets() -> Iterator[Check]:
    for output in ("Bucket", "DeployedBucket"):
        called = {"Bucket": "bodies", "DeployedBucket": "record"}[output]
        yield Check(f"access to bucket {called}", "Customers' words must never be public.", partial(_private, output))
        yield Check(f"TLS of bucket {called}", "Without it somebody on the way can read.", partial(_tls, output))
    yield Check(
        "lifecycle of bucket bodies", "Bodies stay for ever, longer than promised, or go too early.", _lifecycle
    )
    yield Check("versions of bucket bodies", "With versions what is erased is still there.", _no_versions)
    yield Check("versions of bucket record", "Without them a record that was overwritten is lost.", _versions)


def _stack(stage: Stage) -> Said:
    found = stage.ask("cloudformation", "describe_stacks", StackName=stage.place.stack)["Stacks"][0]
    status = found["StackStatus"]
    if status.endswith("_IN_PROGRESS"):
        return unsure(f"{status}: somebody changes it now", "run again when it is over")
    if status not in SETTLED:
        return wrong(status, f"{stage.again}, which says what to do first")
    return ok(f"{stage.place.stack}: {status}")


def _described(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.ask("dynamodb", "describe_table", TableName=stage.outputs["Table"])["Table"]
    return found


def _change(stage: Stage, command: str, rest: str) -> str:
    return f"aws dynamodb {command} --table-name {stage.outputs['Table']} {rest}"


def _table(stage: Stage) -> Said:
    found = _described(stage)
    indexes = {each["IndexName"]: each.get("IndexStatus", "ACTIVE") for each in found.get("GlobalSecondaryIndexes", [])}
    problems = [f"it is {found['TableStatus']}"] if found["TableStatus"] not in ("ACTIVE", "UPDATING") else []
    if indexes.get("gsi") not in ("ACTIVE", "UPDATING"):
        problems.append(f"its index gsi is {indexes.get('gsi', 'missing')}")
    if found.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST":
        problems.append("it is not paid by request: a peak is throttled")
    mend = _change(stage, "update-table", "--billing-mode PAY_PER_REQUEST")
    return judged(problems, f"{found['TableName']}, on demand, about {found.get('ItemCount', 0)} items", mend)


def _time_to_live(stage: Stage) -> Said:
    found = stage.ask("dynamodb", "describe_time_to_live", TableName=stage.outputs["Table"])["TimeToLiveDescription"]
    status, by = found.get("TimeToLiveStatus"), found.get("AttributeName")
    mend = _change(stage, "update-time-to-live", "--time-to-live-specification Enabled=true,AttributeName=x")
    right = status in ("ENABLED", "ENABLING") and by == "x"
    return ok("by x") if right else wrong(f"{status} by {by or 'nothing'}", mend)


def _recovery(stage: Stage) -> Said:
    found = stage.ask("dynamodb", "describe_continuous_backups", TableName=stage.outputs["Table"])
    known = found["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    mend = _change(
        stage, "update-continuous-backups", "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
    )
    if known.get("PointInTimeRecoveryStatus") != "ENABLED":
        return wrong(f"point-in-time recovery is {known.get('PointInTimeRecoveryStatus')}", mend)
    return ok(f"any second since {known.get('EarliestRestorableDateTime', 'it was switched on')}")


def _stream(stage: Stage) -> Said:
    found = _described(stage)
    kind = found.get("StreamSpecification", {}).get("StreamViewType", "no stream")
    mend = (
        _change(stage, "update-table", "--stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES")
        + f", then {stage.forced}"
    )
    problems = [f"it is {kind}, not NEW_AND_OLD_IMAGES"] if kind != "NEW_AND_OLD_IMAGES" else []
    if found.get("LatestStreamArn") != stage.outputs["StreamArn"]:
        problems.append("the table has another stream than the stack says, and the fanout reads the old one")
    return judged(problems, kind, mend)


def _protection(stage: Stage) -> Said:
    mend = _change(stage, "update-table", "--deletion-protection-enabled")
    return ok("on") if _described(stage).get("DeletionProtectionEnabled") else wrong("off", mend)


def _encryption(stage: Stage) -> Said:
    found = _described(stage).get("SSEDescription", {})
    right = found.get("Status") in ("ENABLED", "UPDATING") and found.get("SSEType") == "KMS"
    mend = _change(stage, "update-table", "--sse-specification Enabled=true,SSEType=KMS")
    return ok("KMS") if right else wrong("the key is not that of KMS", mend)


def _attributes(stage: Stage, name: str) -> tuple[str, dict[str, str]]:
    url = stage.ask("sqs", "get_queue_url", QueueName=f"{stage.place.stack}-{name}")["QueueUrl"]
    return url, stage.ask("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]


def _queue(name: str, stage: Stage) -> Said:
    url, found = _attributes(stage, name)
    least = 6 * int(setting(stage.config, stage.name, TAKERS[name], "lambda_timeout"))
    visible = int(found.get("VisibilityTimeout", 30))
    redrive = json.loads(found.get("RedrivePolicy", "{}"))
    wanted = {"VisibilityTimeout": str(max(visible, least)), "MessageRetentionPeriod": str(DAYS_14)}
    problems = [f"a message is hidden for {visible} s, not {least} or more"] if visible < least else []
    problems += _kept(found)
    if not str(redrive.get("deadLetterTargetArn", "")).endswith(f":{stage.place.stack}-{name}-dlq"):
        problems.append("what fails for ever has no dead letters to go to")
    mend = f"aws sqs set-queue-attributes --queue-url {url} --attributes '{json.dumps(wanted | _redrive(stage, name))}'"
    return judged(
        problems, f"hidden for {visible} s, dead after {redrive.get('maxReceiveCount')} receives, kept 14 days", mend
    )


def _redrive(stage: Stage, name: str) -> dict[str, str]:
    at = stage.place
    arn = f"arn:{at.partition}:sqs:{at.region}:{at.account}:{at.stack}-{name}-dlq"
    return {
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "100"}),
        "SqsManagedSseEnabled": "true",
    }


def _kept(found: dict[str, str]) -> list[str]:
    problems = []
    if int(found.get("MessageRetentionPeriod", 0)) < DAYS_14:
        problems.append(f"a message is kept for {int(found.get('MessageRetentionPeriod', 0)) / 86400:g} days, not 14")
    if found.get("SqsManagedSseEnabled", "true") != "true" and not found.get("KmsMasterKeyId"):
        problems.append("it is not encrypted")
    return problems


def _dead(name: str, stage: Stage) -> Said:
    url, found = _attributes(stage, name)
    held = sum(int(found.get(f"ApproximateNumberOfMessages{each}", 0)) for each in ("", "NotVisible", "Delayed"))
    if problems := _kept(found):
        wanted = json.dumps({"MessageRetentionPeriod": str(DAYS_14), "SqsManagedSseEnabled": "true"})
        return wrong("; ".join(problems), f"aws sqs set-queue-attributes --queue-url {url} --attributes '{wanted}'")
    if held:
        takes = "nothing takes them" if name == "fanout-dlq" else "the sweep takes them within a minute"
        return wrong(f"about {held}: {takes}", "docs/operate.md, Alarm dead-letters")
    return ok("empty, kept 14 days")


def _private(output: str, stage: Stage) -> Said:
    bucket = stage.outputs[output]
    asked = ",".join(f"{each}=true" for each in BLOCK)
    mend = f"aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration {asked}"
    try:
        found = stage.ask("s3", "get_public_access_block", Bucket=bucket)["PublicAccessBlockConfiguration"]
    except Gone:
        return wrong("nothing keeps the public out", mend)
    return judged([f"{each} is off" for each in BLOCK if not found.get(each)], "closed to the public", mend)


def _tls(output: str, stage: Stage) -> Said:
    bucket = stage.outputs[output]
    mend = (
        f"enter the statement OnlyByTls of infra/template.yaml in the policy of {bucket}: aws s3api put-bucket-policy"
    )
    try:
        found = json.loads(stage.ask("s3", "get_bucket_policy", Bucket=bucket)["Policy"])
    except Gone:
        return wrong("it has no policy", mend)
    return (
        ok("refuses all else")
        if any(_only_tls(each) for each in found["Statement"])
        else wrong("takes all else too", mend)
    )


def _only_tls(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    everybody = statement.get("Principal") in ("*", {"AWS": "*"})
    everything = statement.get("Action") in ("s3:*", "*", ["s3:*"])
    return statement.get("Effect") == "Deny" and everybody and everything and str(condition).lower() == "false"


def _lifecycle(stage: Stage) -> Said:
    bucket = stage.outputs["Bucket"]
    try:
        rules = stage.ask("s3", "get_bucket_lifecycle_configuration", Bucket=bucket)["Rules"]
    except Gone:
        rules = []
    on = [each for each in rules if each.get("Status") == "Enabled"]
    days = {_prefix(each): each["Expiration"]["Days"] for each in on if "Days" in each.get("Expiration", {})}
    problems = [
        f"receipts/{step}d/ is kept {_days(days, step)}" for step in STEPS if days.get(f"receipts/{step}d/") != step
    ]
    if "inbox/" not in days:
        problems.append("inbox/ is kept for ever")
    elif days["inbox/"] < LARGE_BODY_DAYS:
        problems.append(f"inbox/ is kept {days['inbox/']} days, less than {LARGE_BODY_DAYS}")
    if "" in days:
        problems.append(f"everything goes after {days['']} days")
    if not any("AbortIncompleteMultipartUpload" in each for each in on):
        problems.append("what was begun and not finished stays")
    mend = f"enter the rules of Bodies in infra/template.yaml again: aws s3api put-bucket-lifecycle-configuration --bucket {bucket}"
    return judged(problems[:4], f"{len(on)} rules", mend)


def _days(days: dict[str, int], step: int) -> str:
    found = days.get(f"receipts/{step}d/")
    return f"{found} days, not {step}" if found else "for ever"


def _prefix(rule: dict[str, Any]) -> str:
    return str(rule.get("Prefix") or rule.get("Filter", {}).get("Prefix") or "")


def _no_versions(stage: Stage) -> Said:
    bucket = stage.outputs["Bucket"]
    found = stage.ask("s3", "get_bucket_versioning", Bucket=bucket).get("Status")
    mend = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Suspended, and delete the old versions"
    return wrong("versions are kept", mend) if found == "Enabled" else ok("none")


def _versions(stage: Stage) -> Said:
    bucket = stage.outputs["DeployedBucket"]
    found = stage.ask("s3", "get_bucket_versioning", Bucket=bucket).get("Status")
    mend = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
    return ok("kept") if found == "Enabled" else wrong("versions are not kept", mend)


def _record(stage: Stage) -> Said:
    """Whether the record in the bucket is what a deployment would write now."""
    kept = stage.kept_record
    if kept is None:
        return wrong("the record bucket has none", stage.again)
    with asking("lambda"):
        seen = record.seen(stage.place, stage.config, stage.outputs, stage.api)
    names = {entry["name"] for entry in seen}
    known = {entry["name"]: entry for entry in kept["resources"]}
    problems = [f"{name} is recorded and not there" for name in sorted(known) if name in record.ASKED - names]
    problems += [f"{entry['name']} is not the recorded one" for entry in seen if known.get(entry["name"], {}) != entry]
    return judged(problems, f"{len(seen)} things, as they are", stage.again)
