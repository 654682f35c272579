"""The meter: an observer of every AWS call that looks at each item before and after it is written.

    with Meter(table) as meter:
        ...
    meter.bill, meter.changes, meter.calls

For one thread: what is seen between the two looks at a call is that call's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import TracebackType
from typing import Any, NamedTuple

from bench import units
from bench.units import Wire
from chalicelib.store import aws

READS = frozenset({"get_item", "batch_get_item", "query"})
WRITES = frozenset({"put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items"})


@dataclass(frozen=True)
class Bill:
    """Requests to the table, the units that they consume, and bytes of items: what is compared is what is paid."""

    reads: int = 0
    writes: int = 0
    read_units: float = 0.0
    write_units: float = 0.0
    read_bytes: float = field(default=0.0, compare=False)
    written_bytes: float = field(default=0.0, compare=False)

    def __add__(self, other: Bill) -> Bill:
        return Bill(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def each(self, count: int) -> Bill:
        """The share of one of `count` that were billed together; requests are rounded up."""
        whole = Bill(*(getattr(self, each.name) / count for each in fields(self)))
        return replace(whole, reads=-(-self.reads // count), writes=-(-self.writes // count))


class Change(NamedTuple):
    """An item before and after a write; None where there was none."""

    before: Wire | None
    after: Wire | None


class _Target(NamedTuple):
    """One item that a request writes. `proposed`: what a put would store."""

    key: Wire
    proposed: Wire | None = None


@dataclass
class _Pending:
    targets: list[_Target]
    before: list[Wire | None]
    factor: int


@dataclass
class Meter:
    """`changes`: items that writes changed, in order, as the table's stream would tell them.
    `refused`: writes whose condition did not hold."""

    table: str
    bill: Bill = field(default_factory=Bill)
    calls: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    refused: int = 0
    _pending: _Pending | None = None

    def __enter__(self) -> Meter:
        aws.observers.append(self.observe)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        aws.observers.remove(self.observe)
        self._settle_refused()

    @cached_property
    def projected(self) -> frozenset[str]:
        described = aws.client("dynamodb").describe_table(TableName=self.table)["Table"]
        names = described["GlobalSecondaryIndexes"][0]["Projection"].get("NonKeyAttributes", [])
        return frozenset(names)

    def observe(self, service: str, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
        if answer is None:
            self._settle_refused()
            self.calls[f"{service}.{operation}"] += 1
        if service != "dynamodb":
            return
        if operation in WRITES:
            self._write(operation, parameters, answer)
        elif operation in READS:
            self._read(operation, parameters, answer)
        else:
            raise ValueError(f"no price known for {operation}")

    def _write(self, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
        if answer is None:
            targets = list(_targets(operation, parameters))
            factor = 2 if operation == "transact_write_items" else 1
            self._pending = _Pending(targets, [self._peek(each.key) for each in targets], factor)
            self.bill += Bill(writes=1)
            return
        pending, self._pending = self._pending, None
        assert pending is not None
        for target, before in zip(pending.targets, pending.before, strict=True):
            self._wrote(before, self._peek(target.key), pending.factor)

    def _wrote(self, before: Wire | None, after: Wire | None, factor: int) -> None:
        cost = units.written(before, after) * factor + units.index_written(before, after, self.projected)
        self.bill += Bill(write_units=cost, written_bytes=units.item_size(after or before))
        if before != after:
            self.changes.append(Change(before, after))

    def _settle_refused(self) -> None:
        """A write that was begun and not answered was refused: it costs as much and changes nothing."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        pairs = zip(pending.targets, pending.before, strict=True)
        cost = sum(units.written(before, target.proposed) for target, before in pairs) * pending.factor
        self.refused += 1
        self.bill += Bill(write_units=cost)

    def _read(self, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
        self.bill += Bill(reads=1) if answer is None else _READS[operation](self, parameters, answer)

    def _got(self, parameters: dict[str, Any], answer: dict[str, Any]) -> Bill:
        size = units.item_size(answer.get("Item"))
        return Bill(read_units=units.read(size, strong=parameters.get("ConsistentRead", False)), read_bytes=size)

    def _got_batch(self, parameters: dict[str, Any], answer: dict[str, Any]) -> Bill:
        asked = parameters["RequestItems"][self.table]
        strong = asked.get("ConsistentRead", False)
        sizes = [units.item_size(each) for each in answer.get("Responses", {}).get(self.table, [])]
        absent = [0] * (len(asked["Keys"]) - len(sizes))
        cost = sum(units.read(size, strong=strong) for size in sizes + absent)
        return Bill(read_units=cost, read_bytes=sum(sizes))

    def _queried(self, parameters: dict[str, Any], answer: dict[str, Any]) -> Bill:
        items = answer.get("Items", [])
        if "IndexName" in parameters:
            items = [units.index_entry(each, self.projected) or {} for each in items]
        cost = units.queried(items, strong=parameters.get("ConsistentRead", False))
        return Bill(read_units=cost, read_bytes=sum(map(units.item_size, items)))

    def _peek(self, key: Wire) -> Wire | None:
        """Past the observers, so that looking is not billed."""
        answer: Mapping[str, Any] = aws.client("dynamodb").get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return answer.get("Item")


_READS = {"get_item": Meter._got, "batch_get_item": Meter._got_batch, "query": Meter._queried}


def _targets(operation: str, parameters: dict[str, Any]) -> Iterator[_Target]:
    if operation == "batch_write_item":
        for requests in parameters["RequestItems"].values():
            yield from (_target(each["PutRequest"]) for each in requests)
    elif operation == "transact_write_items":
        for entry in parameters["TransactItems"]:
            yield from map(_target, entry.values())
    else:
        yield _target(parameters)


def _target(parameters: Mapping[str, Any]) -> _Target:
    item = parameters.get("Item")
    if item is None:
        return _Target(parameters["Key"])
    return _Target({name: item[name] for name in ("pk", "sk")}, item)
