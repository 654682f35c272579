"""The demo: one customer's days played to a hub, and the proof that every system shows them.

__main__     `make demo`, `make demo-load N=1000`
place        which hub: one that runs, or one of our own
systems      the systems around the hub: stand-ins that remember no more than the proof needs
connections  what is registered, by name, as often as you like
payloads     what each system sends
story        one customer's days, as signed webhooks in the order of their arrival
play         sends them and says what the hub made of each
load         many customers at once
ledger       the arithmetic: what was sent is somewhere, once
proof        the ledger's numbers, asked from the hub and the systems
tell         lines for people
"""
