"""The verdicts over tests/vectors/ssrf.json by whatever Python runs this, as JSON: needs nothing installed."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / "tests" / "vectors" / "ssrf.json"


def verdicts() -> dict[str, str]:
    """Each address, spelling and name of the vectors → why nothing is sent there; empty where it may."""
    vectors: dict[str, Any] = json.loads(VECTORS.read_text("utf-8"))
    found = {each: judged(each, [each]) for each in [*vectors["forbidden"], *vectors["allowed"]]}
    found |= {host: judged(host, []) for host, _ in vectors["hostile_spellings"]}
    found |= {host: judged(host, answers) for host, answers in vectors["forbidden_names"]}
    return found | {host: judged(host, ["1.1.1.1"]) for host in vectors["no_hosts"]}


def judged(host: str, answers: list[str]) -> str:
    """The reason without the address, which Pythons spell differently: 3.13 writes an IPv4-mapped one with dots."""
    from chalicelib.errors import DeliveryFailed
    from chalicelib.kit import addresses

    try:
        known = addresses.canonical(host)
        addresses.judged(known, 443, allow_private=False, deadline=5, resolve=lambda *_: answers)
    except DeliveryFailed as wrong:
        return f"{type(wrong).__name__}: {wrong.reason.rpartition('(')[2] or 'no address'}"
    return ""


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(json.dumps({"python": platform.python_version(), "verdicts": verdicts()}))
