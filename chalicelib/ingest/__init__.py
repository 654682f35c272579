"""Stage 1: a webhook becomes events."""
