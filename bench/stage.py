"""A stage in memory, and the hub's own steps on it: hook to inbox, inbox to context, stream to deliveries.

`memory_stage()` makes moto in this process look like the deployed stack; `World` then plays what
Lambda does between the functions, one message at a time or in batches.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import os
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench.meter import Change, Meter
from chalicelib import destinations
from chalicelib.context import resolve
from chalicelib.fanout import outward
from chalicelib.ingest.arrival import Arrival, to_message
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import CONTACT_POINTS, Identity
from chalicelib.settings import settings
from chalicelib.store import audiences, aws, connections, events, ids, organisation, rates, rules, secrets, slots
from chalicelib.store.codec import encode
from chalicelib.store.deliveries import Duty
from chalicelib.store.table import DynamoTable, Item
from chalicelib.workers import context, deliver, fanout
from infra.local.embedded import REGION, clean_env, ensure_stack, hub_env, storage_only
from infra.local.records import stream_record
from tests.conftest import forget

TYPICAL = 2048
"""Bytes of a typical webhook; its receipt is one write unit."""
LARGE = 4096
"""Bytes of the webhook that prices are told for, half of it incompressible."""
DAY_MS = 86_400_000
ACCOUNT = "123456789012"
"""moto's."""
START = "2026-09-01T09:00:00.000Z"
HOUR_MS = 3_600_000
MAPPING = {
    "type": "type",
    "channel": "channel",
    "object": "id",
    "version": "'1'",
    "occurred_at": "at",
    "text": "text",
    "identities": "identities",
    "refs": "refs",
    "fields": {"name": "name", "consent_marketing": "says", "preferred_channel": "prefers"},
    "direction": "direction",
    "actor": "actor",
    "address": "address",
    "own_address": "own_address",
}


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """This process's environment for a while; the hub's modules forget what they read of another."""
    kept = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(wanted)
        forget()
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
        forget()


def memory_env() -> dict[str, str]:
    env = clean_env("")
    del env["AWS_ENDPOINT_URL"]
    return env


@contextmanager
def quick_transactions() -> Iterator[None]:
    """moto copies its table for each action of a transaction, to undo one that fails. With one
    worker none fails; a large history would make each of them take seconds."""
    from unittest.mock import patch

    from moto.dynamodb.models.table import Table as MotoTable

    with patch.object(MotoTable, "__deepcopy__", lambda table, memo: table, create=True):
        yield


def put_straight(items: Iterable[Item]) -> None:
    """Items into moto's rows, past requests and the stream: a history of 100,000 events takes
    seconds, not minutes. Values that many items have are kept once."""
    from moto.dynamodb.models import Item as Row
    from moto.dynamodb.models import dynamodb_backends
    from moto.dynamodb.models.dynamo_type import DynamoType

    value = functools.lru_cache(4096)(lambda kind, plain: DynamoType({kind: plain}))
    rows = dynamodb_backends[ACCOUNT][REGION].get_table(settings().table).items
    for item in items:
        made = {name: value(*_as_sent(wire)) for name, wire in encode(item).items()}
        row = Row(made["pk"], made["sk"], {})
        row.attrs.update(made)
        rows[made["pk"]][made["sk"]] = row


def _as_sent(wire: Mapping[str, Any]) -> tuple[str, Any]:
    """Kind and value, as a request carries them."""
    ((kind, value),) = wire.items()
    return kind, base64.b64encode(value).decode() if kind == "B" else value


@contextmanager
def memory_stage() -> Iterator[None]:
    """moto in this process with the stack of infra/template.yaml."""
    import botocore.session
    from moto import mock_aws

    with environment(memory_env()), mock_aws(), quick_transactions():
        session = botocore.session.Session()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = session.create_client("cloudformation")
            outputs = ensure_stack(client, "draad-test", {"Stage": "test"}, storage_only())
        env = hub_env("test", outputs)
        session.create_client("secretsmanager").create_secret(Name=env["DRAAD_PEPPER"], SecretString="p" * 64)
        with environment(dict(os.environ) | env | {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1"}):
            yield


@dataclass
class World:
    """One stage with an own system and a mailbox, in which order numbers are typed; destinations are
    added. Every webhook has a new id and a later time."""

    table: DynamoTable = field(default_factory=DynamoTable)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _earlier_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _noise: random.Random = field(default_factory=lambda: random.Random(4096))

    def __post_init__(self) -> None:
        self.source = self.connect("generic", mapping=MAPPING, settings={"own_system": True})
        scopes = {"ref_scopes": {"order": self.source.id}}
        self.mailbox = self.connect("generic", mapping=MAPPING, settings={"own_system": False} | scopes)

    def connect(
        self,
        provider: str,
        *,
        mapping: Any = None,
        settings: dict[str, Any] | None = None,
        plain: Mapping[str, str] | None = None,
    ) -> Connection:
        id = ids.mint("con")
        kept: dict[str, tuple[str, ...]] = {
            name: (secrets.encrypt(id, name, value),) for name, value in (plain or {}).items()
        }
        made = Connection(id=id, provider=provider, settings=settings or {}, secrets=kept, mapping=mapping)
        assert connections.save(self.table, made)
        return made

    def webhook(
        self,
        identities: Sequence[str] = (),
        refs: Sequence[str] = (),
        size: int = TYPICAL,
        source: Connection | None = None,
        **more: Any,
    ) -> Arrival:
        """`identities` and `refs` as `kind:value`; every identity is attested. `size` in bytes."""
        number = next(self._numbers)
        at = instants.from_ms(instants.to_ms(START) + number * 1000)
        told = {
            "id": f"m-{number:07d}",
            "type": "message",
            "channel": "webchat",
            "at": at,
            "text": f"Question {number}: is the jumper in the shop reduced as well?",
            "identities": [_part(each) | {"assurance": "A2"} for each in identities],
            "refs": [_part(each) for each in refs],
        } | more
        return self._arrival(source or self.source, self._padded(told, size), at)

    def again(self, arrival: Arrival) -> Arrival:
        """The same request, sent once more a minute later."""
        later = instants.from_ms(instants.to_ms(arrival.at) + 60_000)
        return msgspec.structs.replace(arrival, id=ids.mint("arr"), at=later)

    def _padded(self, told: dict[str, Any], size: int) -> bytes:
        share = 16 if size <= TYPICAL else 4
        told["incompressible"] = self._noise.randbytes(size // share).hex()
        told["compressible"] = ""
        told["compressible"] = "draad " * ((size - len(json.dumps(told))) // 6)
        return json.dumps(told).ljust(size).encode()

    def _arrival(self, source: Connection, body: bytes, at: str) -> Arrival:
        headers = (("content-type", "application/json"), ("x-signature", "0" * 64), ("user-agent", "shop/1.0"))
        url = f"https://hub.example.nl/hooks/{source.id}"
        return Arrival(ids.mint("arr"), source.id, at, "POST", url, headers, (), body)

    def take(self, *arrivals: Arrival) -> Meter:
        """The context worker's batch; what it cost, as metered."""
        with self.metered() as meter:
            context.take([_message(to_message(each), number) for number, each in enumerate(arrivals)])
        return meter

    def plan(self, changes: Sequence[Change]) -> tuple[Meter, list[Duty]]:
        """The stream's batch, and the duties that it put in the deliveries queue."""
        sent: list[Duty] = []

        def watch(service: str, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
            if operation == "send_message_batch" and answer is not None:
                sent.extend(msgspec.json.decode(each["MessageBody"], type=Duty) for each in parameters["Entries"])

        aws.observers.append(watch)
        try:
            with self.metered() as meter:
                fanout.take([_record(number, change) for number, change in enumerate(changes)])
        finally:
            aws.observers.remove(watch)
        return meter, sent

    def deliver(self, *duties: Duty, receives: int = 1, found: Callable[[str], None] | None = None) -> Meter:
        """In a container that has just taken its share of each connection's requests, and finds none slow. `found`:
        what else it found out of each connection before."""
        rates.forget()
        outward.forget()
        for connection in {duty.connection for duty in duties}:
            slots.slow(self.table, connection)
            if found:
                found(connection)
            self._share_taken(connection)
        with self.metered() as meter:
            deliver.take([_message(duty.message[0], number, receives=receives) for number, duty in enumerate(duties)])
        return meter

    def _share_taken(self, id: str) -> None:
        connection = connections.get(self.table, id)
        if connection:
            limit = outward.limit(connection, destinations.load(connection.provider))
            rates.take(self.table, id, limit.requests, limit.seconds)
            # However slow this machine is: a second share would be another write.
            if mine := vars(rates)["_taken"].get(id):
                mine.until += HOUR_MS

    def metered(self) -> Meter:
        """In a container that has just read the organisation's lists, rules and audiences, so that none read them on
        the way, and has met nobody yet."""
        resolve.forget()
        organisation.forget()
        organisation.read(self.table)
        rules.forget()
        rules.read(self.table)
        audiences.forget()
        audiences.read(self.table)
        return Meter(settings().table)

    def history(self, identities: Sequence[str], entries: int) -> None:
        """`entries` earlier events of a known customer, spread over his identities, an hour apart."""
        nodes = [node_of(self, each) for each in identities]
        first = instants.to_ms(START) - entries * DAY_MS // 24
        put_straight(
            self._earlier(nodes[number % len(nodes)], first + number * DAY_MS // 24) for number in range(entries)
        )

    def _earlier(self, node: str, at: int) -> Item:
        number = next(self._earlier_numbers)
        event = Event(
            type="message", channel="webchat", object=f"h-{number}", occurred_at=instants.from_ms(at), text="Earlier"
        )
        stamped = stamp(event, self.source.id, self.source.provider)
        return events.item_at(f"N#{node}", stamped, f"{stamped.occurred_at}#arr")


def _part(text: str) -> dict[str, str]:
    kind, _, value = text.partition(":")
    return {"kind": kind, "value": value}


def identity_of(world: World, text: str) -> Identity:
    """What `World.webhook` means by this text."""
    kind, _, value = text.partition(":")
    return Identity(kind, value, "" if kind in CONTACT_POINTS else world.source.id)


def node_of(world: World, text: str) -> str:
    return secrets.node_id(identity_of(world, text))


def _message(body: str, number: int, *, receives: int = 1) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {"messageId": str(number), "receiptHandle": f"handle-{number}", "body": body, "attributes": attributes}


def _record(number: int, change: Change) -> dict[str, Any]:
    images = {"OldImage": change.before, "NewImage": change.after}
    present = {name: image for name, image in images.items() if image is not None}
    some = next(iter(present.values()))
    stream = {"Keys": {name: some[name] for name in ("pk", "sk")}, "SequenceNumber": str(number), **present}
    kind = "INSERT" if change.before is None else "REMOVE" if change.after is None else "MODIFY"
    about = {"eventID": str(number), "eventName": kind, "eventVersion": "1.1", "eventSource": "aws:dynamodb"}
    return stream_record(about | {"awsRegion": "eu-west-1", "dynamodb": stream}, settings().stream_arn)
