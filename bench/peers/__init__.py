"""`make bench-peers`: the same job in Draad and in others, one after the other on one machine.

job · load · tally   what is sent, how, and what became of it: pure, tested without any peer
crm                  the system that is told, a process of its own, which counts each event's posts
install · programs   others' programs: where they come from, and their processes
draad · n8n · node_red · restate     each as a Running, with the same hook and the same CRM
scenarios            speeds, two kinds of SIGKILL and an outage
paper                the table and its budgets

docs/peers.md says what is equal and what is not.
"""
