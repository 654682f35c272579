"""Listens to an Asterisk server's manager interface and posts each call that ended or was passed on to the hub.

https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Events/

One file, Python 3.11 or newer, nothing else:    python3 asterisk.py /etc/draad/forwarder.ini

    [ami]
    host = 127.0.0.1
    port = 5038
    username = draad
    secret = its secret in manager.conf
    events = call,dialplan
    [hub]
    url = https://hub.example.nl/hooks/con_...
    secret = the connection's signing secret
    [spool]
    folder = /var/spool/draad
    [calls]
    trunk = ^(PJSIP|SIP)/trunk-
    server = pbx1
    settle = 1.5
    internal_digits = 6

manager.conf needs `read = call,dialplan,reporting` and `write = reporting` for that user, and better has
`timestampevents = yes`. Without `trunk`, whatever has no short number is outside.

Nothing that was seen is lost. Events of calls that go on are kept in `journal`, so that a forwarder that was killed
goes on where it was; channels that are gone by then ended in between (`uncertain`). A report is a file in the
spool folder before it is posted, and stays there until the hub has taken it. What began and ended while nobody
listened, nobody knows.

The state of a call is a set of channels that have its linkedid. Asterisk gives channels of two calls one linkedid
when it connects them; two calls with a customer each stay two. Events of one moment come in any order: each waits
`settle` seconds for those that happened before it, and a call is told that long after its last channel has gone.
"""

from __future__ import annotations

import configparser
import hashlib
import heapq
import hmac
import http.client
import json
import logging
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = dict[str, str]
Report = dict[str, Any]
LOG = logging.getLogger("draad.forwarder")
LARGEST_MESSAGE, LARGEST_JOURNAL = 65_536, 4_000_000
FORGET_SECONDS, RESYNC_SECONDS, PING_SECONDS, LONGEST_WAIT = 600.0, 300.0, 30.0, 60.0
NO_NUMBER = frozenset({"", "<unknown>", "unknown", "anonymous", "restricted", "unavailable", "withheld", "s"})
RELEVANT = frozenset(
    ["Newchannel", "NewCallerid", "Newstate", "DialBegin", "DialEnd", "BridgeEnter", "Hangup", "BlindTransfer"]
) | frozenset(["AttendedTransfer", "VarSet", "CoreShowChannel"])
VARIABLES = frozenset({"VMSTATUS", "MIXMONITOR_FILENAME"})
FAILURES = {"BUSY": "busy", "CONGESTION": "failed", "CHANUNAVAIL": "failed", "INVALIDARGS": "failed"}


@dataclass(frozen=True)
class Settings:
    """`trunk`: which channel names lead outside; None: those without a number of at most `internal_digits`."""

    trunk: re.Pattern[str] | None = None
    server: str = "asterisk"
    settle: float = 1.5
    internal_digits: int = 6


@dataclass
class Channel:
    """`since`: when it began, by Asterisk's clock; `met`: by ours. `rank`: how good the source of `number` is."""

    id: str
    since: float
    met: float
    name: str = ""
    number: str = ""
    rank: int = -1
    shown: str = ""
    exten: str = ""
    gone: bool = False

    @property
    def local(self) -> bool:
        return self.name.startswith("Local/")


@dataclass
class Transfer:
    kind: str
    at: float
    by: str
    to: str
    told: bool = False


@dataclass
class Call:
    """`origin`: the channel that began it, where that is not the oldest one."""

    id: str
    since: float
    origin: str = ""
    channels: dict[str, Channel] = field(default_factory=dict)
    dialled: bool = False
    answers: dict[str, float] = field(default_factory=dict)
    bridges: dict[str, set[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    voicemail: bool = False
    recording: str = ""
    cause: str = ""
    ended: float = 0.0
    due: float = 0.0
    uncertain: bool = False
    messages: list[tuple[float, Message]] = field(default_factory=list)

    @property
    def first(self) -> Channel | None:
        """Whoever began it: the oldest channel that is not one of Asterisk's own halves."""
        real = [each for each in self.channels.values() if not each.local]
        return min(real, key=lambda each: (each.id != self.origin, each.id != self.id, each.since), default=None)

    @property
    def known(self) -> bool:
        """Whether more of it was seen than its end."""
        return any(message["Event"] != "Hangup" for _, message in self.messages)


class Order:
    """Events by the moment at which they happened, each once it has waited for earlier ones."""

    def __init__(self, settle: float) -> None:
        self.settle, self.count = settle, 0
        self.held: list[tuple[float, int, float, Message]] = []

    def add(self, message: Message, now: float) -> None:
        self.count += 1
        heapq.heappush(self.held, (stamp(message, now), self.count, now, message))

    def ready(self, now: float) -> Iterator[tuple[float, Message]]:
        while self.held and self.held[0][2] + self.settle <= now:
            _, _, came, message = heapq.heappop(self.held)
            yield came, message


class Calls:
    """What the events say, as calls. No clock and no I/O: `now` is the moment when a message came."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.calls: dict[str, Call] = {}
        self.homes: dict[str, str] = {}
        self.finished: dict[str, float] = {}

    def take(self, message: Message, now: float) -> bool:
        """False for what says nothing about a call that goes on."""
        kind, at = message["Event"], stamp(message, now)
        seen = [self._seen(message, part, at, now) for part in PARTS.get(kind, ("",))]
        first = next((found for found in seen if found), None)
        if first is None:
            return False
        act = getattr(self, f"_{kind.lower()}", None)
        if act:
            act(message, self._home(first.id) or first, at)
        call = self._home(first.id) or first
        call.messages.append((now, message))
        call.due = self._due(call, now)
        return True

    def sync(self, listed: set[str], asked: float, now: float) -> None:
        """Channels that were there before we asked and are not listed have gone."""
        for call in self.calls.values():
            for channel in call.channels.values():
                if not channel.gone and channel.met < asked and channel.id not in listed:
                    channel.gone, call.uncertain, call.ended = True, True, now
            call.due = self._due(call, now) if not call.due else call.due

    def ready(self, now: float) -> Iterator[Report]:
        """Reports that are due, each once; a call that was told is forgotten."""
        for call in list(self.calls.values()):
            over = bool(call.due) and call.due <= now
            yield from self._transfers(call, now, over)
            if over:
                if self._direction(call) and call.known:
                    yield self._ended(call)
                self._forget(call, now)
        self.finished = {name: until for name, until in self.finished.items() if until > now}

    def _seen(self, message: Message, part: str, at: float, now: float) -> Call | None:
        """The call of the channel that this part of a message is about, made where it is new."""
        name, number = message.get(f"{part}Uniqueid", ""), message.get(f"{part}Linkedid", "")
        if not name or name in self.finished or (name not in self.homes and number in self.finished):
            return None
        home = self._home(self.homes.get(name, "") or number or name)
        if home is None:
            home = self.calls[number or name] = Call(number or name, at)
            self.homes[home.id] = home.id
        if number and number != home.id:
            home = self._joined(home, number, at)
        channel = home.channels.get(name)
        if channel is None:
            channel = home.channels[name] = Channel(name, at, now)
            self.homes[name] = home.id
        self._learn(home, channel, message, part)
        return home

    def _home(self, name: str) -> Call | None:
        return self.calls.get(self.homes.get(name, name))

    def _joined(self, home: Call, number: str, at: float) -> Call:
        other = self._home(number)
        if other is None or other is home or (self._direction(home) and self._direction(other)):
            return home
        return self._merge(home, other, at)

    def _merge(self, one: Call, two: Call, at: float) -> Call:
        """The one with the customer goes on, or else the older, with everything of the other; whoever answered there
        talks here from now on."""
        kept, lost = sorted((one, two), key=lambda each: (not self._direction(each), each.since, each.id))
        kept.origin = kept.first.id if kept.first else ""
        self.homes = {name: kept.id if home == lost.id else home for name, home in self.homes.items()}
        kept.channels |= lost.channels
        kept.answers = dict.fromkeys(lost.answers, at) | kept.answers
        kept.bridges |= {name: kept.bridges.get(name, set()) | held for name, held in lost.bridges.items()}
        kept.failures, kept.transfers = kept.failures + lost.failures, kept.transfers + lost.transfers
        kept.messages = sorted(kept.messages + lost.messages, key=lambda each: each[0])
        kept.dialled, kept.recording = kept.dialled or lost.dialled, kept.recording or lost.recording
        kept.ended, kept.uncertain = max(kept.ended, lost.ended), kept.uncertain or lost.uncertain
        kept.voicemail, kept.cause = kept.voicemail or lost.voicemail, kept.cause or lost.cause
        del self.calls[lost.id]
        return kept

    def _learn(self, call: Call, channel: Channel, message: Message, part: str) -> None:
        """A later caller id is the transferer's or the queue's: the number that counts is from before it rang."""
        channel.name = channel.name or message.get(f"{part}Channel", "")
        number, kind = message.get(f"{part}CallerIDNum", ""), message["Event"]
        rank = {"Newchannel": 2, "NewCallerid": -1 if call.dialled else 3}.get(kind, 0)
        if number.lower() not in NO_NUMBER and (rank >= channel.rank or not channel.number):
            channel.number, channel.rank = number, max(rank, channel.rank)
            shown = message.get(f"{part}CallerIDName", "")
            channel.shown = "" if shown.lower() in NO_NUMBER else shown
        if kind in ("Newchannel", "CoreShowChannel") or not channel.exten:
            channel.exten = message.get(f"{part}Exten", "") or channel.exten

    def _dialbegin(self, message: Message, call: Call, at: float) -> None:
        call.dialled = True

    def _dialend(self, message: Message, call: Call, at: float) -> None:
        status, name = message.get("DialStatus", ""), message.get("DestUniqueid", "")
        channel = call.channels.get(name)
        if status == "ANSWER" and channel and not channel.local:
            call.answers[name] = min(at, call.answers.get(name, at))
        elif status and status != "ANSWER":
            call.failures.append(status)

    def _bridgeenter(self, message: Message, call: Call, at: float) -> None:
        """Two of the call's own in one bridge talk, also where nobody told that the ringing ended."""
        name = message.get("Uniqueid", "")
        held = call.bridges.setdefault(message.get("BridgeUniqueid", ""), set())
        held.add(name)
        talking = {each for each in held if each in call.channels and not call.channels[each].local}
        for each in talking if len(talking) > 1 else ():
            if call.first is None or each != call.first.id:
                call.answers[each] = min(at, call.answers.get(each, at))

    def _coreshowchannel(self, message: Message, call: Call, at: float) -> None:
        channel = call.channels[message["Uniqueid"]]
        channel.since = min(channel.since, at - seconds(message.get("Duration", "")))
        call.since = min(call.since, channel.since)
        if message.get("BridgeId"):
            self._bridgeenter(message | {"BridgeUniqueid": message["BridgeId"]}, call, at)

    def _hangup(self, message: Message, call: Call, at: float) -> None:
        channel = call.channels[message["Uniqueid"]]
        channel.gone, call.ended = True, max(call.ended, at)
        if channel is call.first:
            call.cause = f"{message.get('Cause', '')} {message.get('Cause-txt', '')}".strip()

    def _varset(self, message: Message, call: Call, at: float) -> None:
        value = message.get("Value", "")
        if message.get("Variable") == "VMSTATUS":
            call.voicemail = call.voicemail or value == "SUCCESS"
        else:
            call.recording = call.recording or value

    def _blindtransfer(self, message: Message, call: Call, at: float) -> None:
        if message.get("Result") == "Success":
            by = message.get("TransfererCallerIDNum", "")
            passed_on(call, Transfer("blind", at, number_of(by), message.get("Extension", "")))

    def _attendedtransfer(self, message: Message, call: Call, at: float) -> None:
        """Either of the transferer's two calls may be the one with the customer, and they may be one by now."""
        if message.get("Result") != "Success":
            return
        both = [self._home(message.get(f"{part}Uniqueid", "")) for part in ("OrigTransferer", "SecondTransferer")]
        one, two = both[0] or call, both[1] or call
        main = two if self._direction(two) and not self._direction(one) else one
        by = number_of(message.get("OrigTransfererCallerIDNum", ""))
        passed_on(main, Transfer("attended", at, by, self._target(message, main)))
        if one is not two and not (self._direction(one) and self._direction(two)):
            self._merge(one, two, at)

    def _target(self, message: Message, call: Call) -> str:
        """Who was on the transferer's other line: not the customer."""
        lines = ("SecondTransfererConnectedLineNum", "OrigTransfererConnectedLineNum", "TransferTargetCallerIDNum")
        customer = self._ends(call)[0][-8:]
        found = (number_of(message.get(name, "")) for name in lines)
        return next((each for each in found if each and each[-8:] != customer), "")

    def _due(self, call: Call, now: float) -> float:
        over = all(each.gone for each in call.channels.values())
        return now + self.settings.settle if over and call.channels else 0.0

    def _outside(self, call: Call, channel: Channel) -> bool:
        """Without a number: a caller who withholds it, or a phone that was rung and has not said who it is."""
        if channel.local:
            return False
        if self.settings.trunk:
            return bool(self.settings.trunk.search(channel.name))
        if not channel.number:
            return channel is call.first
        return not (channel.number.isdigit() and len(channel.number) <= self.settings.internal_digits)

    def _called(self, call: Call) -> Channel | None:
        """The outside end of a call that began inside: who answered, else who was rung last."""
        ends = [each for each in call.channels.values() if each is not call.first and self._outside(call, each)]
        return max(ends, key=lambda each: (each.id in call.answers, each.since), default=None)

    def _direction(self, call: Call) -> str:
        """inbound, outbound, or nothing for a call that stays in the house."""
        if call.first is None:
            return ""
        return "inbound" if self._outside(call, call.first) else "outbound" if self._called(call) else ""

    def _ends(self, call: Call) -> tuple[str, str, str, str]:
        """(customer's number, our own, the agent's, the name that was shown)"""
        first, called = call.first, self._called(call)
        if first is None:
            return "", "", "", ""
        if self._direction(call) == "outbound" and called:
            own = first.number if len(first.number) > self.settings.internal_digits else ""
            return called.number or first.exten, own, first.number, ""
        agents = [name for name in sorted(call.answers, key=lambda name: call.answers[name]) if name != first.id]
        agent = call.channels[agents[-1]] if agents and agents[-1] in call.channels else None
        return first.number, number_of(first.exten), number_of(agent.number) if agent else "", first.shown

    def _status(self, call: Call) -> str:
        called, outbound = self._called(call), self._direction(call) == "outbound"
        if (called and called.id in call.answers) if outbound else call.answers:
            return "completed"
        if call.voicemail:
            return "voicemail"
        if "NOANSWER" in call.failures or not outbound:
            return "busy" if call.failures and set(call.failures) == {"BUSY"} else "no-answer"
        last = next((each for each in reversed(call.failures) if each in FAILURES), "")
        return FAILURES.get(last, "canceled")

    def _answered(self, call: Call) -> float:
        """When the customer had somebody on the line: an agent who dials has his own phone answer first."""
        called = self._called(call) if self._direction(call) == "outbound" else None
        return call.answers[called.id] if called else min(call.answers.values())

    def _transfers(self, call: Call, now: float, over: bool) -> Iterator[Report]:
        for number, each in enumerate(call.transfers, 1):
            if not each.told and (over or each.at + self.settings.settle <= now) and self._direction(call):
                each.told = True
                more = {"kind": each.kind, "agent": each.by, "transferred_by": each.by, "transferred_to": each.to}
                yield self._report(call, "call.transferred", f"transferred:{number}", each.at) | more

    def _ended(self, call: Call) -> Report:
        report = self._report(call, "call.ended", "ended", call.ended)
        told = [{"kind": each.kind, "at": iso(each.at), "by": each.by, "to": each.to} for each in call.transfers]
        answered = self._answered(call) if report["status"] == "completed" else None
        more = {
            "answered_at": iso(answered) if answered else None,
            "duration": round(call.ended - answered) if answered else None,
            "waited": round((answered or call.ended) - call.since),
            "transfers": told,
            "recording": call.recording,
            "cause": call.cause,
            "uncertain": call.uncertain,
        }
        return report | more

    def _report(self, call: Call, event: str, state: str, at: float) -> Report:
        number = f"{self.settings.server}/{call.id}"
        customer, own, agent, shown = self._ends(call)
        return {
            "v": 1,
            "event": event,
            "id": f"{number}:{state}",
            "call": number,
            "direction": self._direction(call),
            "status": "transferred" if event == "call.transferred" else self._status(call),
            "customer": customer,
            "own": own,
            "caller_name": shown,
            "agent": agent,
            "started_at": iso(call.since),
            "at": iso(at),
        }

    def _forget(self, call: Call, now: float) -> None:
        del self.calls[call.id]
        for name in [name for name, home in self.homes.items() if home == call.id]:
            del self.homes[name]
            self.finished[name] = now + FORGET_SECONDS


PARTS: dict[str, tuple[str, ...]] = {
    "DialBegin": ("", "Dest"),
    "DialEnd": ("", "Dest"),
    "BlindTransfer": ("Transferee", "Transferer"),
    "AttendedTransfer": ("OrigTransferer", "SecondTransferer", "Transferee", "TransferTarget"),
}
"""Which channels a message is about, by the prefix of their fields. Others are about one."""


def passed_on(call: Call, found: Transfer) -> None:
    """Unless it was told before."""
    same = [each for each in call.transfers if (each.kind, each.by, each.to) == (found.kind, found.by, found.to)]
    if not any(abs(each.at - found.at) < 1 for each in same):
        call.transfers.append(found)


def relevant(message: Message) -> bool:
    kind = message.get("Event", "")
    return kind in RELEVANT and (kind != "VarSet" or message.get("Variable") in VARIABLES)


def stamp(message: Mapping[str, str], now: float) -> float:
    found = message.get("Timestamp", "")
    return float(found) if re.fullmatch(r"[0-9]{9,11}(\.[0-9]{1,9})?", found) else now


def iso(moment: float) -> str:
    whole, thousandths = divmod(round(moment * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{thousandths:03d}Z"


def number_of(told: str) -> str:
    return "" if told.lower() in NO_NUMBER else told


def seconds(told: str) -> int:
    """Of `00:01:05`; 0 for what is none."""
    found = re.fullmatch(r"([0-9]{1,5}):([0-9]{2}):([0-9]{2})", told)
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) if found else 0


class Reader:
    """Bytes of the manager interface to messages. The first of repeated fields counts."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            block, self.rest = self.rest[:end], self.rest[end + 4 :]
            found: Message = {}
            for line in block.decode("utf-8", "replace").split("\r\n"):
                name, colon, value = line.partition(":")
                if colon:
                    found.setdefault(name.strip(), value.strip())
            if found:
                yield found
        if len(self.rest) > LARGEST_MESSAGE:
            raise ConnectionError("a message without an end")


class Journal:
    """The messages of calls that go on, and which reports are made already: what a restart needs."""

    def __init__(self, path: Path) -> None:
        self.path, self.changed = path, True
        self.told: set[str] = set()

    def entries(self) -> Iterator[tuple[float, Message]]:
        """What calls go on said so far. A line that a crash cut off is the last one, and says nothing."""
        for line in self.path.read_text("utf-8").splitlines() if self.path.exists() else ():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "told" in entry:
                self.told.add(entry["told"])
            else:
                yield entry["now"], entry["message"]

    def add(self, **entry: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.changed = True
        if "told" in entry:
            self.told.add(entry["told"])

    def shorten(self, calls: Calls, order: Order) -> None:
        """Only what is still needed, once the file is long or nobody calls."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if not size or not self.changed or ((calls.calls or order.held) and size < LARGEST_JOURNAL):
            return
        needed = [each for call in calls.calls.values() for each in call.messages]
        needed += [(now, message) for _, _, now, message in order.held]
        needed.sort(key=lambda each: each[0])
        names = {f"{calls.settings.server}/{name}" for name in (*calls.calls, *calls.finished)}
        self.told = {name for name in self.told if name.partition(":")[0] in names}
        lines = [json.dumps({"now": now, "message": message}) for now, message in needed]
        lines += [json.dumps({"told": name}) for name in sorted(self.told)]
        durable(self.path, "".join(f"{line}\n" for line in lines).encode())
        self.changed = False


class Spool:
    """One file a report, in order, until the hub has taken it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, report: Report) -> None:
        name = f"{time.time_ns():020d}-{hashlib.sha256(report['id'].encode()).hexdigest()[:12]}.json"
        durable(self.folder / name, json.dumps(report, ensure_ascii=False).encode())

    def waiting(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))


def durable(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the power fails."""
    rough = path.with_suffix(".tmp")
    with rough.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rough.rename(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Hub:
    url: str
    secret: str
    timeout: float = 10.0

    def post(self, body: bytes, now: float) -> int:
        """The hub's status. Signed anew each time, because the hub refuses old signatures. Raises OSError."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        try:
            connection.request("POST", parts.path, body, self.headers(body, now))
            with connection.getresponse() as answer:
                answer.read(65_536)
                return answer.status
        except http.client.HTTPException as wrong:
            raise OSError(f"no answer: {wrong!r}") from wrong
        finally:
            connection.close()

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        moment = str(int(now))
        digest = hmac.new(self.secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        signed = {"X-Draad-Timestamp": moment, "X-Draad-Signature": f"sha256={digest}"}
        return {"Content-Type": "application/json", "User-Agent": "draad-forwarder", **signed}


def post_all(spool: Spool, hub: Hub) -> bool:
    """Whether nothing waits any more. One that the hub refuses does not hold up the others."""
    clear = True
    for path in spool.waiting():
        try:
            status = hub.post(path.read_bytes(), time.time())
        except OSError as wrong:
            LOG.warning("the hub cannot be reached: %s", wrong)
            return False
        if 200 <= status < 300:
            path.unlink()
            continue
        LOG.warning("the hub answers %s to %s", status, path.name)
        if status >= 500 or status in (401, 403, 408, 425, 429):
            return False
        clear = False
    return clear


@dataclass(frozen=True)
class Ami:
    host: str
    username: str
    secret: str
    port: int = 5038
    events: str = "call,dialplan"
    tls: bool = False

    def connect(self) -> socket.socket:
        plain = socket.create_connection((self.host, self.port), timeout=10)
        return ssl.create_default_context().wrap_socket(plain, server_hostname=self.host) if self.tls else plain

    def login(self) -> bytes:
        return action("Login", Username=self.username, Secret=self.secret, Events=self.events, ActionID="login")


def action(name: str, **fields: str) -> bytes:
    lines = [f"Action: {name}", *(f"{key}: {value}" for key, value in fields.items())]
    return ("\r\n".join(each.replace("\r", "").replace("\n", "") for each in lines) + "\r\n\r\n").encode()


class Forwarder:
    """`clock`: unix seconds."""

    def __init__(self, ami: Ami, hub: Hub, folder: Path, settings: Settings, clock: Callable[[], float] = time.time):
        self.ami, self.hub, self.clock = ami, hub, clock
        self.calls, self.order, self.spool = Calls(settings), Order(settings.settle), Spool(folder)
        self.journal = Journal(folder / "journal")
        self.stopping, self.news = threading.Event(), threading.Event()
        for now, message in self.journal.entries():
            self.order.add(message, now)

    def run(self) -> None:
        """Until `stop`. What was seen is in the journal or in the spool by then."""
        sender = threading.Thread(target=self.send, daemon=True)
        sender.start()
        wait = 1.0
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                self.listen()
            except OSError as wrong:
                LOG.warning("the manager interface is away: %s", wrong)
            self.tell()
            wait = 1.0 if time.monotonic() - began > LONGEST_WAIT else min(wait * 2, LONGEST_WAIT)
            self.stopping.wait(wait)
        self.news.set()
        sender.join(self.hub.timeout * 2)

    def stop(self) -> None:
        self.stopping.set()
        self.news.set()

    def send(self) -> None:
        wait = 1.0
        while not self.stopping.is_set():
            self.news.clear()
            wait = 1.0 if post_all(self.spool, self.hub) else min(wait * 2, LONGEST_WAIT)
            self.news.wait(LONGEST_WAIT if wait == 1.0 else 0)
            self.stopping.wait(0 if wait == 1.0 else wait)

    def listen(self) -> None:
        """One connection to the manager interface. Raises OSError when it ends."""
        with self.ami.connect() as connection:
            connection.settimeout(0.2)
            connection.sendall(self.ami.login())
            session = Session(self, connection)
            while not self.stopping.is_set():
                session.turn()
                self.tell()

    def take(self, message: Message) -> None:
        if relevant(message):
            now = self.clock()
            self.journal.add(now=now, message=message)
            self.order.add(message, now)

    def sync(self, listed: set[str], asked: float) -> None:
        """What still waits for its turn came before the list was complete."""
        for now, message in self.order.ready(float("inf")):
            self.calls.take(message, now)
        self.calls.sync(listed, asked, self.clock())

    def tell(self) -> None:
        for now, message in self.order.ready(self.clock()):
            self.calls.take(message, now)
        for report in self.calls.ready(self.clock()):
            if report["id"] not in self.journal.told:
                self.spool.keep(report)
                self.journal.add(told=report["id"])
                self.news.set()
        self.journal.shorten(self.calls, self.order)


class Session:
    """One connection: its login, which channels there are, and a sign of life. The banner has no colon, so it is
    no field."""

    def __init__(self, forwarder: Forwarder, connection: socket.socket) -> None:
        self.forwarder, self.connection = forwarder, connection
        self.reader, self.listed, self.asked = Reader(), set[str](), 0.0
        self.heard = self.pinged = time.monotonic()
        self.synced = 0.0

    def turn(self) -> None:
        for message in self.reader.feed(self.received()):
            self.take(message)
        now = time.monotonic()
        if now - self.heard > PING_SECONDS * 2:
            raise ConnectionError("silent for too long")
        if now - self.pinged > PING_SECONDS:
            self.pinged = now
            self.connection.sendall(action("Ping"))
        if self.synced and now - self.synced > RESYNC_SECONDS:
            self.ask()

    def received(self) -> bytes:
        try:
            data = self.connection.recv(65_536)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionError("closed")
        self.heard = time.monotonic()
        return data

    def ask(self) -> None:
        self.synced, self.asked, self.listed = time.monotonic(), self.forwarder.clock(), set()
        self.connection.sendall(action("CoreShowChannels", ActionID="sync"))

    def take(self, message: Message) -> None:
        if message.get("ActionID") == "login" and "Response" in message:
            if message["Response"] != "Success":
                raise ConnectionError(f"the login is refused: {message.get('Message', '')}")
            self.ask()
        if message.get("Event") == "CoreShowChannel":
            self.listed.add(message.get("Uniqueid", ""))
        if message.get("Event") == "CoreShowChannelsComplete":
            self.forwarder.sync(self.listed, self.asked)
        self.forwarder.take(message)


def configured(path: Path) -> Forwarder:
    """Raises KeyError and ValueError naming what is missing or wrong."""
    told = configparser.ConfigParser(interpolation=None)
    told.read_string(path.read_text("utf-8"))
    ami, hub, calls = told["ami"], told["hub"], told["calls"] if told.has_section("calls") else {}
    settings = Settings(
        trunk=re.compile(calls["trunk"]) if calls.get("trunk") else None,
        server=calls.get("server") or socket.gethostname(),
        settle=float(calls.get("settle", "1.5")),
        internal_digits=int(calls.get("internal_digits", "6")),
    )
    where = Ami(ami.get("host", "127.0.0.1"), ami["username"], ami["secret"], ami.getint("port", 5038))
    where = replace(where, events=ami.get("events", where.events), tls=ami.getboolean("tls", False))
    return Forwarder(where, Hub(hub["url"], hub["secret"]), Path(told["spool"]["folder"]), settings)


def main(arguments: Iterable[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    named = list(arguments)
    if len(named) != 1:
        print("usage: python3 asterisk.py forwarder.ini", file=sys.stderr)
        return 2
    forwarder = configured(Path(named[0]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: forwarder.stop())
    forwarder.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
