"""The runner of mutants: a weak test leaves a survivor and a strong one does not; the kept table is the computed one."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import mutants_report as report
from bench.mutants import Found, added, targets
from bench.mutations import instrumented, mutants
from infra.local.state import ROOT

MODULE = '''
"""May somebody come in?"""

LIMIT = 18


def may(age: int, known: bool = False) -> bool:
    """By age."""
    if known or age >= LIMIT:
        return True
    return False


def once(*, most: int = 3) -> list[int]:
    found = []
    for number in range(most):
        found.append(number)
    return found
'''
WEAK = "from planted import may, once\n\n\ndef test_may():\n    assert may(40)\n    assert len(once()) == 3\n"
STRONG = (
    "from planted import may, once\n\n\ndef test_may():\n    assert may(18) is True and may(17) is False\n"
    "    assert may(3, True) is True and may(3, False) is False and may(19) is True and may(4) is False\n"
    "    assert once() == [0, 1, 2]\n"
)
RUN = (
    "import dataclasses, json, sys\nfrom pathlib import Path\nfrom bench.mutants import Target, one\n"
    "sys.path.insert(0, sys.argv[1])\n"
    "found = one(Target('planted', 'none', 'planted.py', ('test_planted.py',)), Path(sys.argv[1]), 2)\n"
    "Path(sys.argv[1], 'found.json').write_text(json.dumps(dataclasses.asdict(found)))\n"
)


def run(folder: Path, test: str) -> dict[str, Any]:
    (folder / "planted.py").write_text(MODULE, "utf-8")
    (folder / "test_planted.py").write_text(test, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text("utf-8"))
    return found


def test_a_weak_test_leaves_survivors(tmp_path: Path) -> None:
    found = run(tmp_path, WEAK)
    assert {"may: known or age >= LIMIT → age >= LIMIT", "may: age >= LIMIT → age > LIMIT"} <= found["survived"].keys()
    assert "module: 18 → 19" in found["survived"], "a number that is given when the module is loaded"
    assert "may: False → True" in found["survived"], "a default"
    assert "once: found.append(number) → pass" not in found["survived"]
    assert found["killed"] + found["timed_out"] + len(found["survived"]) == found["mutants"]


def test_a_strong_test_leaves_none(tmp_path: Path) -> None:
    found = run(tmp_path, STRONG)
    assert found["survived"] == {}
    assert found["killed"] + found["timed_out"] == found["mutants"] > 12


def test_a_test_that_fails_by_itself_is_no_measure(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="fails without any mutant"):
        run(tmp_path, "def test_may():\n    assert False\n")


def test_each_mutant_is_one_change_with_a_name_of_its_own() -> None:
    source = "def f(a, b=1):\n    if a < b and not b:\n        return max(a, b) + 1\n    raise ValueError('no')\n"
    found = list(mutants(source))
    assert len({each.name for each in found}) == len(found)
    texts = [ast.unparse(each.make()) for each in found]
    assert len(set(texts)) == len(texts) and ast.unparse(ast.parse(source)) not in texts
    assert {each.name for each in found} >= {
        "f: a < b → a <= b",
        "f: not b → b",
        "f: a < b and (not b) → a < b or not b",
        "f: max(a, b) → min(a, b)",
        "f: max(a, b) + 1 → max(a, b) - 1",
        "f: raise ValueError('no') → pass",
        "f: 1 → 2",
    }
    assert {each.function for each in found if each.name == "f: 1 → 2"} == {""}, "a default is the module's"


def test_same_changes_have_numbers() -> None:
    assert [each.name for each in mutants("a = 1\nb = 1\n")] == ["module: 1 → 2", "module: 1 → 2 #2"]


def test_what_only_a_type_checker_reads_is_left() -> None:
    source = (
        "def f(a: int | None = None) -> 'list[int | str]':\n    '''One | two.'''\n    b: int | str = a\n    return b\n"
        "if TYPE_CHECKING:\n    c = 1\n"
    )
    assert [each.name for each in mutants(source)] == ["f: return b → return None"]


def test_texts_are_changed_where_a_target_says_so() -> None:
    assert [each.name for each in mutants("a = 'x'\n")] == []
    assert [each.name for each in mutants("a = 'x'\n", texts=True)] == ["module: 'x' → 'xx'"]


def test_a_function_tells_that_it_was_entered() -> None:
    told: list[str] = []
    space: dict[str, Any] = {"hit": told.append}
    exec(
        compile(
            instrumented(
                "class C:\n    def f(self):\n        'x'\n        def g(): return 1\n        return g()\n", "hit"
            ),
            "x",
            "exec",
        ),
        space,
    )
    assert space["C"]().f() == 1 and told == ["C.f"]


def test_targets_name_what_is_there() -> None:
    for each in targets():
        assert (ROOT / each.module).is_file(), each.module
        assert [test for test in each.tests if not (ROOT / test).exists()] == []
        scopes = {
            mutant.name.partition(":")[0]
            for mutant in mutants((ROOT / each.module).read_text("utf-8"), texts=each.texts)
        }
        assert not each.only or any(
            each.wanted(one) for one in mutants((ROOT / each.module).read_text("utf-8"), texts=each.texts)
        ), scopes


def test_the_kept_table_is_the_computed_one() -> None:
    assert report.PAGE.read_text("utf-8") == report.page(report.kept()), "run make mutants once more"


def test_every_survivor_has_its_reason_and_every_reason_a_survivor() -> None:
    told = report.reasons()
    for each in report.kept():
        assert report.unexplained(each, told) == []
        assert report.idle(each, told) == []


def test_what_lived_can_be_run_alone() -> None:
    before = Found("t", "r", "m.py", "2026-11-25", 3, 10, 6, 1, {"f: a → b": 1, "f: c → d": 2, "g: e → f": 3}, 1.0)
    now = Found("t", "r", "m.py", "2026-11-26", 4, 2, 1, 0, {"f: a → b": 1}, 2.0)
    assert added(before, now) == Found("t", "r", "m.py", "2026-11-26", 4, 9, 7, 1, {"f: a → b": 1}, 3.0)


def test_only_what_differs_counts() -> None:
    found = Found("t", "r", "m.py", "2026-11-26", 3, 10, 6, 1, {"f: a → b": 1, "f: [x] → y": 2, "g: c → d": 3}, 1.0)
    told = {"t": {"f: *": "same: nobody can tell", "g: c → d": "only text for people"}}
    assert report.share([found], told) == "87.5 %"
    assert report.unexplained(found, {"t": {"f: [x] → y": "same"}}) == ["f: a → b", "g: c → d"]
    assert report.idle(found, {"t": {"h: *": "old", "f: [x]*": "same"}}) == ["h: *"]
