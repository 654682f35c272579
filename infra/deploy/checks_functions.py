"""Checks of the functions: how each is set, what it may do, what it is told, how long its log is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from infra import log_groups, policies
from infra.deploy import release
from infra.deploy.asked import Check, Gone, Said, Stage, judged, ok, unsure, wrong
from infra.deploy.place import API, FUNCTIONS
from infra.local.embedded import hub_env
from infra.package.runtime import RUNTIMES

DEFAULTS: dict[str, Any] = {"lambda_memory_size": 128, "lambda_timeout": 60, "lambda_architecture": "x86_64"}
"""Of Chalice."""


def checks() -> Iterator[Check]:
    for name in FUNCTIONS:
        yield Check(
            f"function {name}", "A wrong timeout or too little memory stops work half-way.", partial(_set, name)
        )
        yield Check(
            f"environment of {name}",
            "A function that is told another table, bucket or key works on the wrong data, or not at all.",
            partial(_told, name),
        )
        yield Check(
            f"policy of {name}",
            "Too little, and work fails when it is first needed; too much, and a fault reaches what it should not.",
            partial(_allowed, name),
        )
        yield Check(
            f"callers of {name}",
            "Whoever may call a function goes past the signatures that the API asks for.",
            partial(_callers, name),
        )
        yield Check(
            f"concurrency of {name}",
            "A function that is held at nothing is off; held low, it lets webhooks wait.",
            partial(_held, name),
        )
        yield Check(f"log of {name}", "A log without an end is kept and paid for, for ever.", partial(_log, name))
    yield Check("version", "What runs is not what you read here.", _version)


def setting(config: Mapping[str, Any], stage: str, function: str, name: str) -> Any:
    """As Chalice looks for it: the stage's function, the stage, the function, the top."""
    own = config.get("stages", {}).get(stage, {})
    places = (own.get("lambda_functions", {}), own, config.get("lambda_functions", {}), config)
    for place in (places[0].get(function, {}), places[1], places[2].get(function, {}), places[3]):
        if name in place:
            return place[name]
    return DEFAULTS.get(name)


def _set(name: str, stage: Stage) -> Said:
    found = stage.function(name)
    live = release.live(stage.releases) or {}
    wanted = {
        "memory": (found["MemorySize"], setting(stage.config, stage.name, name, "lambda_memory_size")),
        "timeout": (found["Timeout"], setting(stage.config, stage.name, name, "lambda_timeout")),
        "architecture": (
            (found.get("Architectures") or ["x86_64"])[0],
            setting(stage.config, stage.name, name, "lambda_architecture"),
        ),
        "runtime": (found["Runtime"], live.get("runtime") or found["Runtime"]),
        "tracing": (
            found.get("TracingConfig", {}).get("Mode", "PassThrough") == "Active",
            policies.traced(stage.config, stage.name),
        ),
    }
    problems = [f"{what} is {now}, not {asked}" for what, (now, asked) in wanted.items() if now != asked]
    if found["Runtime"] not in RUNTIMES:
        problems.append(f"{found['Runtime']} is none that it is made for: {', '.join(RUNTIMES)}")
    if found.get("State") == "Failed" or found.get("LastUpdateStatus") == "Failed":
        problems.append(
            f"Lambda could not take it: {found.get('LastUpdateStatusReasonCode') or found.get('StateReasonCode')}"
        )
    shown = (
        f"{found['Runtime']}, {wanted['architecture'][0]}, {found['MemorySize']} MB, {found['Timeout']} s, "
        f"X-Ray {'on' if wanted['tracing'][0] else 'off'}"
    )
    return judged(problems, shown, stage.forced)


def _told(name: str, stage: Stage) -> Said:
    """Names only: whoever keeps a secret in a variable shall not read it here."""
    found = stage.function(name).get("Environment", {}).get("Variables", {})
    wanted = stage.variables() | hub_env(stage.name, stage.outputs)
    problems = [
        *(f"{key} is missing" for key in sorted(wanted.keys() - found.keys())),
        *(
            f"{key} is not what stack and configuration say"
            for key in sorted(wanted)
            if found.get(key, wanted[key]) != wanted[key]
        ),
        *(f"{key} was set by hand" for key in sorted(found.keys() - wanted.keys())),
    ]
    return judged(problems, f"{len(found)} variables as stack and configuration say", stage.forced)


def _allowed(name: str, stage: Stage) -> Said:
    role = stage.function(name)["Role"].rpartition("/")[2]
    inline = stage.ask("iam", "list_role_policies", RoleName=role)["PolicyNames"]
    attached = stage.ask("iam", "list_attached_role_policies", RoleName=role)["AttachedPolicies"]
    documents = [
        stage.ask("iam", "get_role_policy", RoleName=role, PolicyName=each)["PolicyDocument"] for each in inline
    ]
    live = {rule for each in documents for rule in rules(each)}
    wanted = [set(rules(each)) for each in _wanted(name, stage)]
    trust = stage.ask("iam", "get_role", RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    problems = [f"{each['PolicyName']} is attached to {role} besides" for each in attached]
    problems += [f"{each} may take {role}" for each in principals(trust) if each != "lambda.amazonaws.com"]
    if live not in wanted:
        nearest = min(wanted, key=lambda each: len(each ^ live))
        problems += [f"may {action} on {resource}, which is too much" for action, resource in _lost(live, nearest)]
        problems += [f"may not {action} on {resource}" for action, resource in _lost(nearest, live)]
    return judged(problems[:6], f"{role} may what .chalice/{_file(name, stage)} says", stage.forced)


def _file(name: str, stage: Stage) -> str:
    return str(setting(stage.config, stage.name, name, "iam_policy_file") or policies.file_of(stage.name, name))


def _wanted(name: str, stage: Stage) -> Iterator[Mapping[str, Any]]:
    """The file of the repository, and the same as a deployment narrows it to account and region."""
    path = stage.place.root / ".chalice" / _file(name, stage)
    if path.exists():
        yield json.loads(path.read_text("utf-8"))
    at = policies.Place(stage.name, stage.place.account, stage.place.region, stage.place.partition)
    yield policies.document(at, name, xray=policies.traced(stage.config, stage.name))


Rule = tuple[str, str, str, str]


def rules(document: Mapping[str, Any] | str) -> Iterator[Rule]:
    """Effect, action, resource, condition: each by itself, so that order and grouping do not count."""
    known = json.loads(document) if isinstance(document, str) else document
    for each in _many(known["Statement"]):
        condition = json.dumps(_sorted(each.get("Condition", {})), sort_keys=True)
        for action in _named(each, "Action"):
            for resource in _named(each, "Resource"):
                yield each["Effect"], action, resource, condition


def _named(statement: Mapping[str, Any], name: str) -> list[str]:
    """What is named, and all but what is named: a policy that allows nearly everything shall not look empty."""
    others = [f"all but {each}" for each in _many(statement.get(f"Not{name}", []))]
    return [*_many(statement.get(name, [])), *others]


def principals(document: Mapping[str, Any] | str) -> list[str]:
    """All who are let in."""
    known = json.loads(document) if isinstance(document, str) else document
    allowed = [each for each in _many(known["Statement"]) if each["Effect"] == "Allow"]
    found = [each.get("Principal", "all but some") for each in allowed]
    return [who for each in found for who in (_flat(each) if isinstance(each, dict) else [each])]


def _flat(principal: Mapping[str, Any]) -> list[str]:
    return [who for several in principal.values() for who in _many(several)]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(each) for name, each in value.items()}
    return sorted(value) if isinstance(value, list) else value


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _lost(all_of: set[Rule], others: set[Rule]) -> list[tuple[str, str]]:
    return sorted({(action, resource) for _, action, resource, _ in all_of - others})


CALLERS = {API: "apigateway.amazonaws.com", "sweep": "events.amazonaws.com"}
"""Services that call a function; the others only take from their event source."""


def _callers(name: str, stage: Stage) -> Said:
    function = stage.place.function(name)
    try:
        document = json.loads(stage.ask("lambda", "get_policy", FunctionName=function)["Policy"])
    except Gone:
        document = {"Statement": []}
    urls = stage.pages("lambda", "list_function_url_configs", "FunctionUrlConfigs", FunctionName=function)
    problems = [f"{each} may call it" for each in principals(document) if each != CALLERS.get(name)]
    problems += [
        f"{each['Sid']} does not say from where" for each in document["Statement"] if not _from_here(each, stage)
    ]
    problems += [f"it has a URL of its own: {each['FunctionUrl']}" for each in urls]
    mend = (
        f"aws lambda get-policy --function-name {function}, then aws lambda remove-permission --function-name {function} "
        f"--statement-id SID; a URL: aws lambda delete-function-url-config --function-name {function}"
    )
    return judged(problems, f"only {CALLERS.get(name, 'its event source')}", mend)


def _from_here(statement: Mapping[str, Any], stage: Stage) -> bool:
    """An ARN of this account's."""
    conditions = statement.get("Condition", {}).values()
    known = {key.lower(): value for each in conditions for key, value in each.items()}
    return f":{stage.place.account}:" in str(known.get("aws:sourcearn", ""))


def _held(name: str, stage: Stage) -> Said:
    function = stage.place.function(name)
    found = stage.ask("lambda", "get_function_concurrency", FunctionName=function).get("ReservedConcurrentExecutions")
    wanted = setting(stage.config, stage.name, name, "reserved_concurrency")
    if found == wanted:
        return ok("as many at once as the account has" if found is None else f"{found} at once are its own")
    if wanted is None:
        return wrong(f"held at {found} at once", f"aws lambda delete-function-concurrency --function-name {function}")
    return wrong(f"{'nothing' if found is None else found} reserved, not {wanted}", stage.forced)


def _log(name: str, stage: Stage) -> Said:
    group = f"/aws/lambda/{stage.place.function(name)}"
    found = stage.pages(
        "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"/aws/lambda/{stage.place.stack}"
    )
    days = {each["logGroupName"]: each.get("retentionInDays") for each in found}
    if group not in days:
        return wrong(f"there is no {group}", stage.again)
    mend = f"aws logs put-retention-policy --log-group-name {group} --retention-in-days {log_groups.DAYS}"
    if days[group] != log_groups.DAYS:
        return wrong(f"kept for {days[group] or 'ever: no'} days, not {log_groups.DAYS}", mend)
    return ok(f"kept for {days[group]} days")


def _version(stage: Stage) -> Said:
    """One code for all, the one that was recorded last, and the one of this checkout."""
    digests = {name: stage.function(name)["CodeSha256"] for name in FUNCTIONS}
    live = release.live(stage.releases)
    if live is None:
        return unsure("nobody recorded what was deployed", f"{stage.again}, which records it")
    strange = [name for name, digest in digests.items() if digest != live.get("code")]
    if strange:
        return wrong(f"other code than the recorded one runs in {', '.join(strange)}", stage.forced)
    if not live.get("finished"):
        return wrong("the last deployment did not come to its end", stage.again)
    here, there = release.commit(stage.place.root), str(live.get("commit") or "unknown")
    if live.get("fingerprint") == release.fingerprint(stage.place, stage.config):
        return ok(f"commit {there}, deployed {live['at']}: this checkout")
    if here == there and here and not here.endswith("+"):
        return ok(f"commit {there}, deployed {live['at']}: this checkout, by another Python or configuration")
    mend = f"{stage.again}, or `git checkout {there.rstrip('+')}` to look at what runs"
    return wrong(f"commit {there} runs, deployed {live['at']}; this checkout is {here or 'no git checkout'}", mend)
