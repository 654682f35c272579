"""`python -m infra.deploy [deploy|package|rollback|destroy] --stage prod`: see docs/deploy.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from infra import policies
from infra.deploy import environment, package, place, rollback, stack, steps, teardown, turn
from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place
from infra.local.state import ROOT

AGAIN = "Run the same command again: what is done is found and left alone."


def say(text: str) -> None:
    print(text, flush=True)


def tell(text: str) -> None:
    """What happens within a step."""
    say(f"{'':14} {text}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy", description="A stage in an AWS account: docs/deploy.md."
    )
    parser.add_argument("what", nargs="?", default="deploy", choices=["deploy", "package", "rollback", "destroy"])
    parser.add_argument("--stage", required=True)
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder; default: this one")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    group = parser.add_argument_group("deploy")
    group.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of infra/template.yaml; kept later"
    )
    group.add_argument("--domain", default="", help="a domain of your own for the API; kept later")
    group.add_argument("--certificate", default="", help="the ARN of its certificate")
    group.add_argument("--rate", type=float, default=0.0, help="requests a second that the API takes; kept later")
    group.add_argument("--burst", type=int, default=0, help="requests at once")
    group.add_argument("--force", action="store_true", help="deploy the functions though nothing changed")
    group.add_argument("--api", default="", help="the API of the stage, where several are found")
    group.add_argument("--new-api", action="store_true", help="make an API in place of one that is gone")
    parser.add_argument("--to", default="", metavar="RELEASE", help="rollback: another release than the one before")
    parser.add_argument("--yes-delete-data", action="store_true", help="destroy: the data too")
    return parser


def parameters(given: Sequence[str]) -> dict[str, str]:
    """Raises DeployFailed."""
    pairs = [each.partition("=") for each in given]
    if wrong := [name for name, sign, _ in pairs if not sign or not name]:
        raise DeployFailed(f"--parameter {wrong[0]} has no value: write NAME=VALUE.")
    return {name: value for name, _, value in pairs}


def deploy(at: Place, asked: argparse.Namespace) -> int:
    run = steps.Run(
        at,
        tell,
        dry=asked.dry_run,
        force=asked.force,
        parameters=parameters(asked.parameter),
        api=asked.api,
        new_api=asked.new_api,
        domain=asked.domain,
        certificate=asked.certificate,
        rate=asked.rate,
        burst=asked.burst,
    )
    return steps.deploy(run, say)


def make_package(at: Place, asked: argparse.Namespace) -> int:
    config = environment.read(at.root)
    environment.environment_for(config, at.stage)
    environment.write(at.root, config)
    policies.write(at.stage, at.root)
    steps.show(say, "package", partial(package.bring, at, tell))
    say(package.how(at))
    return 0


def roll_back(at: Place, asked: argparse.Namespace) -> int:
    bucket = stack.outputs_of(stack.look(at)).get("DeployedBucket", "")
    with turn.held(at, "" if asked.dry_run else bucket, tell):
        steps.show(say, "rollback", partial(rollback.back, at, bucket, asked.to, asked.dry_run, tell))
    return 0


def destroy(at: Place, asked: argparse.Namespace) -> int:
    found = stack.look(at)
    with turn.held(at, "" if asked.dry_run else stack.outputs_of(found).get("DeployedBucket", ""), tell):
        steps.show(say, "functions", partial(teardown.functions_and_api, at, asked.dry_run, tell))
    if asked.yes_delete_data:
        steps.show(say, "data", partial(teardown.data, at, asked.dry_run, tell))
    elif found:
        say(f"{'data':14} {teardown.remains(at)}")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    from botocore.exceptions import BotoCoreError, ClientError

    asked = arguments().parse_args(words)
    act = {"deploy": deploy, "package": make_package, "rollback": roll_back, "destroy": destroy}[asked.what]
    try:
        here = place.without_account if asked.what == "package" else place.find
        at = here(asked.stage, asked.root.resolve())
        say(f"{'stage':14} {at.stage} in {at.region}")
        return act(at, asked)
    except DeployFailed as wrong:
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
    except (ClientError, BotoCoreError) as refused:
        print(f"draad: AWS refuses ({refused}). {AGAIN}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"draad: stopped. {AGAIN}", file=sys.stderr, flush=True)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
