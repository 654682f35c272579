"""The first admin key, where the stage has none: `python -m infra.deploy.admin`, in the environment of the stage.

It is shown before it is stored: shown afterwards, it would be lost with whoever stopped in between. DRAAD_FIRST_KEY names
one to store instead, which is not shown.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place, child_env

THERE, STORED = "an admin key is there", "stored"


def main() -> None:
    from chalicelib.store import keys
    from chalicelib.store.table import DynamoTable

    if any("admin" in key.scopes and not key.revoked for key in keys.everyone(DynamoTable())):
        print(THERE)
        return
    given = os.environ.get("DRAAD_FIRST_KEY", "").strip()
    key = given or f"draad_{secrets.token_urlsafe(32)}"
    if not given:
        print(f"the first admin key, shown once: {key}", file=sys.stderr, flush=True)
    keys.ensure(key, "first admin", ("admin",))
    print(STORED)


def bring(place: Place, variables: Mapping[str, str]) -> str:
    """What the process shows goes to the terminal and nowhere else."""
    first = {"DRAAD_FIRST_KEY": os.environ.get("DRAAD_FIRST_KEY", "")}
    done = subprocess.run(
        [sys.executable, "-m", "infra.deploy.admin"],
        cwd=Path(__file__).resolve().parents[2],
        env={**child_env(place), **variables, **first},
        text=True,
        check=False,
        stdout=subprocess.PIPE,
    )
    said = done.stdout.strip()
    if done.returncode or said not in (THERE, STORED):
        raise DeployFailed("The first admin key could not be stored (see above): mend the reason and run again.")
    if said == THERE:
        return "unchanged: an admin key is there"
    return "stored: keep it in a password manager, mint others with it, then revoke it"


if __name__ == "__main__":
    main()
