"""What a person can mend: said in one line, without a traceback."""

from __future__ import annotations


class PackageFailed(Exception):
    pass
