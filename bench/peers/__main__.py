"""`python -m bench.peers [--only draad,n8n,…] [--seconds 15] [--events 300] [--keep-nothing]`: `make bench-peers`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from bench.peers import crm, draad, n8n, node_red, paper, restate, scenarios
from bench.peers.programs import PeerFailed
from bench.peers.running import Peer
from bench.peers.scenarios import Extent, Outcome

PEERS = {
    each.name: each for each in (draad.TO_CRM, draad.TO_WEBHOOK, n8n.PLAIN, n8n.TUNED, node_red.PEER, restate.PEER)
}


def main() -> int:
    """1 when a budget is not met, or somebody is missing."""
    wanted = _arguments()
    extent = Extent(seconds=wanted.seconds, events=wanted.events, quiet=wanted.quiet, outage=wanted.outage)
    begun, outcomes, missing = time.monotonic(), dict[str, Outcome](), dict[str, str]()
    load_before = round(os.getloadavg()[0], 2)
    with crm.running() as told:
        for name in wanted.only:
            try:
                outcomes[name] = _one(PEERS[name], told, extent)
            except Exception as wrong:
                missing[name] = _why(wrong)
                _say(f"{name}: left out: {missing[name]}")
    about = paper.About(extent, time.monotonic() - begun, load_before, missing)
    verdicts = paper.verdicts(outcomes)
    print(paper.page(outcomes, PEERS, verdicts, about))
    if not wanted.keep_nothing:
        _say(f"kept in bench/results/{paper.keep(outcomes, PEERS, verdicts, about).name}")
    return int(bool(missing) or not all(each.holds for each in verdicts))


def _why(wrong: Exception) -> str:
    """Whatever happens to one of them must not cost the others' half an hour."""
    return str(wrong) if isinstance(wrong, PeerFailed) else f"it failed while measured, {type(wrong).__name__}: {wrong}"


def _one(peer: Peer, told: crm.Crm, extent: Extent) -> Outcome:
    peer.install(_say)
    _say(f"{peer.title} {peer.version} …")
    found = scenarios.measured(peer, told, extent, _say)
    _say(f"  at rest p50 {found.rest.p50} ms; {found.megabytes} MB at most")
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="The same job in Draad and in others.")
    parser.add_argument("--only", type=_names, default=list(PEERS), help=f"some of {', '.join(PEERS)}")
    parser.add_argument("--seconds", type=_positive, default=Extent.seconds, help="of each speed, about")
    parser.add_argument(
        "--events", type=lambda text: int(_positive(text)), default=Extent.events, help="of each failure"
    )
    parser.add_argument(
        "--quiet", type=_positive, default=Extent.quiet, help="seconds without any after which none come"
    )
    parser.add_argument("--outage", type=_positive, default=Extent.outage, help="seconds for which the CRM answers 500")
    parser.add_argument("--keep-nothing", action="store_true", help="write no files")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PEERS):
        raise argparse.ArgumentTypeError(
            f"nobody is called {', '.join(sorted(unknown))}: choose from {', '.join(PEERS)}"
        )
    return names


def _positive(text: str) -> float:
    if (number := float(text)) <= 0:
        raise argparse.ArgumentTypeError("more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
