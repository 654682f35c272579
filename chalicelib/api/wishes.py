"""What an integrator asks of a connection, checked field by field against the declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.api.providers import all_slugs, declared, fields_of
from chalicelib.errors import InputInvalid
from chalicelib.kit import outgoing
from chalicelib.kit.expressions import compiled
from chalicelib.kit.source import Setting
from chalicelib.model.audience import AUDIENCE
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.event import CHANNELS, REF_KINDS, TYPES
from chalicelib.store import connections
from chalicelib.store.table import Table

Errors = list[dict[str, str]]
LONGEST_NAME = 200
MOST_PRIORITY = 1000
LONGEST_SECRET = 4096
"""Bytes that KMS encrypts."""
FIELDS = frozenset({"provider", "name", "settings", "secrets", "subscription", "mapping"})
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


Asked = msgspec.defstruct(
    "Asked",
    [(field.name, field.type, field.default) for field in msgspec.structs.fields(Subscription)],
    forbid_unknown_fields=True,
)
"""A subscription as somebody asks for it: a field that we do not know is his mistake, and not a newer version's."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    name: str
    settings: dict[str, Any]
    secrets: dict[str, tuple[str, ...]]
    subscription: Subscription
    mapping: Any


def check(table: Table, asked: Mapping[str, Any]) -> Wish:
    """Raises InputInvalid with one line for each mistake."""
    errors = _unknown(asked)
    provider = asked.get("provider")
    if not isinstance(provider, str) or provider not in all_slugs():
        errors.append(_error("/provider", f"must be one of {', '.join(all_slugs())}"))
        raise _invalid(errors)
    return _wish(table, provider, asked, errors, partial=False)


def check_change(table: Table, current: Connection, asked: Mapping[str, Any]) -> Wish:
    """A PATCH: what is not named stays; settings are merged, null removes one."""
    errors = _unknown(asked)
    if "provider" in asked and asked["provider"] != current.provider:
        errors.append(_error("/provider", "cannot change: make a new connection"))
    stays = {
        "name": current.name,
        "subscription": msgspec.to_builtins(current.subscription),
        "mapping": current.mapping,
    }
    settings = {"settings": _merged(current.settings, asked.get("settings"))}
    return _wish(table, current.provider, stays | dict(asked) | settings, errors, partial=True)


def _merged(current: dict[str, Any], asked: Any) -> Any:
    if asked is None:
        return current
    if not isinstance(asked, dict):
        return asked
    return {name: value for name, value in {**current, **asked}.items() if value is not None}


def _wish(table: Table, provider: str, asked: Mapping[str, Any], errors: Errors, *, partial: bool) -> Wish:
    declared_settings, declared_secrets = fields_of(provider)
    settings = _object(asked, "settings", errors)
    _check_fields("/settings", settings, declared_settings, errors)
    _check_priorities(settings.get("field_priority"), errors)
    settings = _with_scopes(table, settings, errors)
    secrets = _secrets(_object(asked, "secrets", errors), declared_secrets, errors, partial=partial)
    wish = Wish(
        provider=provider,
        name=_name(asked.get("name"), errors),
        settings=settings,
        secrets=secrets,
        subscription=_subscription(asked.get("subscription"), errors),
        mapping=asked.get("mapping"),
    )
    errors += _mapping_mistakes(provider, wish.mapping, settings)
    if errors:
        raise _invalid(errors)
    return wish


def check_secrets(provider: str, asked: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Those of a rotation: any number of the provider's secrets."""
    errors: Errors = []
    found = _secrets(asked, fields_of(provider)[1], errors, partial=True)
    if errors:
        raise _invalid(errors)
    return found


def check_mapping(connection: Connection, mapping: Any) -> None:
    """Another mapping for a connection that is there, before it is tried."""
    if errors := _mapping_mistakes(connection.provider, mapping, connection.settings):
        raise _invalid(errors)


def _mapping_mistakes(provider: str, mapping: Any, settings: Mapping[str, Any]) -> Errors:
    source, destination = declared(provider)
    if mapping is None:
        return []
    if source and source.check_mapping:
        return source.check_mapping(mapping, settings)
    return outgoing.check(mapping, destination, settings) if destination else []


def _name(given: Any, errors: Errors) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > LONGEST_NAME:
        errors.append(_error("/name", f"must be a text of at most {LONGEST_NAME} characters"))
        return ""
    return given


def _unknown(asked: Mapping[str, Any]) -> Errors:
    return [_error(f"/{name}", "no such field") for name in asked if name not in FIELDS]


def _object(asked: Mapping[str, Any], name: str, errors: Errors) -> dict[str, Any]:
    value = asked.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        errors.append(_error(f"/{name}", "must be an object"))
        return {}
    return value


def _check_fields(pointer: str, given: Mapping[str, Any], known: Mapping[str, Setting], errors: Errors) -> None:
    for name, setting in known.items():
        if setting.required and name not in given and setting.instead not in given:
            errors.append(_error(f"{pointer}/{name}", "is required"))
    for name, value in given.items():
        if name not in known:
            errors.append(_error(f"{pointer}/{name}", f"no such setting; there are {', '.join(sorted(known))}"))
        elif complaint := _complaint(known[name], value):
            errors.append(_error(f"{pointer}/{name}", complaint))


def _complaint(setting: Setting, value: Any) -> str:
    wanted = PYTHON_TYPES[setting.type]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        return f"must be a {setting.type}"
    if isinstance(value, list) and not _all_of(setting.items, value):
        return f"must hold {setting.items}s only"
    if setting.choices and value not in setting.choices:
        return f"must be one of {', '.join(setting.choices)}"
    if isinstance(value, int) and not (setting.least or value) <= value <= (setting.most or value):
        return f"must be from {setting.least} to {setting.most}"
    return ""


def _all_of(type_: str, values: list[Any]) -> bool:
    return not type_ or all(isinstance(each, PYTHON_TYPES[type_]) for each in values)


def _secrets(
    given: Mapping[str, Any], known: Mapping[str, Setting], errors: Errors, *, partial: bool
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in given.items():
        values = tuple(value) if isinstance(value, list) else (value,)
        if name not in known:
            errors.append(_error(f"/secrets/{name}", f"no such secret; there are {', '.join(sorted(known)) or 'none'}"))
        elif not values or not all(
            isinstance(each, str) and 0 < len(each.encode()) <= LONGEST_SECRET for each in values
        ):
            errors.append(_error(f"/secrets/{name}", "must be a text, or a list of texts during a rotation"))
        else:
            found[name] = values
    missing = [name for name, setting in known.items() if setting.required and name not in given and not partial]
    errors += [_error(f"/secrets/{name}", "is required") for name in missing]
    return found


def _with_scopes(table: Table, settings: dict[str, Any], errors: Errors) -> dict[str, Any]:
    """`ref_scopes` may name a connection by id or by name; its id is kept."""
    asked = settings.get("ref_scopes")
    if not isinstance(asked, dict) or not asked:
        return settings
    known = [each for each in connections.everyone(table) if not each.deleted]
    found = {}
    for kind, named in asked.items():
        hits = [each.id for each in known if named in (each.id, each.name)]
        if complaint := _scope_complaint(kind, len(hits)):
            errors.append(_error(f"/settings/ref_scopes/{kind}", complaint))
        else:
            found[kind] = hits[0]
    return {**settings, "ref_scopes": found}


def _check_priorities(asked: Any, errors: Errors) -> None:
    for name, value in asked.items() if isinstance(asked, dict) else ():
        pointer = f"/settings/field_priority/{name}"
        if name.startswith("consent"):
            errors.append(_error(pointer, "has no priority: of consent the newest counts"))
        elif not isinstance(value, int) or isinstance(value, bool) or abs(value) > MOST_PRIORITY:
            errors.append(_error(pointer, f"must be a whole number from -{MOST_PRIORITY} to {MOST_PRIORITY}"))


def _scope_complaint(kind: str, hits: int) -> str:
    if kind not in REF_KINDS:
        return f"must be one of {', '.join(REF_KINDS)}"
    if hits == 1:
        return ""
    return "names several connections: give the id" if hits else "names no connection: give its id or its name"


def _subscription(given: Any, errors: Errors) -> Subscription:
    try:
        asked = Asked() if given is None else msgspec.convert(given, Asked)
    except msgspec.ValidationError as bad:
        errors.append(_error("/subscription", str(bad)))
        return Subscription()
    wish = msgspec.convert(msgspec.to_builtins(asked), Subscription)
    for field, allowed in (("types", TYPES | {AUDIENCE}), ("channels", CHANNELS)):
        for number, value in enumerate(getattr(wish, field)):
            if value not in allowed:
                errors.append(_error(f"/subscription/{field}/{number}", f"must be one of {', '.join(sorted(allowed))}"))
    if wish.filter:
        try:
            compiled(wish.filter)
        except ValueError as bad:
            errors.append(_error("/subscription/filter", str(bad)))
    return wish


def _error(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}


def _invalid(errors: Errors) -> InputInvalid:
    return InputInvalid("; ".join(f"{each['pointer']}: {each['detail']}" for each in errors), errors)
