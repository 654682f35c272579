"""The contract of the contract."""

from __future__ import annotations

from typing import Any

from chalicelib.api.contract.operation import Operation

TAG = "Health"
OPERATIONS = {
    "show": Operation(
        "This document",
        {200: dict[str, Any], 304: None},
        more="With the ETag of a former answer in If-None-Match: 304 when nothing changed.",
        headers={200: ("ETag", "Cache-Control"), 304: ("ETag",)},
    )
}
