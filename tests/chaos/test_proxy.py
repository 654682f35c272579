"""Each fault really happens: seen by AWS's own client, counted by the proxy, and done or not done at AWS."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
)

from chalicelib.store import aws as hub_aws
from tests.chaos import wire
from tests.chaos.plan import ALL, KINDS, WHERE, Fault, Kill, Plan
from tests.chaos.proxy import Chaos, Proxy

ITEM = {"pk": {"S": "a"}, "sk": {"S": "b"}}


class Aws:
    """An AWS that does as it is told and remembers: `asked` by operation."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[dict[str, Any]]] = {}
        aws = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                aws.asked.append((operation, json.loads(body)))
                queue = aws.answers.get(operation) or [{}]
                told = json.dumps(queue.pop(0) if len(queue) > 1 else queue[0]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(told)))
                self.send_header("x-amz-crc32", str(zlib.crc32(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def names(self) -> list[str]:
        return [operation for operation, _ in self.asked]


@pytest.fixture
def aws() -> Iterator[Aws]:
    made = Aws()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def chaos() -> Chaos:
    return Chaos()


@pytest.fixture
def proxy(aws: Aws, chaos: Chaos) -> Iterator[Proxy]:
    with Proxy("workers", chaos, lambda: aws.url, hang=1.0) as made:
        yield made


def client(proxy: Proxy, service: str, attempts: int = 1, patience: float = 20.0) -> Any:
    config = Config(retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=patience, proxies={})
    return botocore.session.Session().create_client(
        service,
        region_name="eu-west-1",
        endpoint_url=proxy.url,
        config=config,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def spoil(chaos: Chaos, kind: str, share: float = 1.0, **more: Any) -> None:
    chaos.begin(Plan(3, 60.0, (Fault(kind, WHERE[kind], share, **more),)))


def put(proxy: Proxy, **options: Any) -> Any:
    return client(proxy, "dynamodb", **options).put_item(TableName="t", Item=ITEM)


def test_without_a_plan_everything_goes_through(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    put(proxy)
    assert aws.asked == [("PutItem", {"TableName": "t", "Item": ITEM})]
    assert chaos.calls == {"dynamodb.PutItem": 1}
    assert not chaos.done


CALLS = {
    "dynamodb": ("dynamodb.PutItem", lambda made: made.put_item(TableName="t", Item=ITEM)),
    "streams": ("streams.GetRecords", lambda made: made.get_records(ShardIterator="i")),
    "sqs": ("sqs.SendMessage", lambda made: made.send_message(QueueUrl="http://q/1/q", MessageBody="b")),
    "kms": ("kms.Decrypt", lambda made: made.decrypt(CiphertextBlob=b"x")),
    "secretsmanager": ("secretsmanager.GetSecretValue", lambda made: made.get_secret_value(SecretId="s")),
}
NAMES = {"streams": "dynamodbstreams"}
RETRIED = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
RETRIED |= {"RequestThrottled", "LimitExceededException"}


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("kind", ["throttle", "broken"])
def test_a_refusal_is_read_by_its_name_and_nothing_is_done(
    aws: Aws, proxy: Proxy, chaos: Chaos, service: str, kind: str
) -> None:
    spoil(chaos, kind)
    call, ask = CALLS[service]
    for _ in range(6):
        with pytest.raises(ClientError) as refused:
            ask(client(proxy, NAMES.get(service, service)))
        status = refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
        code = refused.value.response["Error"]["Code"]
        assert (status == 400 and code in RETRIED) if kind == "throttle" else status >= 500
        assert code not in hub_aws.REFUSALS, "the hub must take it for an outage"
    assert not aws.asked
    assert chaos.done == {(kind, call): 6}


def test_every_name_of_a_refusal_is_one_that_the_client_knows() -> None:
    for service, errors in {**wire.THROTTLED, **wire.BROKEN}.items():
        assert errors
        for error in errors:
            answer = wire.refusal(service, error)
            assert answer.status == error.status
            assert error.code in answer.body.decode()


def test_s3_says_it_in_xml(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    chaos.begin(Plan(1, 60.0, (Fault("throttle", ("s3.PUT",), 1.0),)))
    with pytest.raises(ClientError, match="SlowDown"):
        client(proxy, "s3").put_object(Bucket="b", Key="k", Body=b"x")
    assert chaos.done == {("throttle", "s3.PUT"): 1}


@pytest.mark.parametrize(
    ("kind", "wrong", "done"),
    [
        ("reset", (ConnectionClosedError, HTTPClientError), 0),
        ("lost", (ConnectionClosedError, HTTPClientError), 1),
        ("unsure", (ClientError,), 1),
        ("conflict", (ClientError,), 0),
    ],
)
def test_what_is_answered_and_what_is_done(
    aws: Aws, proxy: Proxy, chaos: Chaos, kind: str, wrong: tuple[type[Exception], ...], done: int
) -> None:
    aws.answers["PutItem"] = [{"Attributes": ITEM}]
    spoil(chaos, kind)
    with pytest.raises(wrong):
        put(proxy)
    assert len(aws.asked) == done
    assert chaos.done == {(kind, "dynamodb.PutItem"): 1}


@pytest.mark.parametrize("kind", ["garbled", "cut"])
def test_a_damaged_answer_is_noticed_by_its_checksum(aws: Aws, proxy: Proxy, chaos: Chaos, kind: str) -> None:
    aws.answers["GetItem"] = [{"Item": ITEM}]
    spoil(chaos, kind, share=0.5)
    made = client(proxy, "dynamodb", attempts=12)
    for _ in range(5):
        assert made.get_item(TableName="t", Key=ITEM)["Item"] == ITEM
    assert chaos.done[kind, "dynamodb.GetItem"] == len(aws.asked) - 5 > 0


def test_slow_and_never(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "slow")
    begun = time.monotonic()
    put(proxy)
    assert time.monotonic() - begun > 0.05
    assert chaos.done == {("slow", "dynamodb.PutItem"): 1}
    aws.asked.clear()
    spoil(chaos, "hang")
    for _ in range(2):
        with pytest.raises((ReadTimeoutError, HTTPClientError)):
            put(proxy, patience=0.5)
    assert chaos.done == {("hang", "dynamodb.PutItem"): 2}
    assert len(aws.asked) == 1, "done or not: nobody knows"


def test_a_transaction_is_cancelled_with_its_reasons(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "conflict")
    made = client(proxy, "dynamodb")
    with pytest.raises(ClientError) as refused:
        made.transact_write_items(TransactItems=[{"Put": {"TableName": "t", "Item": ITEM}}] * 2)
    assert refused.value.response["Error"]["Code"] == "TransactionCanceledException"
    assert [each["Code"] for each in refused.value.response["CancellationReasons"]] == ["TransactionConflict", "None"]
    assert not aws.asked


def test_a_batch_is_done_in_part(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "partial")
    made = client(proxy, "dynamodb")
    puts = [{"PutRequest": {"Item": {"pk": {"S": str(number)}}}} for number in range(10)]
    for _ in range(5):
        left = made.batch_write_item(RequestItems={"t": puts})["UnprocessedItems"]
        sent = [item for _, asked in aws.asked for item in asked["RequestItems"]["t"]]
        assert [*sent, *left.get("t", [])] == puts
        aws.asked.clear()
    keys = [{"pk": {"S": str(number)}} for number in range(10)]
    left = made.batch_get_item(RequestItems={"t": {"Keys": keys, "ConsistentRead": True}})["UnprocessedKeys"]
    assert 0 < len(left["t"]["Keys"]) < 10
    assert left["t"]["ConsistentRead"] is True
    assert {call for kind, call in chaos.done if kind == "partial"} == {
        "dynamodb.BatchWriteItem",
        "dynamodb.BatchGetItem",
    }


def test_a_batch_of_messages_fails_in_part(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    aws.answers["SendMessageBatch"] = [{"Successful": [], "Failed": []}]
    spoil(chaos, "partial")
    entries = [{"Id": str(number), "MessageBody": "b"} for number in range(10)]
    answer = client(proxy, "sqs").send_message_batch(QueueUrl="http://q/1/q", Entries=entries)
    ((_, asked),) = aws.asked
    assert [each["Id"] for each in asked["Entries"]] + [each["Id"] for each in answer["Failed"]] == list("0123456789")
    assert {each["SenderFault"] for each in answer["Failed"]} == {False}
    assert chaos.done == {("partial", "sqs.SendMessageBatch"): 1}


def test_a_batch_of_one_is_never_done_in_part(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "partial")
    client(proxy, "dynamodb").batch_write_item(RequestItems={"t": [{"PutRequest": {"Item": ITEM}}]})
    assert len(aws.asked) == 1
    assert not chaos.done


def message(name: str) -> dict[str, str]:
    return {"MessageId": name, "ReceiptHandle": f"r-{name}", "Body": name, "MD5OfBody": ""}


def receive(proxy: Proxy, most: int = 10) -> list[str]:
    made = client(proxy, "sqs")
    made.meta.events.unregister("after-call.sqs.ReceiveMessage")
    answer = made.receive_message(QueueUrl="http://q/1/q", MaxNumberOfMessages=most)
    return [each["MessageId"] for each in answer.get("Messages", [])]


def test_a_message_comes_again(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    aws.answers["ReceiveMessage"] = [{"Messages": [message("one"), message("two")]}, {}]
    assert receive(proxy) == ["one", "two"]
    spoil(chaos, "again")
    assert sorted(receive(proxy)) == ["one", "two"], "nothing new, and both once more"
    assert len(receive(proxy, 1)) == 1, "no more than was asked for"
    assert chaos.done == {("again", "sqs.ReceiveMessage"): 2}


def test_a_message_is_lost_on_its_way_to_us(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    aws.answers["ReceiveMessage"] = [{"Messages": [message("one"), message("two")]}, {}]
    spoil(chaos, "withheld")
    assert len(receive(proxy)) == 1
    assert receive(proxy) == []
    assert chaos.done == {("withheld", "sqs.ReceiveMessage"): 1}


def test_a_message_is_seen_later(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "delayed")
    made = client(proxy, "sqs")
    made.send_message(QueueUrl="http://q/1/q", MessageBody="b")
    entries = [{"Id": "1", "MessageBody": "b"}, {"Id": "2", "MessageBody": "b", "DelaySeconds": 60}]
    made.send_message_batch(QueueUrl="http://q/1/q", Entries=entries)
    (_, one), (_, many) = aws.asked
    assert 1 <= one["DelaySeconds"] <= 4
    assert many["Entries"][1]["DelaySeconds"] == 60, "never sooner than was asked for"
    assert chaos.done.total() == 2


def test_the_stream_is_read_again(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    records = [{"eventID": str(number), "dynamodb": {"SequenceNumber": str(number)}} for number in range(4)]
    aws.answers["GetRecords"] = [{"Records": records[:3]}, {"Records": records[3:]}]
    made = client(proxy, "dynamodbstreams")
    assert len(made.get_records(ShardIterator="i", Limit=100)["Records"]) == 3
    spoil(chaos, "replay")
    again = [each["eventID"] for each in made.get_records(ShardIterator="i", Limit=100)["Records"]]
    assert len(again) > 1
    assert again == sorted(again)
    assert again[-1] == "3"
    assert chaos.done == {("replay", "streams.GetRecords"): 1}


def test_an_iterator_expires(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "expired")
    with pytest.raises(ClientError, match="ExpiredIteratorException"):
        client(proxy, "dynamodbstreams").get_records(ShardIterator="i")
    assert chaos.done == {("expired", "streams.GetRecords"): 1}


@pytest.mark.parametrize("after", [False, True])
def test_a_process_is_killed_at_its_call(aws: Aws, proxy: Proxy, chaos: Chaos, after: bool) -> None:
    killed: list[str] = []
    chaos.kill = killed.append
    chaos.begin(Plan(1, 60.0, kills=(Kill("workers", "dynamodb.PutItem", 2, after),)))
    put(proxy)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        put(proxy)
    put(proxy)
    assert killed == ["workers"]
    assert len(aws.asked) == (3 if after else 2)
    assert [each.number for each in chaos.killed] == [2]


def test_the_table_is_throttled_for_its_time_only(aws: Aws, proxy: Proxy, chaos: Chaos) -> None:
    spoil(chaos, "throttle", begins=0.0, ends=60.0)
    with pytest.raises(ClientError):
        put(proxy)
    chaos.began -= 61.0
    put(proxy)
    assert aws.names() == ["PutItem"]


def test_an_aws_that_is_away_is_a_reset(aws: Aws, chaos: Chaos) -> None:
    with (
        Proxy("http", chaos, lambda: "http://127.0.0.1:9") as proxy,
        pytest.raises((ConnectionClosedError, HTTPClientError)),
    ):
        put(proxy)


def test_every_kind_has_calls_and_is_shown_here() -> None:
    assert set(WHERE) == set(KINDS)
    assert all(call in ALL for calls in WHERE.values() for call in calls)
    here = __import__("pathlib").Path(__file__).read_text("utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in here] == []
