"""Run in a fresh process by `bench.imports`: does one thing and tells its processor time.

python -m bench.fresh floor     Chalice, and one botocore SQS client
python -m bench.fresh hook      app, the modules on standard input, one botocore SQS client
python -m bench.fresh call      app, and a whole first hook call; standard input says which
python -m bench.fresh loaded    the same, and tells the modules that it loaded
python -m bench.fresh source    what a source's first use loads, beside all that a hook has loaded before
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from typing import Any


def floor(told: Any) -> None:
    import botocore.session
    import chalice  # noqa: F401

    botocore.session.get_session().create_client("sqs")


def hook(told: Any) -> None:
    import app  # noqa: F401
    from chalicelib.store import aws

    for name in told["modules"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    aws.client("sqs")


def call(told: Any) -> None:
    from app import app
    from bench.wire import Wire, hub_replies
    from chalicelib.store import aws

    wire = Wire(hub_replies(told["connection"].encode(), told["secrets"], told["pepper"]))
    make = vars(aws)["_make"]
    setattr(aws, "_make", lambda service: wire.attach(make(service)))  # noqa: B010
    answer = app(told["event"], None)
    if answer["statusCode"] != told["status"]:
        raise SystemExit(f"the webhook was answered {answer}")


def source(told: Any) -> float:
    import app  # noqa: F401
    from chalicelib import sources
    from chalicelib.ingest import receive  # noqa: F401

    begun = time.perf_counter()
    sources.load(told)
    return time.perf_counter() - begun


def main() -> None:
    told = json.loads(sys.stdin.read() or "null")
    before = frozenset(sys.modules)
    mode = sys.argv[1]
    begun = time.process_time()
    own = {"floor": floor, "hook": hook, "call": call, "loaded": call, "source": source}[mode](told)
    spent = time.process_time() - begun if own is None else own
    modules = sorted(set(sys.modules) - before) if mode == "loaded" else []
    json.dump({"seconds": spent, "modules": modules}, sys.stdout)


if __name__ == "__main__":
    main()
