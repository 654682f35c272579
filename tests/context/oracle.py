"""The batch oracle: all evidence at once, the slow and obvious way. Shares no code with
chalicelib.context; it restates the rules, so keep it apart when you change one."""

from __future__ import annotations

import base64
import hashlib
from itertools import combinations

Ends = frozenset[str]


class Oracle:
    """Evidence as it is accepted; `customers()` computes who is who from scratch.

    `trait`: node → "", "s" or "a:…". `sure`: ends → best assurance. `said`: ends → latest
    (at, actor, state). `blocked`: node → latest (at, actor, on).
    """

    def __init__(self, limit: int, cap: int) -> None:
        self.limit, self.cap = limit, cap
        self.trait: dict[str, str] = {}
        self.sure: dict[Ends, int] = {}
        self.said: dict[Ends, tuple[int, str, str]] = {}
        self.blocked: dict[str, tuple[int, str, bool]] = {}
        self.gone: set[str] = set()

    def see(self, node: str, trait: str) -> bool:
        if node not in self.gone:
            self.trait[node] = trait
        return node not in self.gone

    def event(self, identities: dict[str, tuple[str, int]], home: str) -> None:
        """identities: node → (trait, assurance)."""
        alive = {node: found for node, found in identities.items() if self.see(node, found[0])}
        for x, y in combinations(alive, 2):
            traits = sorted(alive[n][0][:1] for n in (x, y))
            sure = min(alive[x][1], alive[y][1])
            if sure >= 2 and (home in (x, y) or traits == ["a", "s"]):
                ends = frozenset((x, y))
                self.sure[ends] = max(self.sure.get(ends, 0), sure)

    def decide(self, a: str, b: str, at: int, actor: str, state: str) -> None:
        if not {a, b} & self.gone:
            ends = frozenset((a, b))
            self.said[ends] = max(self.said.get(ends, (0, "", "-")), (at, actor, state))

    def block(self, node: str, at: int, actor: str, on: bool) -> None:
        if node not in self.gone:
            self.blocked[node] = max(self.blocked.get(node, (0, "", False)), (at, actor, on))

    def erase(self, nodes: set[str]) -> None:
        """What a saturated node has seen of the erased goes on counting there."""
        full = self.saturated()
        self.gone |= nodes
        for ends in [ends for ends in self.sure if ends & nodes and not ends & full]:
            del self.sure[ends]
        for ends in [ends for ends in self.said if ends & nodes]:
            del self.said[ends]
        for node in nodes:
            self.blocked.pop(node, None)

    def saturated(self) -> set[str]:
        found = set()
        for node in self.alive():
            near = [other for ends in self.sure if node in ends for other in ends if other != node]
            anchors = [self.trait[other] for other in near if self.trait[other].startswith("a:")]
            if self.trait[node] == "s" and (len(near) > self.limit or len(anchors) > len(set(anchors))):
                found.add(node)
        return found

    def alive(self) -> list[str]:
        return [node for node in self.trait if node not in self.gone]

    def customers(self) -> set[Ends]:
        nobody = self.saturated() | {node for node, (_, _, on) in self.blocked.items() if on}
        label = {node: node for node in self.alive() if node not in nobody}
        cuts = [tuple(ends) for ends, (_, _, state) in self.said.items() if state == "cut"]
        for _, _, (a, b), forced in sorted(self._edges(label)):
            mine = [n for n in label if label[n] == label[a]]
            theirs = [n for n in label if label[n] == label[b]]
            if label[a] != label[b] and (forced or self._may(mine, theirs, cuts)):
                for node in theirs:
                    label[node] = label[a]
        return {frozenset(n for n in label if label[n] == one) for one in label.values()}

    def _edges(self, label: dict[str, str]) -> list[tuple[int, str, tuple[str, str], bool]]:
        found = []
        for ends in self.sure.keys() | self.said.keys():
            sure = self.sure.get(ends, 0)
            state = self.said.get(ends, (0, "", "-"))[2]
            if state != "cut" and (sure >= 2 or state in ("link", "force")) and ends <= label.keys():
                step = 9 if state == "force" else {3: 0, 2: 1}.get(sure, 2)
                a, b = sorted(ends)
                found.append((step, _hash(a, b), (a, b), state == "force"))
        return found

    def _may(self, mine: list[str], theirs: list[str], cuts: list[tuple[str, ...]]) -> bool:
        kinds = {self.trait[n] for n in mine if self.trait[n][:2] == "a:"}
        if any(self.trait[n] in kinds for n in theirs):
            return False
        if any((a in mine and b in theirs) or (b in mine and a in theirs) for a, b in cuts):
            return False
        return len(mine) + len(theirs) <= self.cap


def _hash(a: str, b: str) -> str:
    raw = b"".join(len(x.encode()).to_bytes(8, "big") + x.encode() for x in (a, b))
    return base64.b32encode(hashlib.sha256(raw).digest()[:16]).decode().rstrip("=").lower()
