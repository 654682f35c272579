"""The one table: keys, access patterns, and the operations that reach it.

Keys `pk`, `sk`; one sparse index `gsi` on (`gpk`, `gsk`); TTL attribute `x` (epoch seconds).
n = node digest · r = ref digest · c = connection id · d = yyyymmdd · occ = occurred_at ·
eid = event id. Every reader filters `x` itself, because TTL lags.

  what                    pk            sk                attributes
  node                    N#n           -                 born own kind scope val via viak asr last sat cand gens erased
  identity cluster        K#k           -                 ver mem far recs adm blk held full told lim parts | ver fwd
  event (home, placed)    N#n           E#occ#eid         ty ch di cn th se rc sha v b, an (web or app home), pl (placed) hm, wt (waits too)
  fields                  N#n           F                 f (name → value prio at eid) ver
  satisfaction            N#n           S#r               raw lo hi at eid ch sub sc sent
  candidate               N#n           B#n2              why eid at id (n: the typed or shared value, or the other way round)
  contact in destination  N#n           C#c               remote pushed lease until ver failed
  record over there       X#c#remote    -                 node (whose contact it is)
  audit                   N#n or R#r    A#ms#id           what did by why ends before after
  came again              N#n or R#r    D#recv#rid        eid cn: a receipt that brought this event once more
  ref node                R#r           -                 born own kind scope val
  conversation cluster    V#v           -                 as identity cluster
  participant             R#r           P#n               asr own at via ch adr sh by tk vo ok (see context/place.py)
  waiting event           R#r           E#occ#eid         as event; refs placed hm fix tp ck; gpk WAIT#c gsk occ#eid
  survey sent             R#address     S#occ#eid         ref lo hi sub sc
  number said             R#address     T#occ#eid         n hm ch th
  handover token          TOK#hash      -                 ref ch until by ntf lgn used
  receipt                 I#c#d         recv#rid          vd b or s3, evs ft why key mi; gpk M#c if malformed, even in part, or failed
  days with deliveries    L#c           d                 (once a day, so that lists know where to look)
  delivery                L#c#d         occ#eid#kind      st n at ms ref to nd why ex rq; gpk DUE#0-7 | PARK#c | HELD#c
  drift                   D#c           occ#eid#what      why at nd (extra: remote id#extra)
  connection              CONN          c                 b ver
  refusal note            C#c           REFUSED#minute    why
  fetched document        C#c           FETCH#h           b
  token of a system       C#c           TOKEN             b (KMS) end lease ver
  request bucket          C#c           RATE              next line ver
  subscription renewal    C#c           RENEW             due n ver ends
  catching up             C#c           MISSED            due night job at ver
  nightly reconciling     C#c           RECONCILE         due night job at ver (ORG recent: of what arrived lately; ORG stats: counting)
  workers at once         C#c           SLOTS             b (worker → until) ver
  what it last found      C#c           CAUGHT            at until full looked found why refused cv
  API key                 KEY           sha256            id name scopes at used revoked
  job                     J#id          -                 kind st cursor done total errors; gpk JOBS
  erasure certificate     J#id          D#what            re at de
  among the erasures      J#id          ERASURE           gpk ERASURES
  pulse                   ORG           PULSE#way         sent tried back took
  last look of the doctor ORG           DOCTOR            at wrong unsure fine
  stats of an hour        STAT#d        c#hh              in out talk (packed tallies)
  counted so far          ORG           counted           until night (before which all hours, all days were)
  migrations              ORG           migrations        done
  organisation            ORG           settings          own roles blocked region ver
  rules                   ORG           rules             b ver
  audiences               ORG           audiences         b ver
  member of an audience   M#c#a         customer          told at try tat verb until ver (a: the audience; see store/audiences.py)
  member in an export     J#id          M#customer        b (nothing that names him)

Costs (write units, item under 1 KB): a put 1, in a transaction 2 for each item; a failed
condition costs as much as a kept one. A strong read 1 for 4 KB, an eventual one half.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.errors import StorageUnavailable
from chalicelib.settings import settings
from chalicelib.store import aws
from chalicelib.store.codec import decode, encode

Item = dict[str, Any]
"""Values: str, int, bool, None, bytes, list, dict with text keys. No floats: DynamoDB's numbers
are decimals, and nothing of ours needs one."""
Key = tuple[str, str]


@dataclass(frozen=True)
class When:
    """What must hold for a write. `absent`: no such item. `exists`: there is one.
    `equal`: these attributes have these values (None: the attribute is missing)."""

    absent: bool = False
    exists: bool = False
    equal: tuple[tuple[str, Any], ...] = ()


ALWAYS = When()
ABSENT = When(absent=True)
EXISTS = When(exists=True)


def equal(**attributes: Any) -> When:
    return When(equal=tuple(sorted(attributes.items())))


@dataclass(frozen=True)
class Put:
    item: Item
    when: When = ALWAYS


@dataclass(frozen=True)
class Delete:
    key: Key
    when: When = ALWAYS


@dataclass(frozen=True)
class Update:
    """Sets `set`, removes the attributes in `remove`."""

    key: Key
    set: Mapping[str, Any]
    remove: tuple[str, ...] = ()
    when: When = ALWAYS


@dataclass(frozen=True)
class Check:
    key: Key
    when: When


Action = Put | Delete | Update | Check


@dataclass(frozen=True)
class Page:
    items: list[Item]
    next: Key | None


class Table(Protocol):
    """The operations. Reads are strongly consistent unless an index is named.

    All raise StorageUnavailable when AWS does not do its part.
    """

    def get(self, key: Key) -> Item | None: ...

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Any number of keys; what is absent is absent from the answer. Not a snapshot."""

    def write(self, action: Action) -> bool:
        """One conditional write. False when the condition did not hold."""

    def batch_put(self, items: Sequence[Item]) -> None:
        """Unconditional puts, any number, not atomic: for content fixed by its key only."""

    def transact(self, actions: Sequence[Action]) -> bool:
        """All or nothing, at most 100. False when a condition failed or another write conflicted."""

    def query(
        self,
        pk: str,
        *,
        begins: str = "",
        after: str = "",
        before: str = "",
        forward: bool = True,
        limit: int = 0,
        index: bool = False,
        start: Key | None = None,
    ) -> Page:
        """Items of one partition by sort key. `begins` a prefix, or `after` and `before`:
        exclusive bounds (either may be empty). `limit` 0 reads the whole partition. `start`: the
        key after which to go on, of a page before; an index is paged by its bounds instead."""

    def scan(self, start: Key | None, limit: int) -> Page:
        """One page of the whole table, in no order. For jobs that must look at everything."""


def now_seconds() -> int:
    return int(time.time())


def live(item: Item | None) -> Item | None:
    """The item unless its time to live has passed: TTL removes late, so readers filter."""
    return None if item is None or item.get("x", 1 << 60) <= now_seconds() else item


class DynamoTable:
    """The table on DynamoDB, by a bare botocore client."""

    def __init__(self, name: str = "") -> None:
        self.name = name or settings().table

    def get(self, key: Key) -> Item | None:
        answer = aws.call("dynamodb", "get_item", TableName=self.name, Key=_key(key), ConsistentRead=True)
        return decode(answer["Item"]) if answer.get("Item") else None

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        todo = list(dict.fromkeys(keys))
        found: dict[Key, Item] = {}
        for start in range(0, len(todo), 100):
            wanted = [_key(key) for key in todo[start : start + 100]]
            for item in self._batch_get(wanted):
                found[item["pk"], item["sk"]] = item
        return found

    def _batch_get(self, wanted: list[dict[str, Any]]) -> Iterable[Item]:
        for attempt in range(8):
            request = {self.name: {"Keys": wanted, "ConsistentRead": True}}
            answer = aws.call("dynamodb", "batch_get_item", RequestItems=request)
            yield from map(decode, answer.get("Responses", {}).get(self.name, []))
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not wanted:
                return
            time.sleep(min(0.05 * 2**attempt, 1.0))
        raise StorageUnavailable("dynamodb batch_get_item: keys left unprocessed")

    def write(self, action: Action) -> bool:
        operation, parameters = _WRITES[type(action)](action)
        try:
            aws.call("dynamodb", operation, TableName=self.name, **parameters)
        except aws.AwsRefused as refused:
            if refused.code == "ConditionalCheckFailedException":
                return False
            raise StorageUnavailable(f"dynamodb {operation}: {refused.code}") from refused
        return True

    def batch_put(self, items: Sequence[Item]) -> None:
        if len(items) == 1:
            self.write(Put(items[0]))
            return
        unique = {(item["pk"], item["sk"]): item for item in items}
        puts = [{"PutRequest": {"Item": encode(item)}} for item in unique.values()]
        for start in range(0, len(puts), 25):
            self._batch_put(puts[start : start + 25])

    def _batch_put(self, puts: list[dict[str, Any]]) -> None:
        for attempt in range(8):
            answer = aws.call("dynamodb", "batch_write_item", RequestItems={self.name: puts})
            puts = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not puts:
                return
            time.sleep(min(0.05 * 2**attempt, 1.0))
        raise StorageUnavailable("dynamodb batch_write_item: items left unprocessed")

    def transact(self, actions: Sequence[Action]) -> bool:
        entries = []
        for action in actions:
            operation, parameters = _WRITES[type(action)](action)
            entries.append({_IN_TRANSACTION[operation]: {"TableName": self.name, **parameters}})
        try:
            aws.call("dynamodb", "transact_write_items", TransactItems=entries)
        except aws.AwsRefused as refused:
            if refused.code.startswith("Transaction"):
                return _cancelled(refused)
            raise StorageUnavailable(f"dynamodb transact_write_items: {refused.code}") from refused
        return True

    def query(
        self,
        pk: str,
        *,
        begins: str = "",
        after: str = "",
        before: str = "",
        forward: bool = True,
        limit: int = 0,
        index: bool = False,
        start: Key | None = None,
    ) -> Page:
        hash_name, sort_name = ("gpk", "gsk") if index else ("pk", "sk")
        condition, values = _range(sort_name, begins, after, before)
        parameters: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "#h = :h" + condition,
            "ExpressionAttributeNames": {"#h": hash_name} | ({"#s": sort_name} if condition else {}),
            "ExpressionAttributeValues": encode({":h": pk} | values),
            "ScanIndexForward": forward,
        }
        parameters |= {"IndexName": "gsi"} if index else {"ConsistentRead": True}
        return self._pages(parameters, limit, start)

    def scan(self, start: Key | None, limit: int) -> Page:
        parameters: dict[str, Any] = {"TableName": self.name, "ConsistentRead": True, "Limit": limit}
        if start:
            parameters["ExclusiveStartKey"] = _key(start)
        answer = aws.call("dynamodb", "scan", **parameters)
        end = decode(answer["LastEvaluatedKey"]) if answer.get("LastEvaluatedKey") else None
        return Page([decode(item) for item in answer.get("Items", [])], (end["pk"], end["sk"]) if end else None)

    def _pages(self, parameters: dict[str, Any], limit: int, start: Key | None) -> Page:
        items: list[Item] = []
        cursor: Any = _key(start) if start else None
        while True:
            if cursor:
                parameters["ExclusiveStartKey"] = cursor
            if limit:
                parameters["Limit"] = limit - len(items)
            answer = aws.call("dynamodb", "query", **parameters)
            items += map(decode, answer.get("Items", []))
            cursor = answer.get("LastEvaluatedKey")
            if not cursor or (limit and len(items) >= limit):
                break
        end = decode(cursor) if cursor else None
        return Page(items, (end["pk"], end["sk"]) if end else None)


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _range(sort_name: str, begins: str, after: str, before: str) -> tuple[str, dict[str, Any]]:
    """A key condition over the sort key. DynamoDB takes one; exclusive ends of a BETWEEN are
    made by stepping to the next and the last text before."""
    if begins:
        return " AND begins_with(#s, :b)", {":b": begins}
    if after and before:
        return " AND #s BETWEEN :a AND :z", {":a": after + "\x00", ":z": _before(before)}
    if after:
        return " AND #s > :a", {":a": after}
    if before:
        return " AND #s < :z", {":z": before}
    return "", {}


def _before(text: str) -> str:
    return text[:-1] + chr(ord(text[-1]) - 1) + "\U0010ffff"


def _conditions(when: When) -> dict[str, Any]:
    parts = ["attribute_not_exists(pk)"] if when.absent else ["attribute_exists(pk)"] if when.exists else []
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for number, (name, value) in enumerate(when.equal):
        names[f"#w{number}"] = name
        if value is None:
            parts.append(f"attribute_not_exists(#w{number})")
        else:
            parts.append(f"#w{number} = :w{number}")
            values[f":w{number}"] = value
    found: dict[str, Any] = {"ConditionExpression": " AND ".join(parts)} if parts else {}
    return found | ({"names": names} if names else {}) | ({"values": values} if values else {})


def _with_conditions(parameters: dict[str, Any], when: When) -> dict[str, Any]:
    found = _conditions(when)
    names = parameters.pop("names", {}) | found.pop("names", {})
    values = parameters.pop("values", {}) | found.pop("values", {})
    parameters |= found
    if names:
        parameters["ExpressionAttributeNames"] = names
    if values:
        parameters["ExpressionAttributeValues"] = encode(values)
    return parameters


def _put(action: Put) -> tuple[str, dict[str, Any]]:
    return "put_item", _with_conditions({"Item": encode(action.item)}, action.when)


def _delete(action: Delete) -> tuple[str, dict[str, Any]]:
    return "delete_item", _with_conditions({"Key": _key(action.key)}, action.when)


def _check(action: Check) -> tuple[str, dict[str, Any]]:
    return "check", _with_conditions({"Key": _key(action.key)}, action.when)


def _update(action: Update) -> tuple[str, dict[str, Any]]:
    names = {f"#s{i}": name for i, name in enumerate(action.set)}
    values = {f":s{i}": value for i, value in enumerate(action.set.values())}
    gone = {f"#r{i}": name for i, name in enumerate(action.remove)}
    expression = "SET " + ", ".join(f"#s{i} = :s{i}" for i in range(len(names))) if names else ""
    expression += " REMOVE " + ", ".join(gone) if gone else ""
    parameters = {"Key": _key(action.key), "UpdateExpression": expression.strip()}
    return "update_item", _with_conditions(parameters | {"names": names | gone, "values": values}, action.when)


_WRITES: dict[type, Any] = {Put: _put, Delete: _delete, Update: _update, Check: _check}
_IN_TRANSACTION = {"put_item": "Put", "delete_item": "Delete", "update_item": "Update", "check": "ConditionCheck"}


def _cancelled(refused: aws.AwsRefused) -> bool:
    """False for a lost race; anything else that cancels a transaction is AWS's trouble."""
    reasons = {reason.get("Code") for reason in refused.answer.get("CancellationReasons", [])}
    troubles = reasons - {"None", None, "ConditionalCheckFailed", "TransactionConflict", "DuplicateItem"}
    if troubles:
        raise StorageUnavailable(f"dynamodb transact_write_items: {', '.join(sorted(map(str, troubles)))}")
    return False
