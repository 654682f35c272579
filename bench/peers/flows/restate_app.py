"""The job in Restate: a service takes the webhook, a virtual object is the customer. Its state is Restate's own.

The ack goes out when the message to the customer is in Restate's log. The post to the CRM is a step of the
customer's invocation: tried until it succeeds, and again where nobody knows whether it did.
"""

import asyncio
import hashlib
import hmac
import http.client
import json
import os
import threading
from urllib.parse import urlsplit

import restate
from restate.serde import BytesSerde

SECRET = os.environ["PEER_SECRET"].encode()
CRM = urlsplit(os.environ["PEER_CRM"])
hooks = restate.Service("hooks")
customers = restate.VirtualObject("customers")
open_connections = threading.local()


@hooks.handler(accept="*/*", input_serde=BytesSerde())
async def receive(ctx: restate.Context, raw: bytes) -> dict[str, str]:
    given = ctx.request().headers.get("x-signature", "")
    if not hmac.compare_digest(hmac.new(SECRET, raw, hashlib.sha256).hexdigest(), given):
        raise restate.TerminalError("signature", status_code=401)
    event = json.loads(raw)
    canonical = json.dumps(event, sort_keys=True, separators=(",", ":"))
    ctx.object_send(record, key=event["identities"][0]["value"], arg=canonical, idempotency_key=event["id"])
    return {"taken": event["id"]}


@customers.handler()
async def record(ctx: restate.ObjectContext, canonical: str) -> None:
    event = json.loads(canonical)
    ctx.set("seen", event["at"])
    ctx.set(f"entry:{event['id']}", canonical)
    told = json.dumps({"customer": ctx.key(), "event": canonical})

    async def tell() -> int:
        return await asyncio.to_thread(post, told)

    await ctx.run_typed("crm", tell)


def post(told: str) -> int:
    """Raises for every answer but 2xx, and for none: then the step is tried again."""
    line = getattr(open_connections, "line", None) or http.client.HTTPConnection(CRM.netloc, timeout=10)
    open_connections.line = line
    try:
        line.request("POST", CRM.path, told, {"Content-Type": "application/json"})
        answer = line.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        line.close()
        raise
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"the CRM answered {answer.status}")
    return answer.status


app = restate.app([hooks, customers])
