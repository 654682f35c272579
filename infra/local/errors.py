"""What the local run says when it cannot go on."""

from __future__ import annotations


class LocalRunFailed(Exception):
    """One sentence for a person: what is wrong, and the remedy."""
