"""Cold imports from an unpacked package: fresh processes that see it and the standard library, nothing else.

Processor time, because whoever else works on the machine does not count. The package must fit this machine:
one for arm64 is measured on arm64, or by `standin`, the same files with this machine's compiled halves.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

from infra.package import rules
from infra.package.errors import PackageFailed

TIMES = 7
FUNCTIONS = {
    "app.py alone": ("app",),
    "api_handler": ("app", "chalicelib.api.hooks", "chalicelib.ingest.receive"),
    **{name: ("app", f"chalicelib.workers.{name}") for name in ("context", "fanout", "deliver", "jobs", "sweep")},
}
"""Function → what its first call imports before it knows what it got; each with its clients."""
CLIENTS = {
    "app.py alone": (),
    "api_handler": ("secretsmanager", "dynamodb", "kms", "sqs"),
    "context": ("secretsmanager", "dynamodb", "sqs"),
    "fanout": ("dynamodb", "sqs"),
    "deliver": ("dynamodb", "kms", "sqs"),
    "jobs": ("dynamodb", "sqs"),
    "sweep": ("dynamodb", "sqs"),
}
ENV = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-west-1"}
MEASURED = """
import sys, time
sys.path.insert(0, sys.argv[1])
begun = time.process_time()
for name in sys.argv[2].split(","):
    __import__(name)
if sys.argv[3]:
    from chalicelib.store import aws
    for name in sys.argv[3].split(","):
        aws.client(name)
print(time.process_time() - begun)
"""


def run(package: Path, code: str, *words: str, bytecode: bool = True) -> str:
    """`-I -S`: no environment of the project, no site-packages. Raises PackageFailed with what it said."""
    flags = ["-I", "-S", "-B"] if bytecode else ["-I", "-S", "-B", "-X", "pycache_prefix=/nonexistent"]
    command = [sys.executable, *flags, "-c", code, str(package), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENV, cwd="/")
    if done.returncode:
        raise PackageFailed(f"The package does not import: {done.stderr.strip()[-1500:]}")
    return done.stdout


def milliseconds(package: Path, name: str, bytecode: bool, times: int = TIMES) -> float:
    words = ",".join(FUNCTIONS[name]), ",".join(CLIENTS[name])
    return median(float(run(package, MEASURED, *words, bytecode=bytecode)) for _ in range(times)) * 1000


def standin(root: Path, folder: Path) -> Path:
    """What the package holds before it is trimmed, from the packages that are installed here, without a network."""
    import chalice

    for name in pinned(root):
        for source, target in files_of(name):
            place(source, folder / target)
    for each in ("app.py", "__init__.py"):
        place(Path(chalice.__file__).parent / each, folder / "chalice" / each)
    place(root / "app.py", folder / "app.py")
    shutil.copytree(root / "chalicelib", folder / "chalicelib")
    return folder


def pinned(root: Path) -> list[str]:
    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]


def files_of(name: str) -> Iterable[tuple[Path, str]]:
    try:
        found = distribution(name).files or []
    except PackageNotFoundError as gone:
        raise PackageFailed(f"{name} is not installed: `make lint` installs what is pinned.") from gone
    for each in found:
        if ".." not in each.parts and rules.kept(each.as_posix()):
            yield Path(str(each.locate())), each.as_posix()


def place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
