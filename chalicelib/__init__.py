"""Draad: every webhook on one customer timeline, every system told.

The map, in the order an event travels:

    api           HTTP, both ways: hooks in, the API out
    workers       the queue and stream functions: batches in, stages called, outcomes kept
    ingest        1. a webhook becomes events
    context       2. an event becomes customer context
    fanout        3. the same history everywhere
    sources       one file per provider that calls us
    destinations  one file per system that we keep informed
    store         everything that knows AWS storage
    kit           all that a provider file may use
    model         the vocabulary
    errors        every error and its fate

Imports point downwards only: app → api, workers → ingest | context | fanout
→ sources | destinations, store → kit → model, errors. Stages never import
each other; providers never import each other. `tests/test_imports.py` holds it.
"""
