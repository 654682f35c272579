"""An arrival: what travels from the hook to the context worker, byte-true and compact."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Any

import msgspec

from chalicelib.kit.request import Request
from chalicelib.model.connection import Connection
from chalicelib.store import blobs
from chalicelib.store.codec import pack, unpack

LARGEST_MESSAGE = 256 * 1024
SECRET_HEADER = re.compile(
    r"authorization|cookie|secret|api-?key|password|^(?:x-.*|verification|validation)-token$", re.IGNORECASE
)


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """`id` is minted in the hook, so a redelivered queue message is the same arrival.
    `key` is the provider's delivery key. `test`: a sample of ours, which makes no customer. `missed`: it
    never arrived, we asked the provider for it; `url` is where."""

    id: str
    connection: str
    at: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...]
    body: bytes
    key: str = ""
    test: bool = False
    missed: bool = False

    def request(self, connection: Connection, fetched: dict[str, Any] | None = None) -> Request:
        return Request(
            method=self.method,
            url=self.url,
            headers=self.headers,
            body=self.body,
            received_at=self.at,
            query=self.query,
            settings=connection.settings,
            mapping=connection.mapping,
            connection=connection.id,
            fetched=fetched or {},
        )


def keep_headers(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers worth keeping: what authenticates is not, once it has done so."""
    return tuple((name, "(redacted)" if SECRET_HEADER.search(name) else value) for name, value in headers)


SECRET_PARAMETER = re.compile(r"^(?:access_token|token|password|secret|api[-_]?key)$", re.IGNORECASE)


def keep_query(query: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, "(redacted)" if SECRET_PARAMETER.search(name) else value) for name, value in query)


def encode(arrival: Arrival) -> bytes:
    return pack(msgspec.msgpack.encode(arrival))


def decode(packed: bytes) -> Arrival:
    """Raises ValueError for bytes that `encode` did not make."""
    try:
        return msgspec.msgpack.decode(unpack(packed), type=Arrival)
    except (msgspec.DecodeError, zlib.error) as wrong:
        raise ValueError(f"not an arrival: {wrong}") from wrong


def to_message(arrival: Arrival) -> str:
    """The queue message; a large one leaves its bytes in S3 first and carries the key."""
    text = base64.b64encode(encode(arrival)).decode()
    if len(text) <= LARGEST_MESSAGE:
        return text
    key = blobs.inbox_key(arrival.connection, arrival.id)
    blobs.put(key, encode(arrival))
    return f"s3:{key}"


def from_message(body: str) -> Arrival:
    """Raises ValueError for a message that `to_message` did not make."""
    if body.startswith("s3:"):
        packed = blobs.get(body[3:])
        if packed is None:
            raise ValueError(f"the body at {body[3:]} is gone")
        return decode(packed)
    try:
        return decode(base64.b64decode(body, validate=True))
    except binascii.Error as wrong:
        raise ValueError(f"not an arrival: {wrong}") from wrong
