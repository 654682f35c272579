"""Chaos: the whole hub between an AWS that fails, systems that lie and processes that die.

wire      what AWS says when something goes wrong, in its own words
plan      what will go wrong in a run: drawn from its seed, and from nothing else
proxy     stands between the hub's processes and the embedded AWS, and makes it so
clocked   the hub's app with a clock that can be moved
ledger    every event by name, and where it is
world     the hub, its proxies, and the systems around it
run       one run from its first webhook to its ledger
soak      very many events, and the memory of every process
__main__  `make chaos`
"""
