"""Which Python the functions run on: Chalice takes the one that runs it."""

from __future__ import annotations

import sys

from infra.package.errors import PackageFailed

OLDEST, NEWEST = 11, 14
"""Minor versions of Python 3 that the code supports. Lambda (docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html)
and Chalice 1.34 both know all of them."""
RUNTIMES = tuple(f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1))
HERE = f"python{sys.version_info[0]}.{sys.version_info[1]}"
ANOTHER = f"`make clean`, then run the same command with PYTHON={RUNTIMES[-1]}"


def runtime(name: str = HERE) -> str:
    """As Lambda calls it. Raises PackageFailed where the code is not made for it: Chalice would name a runtime all the same."""
    if name not in RUNTIMES:
        raise PackageFailed(f"Draad runs on {RUNTIMES[0]} to {RUNTIMES[-1]}, and this is {name}: {ANOTHER}.")
    return name


def advice(name: str = HERE) -> str:
    """What to say of one that works and is not the newest: AWS stops each after some years. Empty for none."""
    return "" if name == RUNTIMES[-1] else f"for {name}; the newest that Draad is made for is {RUNTIMES[-1]}: {ANOTHER}"
