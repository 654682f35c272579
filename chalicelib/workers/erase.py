"""Erase: one person out of everything, a step a message, ending in a certificate.

    bound     from now on nothing from before is taken
    tell      each destination that has a record of him
    unlink    out of the graph, what was written about him too
    sweep     his partitions page by page, with receipts, deliveries, conversations
    search    kept webhooks that name him but never became events; cached look-ups
    settle    wait for whoever was at work when it began; then sweep once more

The job holds his values until it is done; the certificate holds none.
"""

from __future__ import annotations

from chalicelib.context import erase
from chalicelib.context.record import rules_of
from chalicelib.errors import Erased
from chalicelib.fanout import forget
from chalicelib.ingest import arrival as arrivals
from chalicelib.model import instants
from chalicelib.settings import settings
from chalicelib.store import connections, jobs, organisation, receipts
from chalicelib.store.codec import unpack
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.table import Delete, Item, Put, Table
from chalicelib.workers import audiences
from chalicelib.workers.fanout import receivers

FIRST = "bound"
TRIES = 20
"""Times that a destination which cannot answer now is asked, a minute apart."""
RUNS_OUT = {
    "queues": "14 days: what still waits is refused and dropped when it is taken",
    "stream": "24 hours",
    "backups": "35 days",
}


def run(table: Table, job: Job) -> Turn:
    step, _, rest = (job.cursor or FIRST).partition("|")
    return STEPS[step](table, job, rest)


def line(table: Table, job: Job, what: str, result: str, detail: str = "") -> None:
    """One line of the certificate; again is the same line."""
    item: Item = {"pk": f"J#{job.id}", "sk": f"D#{what}", "re": result, "at": instants.now(), "de": detail}
    table.write(Put(item | {"x": jobs.certified_until()}))


def _bound(table: Table, job: Job, rest: str) -> Turn:
    erase.bound(table, job.params["identities"], job.params["nodes"], job.params["at"])
    line(table, job, "refusal of what comes late", "in force", f"up to {job.params['at']}")
    return Turn("tell|0|", 1)


def _tell(table: Table, job: Job, rest: str) -> Turn:
    """One destination a page. A connection that is paused is told too: erasing is no delivery."""
    known, (number, _, tries) = receivers(table), rest.partition("|")
    if int(number) >= len(known):
        return Turn("unlink", 1)
    told = forget.forget(table, known[int(number)], job.params["nodes"])
    if told.again and int(tries or 0) < TRIES:
        return Turn(f"tell|{number}|{int(tries or 0) + 1}", 0, delay=60)
    if told.result != forget.NOTHING or not known[int(number)].deleted:
        line(table, job, f"destination {told.connection}", told.result, told.detail)
    return Turn(f"tell|{int(number) + 1}|", 1)


def _unlink(table: Table, job: Job, rest: str) -> Turn:
    rules = rules_of(organisation.read(table))
    for node in job.params["nodes"]:
        try:
            erase.silence(table, rules, node)
        except Erased:
            continue
    stay = erase.unlink(table, rules, job.params["nodes"], job.params["at"])
    line(table, job, "graph", "erased", f"{len(stay)} identities stay: they are shared with others" if stay else "")
    erase.addresses(table, job.params["identities"])
    if feeds := audiences.leave(table, job.params["ids"]):
        line(table, job, "audiences with a feed", "told to leave", f"{feeds} audiences, where he was in them")
    return Turn("sweep|0||0", 1)


def _sweep(table: Table, job: Job, rest: str) -> Turn:
    """One page of one partition; what its events left at receipts and deliveries goes first."""
    number, after, round_ = rest.split("|")
    nodes = job.params["nodes"]
    if int(number) >= len(nodes):
        erase.addresses(table, job.params["identities"])
        line(table, job, "table and index", "erased")
        line(table, job, "receipts and bodies", "blanked")
        return Turn("search|0|" if round_ == "0" else "done", 1)
    found = erase.partition(table, nodes[int(number)], after)
    for key in found.receipts:
        receipts.blank(table, key)
    for each in receivers(table):
        forget.rows(table, each.id, nodes, job.params["ids"], found.sorts)
    here = f"{number}|{found.next}" if found.next else f"{int(number) + 1}|"
    return Turn(f"sweep|{here}|{round_}", found.count)


def _search(table: Table, job: Job, rest: str) -> Turn:
    """Of one connection: receipts that became no event, and cached look-ups, which name him."""
    number, _, after = rest.partition("|")
    known = connections.everyone(table)
    if int(number) >= len(known):
        line(table, job, "webhooks that became no event, cached look-ups", "erased")
        return Turn("sweep|0||1", 1, delay=settings().erase_settle_seconds)
    one = known[int(number)].id
    page = table.query(f"M#{one}", after=after, limit=erase.PAGE, index=True)
    named = [(item["pk"], item["sk"]) for item in page.items if _names(table, item, job.params["values"])]
    for key in named:
        receipts.blank(table, key)
    if len(page.items) == erase.PAGE:
        return Turn(f"search|{number}|{page.items[-1]['gsk']}", len(named))
    for item in table.query(f"C#{one}", begins="FETCH#").items:
        if erase.mentions(unpack(item["b"]), job.params["values"]):
            table.write(Delete((item["pk"], item["sk"])))
    return Turn(f"search|{int(number) + 1}|", len(named))


def _names(table: Table, entry: Item, values: list[str]) -> bool:
    receipt = receipts.get(table, entry["pk"], entry["sk"])
    packed = receipt.arrival() if receipt else None
    if packed is None:
        return False
    try:
        arrival = arrivals.decode(packed)
        raw = arrival.body
    except ValueError:
        raw = packed
    return erase.mentions(raw, values)


def _done(table: Table, job: Job, rest: str) -> Turn:
    for what, detail in RUNS_OUT.items():
        line(table, job, what, "runs out by itself", detail)
    kept = {name: job.params[name] for name in ("customer", "at", "by", "why")}
    return Turn("", 1, params=kept)


STEPS = {"bound": _bound, "tell": _tell, "unlink": _unlink, "sweep": _sweep, "search": _search, "done": _done}
