"""Make DRAAD_ADMIN_KEY a key of the hub: `python -m infra.local.first_key`. The key is never an argument."""

from __future__ import annotations

import os

from chalicelib.store import keys


def main() -> None:
    keys.ensure(os.environ["DRAAD_ADMIN_KEY"], "local admin", ("admin",))


if __name__ == "__main__":
    main()
