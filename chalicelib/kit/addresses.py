"""Which network addresses the hub may send to: an explicit table, every answer judged.

`ipaddress.is_global` is no verdict: on Python 3.11 it lets multicast, 6to4, NAT64 and Teredo
through. Registries: https://www.iana.org/assignments/iana-ipv4-special-registry/ and
https://www.iana.org/assignments/iana-ipv6-special-registry/
"""

from __future__ import annotations

import socket
import threading
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from chalicelib.errors import Delayed, Rejected
from chalicelib.kit.lazily import pattern

Resolve = Callable[[str, int], Iterable[str]]
"""(host name, port) → every address that it stands for; raises OSError."""

LOCAL = (
    ("10.0.0.0/8", "private"),
    ("127.0.0.0/8", "loopback"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("::1/128", "loopback"),
    ("fc00::/7", "unique local"),
)
"""Forbidden too, unless a local test allows private destinations."""

FORBIDDEN = (
    ("0.0.0.0/8", "this network"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("168.63.129.16/32", "cloud platform"),
    ("169.254.0.0/16", "link-local, cloud metadata"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, broadcast"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::/8", "unspecified, IPv4-compatible, translated"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/8", "discard-only, reserved"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "protocol assignments, ORCHID, benchmarking"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3ffe::/16", "6bone"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    ("::/3", "outside global unicast"),
    ("4000::/2", "outside global unicast"),
    ("8000::/1", "outside global unicast"),
)
"""First match gives the reason."""

DOTS = pattern("[。．｡]")
HOST = pattern(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z")
NUMERIC = pattern(r"(\d+|0x[0-9a-f]*)\Z")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@lru_cache(maxsize=1)
def _networks() -> tuple[tuple[Network, str, bool], ...]:
    rows = [(text, why, True) for text, why in LOCAL] + [(text, why, False) for text, why in FORBIDDEN]
    return tuple((ip_network(text), why, local) for text, why, local in rows)


def verdict(address: str, allow_private: bool = False) -> str:
    """Why nothing may be sent to this address, or the empty text when it may."""
    try:
        judged = ip_address(address.partition("%")[0])
    except ValueError:
        return "not an address"
    if "%" in address:
        return "scoped"
    return _reason(judged, allow_private)


def _reason(judged: Address, allow_private: bool) -> str:
    for network, why, local in _networks():
        if judged.version == network.version and judged in network:
            return "" if local and allow_private else why
    return ""


def is_local(address: str) -> bool:
    """Loopback or private: only a local test gets here."""
    judged = ip_address(address)
    return any(local and judged.version == net.version and judged in net for net, _, local in _networks())


def canonical(host: str) -> str:
    """A host as it is looked up: full-width forms folded, lower case, no trailing dot, numbers
    such as 127.1, 0x7f.1 or 2130706433 as the dotted address that resolvers make of them.

    Raises Rejected when it is no host name and no address.
    """
    folded = DOTS.sub(".", unicodedata.normalize("NFKC", host)).strip().lower().rstrip(".")
    if folded.startswith("[") and folded.endswith("]"):
        folded = folded[1:-1]
    if ":" in folded:
        return _literal(folded)
    name = folded if folded.isascii() else _idna(folded)
    if not HOST.match(name) or len(name) > 253:
        raise Rejected(f"no host name: {host[:80]!r}")
    return _number(name) if NUMERIC.match(name.rpartition(".")[2]) else name


def _literal(text: str) -> str:
    try:
        found = ip_address(text)
    except ValueError as wrong:
        raise Rejected(f"no host name: {text[:80]!r}") from wrong
    # The same text on every Python: from 3.13 on, ipaddress writes these with dots.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    if mapped is None:
        return str(found)
    _, mark, scope = text.partition("%")
    return f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}{mark}{scope}"


def _idna(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as wrong:
        raise Rejected(f"no host name: {name[:80]!r}") from wrong


def _number(name: str) -> str:
    """inet_aton's reading of one to four decimal, octal or hexadecimal parts."""
    try:
        parts = [_part(part) for part in name.split(".")]
        last = parts.pop()
        if len(parts) > 3 or any(part > 255 for part in parts) or last >= 256 ** (4 - len(parts)):
            raise ValueError(name)
    except ValueError as wrong:
        raise Rejected(f"no address: {name[:80]!r}") from wrong
    return str(IPv4Address(sum(part << (24 - 8 * at) for at, part in enumerate(parts)) + last))


def _part(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)


def judged(host: str, port: int, *, allow_private: bool, deadline: float, resolve: Resolve | None = None) -> list[str]:
    """The addresses of a canonical host, all of them allowed, in the resolver's order.

    `deadline`: seconds for the look-up. Raises Rejected naming the first forbidden address, and
    Delayed when the name does not resolve.
    """
    if host == "localhost" or host.endswith(".localhost"):
        addresses = ["127.0.0.1"]
    elif _is_literal(host):
        addresses = [host]
    else:
        addresses = _look_up(host, port, deadline, resolve or _resolve)
    for address in addresses:
        if why := verdict(address, allow_private):
            raise Rejected(f"{host} resolves to {address}, a forbidden network ({why})")
    return addresses


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _resolve(host: str, port: int) -> list[str]:
    return [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _look_up(host: str, port: int, deadline: float, resolve: Resolve) -> list[str]:
    """In a thread of its own, because the system's resolver knows no deadline."""
    found: list[str] = []
    wrong: list[str] = []

    def ask() -> None:
        try:
            found.extend(dict.fromkeys(resolve(host, port)))
        except (OSError, UnicodeError) as failure:
            wrong.append(str(failure))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(deadline)
    if not found or asking.is_alive():
        raise Delayed(f"{host} does not resolve: {wrong[0] if wrong else 'no answer'}")
    return list(found)
