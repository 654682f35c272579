"""`deploy`, step by step: each says what it found and did, and takes up what an earlier run left."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from infra import log_groups, policies
from infra.deploy import admin, answers, environment, functions, record, release, sources, stack, turn
from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place, Tell, who


@dataclass
class Run:
    """One deployment: what is asked, and what the steps so far found."""

    place: Place
    tell: Tell
    dry: bool = False
    force: bool = False
    parameters: dict[str, str] = field(default_factory=dict)
    api: str = ""
    new_api: bool = False
    domain: str = ""
    certificate: str = ""
    rate: float = 0.0
    burst: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    fresh: bool = False
    """The functions were deployed by this run, or a former one did not come to its end."""
    wrong: int = 0

    @property
    def bucket(self) -> str:
        return self.outputs.get("DeployedBucket", "")

    def config(self) -> environment.Config:
        return environment.read(self.place.root)


Step = Callable[[Run], str]


def account(run: Run) -> str:
    """Before anything is made in the wrong place."""
    environment.refuse_elsewhere(run.place, run.config())
    return f"{run.place.account} in {run.place.region}, as {who(run.place)}"


def the_stack(run: Run) -> str:
    brought = stack.bring(run.place, run.parameters, run.dry, run.tell)
    run.outputs = brought.outputs
    return brought.result


def the_policies(run: Run) -> str:
    """Those of the stage. Of any account, as they are committed: a role reaches no other one by what it is allowed alone."""
    if run.dry:
        return "would be written where they differ"
    at = run.place
    changed = policies.write(at.stage, at.root, partition=at.partition)
    return f"written: {', '.join(path.name for path in changed)}" if changed else "unchanged"


def the_logs(run: Run) -> str:
    """Before the functions, so that no line is written into a log without an end."""
    client, wanted = run.place.client("logs"), log_groups.functions(run.place.stage).values()
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{run.place.stack}")
    days = {each["logGroupName"]: each.get("retentionInDays") for page in pages for each in page["logGroups"]}
    missing = [name for name in wanted if days.get(f"/aws/lambda/{name}") != log_groups.DAYS]
    if missing and not run.dry:
        log_groups.keep(client, run.place.stage)
    words = "would keep" if run.dry else "kept"
    return f"{words} for {log_groups.DAYS} days: {', '.join(missing)}" if missing else "unchanged"


def the_record(run: Run) -> str:
    known = record.bring(run.place, run.config(), run.outputs, run.api, run.new_api, run.dry, run.tell)
    run.api = known.api
    return known.result


def the_environment(run: Run) -> str:
    if not run.outputs:
        return "would be written after the stack is made"
    before = run.config()
    after = environment.with_domain(run.place, before, run.domain, run.certificate)
    after = environment.with_outputs(run.place, after, run.outputs, run.api)
    names = environment.differing(before, after, run.place.stage)
    if before != after and not run.dry:
        environment.write(run.place.root, after)
    if not names:
        return "unchanged"
    return f"{'would write' if run.dry else 'written'}: {', '.join(names)}"


def the_functions(run: Run) -> str:
    """Left alone where what runs is what would be deployed."""
    config = run.config()
    print_now = release.fingerprint(run.place, config)
    releases = release.read(run.place, run.bucket)
    same = functions.up_to_date(functions.codes(run.place), releases[-1] if releases else None, print_now)
    if same and not run.force:
        return "unchanged"
    if run.dry:
        return "would be deployed"
    run.fresh = True
    begun = release.begun(print_now, run.place.root)
    release.write(run.place, run.bucket, release.add(releases, begun))
    code = functions.bring(run.place, run.tell)
    key = release.keep_code(run.place, run.bucket, code)
    runtime = run.place.client("lambda").get_function_configuration(FunctionName=run.place.stack)["Runtime"]
    begun |= {"code": code, "key": key, "runtime": runtime}
    release.write(run.place, run.bucket, release.add(releases, begun))
    return f"deployed: commit {begun['commit'] or 'unknown'}"


def the_record_again(run: Run) -> str:
    """Chalice has written it anew."""
    if run.dry:
        return "would be kept"
    here = record.local(run.place)
    if here is None:
        raise DeployFailed(f"{record.path_of(run.place)} is gone: run again, it is made anew from the account.")
    return "kept" if record.keep(run.place, run.bucket, here) else "unchanged"


def event_sources(run: Run) -> str:
    return sources.bring(run.place, run.outputs, run.dry, run.tell) if run.outputs else "after the stack is made"


def the_answers(run: Run) -> str:
    if not run.api:
        return "after the API is made"
    return answers.bring(run.place, run.config(), run.api, run.fresh, run.rate, run.burst, run.dry)


def first_key(run: Run) -> str:
    if run.dry:
        return "would be made if there is none"
    return admin.bring(run.place, environment.environment(run.config(), run.place.stage))


def finished(run: Run) -> str:
    """From here on this release is the one to compare with, and to go back to."""
    if run.dry:
        return "nothing was changed"
    releases = release.read(run.place, run.bucket)
    if releases and not releases[-1].get("finished"):
        release.write(run.place, run.bucket, [*releases[:-1], {**releases[-1], "finished": True}])
    return functions.url_of(run.place, run.config(), run.api) + _domain_hint(run)


def _domain_hint(run: Run) -> str:
    entries: list[dict[str, Any]] = (record.local(run.place) or {}).get("resources", [])
    found = next((each for each in entries if each["resource_type"] == "domain_name"), None)
    if not found:
        return ""
    return f" (in the DNS: {found['domain_name']} is an alias, or a CNAME, of {found['alias_domain_name']})"


def doctor(run: Run) -> str:
    if importlib.util.find_spec("infra.deploy.doctor") is None:
        return "not part of this checkout"
    if run.dry:
        return "would be asked"
    look = importlib.import_module("infra.deploy.doctor").run
    run.wrong = int(look(run.place.stage, run.tell, root=run.place.root))
    return "something is wrong: see above" if run.wrong else "nothing is wrong"


DEPLOY: dict[str, Step] = {
    "account": account,
    "stack": the_stack,
    "policies": the_policies,
    "record": the_record,
    "environment": the_environment,
    "logs": the_logs,
    "functions": the_functions,
    "record kept": the_record_again,
    "event sources": event_sources,
    "answers": the_answers,
    "first key": first_key,
    "release": finished,
    "doctor": doctor,
}


FIRST = ("account", "stack")
"""Before there is a bucket to take turns by; CloudFormation itself takes one change at a time."""


def deploy(run: Run, say: Tell) -> int:
    """All steps, told to `say`; what they tell on the way goes to the run's own. Raises DeployFailed at the first that
    cannot be done."""
    for name in FIRST:
        show(say, name, partial(DEPLOY[name], run))
    with turn.held(run.place, "" if run.dry else run.bucket, run.tell):
        for name, step in DEPLOY.items():
            if name not in FIRST:
                show(say, name, partial(step, run))
    return run.wrong


def show(say: Tell, name: str, step: Callable[[], str]) -> None:
    """Run one step; its line has its name, its result and how long it took."""
    started = time.monotonic()
    try:
        result = step()
    except DeployFailed as wrong:
        raise DeployFailed(f"{name}: {wrong}") from wrong
    say(f"{name:14} {result}  ({time.monotonic() - started:.1f} s)")
