"""What the API promises: for each view its query, body and answers, in a file named as the view's own.

Nothing here is loaded before the first GET /openapi.json. The shapes cannot lie: in the tests every answer
of every test is checked against them, and so is every body that a view took (tests/api/contract.py).

To declare a new route: in the file of its module, add its view's name to OPERATIONS; then record its
example with `DRAAD_WRITE=1 python -m pytest tests/api/test_examples.py`.
"""
