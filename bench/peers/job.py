"""The job: a signed webhook about a customer. Each has a key by which the CRM's posts are counted."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass

SECRET = "pos-signing-secret"
SIGNATURE = "X-Signature"
KEY = re.compile(rb"ev-[a-z0-9]+-[0-9]{6}")
EACH = 5
"""Events of one customer."""


@dataclass(frozen=True)
class Job:
    key: str
    body: bytes
    signature: str


def jobs(run: str, count: int) -> list[Job]:
    """`run`: small letters and digits, another one each time, so that no event and no customer comes back."""
    return [_job(run, number) for number in range(count)]


def _job(run: str, number: int) -> Job:
    key = f"ev-{run}-{number:06d}"
    customer = number // EACH
    told = {
        "id": key,
        "type": "message",
        "channel": "whatsapp",
        "at": f"2026-09-03T{10 + number // 3600 % 10:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "text": f"Question {key}: is the jumper in the shop reduced as well?",
        "identities": [{"kind": "phone", "value": _phone(run, customer), "assurance": "A2"}],
        "refs": [{"kind": "thread", "value": f"t-{run}-{customer}"}],
    }
    body = json.dumps(told).encode()
    return Job(key, body, hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest())


def _phone(run: str, customer: int) -> str:
    """A Dutch mobile number: three digits of the run, five of the customer."""
    digits = int(hashlib.sha256(run.encode()).hexdigest()[:8], 16) % 1000
    return f"+316{digits:03d}{customer:05d}"


def keys_in(body: bytes) -> set[str]:
    return {found.decode() for found in KEY.findall(body)}
