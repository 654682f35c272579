"""Small wrong versions of a module: one change each, made on its syntax tree. Pure.

What is changed: comparisons, `and` and `or`, `not`, arithmetic, numbers, `True` and `False`, the answers of
functions, whole statements, `min` and `max`, `any` and `all`, conditions; and texts, where a target says so. Never
annotations, docstrings, nor what only a type checker reads.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

Maker = Callable[[], ast.AST]
"""Gives what stands there instead."""
OTHERS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NAMED = (*FUNCTIONS, ast.ClassDef)
ONLY_FOR_TYPES = {"annotation", "returns", "type_params"}
CHECKING = "TYPE_CHECKING"


@dataclass(frozen=True)
class Mutant:
    """`function`: the outermost function around the change, as its code calls it; empty where the change takes effect
    when the module is loaded. `line`: where. `name`: tells it from all others of its module, on any line."""

    name: str
    function: str
    line: int
    was: str
    becomes: str
    make: Callable[[], ast.Module]
    """The whole module with the change."""


@dataclass(frozen=True)
class _Site:
    """One place: the node (by its number in a walk) whose `field` holds what is changed, in a list at `index`."""

    owner: int
    field: str
    index: int | None
    function: str
    scope: str
    node: ast.AST


def mutants(source: str, *, texts: bool = False) -> Iterator[Mutant]:
    """In order of the source. `scope` in a name is the class and function that the change is in."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for site in _sites(tree):
        for made in _changes(site.node, texts):
            was, becomes = _shown(site.node), _shown(made)
            name = f"{site.scope or 'module'}: {was} → {becomes}"
            seen[name] += 1
            unique = name if seen[name] == 1 else f"{name} #{seen[name]}"
            make = partial(_with, source, site, made)
            yield Mutant(unique, site.function, getattr(site.node, "lineno", 0), was, becomes, make)


def instrumented(source: str, hit: str) -> ast.Module:
    """The module, each outermost function of which calls `hit(its name)` first."""
    tree = ast.parse(source)
    for function, name in _outermost(tree):
        call = ast.Expr(ast.Call(ast.Name(hit, ast.Load()), [ast.Constant(name)], []))
        at = 1 if ast.get_docstring(function, clean=False) is not None else 0
        function.body.insert(at, call)
    return ast.fix_missing_locations(tree)


def _outermost(node: ast.AST, prefix: str = "") -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child, prefix + child.name
        elif isinstance(child, ast.ClassDef):
            yield from _outermost(child, f"{prefix}{child.name}.")
        else:
            yield from _outermost(child, prefix)


def _sites(tree: ast.Module) -> Iterator[_Site]:
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    yield from _inside(tree, numbers, "", "")


def _inside(node: ast.AST, numbers: Mapping[int, int], function: str, scope: str) -> Iterator[_Site]:
    """`function` and `scope` as Mutant has them. Decorators and defaults of a function take effect when it is made."""
    for field, index, child in _children(node):
        if field in ONLY_FOR_TYPES or _is_docstring(child) or isinstance(child, ast.Assert) or _is_for_types(child):
            continue
        within = function or (scope if isinstance(node, FUNCTIONS) and field == "body" else "")
        inner = ".".join(filter(None, (scope, child.name))) if isinstance(child, NAMED) else scope
        yield _Site(numbers[id(node)], field, index, within, scope, child)
        yield from _inside(child, numbers, within, inner)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield field, None, value
        elif isinstance(value, list):
            yield from ((field, index, each) for index, each in enumerate(value) if isinstance(each, ast.AST))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and CHECKING in ast.unparse(node.test)


def _changes(node: ast.AST, texts: bool) -> Iterator[ast.AST]:
    for kind, made in _MADE:
        if isinstance(node, kind):
            yield from made(node)
    if texts and isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield ast.Constant(f"{node.value}x")


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        if other := OTHERS.get(type(operator)):
            made = copy.deepcopy(node)
            made.ops[index] = other()  # type: ignore[assignment, call-overload]
            yield made


def _bool(node: ast.BoolOp) -> Iterator[ast.AST]:
    """The other operator; and without each of the operands."""
    yield ast.BoolOp(OTHERS[type(node.op)](), node.values)  # type: ignore[arg-type]
    for index in range(len(node.values)):
        left = [*node.values[:index], *node.values[index + 1 :]]
        yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    if (other := OTHERS.get(type(node.op))) and not _texts(node):
        yield ast.BinOp(node.left, other(), node.right)  # type: ignore[arg-type]


def _texts(node: ast.BinOp) -> bool:
    """Whether either side is a text: the other operator would not even run."""
    return any(isinstance(each, ast.JoinedStr | ast.Constant) and _is_text(each) for each in (node.left, node.right))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    if other := OTHERS.get(type(node.op)):
        yield ast.AugAssign(node.target, other(), node.value)  # type: ignore[arg-type]
    yield ast.Pass()


def _not(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not | ast.USub):
        yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)


def _condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[ast.AST]:
    """The other branch; not where a comparison or a `not` is turned round anyway."""
    turned = isinstance(node.test, ast.Compare) and isinstance(
        node.test.ops[0], ast.Eq | ast.NotEq | ast.Is | ast.IsNot
    )
    if not turned and not isinstance(node.test, ast.UnaryOp):
        made = copy.copy(node)
        made.test = ast.UnaryOp(ast.Not(), node.test)
        yield made


def _comprehension(node: ast.comprehension) -> Iterator[ast.AST]:
    for index in range(len(node.ifs)):
        made = copy.copy(node)
        made.ifs = [*node.ifs[:index], *node.ifs[index + 1 :]]
        yield made


def _call(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and (other := CALLS.get(node.func.id)):
        yield ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords)


def _return(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield ast.Return(ast.Constant(None))


def _expression(node: ast.Expr) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Call):
        yield ast.Pass()


def _assign(node: ast.Assign) -> Iterator[ast.AST]:
    if all(isinstance(each, ast.Attribute | ast.Subscript) for each in node.targets):
        yield ast.Pass()


def _dropped(node: ast.AST) -> Iterator[ast.AST]:
    yield ast.Pass()


def _raise(node: ast.Raise) -> Iterator[ast.AST]:
    """Not what says that it is never reached."""
    if "unreachable" not in ast.unparse(node):
        yield ast.Pass()


_MADE: tuple[tuple[type[ast.AST] | tuple[type[ast.AST], ...], Callable[..., Iterator[ast.AST]]], ...] = (
    (ast.Compare, _compare),
    (ast.BoolOp, _bool),
    (ast.BinOp, _binary),
    (ast.AugAssign, _augmented),
    (ast.UnaryOp, _not),
    (ast.Constant, _constant),
    ((ast.If, ast.While, ast.IfExp), _condition),
    (ast.comprehension, _comprehension),
    (ast.Call, _call),
    (ast.Return, _return),
    (ast.Expr, _expression),
    (ast.Assign, _assign),
    ((ast.Continue, ast.Delete), _dropped),
    (ast.Raise, _raise),
)


def _with(source: str, site: _Site, made: ast.AST) -> ast.Module:
    """On a tree of its own, so that no mutant sees another one."""
    changed = ast.parse(source)
    owner = next(node for number, node in enumerate(ast.walk(changed)) if number == site.owner)
    value = ast.copy_location(made, site.node)
    if site.index is None:
        setattr(owner, site.field, value)
    else:
        getattr(owner, site.field)[site.index] = value
    return ast.fix_missing_locations(changed)


def _shown(node: ast.AST) -> str:
    """On one line. Of a statement with a body its head alone, and of a condition what it asks."""
    if isinstance(node, ast.If | ast.While):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    if isinstance(node, ast.comprehension):
        asked = "".join(f" if {ast.unparse(each)}" for each in node.ifs)
        return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}{asked}"
    return " ".join(ast.unparse(node).split())
