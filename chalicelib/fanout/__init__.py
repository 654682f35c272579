"""Stage 3: the same history everywhere."""
