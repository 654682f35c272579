"""How much of the rules that must hold the tests hold: small wrong versions, and whether a test says so.

    make mutants                 all targets of bench/mutants.json
    make mutants ONLY=graph,echo some of them
    make mutants LIVED=1         of the last run's those alone that lived: after a test was added
    python -m bench.mutants --at-once 2

A target is a module, the functions of it that count (all, or those of `only`), and its tests. These run once as they
are, which also tells which test enters which function. Then each mutant gets a child of this process, in which the
function's code is replaced, and the tests that enter it run until one fails. A change of what a module does while it is
loaded is tried on the numbers and defaults that it gives, which is quick; who lives through that, or gives none, has a
child that loads everything anew. A mutant's limit is processor time, so that a busy machine makes none look killed.

A survivor is a test that is missing, or has its reason in bench/survivors.json: there a change that nobody can tell
from the original is `same`, so it does not count; any other counts as alive.
Kept in bench/results/mutants.json and .md. Ends with 1 where a survivor has no reason, or a reason no survivor.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import gc
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from bench.mutations import Mutant, instrumented, mutants

ROOT = Path(__file__).parent.parent
TARGETS, REASONS = Path(__file__).with_name("mutants.json"), Path(__file__).with_name("survivors.json")
KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"
ANEW = "anew"
ENDS = {0: SURVIVED, 1: KILLED, 3: ANEW}
PLAIN = (int, float, str, bytes, tuple, frozenset)
OURS = ("chalicelib", "tests", "app", "infra", "bench", "conftest")
SECONDS, TIMES, WALL = 10, 5, 20
"""A mutant's processor time: so many, and so many times what its tests took; and how many times that it may wait."""
HIT = "__mutants_hit__"
SAME = "same"


@dataclass(frozen=True)
class Target:
    """`only`: patterns of scopes, as they begin a mutant's name. `texts`: texts are changed, too."""

    name: str
    rule: str
    module: str
    tests: tuple[str, ...]
    only: tuple[str, ...] = ()
    texts: bool = False
    keyword: str = ""

    def wanted(self, mutant: Mutant) -> bool:
        scope = mutant.name.partition(":")[0]
        return not self.only or any(fnmatch.fnmatch(scope, each) for each in self.only)


@dataclass(frozen=True)
class Found:
    """What a target's mutants came to. `survived`: their names, with the line; `tests`: how many ran for it."""

    target: str
    rule: str
    module: str
    date: str
    tests: int
    mutants: int
    killed: int
    timed_out: int
    survived: Mapping[str, int]
    seconds: float


def targets(path: Path = TARGETS) -> list[Target]:
    told = json.loads(path.read_text("utf-8"))["targets"]
    return [Target(**each | {name: tuple(each[name]) for name in ("tests", "only") if name in each}) for each in told]


class Loader(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Loads one module from a tree instead of from its file."""

    def __init__(self, name: str, path: Path, code: CodeType, given: Mapping[str, Any]) -> None:
        self.name, self.path, self.code, self.given = name, path, code, given

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self.given)
        exec(self.code, vars(module))


@dataclass
class Run:
    """One target in this process: a plugin of pytest that runs the tests as they are, then once for each mutant.
    `alone`: names of the mutants that are run; None: all."""

    target: Target
    root: Path
    at_once: int
    alone: frozenset[str] | None = None
    hits: dict[str, set[str]] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    current: str = ""
    failed: bool = False
    outcome: dict[str, tuple[str, int]] = field(default_factory=dict)
    wrong: str = ""

    @property
    def path(self) -> Path:
        return self.root / self.target.module

    @property
    def module(self) -> str:
        return self.target.module.removesuffix(".py").replace("/", ".")

    def hit(self, function: str) -> None:
        self.hits.setdefault(function, set()).add(self.current)

    def compiled(self, tree: Any) -> CodeType:
        code: CodeType = compile(tree, str(self.path), "exec", dont_inherit=True)
        return code

    def watched(self) -> Loader:
        tree = instrumented(self.path.read_text("utf-8"), HIT)
        return Loader(self.module, self.path, self.compiled(tree), {HIT: self.hit})

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or report.failed

    def pytest_collection_finish(self, session: Any) -> None:
        self.current = ""

    def pytest_runtestloop(self, session: Any) -> bool:
        self._as_they_are(session.items)
        if not self.wrong:
            self._each(session)
        return True

    def _as_they_are(self, items: Sequence[Any]) -> None:
        for item, after in zip(items, [*items[1:], None], strict=True):
            self.current, begun = item.nodeid, time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            self.took[item.nodeid] = time.process_time() - begun
            if self.failed:
                self.wrong = f"{item.nodeid} fails without any mutant"
                return
        if not items:
            self.wrong = "no test was found"

    def _each(self, session: Any) -> None:
        source, live = self.path.read_text("utf-8"), functions(self.path)
        if self._fails_anew(source):
            self.wrong = "loaded anew, its tests are not all found again"
            return
        wanted = [each for each in mutants(source, texts=self.target.texts) if self.target.wanted(each)]
        wanted = [each for each in wanted if self.alone is None or each.name in self.alone]
        progress = Progress(self.target.name, len(wanted))
        waiting, running = [(each, False) for each in reversed(wanted)], dict[int, Child]()
        while waiting or running:
            while waiting and len(running) < self.at_once:
                mutant, fresh = waiting.pop()
                ids = self._entering(mutant)
                if not ids:
                    self._note(mutant, SURVIVED, progress)
                    continue
                seconds = SECONDS + int(TIMES * sum(self.took[each] for each in ids))
                pid = self._born(session, mutant, live, ids, seconds, fresh)
                running[pid] = Child(mutant, time.monotonic() + WALL * seconds)
            for pid, outcome in ended(running):
                mutant = running.pop(pid).mutant
                if outcome == ANEW:
                    waiting.append((mutant, True))
                else:
                    self._note(mutant, outcome, progress)

    def _fails_anew(self, source: str) -> bool:
        """Whether a test is not found again, with the module as it is: then none of those children could be believed."""
        plain = Loader(self.module, self.path, self.compiled(ast.parse(source)), {})
        if not (pid := os.fork()):
            code = 1
            try:
                quiet()
                code = anew(plain, ["--collect-only", *self.took], self.root)
            finally:
                os._exit(code)
        return os.waitpid(pid, 0)[1] != 0

    def _note(self, mutant: Mutant, outcome: str, progress: Progress) -> None:
        self.outcome[mutant.name] = outcome, mutant.line
        progress.next(outcome)

    def _entering(self, mutant: Mutant) -> list[str]:
        """The tests that can tell, quick ones first: all, where the module is loaded with the change."""
        ids = self.took if self._at_import(mutant) else self.hits.get(mutant.function, set())
        return sorted((each for each in ids if each), key=lambda each: self.took[each])

    def _at_import(self, mutant: Mutant) -> bool:
        return not mutant.function or "" in self.hits.get(mutant.function, set())

    def _born(self, session: Any, mutant: Mutant, live: Live, ids: Sequence[str], seconds: int, fresh: bool) -> int:
        if pid := os.fork():
            return pid
        code = 1
        try:
            quiet()
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            code = self._tried(session, mutant, live, ids, fresh)
        finally:
            os._exit(code)

    def _tried(self, session: Any, mutant: Mutant, live: Live, ids: Sequence[str], fresh: bool) -> int:
        """0: it lives, 1: a test fails, 3: it must be tried with everything loaded anew."""
        made = self.compiled(mutant.make())
        if fresh:
            return anew(Loader(self.module, self.path, made, {HIT: lambda name: None}), ids, self.root)
        if self._at_import(mutant):
            return (self._again(session, ids) if given(self.module, made, live) else 0) or 3
        return self._again(session, ids) if swapped(made, live, mutant.function) else 3

    def _again(self, session: Any, ids: Sequence[str]) -> int:
        items = {item.nodeid: item for item in session.items}
        self.failed = False
        chosen = [items[each] for each in ids]
        for item, after in zip(chosen, [*chosen[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                return 1
        return 0


Live = Mapping[tuple[str, int], Sequence[FunctionType]]


@dataclass(frozen=True)
class Child:
    """`until`: monotonic seconds."""

    mutant: Mutant
    until: float


def functions(path: Path) -> Live:
    """All functions that were made of this file, by name and line: whoever imported one has the same object."""
    found: dict[tuple[str, int], list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(path):
            found.setdefault((each.__code__.co_qualname, each.__code__.co_firstlineno), []).append(each)
    return found


def swapped(made: CodeType, live: Live, function: str) -> bool:
    """Gives the function its mutated code. False where that cannot be done in place."""
    codes = [each for each in nested(made) if each.co_qualname == function]
    done = False
    for code in codes:
        for each in live.get((function, code.co_firstlineno), ()):
            if each.__code__.co_freevars != code.co_freevars:
                return False
            each.__code__ = code
            done = True
    return done


def given(module: str, made: CodeType, live: Live) -> bool:
    """Gives what the mutated module would: its plain values, to whoever imported them too, and its functions' defaults.
    False where there is nothing of that."""
    scratch: dict[str, Any] = {"__name__": module, HIT: lambda name: None}
    exec(made, scratch)
    mine = vars(sys.modules[module])
    changed = {
        name: value
        for name, value in scratch.items()
        if isinstance(value, PLAIN) and name in mine and mine[name] != value
    }
    for name, value in changed.items():
        old = mine[name]
        for each in list(sys.modules.values()):
            if getattr(each, "__name__", "").partition(".")[0] in OURS and vars(each).get(name) == old:
                vars(each)[name] = value
    return bool(changed) | defaulted(scratch, live)


def defaulted(scratch: Mapping[str, Any], live: Live) -> bool:
    """Plain ones alone: anything else is of classes that were made twice."""
    done = False
    for each in (each for each in gc.get_objects() if isinstance(each, FunctionType) and each.__globals__ is scratch):
        for old in live.get((each.__code__.co_qualname, each.__code__.co_firstlineno), ()):
            for name in ("__defaults__", "__kwdefaults__"):
                theirs = getattr(each, name)
                values = theirs.values() if isinstance(theirs, dict) else theirs or ()
                if getattr(old, name) != theirs and all(isinstance(value, PLAIN) or value is None for value in values):
                    setattr(old, name, theirs)
                    done = True
    return done


def nested(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from nested(each)


def anew(loader: Loader, ids: Sequence[str], root: Path) -> int:
    """All of ours loaded once more, with the mutant in its place; then the tests, to the first that fails."""
    import pytest

    for name in [name for name in sys.modules if name.partition(".")[0] in OURS or under(sys.modules[name], root)]:
        if not name.startswith(("bench.mutants", "bench.mutations")) and name not in ("bench", "__main__"):
            del sys.modules[name]
    sys.meta_path[:] = [loader, *(each for each in sys.meta_path if not isinstance(each, Loader))]
    return int(pytest.main(["-x", "-q", "-s", "-p", "no:cacheprovider", f"--rootdir={root}", *ids]) != 0)


def under(module: Any, root: Path) -> bool:
    """Tests are loaded by their bare names, too."""
    file = str(getattr(module, "__file__", None) or "")
    return file.startswith(str(root)) and "site-packages" not in file


def quiet() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(nothing, each)


def ended(running: Mapping[int, Child]) -> Iterator[tuple[int, str]]:
    for pid, child in list(running.items()):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            yield pid, TIMED_OUT if os.WIFSIGNALED(status) else ENDS.get(os.WEXITSTATUS(status), KILLED)
        elif time.monotonic() > child.until:
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.005)


class Progress:
    """One line, written over on a terminal, and now and then elsewhere."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.done, self.alive, self.begun = name, total, 0, 0, time.monotonic()
        self.told = 0.0

    def next(self, outcome: str) -> None:
        self.done += 1
        self.alive += outcome == SURVIVED
        every = 0.2 if sys.stderr.isatty() else 15.0
        if time.monotonic() - self.told > every or self.done == self.total:
            self.told = time.monotonic()
            seconds = self.told - self.begun
            end = "\n" if self.done == self.total or not sys.stderr.isatty() else "\r"
            text = f"{self.name}: {self.done} of {self.total} mutants, {self.alive} alive, {seconds:.0f} s"
            print(text, end=end, file=sys.stderr, flush=True)


def one(target: Target, root: Path, at_once: int, before: Found | None = None) -> Found:
    """In a process of its own: see `all_of`."""
    import pytest

    begun = time.monotonic()
    os.chdir(root)
    with tempfile.TemporaryDirectory() as examples:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = examples
        run = Run(target, root, at_once, frozenset(before.survived) if before else None)
        sys.meta_path.insert(0, run.watched())
        chosen = [
            "-m",
            "not embedded and not nightly and not real",
            *(["-k", target.keyword] if target.keyword else []),
        ]
        tests = [str(root / each) for each in target.tests]
        plain = ["-q", "-s", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-p", "no:terminalreporter"]
        code = pytest.main([*plain, f"--rootdir={root}", *chosen, *tests], plugins=[run])
    if run.wrong or code not in (0, 1):
        raise SystemExit(f"{target.name}: {run.wrong or f'pytest ended with {code}'}")
    made = found(run, time.monotonic() - begun)
    return added(before, made) if before else made


def found(run: Run, seconds: float) -> Found:
    ends = [outcome for outcome, _ in run.outcome.values()]
    alive = {name: line for name, (outcome, line) in run.outcome.items() if outcome == SURVIVED}
    counts = (len(run.took), len(ends), ends.count(KILLED), ends.count(TIMED_OUT))
    about = (run.target.name, run.target.rule, run.target.module, time.strftime("%Y-%m-%d", time.gmtime()))
    return Found(*about, *counts, alive, round(seconds, 1))


def added(before: Found, now: Found) -> Found:
    """The last run, with what came of those that lived in it."""
    return replace(
        now,
        mutants=before.mutants - len(before.survived) + now.mutants,
        killed=before.killed + now.killed,
        timed_out=before.timed_out + now.timed_out,
        seconds=round(before.seconds + now.seconds, 1),
    )


def all_of(wanted: Iterable[Target], at_once: int, lived: bool) -> Iterator[Found]:
    for target in wanted:
        with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
            told = [sys.executable, "-m", "bench.mutants", "--one", target.name, "--into", answer.name]
            told += ["--lived"] if lived else []
            subprocess.run([*told, "--at-once", str(at_once)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            yield Found(**json.loads(answer.read()))


def main() -> int:
    from bench import mutants_report as report

    given = _arguments()
    known = {each.name: each for each in targets()}
    if given.one:
        before = next((each for each in report.kept() if each.target == given.one and given.lived), None)
        made = one(known[given.one], ROOT, given.at_once, before)
        Path(given.into).write_text(json.dumps(asdict(made)), "utf-8")
        return 0
    names = given.only.split(",") if given.only else list(known)
    if unknown := set(names) - set(known):
        raise SystemExit(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for each in all_of((known[name] for name in names), given.at_once, given.lived):
        report.keep(each)
    print(report.page(report.kept()))
    return report.verdict(names)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="names of targets, with commas")
    parser.add_argument("--at-once", type=int, default=1, help="mutants that run side by side")
    parser.add_argument("--lived", action="store_true", help="of the last run's those alone that lived")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--into", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
