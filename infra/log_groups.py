"""The log groups of a stage's functions, each with an end: made where they are missing, taken as they are where not.

Not in the stack: Lambda makes a group when a function first writes, and a stack that wants to make the same one fails. Not
by chalice's `log_retention_in_days` either: it gives the end to `draad-<stage>-api_handler`, while it calls that function
`draad-<stage>`, and in a package it names a resource that is not there, which CloudFormation refuses.

Before `chalice deploy`, so that no line is written into a group without an end. Again is harmless.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from infra.local.state import ROOT

DAYS = 30
API = "api_handler"


def functions(stage: str) -> dict[str, str]:
    """Name in .chalice/config.json → name at Lambda after `chalice deploy`."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
    app = f"{config['app_name']}-{stage}"
    return {name: app if name == API else f"{app}-{name}" for name in config["lambda_functions"]}


def keep(logs: Any, stage: str, days: int = DAYS) -> list[str]:
    """Their names. `logs`: a client of CloudWatch Logs; `days`: one of the numbers that AWS takes."""
    groups = [f"/aws/lambda/{name}" for name in functions(stage).values()]
    for group in groups:
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    return groups
