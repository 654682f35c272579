"""What the doctor asks AWS and what it makes of the answers: a stage under examination, checks and findings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.deploy import environment, record, release
from infra.deploy.place import Place, code_of

OK, WRONG, UNSURE, SKIPPED = "ok", "wrong", "cannot tell", "skipped"
SECRET_DAYS = 365
NOT_THERE = "it is not there"
REFUSED = re.compile(r"perform: ([\w-]+:\w+)")
DENIED = re.compile(r"(?i)denied|unauthorized|not_?authorized|forbidden|^403$")
GONE = re.compile(r"NotFound|NoSuch|NonExistent|DoesNotExist")
NO_STACK = "does not exist"
ACTIONS = {
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "ListObjectsV2": "ListBucket",
}
"""Of S3: calls whose permission is called otherwise."""


@dataclass(frozen=True)
class Said:
    verdict: str
    found: str
    mend: str = ""


def ok(found: str) -> Said:
    return Said(OK, found)


def wrong(found: str, mend: str) -> Said:
    return Said(WRONG, found, mend)


def unsure(found: str, mend: str = "") -> Said:
    return Said(UNSURE, found, mend)


def judged(problems: list[str], found: str, mend: str) -> Said:
    """Wrong where there are problems, which come before what was found."""
    return wrong("; ".join(problems), mend) if problems else ok(found)


class CannotTell(Exception):
    """AWS did not say. `mend`: what it takes to be told."""

    def __init__(self, found: str, mend: str) -> None:
        super().__init__(found)
        self.found, self.mend = found, mend


class Gone(Exception):
    """AWS says that there is no such thing."""


def permission(service: str, operation: str, message: str) -> str:
    """What the caller's policy must allow: as AWS names it, else as the operation is called."""
    if found := REFUSED.search(message):
        return found[1]
    if service == "apigateway":
        return "apigateway:GET"
    return f"{service}:{ACTIONS.get(operation, operation)}"


def understood(service: str, refused: Exception) -> Exception:
    """An error of botocore as one of ours."""
    code = code_of(refused) or type(refused).__name__
    error = getattr(refused, "response", {}).get("Error", {})
    message = str(error.get("Message", ""))
    operation = str(getattr(refused, "operation_name", ""))
    if DENIED.search(code):
        lacking = permission(service, operation, message)
        return CannotTell(
            f"AWS does not let you look: {lacking}", f"allow {lacking} to whoever runs this, and run again"
        )
    if GONE.search(code) or (code == "ValidationError" and NO_STACK in message):
        return Gone(operation)
    if not operation:
        return CannotTell(f"AWS could not be reached ({code})", "look at the network and the region, and run again")
    return CannotTell(f"{service} {operation} was refused ({code})", "run again; if it stays so, ask AWS by hand")


@contextmanager
def asking(service: str) -> Iterator[None]:
    """Raises CannotTell and Gone, and nothing of botocore's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as refused:
        raise understood(service, refused) from refused


Post = Callable[[str, str, bytes, Mapping[str, str]], tuple[int, bytes]]
"""Method, URL, body, headers → status, body; OSError where nothing answers."""


@dataclass
class Stage:
    """One stage, asked about the same thing only once."""

    place: Place
    config: environment.Config
    post: Post
    secret_days: int = SECRET_DAYS
    url: str = ""
    """Where it answers, if not where it says."""
    _answers: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """What `work` gave or raised the first time."""
        if name not in self._answers:
            try:
                self._answers[name] = work()
            except (CannotTell, Gone) as raised:
                self._answers[name] = raised
        found = self._answers[name]
        if isinstance(found, (CannotTell, Gone)):
            raise found
        return found

    def ask(self, service: str, method: str, **parameters: Any) -> Any:
        """One request. Raises CannotTell and Gone."""

        def work() -> Any:
            with asking(service):
                return getattr(self.place.client(service), method)(**parameters)

        return self.once(f"{service} {method} {json.dumps(parameters, sort_keys=True)}", work)

    def pages(self, service: str, method: str, part: str, **parameters: Any) -> list[Any]:
        """All of a list."""

        def work() -> list[Any]:
            with asking(service):
                found = self.place.client(service).get_paginator(method).paginate(**parameters)
                return [each for page in found for each in page.get(part, [])]

        found: list[Any] = self.once(f"{service} {method}* {json.dumps(parameters, sort_keys=True)}", work)
        return found

    @property
    def name(self) -> str:
        return self.place.stage

    @property
    def outputs(self) -> dict[str, str]:
        found = self.ask("cloudformation", "describe_stacks", StackName=self.place.stack)["Stacks"][0]
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}

    @property
    def again(self) -> str:
        return f"make deploy STAGE={self.name}"

    @property
    def forced(self) -> str:
        return f"make deploy STAGE={self.name} FORCE=1"

    @property
    def kept_record(self) -> record.Record | None:
        """In the record bucket."""

        def work() -> record.Record | None:
            with asking("s3"):
                return record.remote(self.place, self.outputs["DeployedBucket"])

        found: record.Record | None = self.once("record", work)
        return found

    @property
    def releases(self) -> list[release.Release]:
        def work() -> list[release.Release]:
            with asking("s3"):
                return release.read(self.place, self.outputs["DeployedBucket"])

        found: list[release.Release] = self.once("releases", work)
        return found

    @property
    def api(self) -> str:
        """Its id. Raises Gone where the stage has none."""

        def work() -> str:
            named = record.api_of(self.kept_record) or record.api_of(record.local(self.place))
            if named:
                return named
            tagged = [
                each["id"]
                for each in self.pages("apigateway", "get_rest_apis", "items")
                if each.get("tags", {}).get(record.TAG) == self.name
            ]
            if not tagged:
                raise Gone("the API")
            return str(tagged[0])

        found: str = self.once("api", work)
        return found

    def function(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("lambda", "get_function_configuration", FunctionName=self.place.function(name))
        return found

    def variables(self) -> dict[str, str]:
        """What Chalice gives each function, as the configuration of this checkout has it."""
        return environment.environment(self.config, self.name)


@dataclass(frozen=True)
class Check:
    """`why`: what it costs when it is wrong."""

    name: str
    why: str
    look: Callable[[Stage], Said]


@dataclass(frozen=True)
class Finding:
    check: str
    verdict: str
    found: str
    why: str
    mend: str


def examine(check: Check, stage: Stage) -> Finding:
    """Total: whatever happens, a finding comes out of it."""
    try:
        said = check.look(stage)
    except Gone:
        said = wrong(NOT_THERE, stage.again)
    except CannotTell as dark:
        said = unsure(dark.found, dark.mend)
    except Exception as odd:
        said = unsure(_odd(odd), "look at it by hand, and tell us")
    return Finding(check.name, said.verdict, said.found, check.why, said.mend)


def _odd(raised: Exception) -> str:
    """Where, and of what kind; not its words, which may hold what nobody must see."""
    trace = raised.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_name}" if trace else ""
    return f"AWS answered what this check does not know ({type(raised).__name__}{place})"
