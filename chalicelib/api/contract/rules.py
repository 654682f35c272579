"""The contract of the message rules."""

from __future__ import annotations

from chalicelib.api.contract.operation import Deleted, Operation, asked_of, listed, without
from chalicelib.model.rule import Rule

TAG = "Rules and settings"
RuleView = without(Rule, "ver", title="Rule")
NewRule = asked_of(Rule, "id", "ver", title="NewRule", required=("kind", "connection"))
RuleChange = asked_of(Rule, "id", "ver", title="RuleChange")

OPERATIONS = {
    "listing": Operation("The message rules", {200: listed("rules", RuleView, "Rules")}),
    "create": Operation("Add a rule", {201: RuleView}, NewRule, problems=(409,)),
    "change": Operation("Change a rule", {200: RuleView}, RuleChange, problems=(409,)),
    "remove": Operation("Remove a rule", {200: Deleted}, problems=(409,)),
}
