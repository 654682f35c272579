"""What each function may do at AWS, and no more: the one source of `.chalice/policy-<stage>-<function>.json`.

`python -m infra.policies` writes the files of dev and prod and the table in docs/policies.md; `--stage acc` those of
another stage, `--account` and `--region` narrow them to one account. A stage's functions reach `draad-<stage>` only,
so that nothing of one stage can touch another's data.

Items are told apart by the first letters of their key (chalicelib/store/table.py); IAM sees the partition key and not
the sort key (`dynamodb:LeadingKeys`). tests/policies runs every function's real calls against this: one that is not
allowed, and one that is allowed and never made, both fail there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.settings import STAGE
from infra.docs.tables import table
from infra.local.state import ROOT

COMMITTED = ("dev", "prod")
API = "api_handler"
Statement = dict[str, Any]
READ = ("BatchGetItem", "GetItem", "Query")
WRITE = ("PutItem", "UpdateItem")
LARGEST = 10_240
"""Characters, without white space, of all that IAM keeps inside one role."""


@dataclass(frozen=True)
class Function:
    """Items by what their partition key begins with; one that ends in # has more behind it.

    `reads`, `writes`, `deletes`, `finds`: get and query · put and update · delete · query of the index.
    `batches`: puts of many at once, which AWS does not tell from deletes of many.
    `takes`, `sends`, `drains`, `measures`: queues. `bodies`: action → folders of the bucket.
    """

    why: str
    reads: str
    writes: str
    deletes: str = ""
    checks: str = ""
    batches: str = ""
    finds: str = ""
    scans: bool = False
    takes: str = ""
    sends: str = ""
    drains: str = ""
    measures: str = ""
    fails_to: str = ""
    stream: bool = False
    pepper: bool = True
    """The key of node ids and public ids."""
    opens: bool = False
    """Secrets of connections."""
    seals: str = ""
    """Names of what it encrypts for a connection; * for all."""
    bodies: Mapping[str, str] | None = None


DEAD = "inbox-dlq deliveries-dlq jobs-dlq"

FUNCTIONS: dict[str, Function] = {
    API: Function(
        "answers providers, people and systems over HTTP; long work becomes a job",
        reads="C# CONN D# I# J# K# KEY L# N# ORG R# RATE# STAT# V#",
        writes="C# CONN J# K# KEY L# N# ORG R# RATE# TOK# V#",
        deletes="K# V#",
        finds="ERASURES HELD# JOBS M# PARK# Q# WAIT#",
        sends="inbox deliveries jobs",
        measures=f"inbox deliveries jobs {DEAD}",
        opens=True,
        seals="*",
        bodies={"GetObject": "receipts/", "PutObject": "inbox/"},
        checks="K# V#",
    ),
    "context": Function(
        "makes events of what came in, and customers of events",
        reads="C# CONN K# N# ORG R# TOK# V# X#",
        writes="C# I# J# K# N# ORG R# TOK# V# X#",
        deletes="C# K# N# V#",
        checks="K# V#",
        batches="I# N#",
        takes="inbox",
        sends="jobs",
        opens=True,
        bodies={"GetObject": "inbox/", "PutObject": "receipts/"},
    ),
    "fanout": Function(
        "sees what changed, and decides who must be told",
        reads="CONN K# N# ORG R#",
        writes="J# N# ORG",
        sends="deliveries jobs",
        fails_to="fanout-dlq",
        stream=True,
    ),
    "deliver": Function(
        "tells one system one thing",
        reads="C# CONN K# L# M# N# ORG R# V# X#",
        writes="C# CONN I# J# K# L# M# N# ORG R# TOK# V# X#",
        takes="deliveries",
        sends="deliveries jobs",
        opens=True,
        seals="token",
        deletes="K# N# V#",
        checks="K# V#",
        batches="N#",
    ),
    "jobs": Function(
        "does long work a page at a time: replays, redrives, reconciling, erasing",
        reads="C# CONN D# I# J# K# L# M# N# ORG R# STAT# TOK# V# X#",
        writes="C# D# I# J# K# L# N# ORG R# STAT# TOK# V# X#",
        deletes="C# D# K# L# N# R# TOK# V# X#",
        checks="K# V#",
        batches="J# N#",
        finds="HELD# M# PARK#",
        scans=True,
        takes="jobs",
        sends="inbox deliveries jobs",
        opens=True,
        seals="token",
        bodies={"DeleteObject": "inbox/ receipts/", "GetObject": "receipts/", "PutObject": "inbox/ receipts/"},
    ),
    "sweep": Function(
        "looks every minute for what is due, and for what died in a queue",
        reads="C# CONN J# L# ORG",
        writes="C# I# J# L# ORG",
        finds="DUE#",
        drains=DEAD,
        sends="inbox deliveries jobs",
        measures="inbox deliveries jobs",
        opens=True,
        bodies={"GetObject": "inbox/", "PutObject": "receipts/"},
        pepper=False,
    ),
}


@dataclass(frozen=True)
class Place:
    """Where a stage is: of an account and a region that are not known yet, any."""

    stage: str
    account: str = "*"
    region: str = "*"
    partition: str = "aws"

    def arn(self, service: str, rest: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"

    def table(self, rest: str = "") -> str:
        return self.arn("dynamodb", f"table/draad-{self.stage}{rest}")

    def queues(self, names: str) -> list[str]:
        return [self.arn("sqs", f"draad-{self.stage}-{name}") for name in names.split()]

    @property
    def bucket(self) -> str:
        """Twelve digits at its end, so that no other stage's name fits."""
        return (
            f"arn:{self.partition}:s3:::draad-{self.stage}-bodies-{'?' * 12 if self.account == '*' else self.account}"
        )


def document(place: Place, function: str, *, xray: bool = False) -> dict[str, Any]:
    """The policy of one function of a stage. `xray`: whether the stage has it in `.chalice/config.json`."""
    may = FUNCTIONS[function]
    parts = (_logs(place, function), _items(place, may), _queues(place, may), _bodies(place, may), _secrets(place, may))
    found = [statement for part in parts for statement in part]
    return {"Version": "2012-10-17", "Statement": found + (_XRAY if xray else [])}


def _allow(sid: str, service: str, actions: Iterable[str], resources: Sequence[str], **condition: Any) -> Statement:
    found: Statement = {"Sid": sid, "Effect": "Allow", "Action": [f"{service}:{each}" for each in sorted(actions)]}
    return found | {"Resource": sorted(resources)} | ({"Condition": condition} if condition else {})


def _logs(place: Place, function: str) -> list[Statement]:
    """Lambda writes them in the function's name; chalice calls the API's function like the stage."""
    name = f"draad-{place.stage}" + ("" if function == API else f"-{function}")
    group = place.arn("logs", f"log-group:/aws/lambda/{name}")
    return [
        _allow("LogGroup", "logs", ["CreateLogGroup"], [group, f"{group}:*"]),
        _allow("Logs", "logs", ["CreateLogStream", "PutLogEvents"], [f"{group}:*"]),
    ]


def _items(place: Place, may: Function) -> list[Statement]:
    found = [
        _keyed("Read", READ, place.table(), may.reads),
        _keyed("Write", WRITE, place.table(), may.writes),
        _keyed("WriteMany", ["BatchWriteItem"], place.table(), may.batches),
        _keyed("Check", ["ConditionCheckItem"], place.table(), may.checks),
        _keyed("Delete", ["DeleteItem"], place.table(), may.deletes),
        _keyed("Find", ["Query"], place.table("/index/gsi"), may.finds),
    ]
    if may.scans:
        found.append([_allow("LookAtAll", "dynamodb", ["Scan"], [place.table()])])
    return [statement for several in found for statement in several] + (_stream(place) if may.stream else [])


def _keyed(sid: str, actions: Iterable[str], resource: str, kinds: str) -> list[Statement]:
    keys = [f"{kind}*" if kind.endswith("#") else kind for kind in sorted(kinds.split())]
    only = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}
    return [_allow(sid, "dynamodb", actions, [resource], **only)] if keys else []


def _stream(place: Place) -> list[Statement]:
    actions = ["DescribeStream", "GetRecords", "GetShardIterator"]
    return [
        _allow("Stream", "dynamodb", actions, [place.table("/stream/*")]),
        _allow("ListStreams", "dynamodb", ["ListStreams"], ["*"]),
    ]


def _queues(place: Place, may: Function) -> list[Statement]:
    """Lambda takes from a queue in the function's name; the function gives back what it cannot do yet."""
    taking = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
    named = " ".join(sorted({*may.takes.split(), *may.sends.split(), *may.drains.split(), *may.measures.split()}))
    wanted = (
        ("FindQueues", ("GetQueueUrl",), named),
        ("Take", taking, may.takes),
        ("Drain", ("DeleteMessage", "ReceiveMessage"), may.drains),
        ("Send", ("SendMessage",), f"{may.sends} {may.fails_to}"),
        ("Measure", ("GetQueueAttributes",), may.measures),
    )
    return [_allow(sid, "sqs", actions, place.queues(names)) for sid, actions, names in wanted if names.strip()]


def _bodies(place: Place, may: Function) -> list[Statement]:
    """Without leave to list, S3 answers that a body is forbidden where it is only gone, and a worker would wait
    for it for ever. An ARN of S3 names no account: hence the condition."""
    own = {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}
    folders = {
        action: [f"{place.bucket}/{each}*" for each in names.split()] for action, names in (may.bodies or {}).items()
    }
    found = [_allow(f"{action}s", "s3", [action], arns, **own) for action, arns in sorted(folders.items())]
    gone = [_allow("TellWhatIsGone", "s3", ["ListBucket"], [place.bucket], **own)] if "GetObject" in folders else []
    return found + gone


def _secrets(place: Place, may: Function) -> list[Statement]:
    """Only by the stage's key, and only for what names a connection and a secret of it."""
    pepper = place.arn("secretsmanager", f"secret:draad-{place.stage}-pepper-{'?' * 6}")
    found = [_allow("Pepper", "secretsmanager", ["GetSecretValue"], [pepper])] if may.pepper else []
    key, names = place.arn("kms", "key/*"), may.seals.split()
    if may.opens:
        found.append(_allow("OpenSecrets", "kms", ["Decrypt"], [key], **_about(place, ["?*"])))
    if names:
        found.append(
            _allow("SealSecrets", "kms", ["Encrypt"], [key], **_about(place, ["?*" if n == "*" else n for n in names]))
        )
    return found


def _about(place: Place, names: list[str]) -> dict[str, Any]:
    context = {"kms:EncryptionContext:connection": ["con_*"], "kms:EncryptionContext:name": names}
    return {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": [f"alias/draad-{place.stage}"]},
        "StringLike": context,
    }


_XRAY: list[Statement] = [_allow("XRay", "xray", ["PutTelemetryRecords", "PutTraceSegments"], ["*"])]
"""Neither of both knows a resource."""


def write(
    stage: str, root: Path = ROOT, *, account: str = "*", region: str = "*", partition: str = "aws"
) -> list[Path]:
    """The six files of a stage, and their names in `.chalice/config.json`, which comes last: it never names a file that
    is not there. Returns what was changed; a second time nothing is. Raises ValueError for a bad name of a stage."""
    if not STAGE.match(stage):
        raise ValueError(f"the stage is {stage!r}: use a letter, then letters, digits or dashes, 20 at most")
    place, folder = Place(stage, account, region, partition), root / ".chalice"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    xray = traced(config, stage)
    files = {folder / file_of(stage, each): text_of(document(place, each, xray=xray)) for each in FUNCTIONS}
    files[folder / "config.json"] = formed(_named(config, stage))
    return [path for path, text in files.items() if _replaced(path, text)]


def file_of(stage: str, function: str) -> str:
    return f"policy-{stage}-{function}.json"


def traced(config: Mapping[str, Any], stage: str) -> bool:
    return bool(config.get("stages", {}).get(stage, {}).get("xray", config.get("xray", False)))


def text_of(found: Mapping[str, Any]) -> str:
    return json.dumps(found, indent=2) + "\n"


def _named(config: dict[str, Any], stage: str) -> dict[str, Any]:
    """A function's file must be named for each stage: what stands at the top would be every stage's."""
    functions = config.setdefault("stages", {}).setdefault(stage, {}).setdefault("lambda_functions", {})
    for each in FUNCTIONS:
        functions.setdefault(each, {})["iam_policy_file"] = file_of(stage, each)
    return config


def _replaced(path: Path, text: str) -> bool:
    if path.exists() and path.read_text("utf-8") == text:
        return False
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
    return True


WIDTH = 120


def formed(value: Any) -> str:
    """JSON in which an object that fits on a line stands on one, so that a diff shows what changed."""
    return _form(value, 0, 0, top=True) + "\n"


def _form(value: Any, indent: int, lead: int, top: bool = False) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or not value or (not top and lead + len(line) <= WIDTH):
        return line
    pad = " " * (indent + 2)
    names = {key: f"{pad}{json.dumps(key, ensure_ascii=False)}: " for key in value}
    parts = [names[key] + _form(each, indent + 2, len(names[key]) + 1) for key, each in value.items()]
    return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"


PAGE = ROOT / "docs" / "policies.md"
BEGIN, END = "<!-- written by python -m infra.policies -->\n", "<!-- until here -->\n"


def page(text: str) -> str:
    """The page with its table as the policies are."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + "\n" + "\n".join(rows()) + "\n\n" + END + rest.partition(END)[2]


def rows() -> list[str]:
    lines: list[str] = []
    for name, may in FUNCTIONS.items():
        lines += [f"**{name}** {may.why}.", "", *table(("may", "what"), _told(may)), ""]
    return lines[:-1]


def _told(may: Function) -> list[list[str]]:
    found = [
        ("read items", may.reads),
        ("put and update items", may.writes),
        ("put many items at once", may.batches),
        ("check items in a transaction", may.checks),
        ("delete items", may.deletes),
        ("query the index", may.finds),
        ("scan the table", "all of it" if may.scans else ""),
        ("read the stream", "all of it" if may.stream else ""),
        ("take from queues", may.takes),
        ("take dead letters from", may.drains),
        ("send to queues", may.sends),
        ("leave what failed in", may.fails_to),
        ("ask how full queues are", may.measures),
        *((f"{action.removesuffix('Object').lower()} bodies in S3", names) for action, names in _sorted(may.bodies)),
        ("read the pepper", "all of it" if may.pepper else ""),
        ("decrypt secrets of connections", "any" if may.opens else ""),
        ("encrypt secrets of connections", "any" if may.seals == "*" else may.seals),
    ]
    return [[what, which if " of it" in which or which == "any" else _coded(which)] for what, which in found if which]


def _sorted(bodies: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return sorted((bodies or {}).items())


def _coded(names: str) -> str:
    return ", ".join(f"`{each}`" for each in names.split())


def main(wanted: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(prog="python -m infra.policies", description="Write the functions' policies.")
    asked.add_argument("--stage", action="append", help=f"default: {' and '.join(COMMITTED)}")
    asked.add_argument("--account", default="*", help="twelve digits; any account otherwise")
    asked.add_argument("--region", default="*", help="any region otherwise")
    found = asked.parse_args(wanted)
    for stage in found.stage or COMMITTED:
        changed = write(stage, account=found.account, region=found.region)
        print(f"{stage}: " + (", ".join(path.name for path in changed) or "nothing changed"))
    _replaced(PAGE, page(PAGE.read_text("utf-8")))


if __name__ == "__main__":
    main()
