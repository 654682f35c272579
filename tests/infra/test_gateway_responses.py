"""What API Gateway says by itself reads as what the hub says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chalicelib import errors
from infra import gateway_responses
from infra.local.embedded import SERVICES, EmbeddedAws
from infra.local.state import State


@pytest.mark.parametrize("kind", gateway_responses.KNOWN)
def test_a_response_is_a_problem_with_its_status(kind: str) -> None:
    found = gateway_responses.definition()[gateway_responses.KEY][kind]
    problem = json.loads(found["responseTemplates"]["application/json"])
    assert set(problem) == {"type", "title", "status", "detail"} and str(problem["status"]) == found["statusCode"]
    assert found["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    assert ("gatewayresponse.header.Retry-After" in found["responseParameters"]) == (problem["status"] in (429, 504))
    assert "$" not in found["responseTemplates"]["application/json"], "API Gateway fills in what begins so"


def test_the_words_are_those_of_the_api() -> None:
    known = {
        each.status: each.title for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "title")
    }
    for status, title, _ in gateway_responses.KNOWN.values():
        assert title == known.get(status, "Try again")
    assert {status for status, _, _ in gateway_responses.KNOWN.values()} == {404, 413, 429, 504}


def test_the_two_ways_bring_the_same() -> None:
    ours = gateway_responses.definition()[gateway_responses.KEY]
    for put in gateway_responses.puts("api1"):
        assert put.pop("restApiId") == "api1"
        assert ours.pop(put.pop("responseType")) == put
    assert not ours


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[EmbeddedAws]:
    state = State(tmp_path)
    state.open()
    aws = EmbeddedAws(state, persist=False, env={"SERVICES": f"{SERVICES},apigateway"})
    aws.start()
    yield aws
    aws.stop()
    state.close()


@pytest.mark.embedded
def test_a_path_that_is_not_there_is_a_problem_after_the_stage_was_deployed_again(gateway: EmbeddedAws) -> None:
    client = gateway.client("apigateway")
    api = client.create_rest_api(name="draad")["id"]
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    client.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    client.create_deployment(restApiId=api, stageName="prod")
    url = f"{gateway.url}/restapis/{api}/prod/_user_request_/nothing"
    assert requests.get(url, timeout=10).status_code == 403, "its own words"
    for _ in range(2):
        for put in gateway_responses.puts(api):
            client.put_gateway_response(**put)
    client.create_deployment(restApiId=api, stageName="prod")
    answer = requests.get(url, timeout=10, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["title"] == "Not found"
    assert {each["responseType"] for each in client.get_gateway_responses(restApiId=api)["items"]} >= set(
        gateway_responses.KNOWN
    )
