"""The bench: the budgets of the design, measured. `python -m bench` prints one table and keeps it in `bench/results/`.

    hook      processor time of a warm hook against a bare Chalice route, AWS answered without a socket
    imports   what a fresh process loads for one hook, against Chalice and one botocore client
    storage   requests and units of each case, seen by the observers of `chalicelib.store.aws`
    cost      list price of a million webhooks, from those units and `prices.json`
    growth    looks and steps after 100 to 100,000 events, on an indexed engine too where it is there; draws the pictures
    retries   races that real processes lose when they hammer one customer on the embedded AWS
    drain     events a second through the whole hub on the embedded AWS

`python -m bench.mutants` says how much of the rules the tests hold.

Counts are exact and asserted in `tests/bench`; times are ratios within one run, and never asserted.
"""
