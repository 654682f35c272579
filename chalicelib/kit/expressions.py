"""JMESPath over hostile documents by hostile expressions: bounded steps, bounded results.

https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from chalicelib.errors import PayloadMalformed

LONGEST_EXPRESSION = 2000
MOST_STEPS = 500_000
LARGEST_RESULT = 1_000_000
PLAIN = (str, int, float, type(None))


class Search:
    """All searches of one body, under one budget of steps, so that nothing hostile runs for long."""

    def __init__(self) -> None:
        self.left = MOST_STEPS

    def value(self, expression: Any, element: Any, field: str) -> Any:
        """What a text finds in `element`; everything but a text stands for itself.

        None where the expression fails on these values (a join over null), and where it finds
        no value at all but an expression (`to_array(&id)`). Raises PayloadMalformed naming
        `field` when it takes too many steps or makes too much.
        """
        if not isinstance(expression, str):
            return expression
        import jmespath
        from jmespath.visitor import TreeInterpreter

        interpreter = TreeInterpreter()
        interpreter.visit = self._counted(interpreter.visit, field)
        try:
            found = interpreter.visit(compiled(expression), element)
            self._spend(_size(found, self.left), field)
        except (jmespath.exceptions.JMESPathError, ArithmeticError, TypeError, ValueError, RecursionError):
            return None
        return found

    def _counted(self, visit: Callable[..., Any], field: str) -> Callable[..., Any]:
        def counted(node: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            self._spend(1, field)
            found = visit(node, *args, **kwargs)
            # Only these make values that share: small in memory, endless once written out by to_string.
            if node["type"].startswith("multi_select"):
                self._spend(_size(found, self.left), field)
            if isinstance(found, list | str) and len(found) > LARGEST_RESULT:
                raise PayloadMalformed(f"{field}: the expression makes too much")
            return found

        return counted

    def _spend(self, steps: int, field: str) -> None:
        self.left -= steps
        if self.left < 0:
            raise PayloadMalformed(f"{field}: the expressions do too much")


def truthy(found: Any) -> bool:
    """As JMESPath has it: 0 is true."""
    return found is not None and found is not False and found not in ("", [], {})


@lru_cache(maxsize=2048)
def compiled(expression: str) -> Any:
    """The syntax tree. Raises ValueError with one line for people."""
    import jmespath

    if not expression or len(expression) > LONGEST_EXPRESSION:
        raise ValueError(f"must have 1 to {LONGEST_EXPRESSION} characters")
    try:
        parsed = jmespath.compile(expression).parsed
    except jmespath.exceptions.JMESPathError as wrong:
        raise ValueError(f"no JMESPath: {str(wrong).splitlines()[0][:160]}") from wrong
    except RecursionError as wrong:
        raise ValueError("no JMESPath: nested too deeply") from wrong
    if _astray(parsed):
        raise ValueError("no JMESPath: &… stands among the arguments of a function only")
    return parsed


def _astray(parsed: dict[str, Any]) -> bool:
    """Whether an expression stands where a value belongs, which the library's grammar takes and the specification does not."""
    todo = [({"type": ""}, parsed)]
    while todo:
        parent, node = todo.pop()
        if node["type"] == "expref" and parent["type"] != "function_expression":
            return True
        todo += [(node, child) for child in node.get("children", ()) if isinstance(child, dict)]
    return False


def _size(value: Any, most: int) -> int:
    """How many values are in `value`, counted until `most`; what is shared counts each time, long texts more.

    Raises TypeError for what JSON does not have.
    """
    counted, todo = 0, [value]
    while todo and counted <= most:
        each = todo.pop()
        counted += 1 + (len(each) // 100 if isinstance(each, str) else 0)
        if isinstance(each, dict | list):
            todo.extend(each.values() if isinstance(each, dict) else each)
        elif not isinstance(each, PLAIN):
            raise TypeError("an expression is no value")
    return counted
