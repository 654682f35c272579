"""The supervisor: restarts, orderly ends, what survives, and what it says when it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infra.local.embedded import clean_env, free_port, status
from infra.local.errors import LocalRunFailed
from infra.local.hub import Hub
from infra.local.state import ROOT, State

SAMPLE = "tests.infra.sample_app"
KEY = {"pk": {"S": "N#1"}, "sk": {"S": "E#"}}


def pids(hub: Hub) -> dict[str, int]:
    return {name: child.pid for name, child in hub.children.items()}


def eventually(true: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


@pytest.mark.embedded
def test_a_hub_survives_kills_and_keeps_its_data(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    said: list[str] = []
    env = {"": {"DRAAD_SWEEP_SECONDS": "1"}, "workers": {"SAMPLE_DIARY": str(diary)}}
    with Hub(app=SAMPLE, state=tmp_path / "state", env=env, visibility_seconds=5, tell=said.append) as hub:
        key, table = hub.admin_key, hub.aws.client("dynamodb")
        table.put_item(TableName="draad-local", Item=KEY | {"v": {"S": "kept"}})
        pepper = hub.aws.client("secretsmanager").get_secret_value(SecretId="draad-local-pepper")["SecretString"]
        first = pids(hub)
        for name in ("workers", "http"):
            hub.kill(name)
            hub.wait_until_up()
            assert pids(hub)[name] != first[name]
        assert f"{'workers':8} ended by SIGKILL: restarting it" in said
        sqs = hub.aws.client("sqs")
        queue = sqs.get_queue_url(QueueName="draad-local-inbox")["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody="slow")
        eventually(lambda: '["began", "slow"]' in diary.read_text())
        hub.hold("workers")
        assert '["inbox", ["slow"]]' in diary.read_text(), "SIGTERM lets the batch in hand finish"
        sqs.send_message(QueueUrl=queue, MessageBody="while down")
        table.put_item(TableName="draad-local", Item=KEY | {"sk": {"S": "E#2"}})
        assert not hub.children["workers"].alive

    with Hub(app=SAMPLE, state=tmp_path / "state", env=env, visibility_seconds=5) as hub:
        assert hub.admin_key == key
        found = hub.aws.client("dynamodb").get_item(TableName="draad-local", Key=KEY)["Item"]
        assert found["v"] == {"S": "kept"}
        secret = hub.aws.client("secretsmanager").get_secret_value(SecretId="draad-local-pepper")["SecretString"]
        assert secret == pepper
        eventually(lambda: '["inbox", ["while down"]]' in diary.read_text())
        eventually(lambda: '"sk": {"S": "E#2"}' in diary.read_text())
        eventually(lambda: diary.read_text().count("Scheduled Event") > 2)
    assert (tmp_path / "state" / "admin-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.embedded
def test_aws_killed_comes_back_from_its_snapshot(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("snapshots are made on Linux only")
    env = {"aws": {"DRAAD_SNAPSHOT_SECONDS": "0.2"}}
    with Hub(app=SAMPLE, state=tmp_path / "state", env=env) as hub:
        hub.aws.client("dynamodb").put_item(TableName="draad-local", Item=KEY)
        saved = tmp_path / "state" / "aws" / "sqs.json"
        eventually(lambda: "N#1" in _text(saved.with_name("dynamodb.json")) and saved.exists())
        hub.kill("aws")
        hub.wait_until_up()
        assert "Item" in hub.aws.client("dynamodb").get_item(TableName="draad-local", Key=KEY)


def runs(pid: int) -> bool:
    """Also where nobody asks after the dead."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout.strip().strip("Z") not in ("", "+")


@pytest.mark.embedded
def test_what_runs_beside_the_workers_lives_and_dies_with_them(tmp_path: Path) -> None:
    mark = tmp_path / "state" / "beside-ready"
    with Hub(app=SAMPLE, state=tmp_path / "state") as hub:
        first = int(mark.read_text())
        assert runs(first)
        os.kill(first, signal.SIGSTOP)  # so that it cannot end politely
        hub.kill("workers")
        eventually(lambda: not runs(first), 5)
        hub.wait_until_up()
        second, workers = int(mark.read_text()), hub.children["workers"].pid
        os.kill(second, signal.SIGKILL)
        eventually(lambda: hub.children["workers"].pid != workers)
        hub.wait_until_up()
        assert len({first, second, third := int(mark.read_text())}) == 3 and runs(third)
    assert not runs(third)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def run(tmp_path: Path, **env: str) -> subprocess.Popen[str]:
    """`make run`'s command with the real environment of this test and a state folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local"],
        cwd=ROOT,
        env=dict(os.environ) | {"DRAAD_STATE": str(tmp_path / "state"), "DRAAD_LOCAL_APP": SAMPLE} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lines_until_ready(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    found: list[str] = []
    for line in process.stdout:
        found.append(line.rstrip("\n"))
        if line.startswith("ready "):
            break
    return found


@pytest.mark.embedded
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_command_ends_every_child(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    env = {"PORT": str(port), "DRAAD_ADMIN_KEY": "draad_chosen", "AWS_PROFILE": "real", "AWS_SESSION_TOKEN": "x"}
    with run(tmp_path, **env) as process:
        lines = lines_until_ready(process)
        assert lines[-2:] == ["admin key draad_chosen", f"ready http://127.0.0.1:{port}"]
        aws_port = int(re.search(r"127\.0\.0\.1:(\d+)", "\n".join(lines))[1])
        assert status(aws_port, "/_ministack/health") == 200
        process.send_signal(number)
        rest, wrong = process.communicate(timeout=30)
    eventually(lambda: status(port, "/health") == 0 and status(aws_port, "/_ministack/health") == 0)
    assert "Traceback" not in rest + wrong
    eventually(lambda: (tmp_path / "state" / "aws" / "dynamodb.json").exists())
    assert process.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 0)


def refused(tmp_path: Path, **env: str) -> str:
    with run(tmp_path, **env) as process:
        out, wrong = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in out + wrong
    (line,) = wrong.splitlines()
    assert line.startswith("draad: ")
    return line


def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(tmp_path, PORT=str(port))
    assert said == (
        f"draad: Port {port} is in use: stop the program that has it, "
        f"or choose another with `PORT={port + 1} make run`."
    )


def test_a_port_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    assert "PORT is 'eighty'" in refused(tmp_path, PORT="eighty")


def test_a_damaged_state_is_one_sentence_and_is_left_alone(tmp_path: Path) -> None:
    damaged = tmp_path / "state" / "aws" / "dynamodb.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"__ministack_format__": 2, "payl')
    said = refused(tmp_path, PORT=str(free_port()))
    assert f"The state is damaged ({damaged} is not what was saved)" in said
    assert f"mv {tmp_path / 'state'} " in said
    assert damaged.read_text().endswith("payl")


def test_a_state_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert "cannot be used" in refused(tmp_path, PORT=str(free_port()))


def test_two_hubs_do_not_share_a_state(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.open()
    try:
        with pytest.raises(LocalRunFailed, match="Another hub runs on the state folder"):
            State(tmp_path / "state").open()
    finally:
        state.close()


def test_an_admin_key_is_kept_and_can_be_chosen(tmp_path: Path) -> None:
    state = State(tmp_path)
    minted = state.admin_key()
    assert re.fullmatch(r"draad_[\w-]{43}", minted)
    assert state.admin_key() == minted
    assert state.admin_key("draad_mine") == state.admin_key() == "draad_mine"


def test_children_never_see_a_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.setenv(name, "real")
    env = clean_env("http://127.0.0.1:1")
    assert "real" not in {value for name, value in env.items() if name.startswith("AWS_")}
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
