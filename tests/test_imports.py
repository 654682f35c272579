"""Imports point downwards only, stages and providers never know each other, each library has its place.

app → api, workers → ingest | context | fanout → sources | destinations, store → kit → model, errors
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ROOT / "chalicelib"
LAYER = {
    **dict.fromkeys(["app", "api", "workers"], 0),
    **dict.fromkeys(["ingest", "context", "fanout"], 1),
    **dict.fromkeys(["sources", "destinations", "store"], 2),
    "kit": 3,
    **dict.fromkeys(["model", "errors", "settings", "telemetry"], 4),
}
ALONE = ("ingest", "context", "fanout", "sources", "destinations", "store", "api", "workers")
"""Packages of one layer that must not import each other."""
WAY_OUT = ["chalicelib.kit.http", "chalicelib.kit.wire"]
"""`kit.http` with its transport, loaded by whoever sends, when it sends."""
PLACES = {
    "requests": WAY_OUT,
    "urllib3": WAY_OUT,
    "chalice": ["app", "chalicelib.api"],
    "botocore": ["chalicelib.store"],
    "pynamodb": ["chalicelib.store"],
    "phonenumbers": ["chalicelib.kit"],
    "quotequail": ["chalicelib.kit"],
    "idna": ["chalicelib.kit"],
    "cryptography": ["chalicelib.kit"],
    "defusedxml": ["chalicelib.kit"],
    "jmespath": ["chalicelib.kit"],
    "aws_lambda_powertools": ["chalicelib.telemetry"],
    "msgspec": ["chalicelib"],
    "segno": ["chalicelib.api.codes"],
}
"""Every third-party library, and where it may be imported."""
SLOW = (
    "requests",
    "urllib3",
    "pynamodb",
    "cryptography",
    "phonenumbers",
    "quotequail",
    "lxml",
    "idna",
    "pydantic",
    "boto3",
    "botocore",
    "segno",
)
"""Never at module level: a function that needs it imports it."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in [ROOT / "app.py", *sorted(CODE.rglob("*.py"))]}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text("utf-8"))


def typing_only(tree: ast.Module) -> set[ast.AST]:
    """Nodes that exist for the type checker alone."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imports(module: str, eager: bool = False) -> Iterator[str]:
    """Full names of what a module imports, inside functions too; `eager`: at its own import only."""
    tree = tree_of(module)
    hidden = typing_only(tree)
    for node in tree.body if eager else ast.walk(tree):
        if node in hidden and eager:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where they point"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else str(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from _lazily(module, node)


def _lazily(module: str, call: ast.Call) -> Iterator[str]:
    """`import_module(f"chalicelib.api.{name}")`: the package that it reaches into."""
    package = ast.unparse(call.args[0]).strip("f'\"").partition(".{")[0].replace("{__name__}", module)
    yield package if package in FILES else module


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def own(module: str) -> list[str]:
    return [name for name in imports(module) if name == "app" or name.startswith("chalicelib.")]


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_point_downwards(module: str) -> None:
    if module == "chalicelib":
        assert not own(module)
        return
    mine = package(module)
    for target in own(module):
        theirs = package(target)
        assert LAYER[theirs] >= LAYER[mine] or theirs == mine, f"{module} imports {target}, which lies above it"
        if LAYER[theirs] == LAYER[mine] and mine in ALONE and mine != "app":
            assert theirs == mine, f"{module} imports {target}: they must not know each other"


def test_every_package_has_its_layer() -> None:
    assert {package(module) for module in FILES} - {"chalicelib"} == {*LAYER} - {"web"}


@pytest.mark.parametrize("folder", ["sources", "destinations"])
def test_providers_know_only_kit_and_model(folder: str) -> None:
    providers = [module for module in FILES if module.startswith(f"chalicelib.{folder}.")]
    assert providers
    for module in providers:
        for target in own(module):
            assert package(target) in ("kit", "model", "errors"), f"{module} imports {target}"


def test_providers_are_loaded_by_their_registry_only() -> None:
    for module in FILES:
        for target in own(module):
            provider = package(target) in ("sources", "destinations") and target.count(".") > 1
            assert not provider, f"{module} imports {target}: load it by its slug"


@pytest.mark.parametrize("module", sorted(FILES))
def test_each_library_has_its_place(module: str) -> None:
    ours = {"app", "chalicelib"}
    for name in imports(module):
        top = name.partition(".")[0]
        if top in ours or top in sys.stdlib_module_names:
            continue
        assert top in PLACES, f"{module} imports {top}, which has no place"
        allowed = any(module == place or module.startswith(f"{place}.") for place in PLACES[top])
        assert allowed, f"{module} imports {top}: only {', '.join(PLACES[top])} may"


@pytest.mark.parametrize("module", sorted(FILES))
def test_nothing_slow_at_import(module: str) -> None:
    for name in imports(module, eager=True):
        top = name.partition(".")[0]
        assert top not in SLOW or module in WAY_OUT, f"{module} imports {top} when it is imported"
        assert name not in WAY_OUT or module in WAY_OUT, f"{module} imports {name}, which is slow, when it is imported"


def test_the_rule_sees_what_it_must_see() -> None:
    """The checker itself: an import inside a function, behind TYPE_CHECKING, and by name."""
    assert "chalicelib.workers.context" in set(own("app"))
    assert "chalicelib.api" in set(own("chalicelib.api.routes"))
    assert "botocore.client" in set(imports("chalicelib.store.aws"))
    assert "botocore.client" not in set(imports("chalicelib.store.aws", eager=True))
    assert "chalicelib.sources" in set(own("chalicelib.ingest.receive"))


def test_the_hook_path_loads_no_provider_and_nothing_slow() -> None:
    code = (
        "import sys, app; from chalicelib.api import hooks, routes, answers; from chalicelib.ingest import receive;"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in "
        f"{(*SLOW, 'jmespath', 'aws_lambda_powertools')!r}"
        " or name.startswith(('chalicelib.sources.', 'chalicelib.destinations.', 'chalicelib.context', 'chalicelib.fanout',"
        " 'chalicelib.workers.'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
