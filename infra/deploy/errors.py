"""What a deployment says when it cannot go on."""

from __future__ import annotations


class DeployFailed(Exception):
    """One sentence for a person: what is wrong, and what to do next."""
