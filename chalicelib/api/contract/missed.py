"""The contract of asking for what was never delivered."""

from __future__ import annotations

from chalicelib.api.contract.operation import JobStarted, Operation
from chalicelib.api.missed import CatchUpWish

TAG = "Connections"
OPERATIONS = {"start": Operation("Ask the provider for what it never delivered", {202: JobStarted}, CatchUpWish)}
