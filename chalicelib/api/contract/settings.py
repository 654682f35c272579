"""The contract of the organisation's settings."""

from __future__ import annotations

import msgspec

from chalicelib.api.contract.operation import Operation, asked_of, without
from chalicelib.store.organisation import Organisation

TAG = "Rules and settings"
Shown = without(Organisation, "ver", title="OrganisationSettings")
Changed = without(Organisation, "ver", title="SettingsChanged", more=[("job", str, msgspec.UNSET)])
Change = asked_of(Organisation, "ver", title="SettingsChange")

OPERATIONS = {
    "show": Operation("The organisation's settings", {200: Shown}),
    "change": Operation("Change settings: what is not named stays", {200: Changed}, Change, problems=(409,)),
}
