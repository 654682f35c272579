"""Where tests find an AWS: `memory_aws` in this process, `embedded_aws` beside it, `hub` the whole thing."""

from __future__ import annotations

import functools
import re
import sys
import uuid
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from infra.local.embedded import EmbeddedAws, clean_env, ensure_stack, hub_env, storage_only
from infra.local.hub import Hub
from infra.local.state import State

# Each test makes its own clients; their service models (6 MB of JSON) need reading only once.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
STATE = re.compile(r"_[a-z]\w*\Z")


LARGE = ("test_source_conformance.py", "test_source_fuzz.py", "test_official_sdks.py")
"""Files of thousands of pure cases, which need not stay together."""
PARTS = 6
EMBEDDED = {"hub", "own_hub", "embedded_aws", "live_stage"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For runs of several processes: a file stays in one, but for the large ones."""
    for item in items:
        part = zlib.crc32(item.nodeid.encode()) % PARTS if item.path.name in LARGE else ""
        if EMBEDDED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.embedded)
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name}{part}"))


def forget() -> None:
    """What the hub's modules remember between two calls: settings, clients, caches."""
    if aws := sys.modules.get("chalicelib.store.aws"):
        for client in vars(aws)["_clients"].values():
            client.close()
        vars(aws)["_session"] = None
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "chalicelib":
            for attribute, value in list(vars(module).items()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
                elif STATE.match(attribute) and isinstance(value, dict | list | set):
                    value.clear()


def point_at(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], endpoint: str) -> None:
    for name, value in (clean_env(endpoint) | env).items():
        monkeypatch.setenv(name, value)
    if not endpoint:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
    forget()


@pytest.fixture
def memory_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """moto in this process with the stack of infra/template.yaml; yields the hub's environment.

    For single-threaded tests: moto's transactions are not atomic under threads.
    """
    from moto import mock_aws

    point_at(monkeypatch, {}, "")
    with mock_aws():
        session = botocore.session.Session()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Tried to parse AWS::SecretsManager::Secret")
            client = session.create_client("cloudformation")
            outputs = ensure_stack(client, "draad-test", {"Stage": "test"}, storage_only())
        env = hub_env("test", outputs)
        session.create_client("secretsmanager").create_secret(Name=env["DRAAD_PEPPER"], SecretString="p" * 64)
        point_at(monkeypatch, env, "")
        yield env
    forget()


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """One embedded AWS for the session, empty. `embedded_aws.stack(stage)` makes a stage on it."""
    state = State(Path(tmp_path_factory.mktemp("aws")))
    state.open()
    aws = EmbeddedAws(state, persist=False)
    aws.start()
    yield aws
    aws.stop()
    state.close()


@pytest.fixture
def live_stage(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A stage of its own on the embedded AWS, and this process pointed at it."""
    env = embedded_aws.stack(f"test-{uuid.uuid4().hex[:8]}")
    point_at(monkeypatch, env, embedded_aws.url)
    yield env
    forget()


HUB_ENV = {
    "": {
        "DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1",
        "DRAAD_SWEEP_SECONDS": "2",
        "DRAAD_ERASE_SETTLE_SECONDS": "2",
        "DRAAD_POLL_SECONDS": "3",
    }
}


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    """A whole running hub. A message whose worker was killed comes back after 30 s; an open page asks every 3 s."""
    with Hub(env=HUB_ENV, visibility_seconds=30) as running:
        yield running


@pytest.fixture(scope="module")
def own_hub() -> Iterator[Hub]:
    """For one file alone: where documented commands erase people that the commands of other pages know."""
    with Hub(env=HUB_ENV, visibility_seconds=30) as running:
        yield running
