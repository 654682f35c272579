"""Checks of the API as its callers see it, of the account's limits and of the clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from infra.deploy import answers, environment
from infra.deploy.asked import CannotTell, Check, Said, Stage, asking, judged, ok, unsure, wrong
from infra.deploy.mappings import WANTED

BODY = b"\xff\xfe"
"""Two bytes that are no text in UTF-8: a gateway that takes a body for text makes six of them."""
TYPES = (
    "application/json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "application/xml",
    "multipart/form-data; boundary=x",
    "text/plain; charset=utf-8",
    "",
)
"""Content types of providers; the last is none."""
HOOKS_AT_ONCE = 90
"""Beside what the event sources may take: one function of 0.1 s answers ten hooks a second."""
SHARDS = 4
QUOTA = "L-B99A9384"
"""Of Lambda: concurrent executions."""
ASIDE = frozenset({"doctor"})
"""A reason of /health that is what we said ourselves the last time."""
SKEW_SECONDS = 60


def checks() -> Iterator[Check]:
    yield Check(
        "API", "An edge API is slower and has other limits; without */* bodies that are no text arrive damaged.", _api
    )
    yield Check("limit of the API", "Without one, one caller uses up the account's.", _limit)
    yield Check(
        "answers of the API",
        "API Gateway's own answers are no problem details, and say 403 where there is nothing.",
        _answers,
    )
    yield Check("/health", "It says what does not run.", _health)
    yield Check(
        "bytes through the API", "A signature over changed bytes is wrong: every such webhook is refused.", _bytes
    )
    yield Check("functions at once", "Above it AWS refuses: hooks answer 500 and providers give up.", _at_once)
    yield Check("requests of the account", "Above it API Gateway answers 429.", _requests)
    yield Check("room for code", "A full account takes no new version.", _room)
    yield Check("clock", "AWS refuses what is signed five minutes off; releases are ordered by this clock.", _clock)


def _api(stage: Stage) -> Said:
    found = stage.ask("apigateway", "get_rest_api", restApiId=stage.api)
    kinds = found.get("endpointConfiguration", {}).get("types", [])
    problems = [f"it is {', '.join(kinds) or 'of no type'}, not REGIONAL"] if kinds != ["REGIONAL"] else []
    if found.get("binaryMediaTypes") != ["*/*"]:
        problems.append(f"its binary types are {found.get('binaryMediaTypes') or 'none'}, not */*")
    if found.get("disableExecuteApiEndpoint"):
        problems.append("its own URL is switched off")
    return judged(problems, f"{stage.api}, REGIONAL, */* binary", stage.forced)


def _limit(stage: Stage) -> Said:
    name = environment.api_stage(stage.config, stage.name)
    found = stage.ask("apigateway", "get_stage", restApiId=stage.api, stageName=name)
    limits = found.get("methodSettings", {}).get(answers.ALL, {})
    rate, burst = limits.get("throttlingRateLimit", -1), limits.get("throttlingBurstLimit", -1)
    if rate <= 0 or burst <= 0:
        return wrong("it has none", f"{stage.again} RATE={answers.RATE:g} BURST={answers.BURST}")
    return ok(f"{rate:g} requests a second, {burst} at once")


def _answers(stage: Stage) -> Said:
    with asking("apigateway"):
        missing = answers.missing(stage.place, stage.api)
    problems = [f"{each['responseType']} is API Gateway's own" for each in missing]
    return judged(problems, "all in our words", stage.again)


def _url(stage: Stage) -> str:
    found = stage.url or stage.variables().get(environment.PUBLIC, "")
    return (found or environment.api_url(stage.place, stage.config, stage.api)).rstrip("/")


def _called(
    stage: Stage, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    url = _url(stage) + path

    def work() -> tuple[int, bytes]:
        try:
            return stage.post(method, url, body, headers or {})
        except OSError as silent:
            raise CannotTell(
                f"{url} does not answer ({type(silent).__name__})",
                "look at the DNS, the domain and the network; --url names another address",
            ) from silent

    found: tuple[int, bytes] = stage.once(f"{method} {url} {headers}", work)
    return found


def _health(stage: Stage) -> Said:
    status, body = _called(stage, "GET", "/health")
    if status != 200:
        return wrong(f"{_url(stage)}/health answers {status}", "read the log of the API's function, and run again")
    found = json.loads(body)
    causes = [each for each in found["causes"] if each["kind"] not in ASIDE]
    told = dict(zip((json.dumps(each) for each in found["causes"]), found["reasons"], strict=True))
    problems = [told[json.dumps(each)] for each in causes]
    return judged(problems, f"{_url(stage)} answers", "docs/operate.md, Runbooks")


def _bytes(stage: Stage) -> Said:
    """To the hooks' own route, under the name that is nobody's connection: it tells what arrived, and keeps nothing."""
    _called(stage, "GET", "/health")
    digest = hashlib.sha256(BODY).hexdigest()
    problems: list[str] = []
    for kind in TYPES:
        status, body = _called(stage, "POST", "/hooks/probe", BODY, {"Content-Type": kind} if kind else {})
        if status == 401:
            return unsure("the version that runs cannot tell", f"{stage.again}, and run again")
        if status != 200:
            problems.append(f"{kind or 'no type'} is answered with {status}")
        elif json.loads(body) != {"bytes": len(BODY), "sha256": digest}:
            problems.append(f"{kind or 'no type'} arrives changed ({json.loads(body)['bytes']} bytes for {len(BODY)})")
    return judged(
        problems,
        f"unchanged under {len(TYPES)} content types",
        f"{stage.forced}, which sets the binary types of the API",
    )


def needed() -> int:
    """Functions at once, all event sources at their limit."""
    taken = sum(source.maximum_concurrency or (source.parallelization or 1) * SHARDS for source in WANTED.values())
    return taken + HOOKS_AT_ONCE


def _account(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.ask("lambda", "get_account_settings")
    return found


def _at_once(stage: Stage) -> Said:
    limit = _account(stage)["AccountLimit"]
    free = int(limit.get("UnreservedConcurrentExecutions", limit["ConcurrentExecutions"]))
    if free < needed():
        mend = (
            "ask AWS for more: aws service-quotas request-service-quota-increase --service-code lambda "
            f"--quota-code {QUOTA} --desired-value 1000"
        )
        return wrong(f"the account runs {free} at once, for all it does; this stage may want {needed()}", mend)
    return ok(f"{free}, and this stage wants {needed()} at most")


def _requests(stage: Stage) -> Said:
    found = stage.ask("apigateway", "get_account").get("throttleSettings", {})
    rate, burst = found.get("rateLimit", 0), found.get("burstLimit", 0)
    if not rate:
        return unsure("API Gateway does not say")
    name = environment.api_stage(stage.config, stage.name)
    limits = stage.ask("apigateway", "get_stage", restApiId=stage.api, stageName=name).get("methodSettings", {})
    own = limits.get(answers.ALL, {}).get("throttlingRateLimit", answers.RATE)
    mend = f"ask AWS for more (service quotas of API Gateway), or give the stage less: {stage.again} RATE={rate:g}"
    if own > rate:
        return wrong(f"the account takes {rate:g} a second, the stage alone promises {own:g}", mend)
    return ok(f"{rate:g} a second, {burst} at once, for all APIs of the account")


def _room(stage: Stage) -> Said:
    found = _account(stage)
    used, all_of = found["AccountUsage"]["TotalCodeSize"], found["AccountLimit"]["TotalCodeSize"]
    said = f"{used / 2**30:.1f} of {all_of / 2**30:.0f} GB"
    return wrong(said, "delete functions and old versions that nobody needs") if used > 0.9 * all_of else ok(said)


def _clock(stage: Stage) -> Said:
    before = datetime.now(UTC)
    found = stage.ask("sts", "get_caller_identity")["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not found:
        return unsure("AWS does not say what time it is")
    off = abs((parsedate_to_datetime(found) - before).total_seconds())
    if off > SKEW_SECONDS:
        return wrong(f"this machine is {off:.0f} s off", "set its clock: `timedatectl set-ntp true`")
    return ok(f"within {max(1, round(off))} s of AWS's")
