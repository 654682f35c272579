"""A stage in an AWS account, from nothing to running, and back: `python -m infra.deploy`.

__main__     the command line
steps        `deploy`: the steps in their order, each shown with its result and time
place        which account, region and stage; names of things there
stack        infra/template.yaml as a CloudFormation stack, by a change set
environment  `.chalice/config.json`: what the functions are told, and the domain
record       which API and functions are ours: `.chalice/deployed/<stage>.json`, kept in the record bucket
release      what was deployed: its code kept in the record bucket, its fingerprint, the way back
turn         one deployment of a stage at a time
functions    `chalice`, as a process of its own
mappings     how each event source must be set: one table, which the doctor reads too
sources      event sources as that table wants them
answers      what API Gateway says by itself, its limits, the days of the API's log
admin        the first admin key
package      the whole stage as one template
rollback     back to the code before
teardown     functions and API gone; the data only when asked for
doctor       the check of a stage

Every step looks first and changes only what differs, so that a run that was stopped is run again.
"""
