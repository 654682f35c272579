"""Every function's log ends, whether or not Lambda made its group before us."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from infra import log_groups
from infra.local.state import ROOT


@pytest.fixture
def logs(memory_aws: dict[str, str]) -> Any:
    return botocore.session.Session().create_client("logs", region_name="eu-west-1")


def kept(logs: Any) -> dict[str, int | None]:
    return {each["logGroupName"]: each.get("retentionInDays") for each in logs.describe_log_groups()["logGroups"]}


def test_all_six_end_again_and_where_lambda_was_first(logs: Any) -> None:
    logs.create_log_group(logGroupName="/aws/lambda/draad-prod")
    logs.create_log_stream(logGroupName="/aws/lambda/draad-prod", logStreamName="written before")
    logs.create_log_group(logGroupName="/aws/lambda/draad-prod-context-of-others")
    wanted = dict.fromkeys(log_groups.keep(logs, "prod"), 30)
    assert len(wanted) == 6
    assert kept(logs) == wanted | {"/aws/lambda/draad-prod-context-of-others": None}
    assert list(wanted) == log_groups.keep(logs, "prod")
    streams = logs.describe_log_streams(logGroupName="/aws/lambda/draad-prod")["logStreams"]
    assert [each["logStreamName"] for each in streams] == ["written before"]
    log_groups.keep(logs, "prod", 90)
    assert set(kept(logs).values()) == {90, None}


def test_the_names_are_those_that_chalice_gives() -> None:
    """By its own model of this app; the API's function is the one called otherwise."""
    from chalice.cli.factory import CLIFactory
    from chalice.deploy.appgraph import ApplicationGraphBuilder

    config = CLIFactory(str(ROOT), environ={}).create_config_obj("prod")
    resources = ApplicationGraphBuilder().build(config, "prod").resources
    made = {each.lambda_function.resource_name: each.lambda_function.function_name for each in resources}
    assert made == log_groups.functions("prod")
    assert made["api_handler"] == "draad-prod" and made["sweep"] == "draad-prod-sweep"
    (api,) = [each for each in resources if hasattr(each, "api_gateway_stage")]
    assert api.api_gateway_stage == "prod"


def test_chalice_sets_no_end_of_its_own() -> None:
    """It would be the wrong group's; once its names agree (`made` of the test above), its own setting will do."""
    from chalice.utils import to_cfn_resource_name

    assert "log_retention_in_days" not in (ROOT / ".chalice" / "config.json").read_text("utf-8")
    assert to_cfn_resource_name(log_groups.API) != "APIHandler", "what a package calls the API's function"
