"""The package has what each function imports, nothing that it must not have, and a size.

Made of what is installed here, so that it runs on this machine without a network; the one for Lambda is built by the nightly
test, and has the same files but for the compiled ones.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.state import ROOT
from infra.package import build, cold, rules, sizes, trim
from infra.package.errors import PackageFailed
from infra.package.runtime import HERE, RUNTIMES, advice, runtime

CODE = ROOT / "chalicelib"
JUNK = (
    "lxml/etree.so",
    "cffi/api.py",
    "certifi/tests/test_certify.py",
    "chalicelib/__pycache__/settings.cpython-39.pyc",
    "botocore/data/ec2/2016-11-15/service-2.json.gz",
    "msgspec/__init__.pyi",
    "requests-2.34.2.dist-info/RECORD",
)
SEEN = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
wrong = []
for module, names in json.loads(sys.argv[2]):
    try:
        found = importlib.import_module(module)
        for name in names:
            if not hasattr(found, name):
                importlib.import_module(f"{module}.{name}")
    except Exception as failed:
        wrong.append(f"{module}: {failed!r}")
outside = [name for name, each in sys.modules.items() if "site-packages" in (getattr(each, "__file__", None) or "")]
print(json.dumps(wrong + outside))
"""
USED = """
import sys, io, contextlib, zoneinfo
sys.path.insert(0, sys.argv[1])
zoneinfo.reset_tzpath(())
from chalicelib.errors import StorageUnavailable
from chalicelib.store import aws
for service in sys.argv[2].split(","):
    aws.client(service)
try:
    aws.call("sqs", "get_queue_url", QueueName="none")
except StorageUnavailable as closed:
    print(closed)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from quotequail import unwrap
import idna, jmespath, phonenumbers, segno, requests
from defusedxml.ElementTree import fromstring
from requests.adapters import HTTPAdapter
from chalicelib import telemetry
print(len(Ed25519PrivateKey.generate().sign(b"a")))
print(unwrap("Hallo\\n\\nOn Mon, 1 Jan 2024 Jan wrote:\\n> oud")["type"])
print(idna.encode("café.nl").decode(), jmespath.search("a.b", {"a": {"b": 1}}))
print(phonenumbers.format_number(phonenumbers.parse("0612345678", "NL"), phonenumbers.PhoneNumberFormat.E164))
print(segno.make("a", micro=False).version, fromstring("<a>1</a>").text, zoneinfo.ZoneInfo("Europe/Amsterdam").key)
requests.Session().mount("https://", HTTPAdapter())
with contextlib.redirect_stdout(io.StringIO()) as said:
    telemetry.measure("test", {"a": 1}, {"b": 2})
print("_aws" in said.getvalue())
telemetry.note("written")
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Chalice leaves it, with what does not belong there; then trimmed."""
    folder = tmp_path_factory.mktemp("package")
    path = folder / "package.zip"
    raw(cold.standin(ROOT, folder / "untrimmed"), path)
    trim.trim(path)
    return path


def raw(folder: Path, path: Path, junk: tuple[str, ...] = JUNK) -> None:
    with zipfile.ZipFile(path, "w") as made:
        for each in folder.rglob("*"):
            made.write(each, each.relative_to(folder))
        for name in junk:
            made.writestr(name, b"junk")


@pytest.fixture(scope="module")
def package(archive: Path) -> Path:
    folder = archive.parent / "unpacked"
    zipfile.ZipFile(archive).extractall(folder)
    return folder


def modules() -> Iterator[str]:
    for path in [ROOT / "app.py", *sorted(CODE.rglob("*.py"))]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def wanted() -> list[tuple[str, list[str]]]:
    """Every module of ours, and every import anywhere in them: inside functions too."""
    found: dict[str, set[str]] = {name: set() for name in modules()}
    for path in [ROOT / "app.py", *CODE.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found.setdefault(alias.name, set())
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return sorted((module, sorted(names)) for module, names in found.items())


def lacks(package: Path) -> list[str]:
    found: list[str] = json.loads(cold.run(package, SEEN, json.dumps(wanted())))
    return found


def test_it_has_every_import_of_every_module(package: Path) -> None:
    assert lacks(package) == []


def test_what_is_missing_is_seen(package: Path) -> None:
    """The check itself: a library that one function loads lazily."""
    away = package / "segno"
    shutil.move(away, package.parent / "segno")
    try:
        assert any("segno" in each for each in lacks(package))
    finally:
        shutil.move(package.parent / "segno", away)


def test_what_it_has_works(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only loads: clients of AWS, compiled halves, zones of time, a line of the log and of measures."""
    monkeypatch.setattr(cold, "ENV", cold.ENV | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"})
    said = cold.run(package, USED, ",".join(rules.SERVICES)).splitlines()
    assert said[:7] == [
        "sqs get_queue_url: EndpointConnectionError",
        "64",
        "reply",
        "xn--caf-dma.nl 1",
        "+31612345678",
        "1 1 Europe/Amsterdam",
        "True",
    ]
    assert json.loads(said[7])["message"] == "written"


def test_junk_is_out_and_nothing_forbidden_is_in(archive: Path) -> None:
    names = zipfile.ZipFile(archive).namelist()
    assert not {*JUNK} & {*names}
    assert not [name for name in names if rules.forbidden(name)]
    assert not [name for name in names if not rules.kept(name) and "/__pycache__/" not in f"/{name}"]
    assert any(name.endswith("dist-info/METADATA") for name in names)


def test_a_package_that_has_what_it_must_not_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("app.py", "")
        made.writestr("moto/__init__.py", "")
    before = path.read_bytes()
    with pytest.raises(PackageFailed, match=r"moto/__init__\.py is in the package"):
        trim.trim(path)
    assert path.read_bytes() == before
    assert not trim.trimmed(path)


def test_it_is_within_the_budget(archive: Path) -> None:
    found = sizes.sizes(archive)
    assert not sizes.over(found), sizes.table(found, {})
    assert sizes.over(found | {"whole": [rules.ZIP_BUDGET + 1, 1]})


def test_the_services_are_those_that_functions_call() -> None:
    called = set()
    for path in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("aws.call", "aws.client"):
                assert isinstance(node.args[0], ast.Constant), f"{path.name}: name the service where it is called"
                called.add(node.args[0].value)
    assert called == {*rules.SERVICES}


def test_every_module_has_bytecode_that_asks_no_source(package: Path) -> None:
    sources = list(package.rglob("*.py"))
    assert len(sources) > 1000
    for each in sources:
        made = each.parent / "__pycache__" / f"{each.stem}.{sys.implementation.cache_tag}.pyc"
        assert made.read_bytes()[4:8] == b"\1\0\0\0", f"{each} has no unchecked bytecode"


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """Whenever and in whatever order they were written: Lambda's digest tells whether code changed."""
    found = []
    for turn, names in enumerate((("app.py", "six.py"), ("six.py", "app.py"))):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for name in names:
            (folder / name).write_text(f"NAME = {name!r}\n", "utf-8")
            os.utime(folder / name, (1_700_000_000 + turn, 1_700_000_000 + turn))
        raw(folder, folder / "package.zip", ())
        trim.trim(folder / "package.zip")
        found.append((folder / "package.zip").read_bytes())
    assert found[0] == found[1]


def test_a_distribution_without_a_wheel_stops_the_build(tmp_path: Path) -> None:
    """Chalice warns and goes on."""
    (tmp_path / "requirements.txt").write_text("# all\nmsgspec==1\nlxml==6\npython-dateutil==2\n", "utf-8")
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("python_dateutil-2.dist-info/METADATA", "")
    with pytest.raises(PackageFailed, match="found for msgspec: choose another"):
        build.complete(path, tmp_path)
    assert not path.exists()


def test_what_other_rules_trimmed_is_built_anew(tmp_path: Path, archive: Path) -> None:
    path = shutil.copy(archive, tmp_path / "package.zip")
    assert trim.trimmed(path) and not trim.outdated(path)
    with zipfile.ZipFile(path, "a") as made:
        made.comment = trim.TRIMMED + b"others"
    assert trim.outdated(path)
    with zipfile.ZipFile(path, "a") as made:
        made.comment = b""
    assert not trim.outdated(path) and not trim.trimmed(path)


def test_half_an_archive_is_not_taken_for_a_whole_one(tmp_path: Path, archive: Path) -> None:
    half = tmp_path / "half.zip"
    half.write_bytes(archive.read_bytes()[:-1000])
    assert not build.sound(half)
    assert build.sound(archive)


@pytest.mark.nightly
def test_chalice_takes_what_was_built(archive: Path, tmp_path: Path) -> None:
    """The real build for arm64, from the package index; then `chalice package` finds it and does not build its own."""
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(CODE, tmp_path / "chalicelib")
    shutil.copytree(ROOT / ".chalice", tmp_path / ".chalice", ignore=shutil.ignore_patterns("deployments", "deployed"))
    built = build.build(tmp_path, print)
    digest = built.read_bytes()
    words = [sys.executable, "-c", "from chalice.cli import main; main()", "package", "--stage", "dev", "out"]
    env = {**os.environ, "AWS_DEFAULT_REGION": "eu-west-1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert "Reusing existing deployment package" in done.stdout + done.stderr
    assert (tmp_path / "out" / "deployment.zip").read_bytes() == digest
    assert plain(built) == plain(archive)


def plain(path: Path) -> set[str]:
    """Without what differs by architecture."""
    names = zipfile.ZipFile(path).namelist()
    return {name for name in names if not name.endswith(".so") and ".dist-info/" not in name}


def test_a_python_that_the_code_is_not_made_for_is_refused() -> None:
    assert runtime() == HERE == f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert [runtime(each) for each in RUNTIMES] == ["python3.11", "python3.12", "python3.13", "python3.14"]
    for other in ("python3.10", "python3.15"):
        with pytest.raises(PackageFailed, match=f"this is {other}: .*PYTHON=python3.14"):
            runtime(other)


def test_an_older_python_is_told_of_the_newest() -> None:
    assert "python3.14" in advice("python3.11") and advice("python3.14") == ""
