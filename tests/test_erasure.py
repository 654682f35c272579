"""Erasing a person from a whole hub: no byte of his values is left anywhere, and nobody comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.test_story import World, connected

pytestmark = pytest.mark.embedded

MAIL, MOBILE, NAME = "jan.verdwijnt@example.nl", "+31687654321", "Verdwijnmans"
VALUES = (MAIL, MOBILE, MOBILE[1:], MOBILE[3:], NAME, f"{NAME} schrijft")


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    with connected(who) as made:
        made.hub = hub
        yield made
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def webhooks(world: World, number: int, mail: str, phone: str, name: str) -> list[Sent]:
    """Question, call, order, and a return that names only the order."""
    world.vendor.message(f"SMX{number}", "2026-09-01T12:00:00.000Z", body=f"{name} schrijft")
    order = drive.order(number, number, mail, phone, "2026-09-02T20:15:00+02:00")
    order["customer"] |= {"first_name": "Jan", "last_name": name}
    order["billing_address"] |= {"first_name": "Jan", "last_name": name}
    return [
        drive.whatsapp(world.phone, f"SMX{number}", phone, f"{name} schrijft"),
        drive.call(world.phone, f"CAX{number}", phone, "Wed, 02 Sep 2026 08:30:00 +0000"),
        drive.shopify(world.shop, "orders/create", order),
        drive.generic(
            world.pos,
            {
                "event": "return.created",
                "receipt": f"RX{number}",
                "order_ref": str(number),
                "store": "Utrecht",
                "at": "2026-09-05T14:02:11+02:00",
            },
        ),
    ]


def clients(hub: Hub) -> dict[str, Any]:
    env = hub.env
    session = botocore.session.Session()
    return {
        service: session.create_client(
            service,
            endpoint_url=hub.aws_url,
            region_name=env["AWS_REGION"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )
        for service in ("dynamodb", "s3", "sqs")
    }


def places(world: World) -> dict[str, bytes]:
    """All bytes of the table as people could read them, the bucket, the queues, the logs, the other systems."""
    hub, found = world.hub, {}
    aws = clients(hub)
    for item in rows(aws["dynamodb"], hub.env["DRAAD_TABLE"]):
        found[f"table {item['pk']['S']} {item['sk']['S']}"] = readable(item)
    bucket = hub.env["DRAAD_BUCKET"]
    keys = [each["Key"] for each in aws["s3"].list_objects_v2(Bucket=bucket).get("Contents", [])]
    found["bucket"] = b"\n".join(unpacked(aws["s3"].get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys)
    found["queues"] = b"\n".join(waiting(aws["sqs"]))
    logs = [path for path in hub.state.folder.rglob("*") if path.suffix == ".log"]
    assert logs, "the hub writes its logs to files"
    found["logs"] = b"\n".join(path.read_bytes() for path in logs)
    found["crm"] = json.dumps(world.crm.objects, ensure_ascii=False).encode()
    return found


def rows(dynamodb: Any, table: str) -> Iterator[dict[str, Any]]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    for page in pages:
        yield from page["Items"]


def readable(wire: Any) -> bytes:
    """Everything in an item, what is packed opened."""
    if isinstance(wire, bytes):
        return unpacked(wire)
    if isinstance(wire, dict):
        return b" ".join(str(name).encode() + b" " + readable(value) for name, value in wire.items())
    if isinstance(wire, list | tuple):
        return b" ".join(map(readable, wire))
    return str(wire).encode()


def unpacked(raw: bytes) -> bytes:
    """What is compressed, opened as deep as it goes."""
    import zlib

    import msgspec

    try:
        return unpacked(zlib.decompress(raw))
    except zlib.error:
        pass
    try:
        found = msgspec.msgpack.decode(raw)
        return readable(found) if isinstance(found, dict | list) else raw
    except (msgspec.DecodeError, ValueError):
        return raw


def waiting(sqs: Any) -> Iterator[bytes]:
    for url in sqs.list_queues().get("QueueUrls", []):
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        for message in answer.get("Messages", []):
            yield unpacked(message["Body"].encode())


def traces(world: World, values: tuple[str, ...] = VALUES) -> list[tuple[str, str]]:
    found = places(world)
    return [(place, value) for place, raw in found.items() for value in values if value.encode() in raw]


def test_erasure_leaves_no_byte_and_late_duplicates_bring_nobody_back(world: World) -> None:
    who, works = world.who, webhooks(world, 970001, MAIL, MOBILE, NAME)
    others = webhooks(world, 970002, "piet@example.nl", "+31611112222", "Blijvers")
    assert all(each.go() in (200, 204) for each in (*works, *works[:2], others[2]))
    broken = drive.shopify(world.shop, "orders/create", {"id": 1, "email": MAIL, "created_at": "not a moment"})
    assert broken.go() == 200
    customer = eventually(lambda: who.customer(f"email:{MAIL}"))
    eventually(lambda: len(who.entries(customer["id"])) == 4 and who.in_step(customer["id"]))
    assert {place.partition(" ")[0] for place, _ in traces(world)} >= {"table", "crm"}, (
        "the search itself finds them before"
    )
    exported = who.get(f"/v1/customers/{customer['id']}/export")
    assert [each["id"] for each in exported["customer"]["contacts"]], "in the CRM"
    assert len(exported["entries"]) == 4 and MAIL in json.dumps(exported) and exported["next"] is None

    job = who.call("POST", f"/v1/customers/{customer['id']}/erase", 202, json={"reason": "art. 17"})
    eventually(lambda: who.get(f"/v1/jobs/{job['job']}")["status"] == "done", 90)
    assert traces(world) == []
    who.call("GET", f"/v1/customers/{customer['id']}", 410)
    certificate = who.get(f"/v1/erasures/{job['erasure']}")
    lines = {each["what"]: each["result"] for each in certificate["lines"]}
    assert certificate["status"] == "done" and certificate["reason"] == "art. 17"
    assert {"graph", "table and index", "receipts and bodies", "queues", "stream", "backups"} <= lines.keys()
    assert sorted(result for what, result in lines.items() if what.startswith("destination")) == [
        "cannot be told",
        "erased",
    ]
    assert not any(value in json.dumps(certificate) for value in VALUES)

    assert all(each.go() in (200, 204) for each in works), "late duplicates"
    late = drive.call(world.phone, "CAX-late", MOBILE, "Thu, 03 Sep 2026 08:30:00 +0000")
    assert late.go() in (200, 204), "and a first delivery from before"
    since = certificate["erased_up_to"]
    eventually(lambda: refused(world, since) >= 4)
    eventually(lambda: not traces(world), 60)
    assert who.customer(f"phone:{MOBILE}") is None

    soon = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(time.time() + 60))
    assert drive.call(world.phone, "CAX-new", MOBILE, soon).go() in (200, 204)
    fresh = eventually(lambda: who.customer(f"phone:{MOBILE}"))
    assert fresh["id"] != customer["id"] and len(who.entries(fresh["id"])) == 1, "a new contact starts clean"
    assert who.customer("email:piet@example.nl"), "nobody else is touched"


def refused(world: World, since: str) -> int:
    found = world.who.get("/v1/receipts", since=since, limit=200)["receipts"]
    return sum(each["verdict"] == "ignored" and "erasure" in (each["reason"] or "") for each in found)


def test_a_shops_demand_erases_and_its_redelivery_does_nothing(world: World) -> None:
    values = mail, mobile, name = "eva.verdwijnt@example.nl", "+31688654321", "Vertrekkers"
    who, works = world.who, webhooks(world, 970003, mail, mobile, name)
    assert works[2].go() == 200
    customer = eventually(lambda: who.customer(f"email:{mail}"))
    asked = {
        "shop_id": 954889,
        "shop_domain": drive.SHOP,
        "customer": {"id": 970003, "email": mail, "phone": mobile},
        "orders_to_redact": [970003],
    }
    demand = drive.shopify(world.shop, "customers/redact", asked)
    assert demand.go() == 200
    eventually(
        lambda: who.session.get(f"{who.url}/v1/customers/{customer['id']}", headers=bearer(who)).status_code == 410
    )
    eventually(lambda: not traces(world, values), 60)
    assert demand.go() == 200 and works[2].go() == 200
    eventually(lambda: not any(waiting(clients(world.hub)["sqs"])), 60)
    eventually(lambda: not traces(world, values), 60)


def bearer(who: Integrator) -> dict[str, str]:
    return {"Authorization": f"Bearer {who.key}"}
