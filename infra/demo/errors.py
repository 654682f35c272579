"""What the demo says when it cannot go on."""

from __future__ import annotations


class DemoFailed(Exception):
    """One sentence for a person: what is wrong, and the remedy."""
