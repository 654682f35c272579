"""What an integrator asks of a connection, checked field by field against the declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.api.providers import all_slugs, declared, fields_of
from chalicelib.errors import InputInvalid
from chalicelib.kit.source import Setting
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.event import CHANNELS, REF_KINDS, TYPES
from chalicelib.store import connections
from chalicelib.store.table import Table

Errors = list[dict[str, str]]
FIELDS = frozenset({"provider", "name", "settings", "secrets", "subscription", "mapping"})
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


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
    if provider not in all_slugs():
        errors.append(_error("/provider", f"must be one of {', '.join(all_slugs())}"))
        raise _invalid(errors)
    return _wish(table, str(provider), asked, errors, partial=False)


def check_change(table: Table, current: Connection, asked: Mapping[str, Any]) -> Wish:
    """A PATCH: what is not named stays; settings are merged, null removes one."""
    errors = _unknown(asked)
    if "provider" in asked and asked["provider"] != current.provider:
        errors.append(_error("/provider", "cannot change: make a new connection"))
    settings = asked.get("settings", {})
    merged = {**current.settings, **settings} if isinstance(settings, dict) else settings
    whole = {
        "name": asked.get("name", current.name),
        "settings": {name: value for name, value in merged.items() if value is not None}
        if isinstance(merged, dict)
        else merged,
        "secrets": asked.get("secrets", {}),
        "subscription": asked.get("subscription", msgspec.to_builtins(current.subscription)),
        "mapping": asked.get("mapping", current.mapping),
    }
    return _wish(table, current.provider, whole, errors, partial=True)


def _wish(table: Table, provider: str, asked: Mapping[str, Any], errors: Errors, *, partial: bool) -> Wish:
    declared_settings, declared_secrets = fields_of(provider)
    settings = _object(asked, "settings", errors)
    _check_fields("/settings", settings, declared_settings, errors)
    settings = _with_scopes(table, settings, errors)
    secrets = _secrets(_object(asked, "secrets", errors), declared_secrets, errors, partial=partial)
    subscription = _subscription(asked.get("subscription"), errors)
    name = asked.get("name") or ""
    if not isinstance(name, str) or len(name) > 200:
        errors.append(_error("/name", "must be a text of at most 200 characters"))
    source, _ = declared(provider)
    if source and source.check_mapping and asked.get("mapping") is not None:
        errors += source.check_mapping(asked["mapping"], settings)
    if errors:
        raise _invalid(errors)
    return Wish(
        provider=provider,
        name=name,
        settings=settings,
        secrets=secrets,
        subscription=subscription,
        mapping=asked.get("mapping"),
    )


def check_secrets(provider: str, asked: Any, *, partial: bool) -> dict[str, tuple[str, ...]]:
    errors: Errors = []
    found = _secrets(_object({"secrets": asked}, "secrets", errors), fields_of(provider)[1], errors, partial=partial)
    if errors:
        raise _invalid(errors)
    return found


def _unknown(asked: Mapping[str, Any]) -> Errors:
    return [_error(f"/{name}", "no such field") for name in asked if name not in FIELDS]


def _object(asked: Mapping[str, Any], name: str, errors: Errors) -> dict[str, Any]:
    value = asked.get(name) or {}
    if not isinstance(value, dict):
        errors.append(_error(f"/{name}", "must be an object"))
        return {}
    return value


def _check_fields(pointer: str, given: Mapping[str, Any], known: Mapping[str, Setting], errors: Errors) -> None:
    for name, setting in known.items():
        if name not in given and setting.required:
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
    if setting.choices and value not in setting.choices:
        return f"must be one of {', '.join(setting.choices)}"
    return ""


def _secrets(
    given: Mapping[str, Any], known: Mapping[str, Setting], errors: Errors, *, partial: bool
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in given.items():
        values = tuple(value) if isinstance(value, list) else (value,)
        if name not in known:
            errors.append(_error(f"/secrets/{name}", f"no such secret; there are {', '.join(sorted(known)) or 'none'}"))
        elif not values or not all(isinstance(each, str) and 0 < len(each) <= 4000 for each in values):
            errors.append(_error(f"/secrets/{name}", "must be a text, or a list of texts during a rotation"))
        else:
            found[name] = values
    missing = [name for name, setting in known.items() if setting.required and name not in given and not partial]
    errors += [_error(f"/secrets/{name}", "is required") for name in missing]
    return found


def _with_scopes(table: Table, settings: dict[str, Any], errors: Errors) -> dict[str, Any]:
    """`ref_scopes` may name a connection by id or by name; its id is kept."""
    asked = settings.get("ref_scopes")
    if not isinstance(asked, dict):
        return settings
    known = connections.everyone(table)
    by_name = {each.name: each.id for each in known} | {each.id: each.id for each in known}
    for kind, named in asked.items():
        if kind not in REF_KINDS:
            errors.append(_error(f"/settings/ref_scopes/{kind}", f"must be one of {', '.join(REF_KINDS)}"))
        elif named not in by_name:
            errors.append(_error(f"/settings/ref_scopes/{kind}", "names no connection: give its id or its name"))
    return {**settings, "ref_scopes": {kind: by_name.get(named, named) for kind, named in asked.items()}}


def _subscription(given: Any, errors: Errors) -> Subscription:
    try:
        wish = msgspec.convert(given or {}, Subscription)
    except msgspec.ValidationError as bad:
        errors.append(_error("/subscription", str(bad)))
        return Subscription()
    for field, allowed in (("types", TYPES), ("channels", CHANNELS)):
        for number, value in enumerate(getattr(wish, field)):
            if value not in allowed:
                errors.append(_error(f"/subscription/{field}/{number}", f"must be one of {', '.join(sorted(allowed))}"))
    return wish


def _error(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}


def _invalid(errors: Errors) -> InputInvalid:
    return InputInvalid("; ".join(f"{each['pointer']}: {each['detail']}" for each in errors), errors)
