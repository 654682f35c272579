"""The embedded AWS: its environment, its process, and the stack on it.

ministack, from the package registry, on loopback only. It checks no signatures and knows no
permissions; `infra/template.yaml` is what real AWS gets.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local.errors import LocalRunFailed
from infra.local.processes import Child
from infra.local.state import ROOT, State

if TYPE_CHECKING:
    from botocore.client import BaseClient

REGION = "eu-west-1"
TEMPLATE = ROOT / "infra" / "template.yaml"
REQUIREMENTS = ROOT / "infra" / "requirements-aws.txt"
TYPE = re.compile(r"  \w+:\n    Type: (\S+)")
STORAGE = re.compile(
    r"AWS::(DynamoDB::.*|SQS::.*|KMS::.*|SecretsManager::.*|S3::Bucket|SNS::Topic|CloudWatch::Dashboard)"
)
SERVICES = "cloudformation,dynamodb,dynamodbstreams,sqs,s3,kms,secretsmanager,sts,iam"
REFUSES = {"MetricMath": "no"}
"""Parameters that leave out what it does not take."""
NO_ACCOUNT = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""botocore's session variables with nothing of the environment's account in them."""
FOREIGN = ("AWS_", "BOTO_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def clean_env(endpoint: str) -> dict[str, str]:
    """This process's environment without anything of a real AWS account, pointed at `endpoint`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name, ""), "127.0.0.1", "localhost"]))
    return env | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_venv(tell: Callable[[str], None] = lambda text: None) -> Path:
    """The interpreter of the embedded AWS's own environment, installed on first use.

    DRAAD_AWS_VENV, or `.draad/aws-venv` of the repository. Raises LocalRunFailed.
    """
    folder = Path(os.environ.get("DRAAD_AWS_VENV") or ROOT / ".draad" / "aws-venv")
    python = folder / "bin" / "python"
    mark = folder / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            tell("installing the embedded AWS (once)")
            _install(folder, python)
            mark.write_text(wanted)
    return python


def _install(folder: Path, python: Path) -> None:
    venv.EnvBuilder(clear=True, with_pip=True).create(folder)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LocalRunFailed(f"The embedded AWS could not be installed ({reason}): check the network and run again.")


class EmbeddedAws:
    """One ministack process. `persist` keeps its state in `state.aws` over restarts."""

    def __init__(self, state: State, port: int = 0, persist: bool = True, env: Mapping[str, str] | None = None) -> None:
        self.state = state
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.persist = persist
        self.extra = dict(env or {})
        self.child: Child | None = None
        self._clients: dict[str, BaseClient] = {}

    def start(self, tell: Callable[[str], None] = lambda text: None) -> None:
        """Up and healthy. Raises LocalRunFailed."""
        python = make_venv(tell)
        self.child = Child("aws", [str(python), "-m", "infra.local.aws_server"], self._env(), self.state.log)
        self.child.start()
        self.wait_until_healthy()

    def wait_until_healthy(self, seconds: float = 30.0) -> None:
        assert self.child is not None
        deadline = time.monotonic() + seconds
        while status(self.port, "/_ministack/health") != 200:
            if not self.child.alive or time.monotonic() > deadline:
                words = self.child.last_words()
                raise LocalRunFailed(f"The embedded AWS did not start ({words}): see {self.state.log}.")
            time.sleep(0.05)

    def stop(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self.child:
            self.child.stop()

    def _env(self) -> dict[str, str]:
        return clean_env(self.url) | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1" if self.persist else "0",
            "S3_PERSIST": "1" if self.persist else "0",
            "STATE_DIR": str(self.state.aws.resolve()),
            "S3_DATA_DIR": str((self.state.aws / "s3").resolve()),
            "TMPDIR": str(self.state.scratch.resolve()),
            "SERVICES": SERVICES,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            **self.extra,
        }

    def client(self, service: str) -> BaseClient:
        """A botocore client of this process, whatever the environment says."""
        if service not in self._clients:
            self._clients[service] = self._make(service)
        return self._clients[service]

    def _make(self, service: str) -> BaseClient:
        import botocore.session
        from botocore.config import Config

        made: BaseClient = botocore.session.Session(session_vars=NO_ACCOUNT).create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            config=Config(proxies={}, retries={"mode": "standard", "max_attempts": 3}),
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106
        )
        return made

    def stack(self, stage: str = "local", visibility_seconds: int = 360) -> dict[str, str]:
        """Make or bring up to date the stage's stack; the environment that its functions need."""
        parameters = {"Stage": stage, "VisibilitySeconds": str(visibility_seconds), **REFUSES}
        outputs = ensure_stack(self.client("cloudformation"), f"draad-{stage}", parameters)
        return hub_env(stage, outputs)


def hub_env(stage: str, outputs: Mapping[str, str]) -> dict[str, str]:
    """What chalicelib.settings reads, from a stack's outputs."""
    return {
        "DRAAD_STAGE": stage,
        "DRAAD_TABLE": outputs["Table"],
        "DRAAD_BUCKET": outputs["Bucket"],
        "DRAAD_KEY_ALIAS": outputs["KeyAlias"],
        "DRAAD_PEPPER": outputs["PepperName"],
        "DRAAD_STREAM_ARN": outputs["StreamArn"],
    }


@lru_cache(maxsize=1)
def storage_only() -> str:
    """The template without what only watches and guards. For an AWS in memory, of the tests and the bench, that
    knows no alarms, warns of each, and is asked for a stack hundreds of times."""
    head, _, rest = TEMPLATE.read_text("utf-8").partition("\nResources:\n")
    resources, _, outputs = rest.partition("\nOutputs:\n")
    blocks = re.split(r"(?m)^(?=  \w+:\n    Type: )", resources)
    kept = [block for block in blocks if not (found := TYPE.match(block)) or STORAGE.fullmatch(found[1])]
    return f"{head}\nResources:\n{''.join(kept)}\nOutputs:\n{outputs}"


def ensure_stack(cloudformation: Any, name: str, parameters: Mapping[str, str], body: str = "") -> dict[str, str]:
    """Create the stack, or update it if template or parameters changed; its outputs. `body`: a template other
    than ours.

    The stack's tag tells what it was made from, so that nothing is touched without need.
    """
    body = body or TEMPLATE.read_text("utf-8")
    mark = hashlib.sha256(repr((body, sorted(parameters.items()))).encode()).hexdigest()
    found = _describe(cloudformation, name)
    if found is None or {"Key": "draad", "Value": mark} not in found.get("Tags", []):
        change = cloudformation.update_stack if found else cloudformation.create_stack
        change(
            StackName=name,
            TemplateBody=body,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Tags=[{"Key": "draad", "Value": mark}],
        )
        found = _settled(cloudformation, name)
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def _describe(cloudformation: Any, name: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError:
        return None
    return found if found["StackStatus"] != "DELETE_COMPLETE" else None


def _settled(cloudformation: Any, name: str) -> dict[str, Any]:
    for _ in range(600):
        found = _describe(cloudformation, name)
        if found and not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.05)
    if not found or found["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reason = found.get("StackStatusReason", found["StackStatus"]) if found else "it is not there"
        raise LocalRunFailed(f"The stack {name} could not be made ({reason}): see infra/template.yaml.")
    return found


def status(port: int, path: str) -> int:
    """The status that GET answers on loopback, 0 for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status
    return 0
