"""The command line for integrators and admins: `python -m infra.cli`, over the public API and nothing else.

stopped     how a command ends: what is wrong, what to do next, the exit code
api         requests to the hub, repeated where that is safe; refusals as sentences
screen      lines and tables that fit the terminal; `--json` as the API said it
progress    a bar on stderr
jobs        long work followed to its end
words       what somebody types, read: times, settings, secrets, files
tail        receipts as they come, each once
arguments   the commands, from one module for each kind of thing
"""
