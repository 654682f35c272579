"""A destination's mapping: JMESPath expressions that fill fields of its contacts and activities.

    {"contact": {"loyalty_tier": "fields.tier", "user_fields.vip": "satisfaction.voice.average > `80`"},
     "activity": {"order_number": "details.number"}}

A name with dots is a path into the row; `\\.` is a dot of a name. A field that a mapping names is the
mapping's alone: what it finds takes the place of what we would send, and null sends nothing at all.
https://jmespath.org/specification.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.kit.expressions import Search, compiled
from chalicelib.kit.fields import plain
from chalicelib.kit.lazily import pattern
from chalicelib.kit.source import Setting

if TYPE_CHECKING:
    from chalicelib.kit.destination import Destination
    from chalicelib.model.customer import Customer

CONTACT, ACTIVITY = "contact", "activity"
WORKED_OUT = ("channel", "satisfaction", "consent")
MOST_FIELDS = 50
"""Of one section."""
LONGEST_NAME = 200
NUMBER = pattern(r"\+?[\d ().-]{7,20}\Z")
DOT = pattern(r"(?<!\\)\.")
SETTING = pattern(r"\{(\w+)\}")
PART = pattern(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?\Z")

Row = dict[str, Any]
Path = tuple[str, ...]
Mistakes = list[dict[str, str]]


def section(mapping: Any, name: str) -> Mapping[str, Any]:
    """Field → expression; empty where there is none."""
    found = mapping.get(name) if isinstance(mapping, dict) else None
    return found if isinstance(found, dict) else {}


def found(mapping: Any, name: str, scene: Any) -> Row:
    """What each expression of a section finds in `scene`, under one budget of steps; None: nothing.

    Raises PayloadMalformed naming the field whose expression takes too many steps or makes too much.
    """
    search = Search()
    return {
        field: search.value(expression, scene, f"mapping.{name}.{field}")
        for field, expression in section(mapping, name).items()
    }


def merged(row: Mapping[str, Any], mapped: Mapping[str, Any]) -> Row:
    """The row with what a mapping found: the last step of making one."""
    whole = dict(row)
    for name, value in mapped.items():
        whole = _without(whole, path(name)) if value is None else _with(whole, path(name), value)
    return whole


def profile(customer: Customer, settings: Mapping[str, Any], suffix: str = "field") -> dict[str, str]:
    """What the hub works out of a customer, under the fields that a connection's settings name."""
    told = (customer.preferred_channel, customer.newest_score, customer.mail_consent)
    named = [str(settings.get(f"{name}_{suffix}") or "") for name in WORKED_OUT]
    return {field: value for field, value in zip(named, told, strict=True) if field and value}


def profile_names(settings: Mapping[str, Any], suffix: str = "field") -> list[str]:
    """Those fields, for who reads or empties them."""
    return [str(settings[key]) for name in WORKED_OUT if settings.get(key := f"{name}_{suffix}")]


def profile_settings(what: str, suffix: str = "field", help: str = "") -> dict[str, Setting]:
    """Those settings, beside the channel's. `what`: the kind of field there, such as "Contact field"."""
    before = f"{help}; " if help else ""
    return {
        f"satisfaction_{suffix}": Setting(
            f"{what} for the newest satisfaction", help=f"{before}0 to 100; empty: not sent"
        ),
        f"consent_{suffix}": Setting(f"{what} for consent to mail", help=f"{before}granted or denied; empty: not sent"),
    }


def blanked(row: Mapping[str, Any], names: Iterable[str], blank: Any) -> Row:
    """The row with all these fields set to what is nothing over there, None too: for who is forgotten."""
    whole = dict(row)
    for name in names:
        whole = _with(whole, path(name), blank)
    return whole


def news(mapped: Mapping[str, Any], there: Any) -> Row:
    """What of it the record over there does not have yet, and what must not be sent."""
    return {name: value for name, value in mapped.items() if value is None or not shows(_at(there, path(name)), value)}


def shows(there: Any, value: Any) -> bool:
    """Whether a system shows this value; some show a number as text, or a text as a number."""
    return bool(there == value or (isinstance(value, str) and plain(there) == value))


def alike(there: Any, wanted: Any) -> bool:
    """Whether a row shows all of `wanted`, a row or a value, as far as systems keep what they are told: they may
    change capitals, spaces, and how a number is written."""
    if isinstance(wanted, Mapping):
        row = there if isinstance(there, Mapping) else {}
        return all(alike(row.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, str) and there is not None:
        one, other = plain(there).strip().casefold(), wanted.strip().casefold()
        return one == other or (NUMBER.match(other) is not None and _digits(one) == _digits(other))
    return shows(there, wanted) or (not wanted and not there)


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def tops(names: Iterable[str]) -> list[str]:
    """The fields of the row itself that these names lie in."""
    return list(dict.fromkeys(path(name)[0] for name in names))


def path(name: str) -> Path:
    return tuple(part.replace("\\.", ".") for part in DOT.split(name))


def _with(row: Mapping[str, Any], way: Path, value: Any) -> Row:
    inner = row.get(way[0])
    deeper = _with(inner if isinstance(inner, dict) else {}, way[1:], value) if way[1:] else value
    return {**row, way[0]: deeper}


def _without(row: Mapping[str, Any], way: Path) -> Row:
    inner = row.get(way[0])
    if way[1:] and (not isinstance(inner, dict) or (left := _without(inner, way[1:]))):
        return {**row, way[0]: left} if isinstance(inner, dict) else dict(row)
    return {name: value for name, value in row.items() if name != way[0]}


def _at(row: Any, way: Path) -> Any:
    for part in way:
        row = row.get(part) if isinstance(row, dict) else None
    return row


def check(mapping: Any, destination: Destination, settings: Mapping[str, Any]) -> Mistakes:
    """Every mistake in a mapping, for its registration; empty when it can run."""
    if not isinstance(mapping, dict):
        return [_mistake("/mapping", "must be an object with contact, activity or both")]
    mistakes: Mistakes = []
    for name, fields in mapping.items():
        pointer = f"/mapping/{_escaped(name)}"
        if name not in (CONTACT, ACTIVITY):
            mistakes.append(_mistake(pointer, "no such section; there are contact and activity"))
        elif name not in destination.mapped:
            mistakes.append(_mistake(pointer, f"{destination.name} keeps no {name} that could be filled"))
        else:
            mistakes += _check_section(fields, pointer, reserved(destination, name, settings))
            mistakes += _coming_back(fields, pointer, destination, settings) if name == CONTACT else []
    return mistakes


def _coming_back(fields: Any, pointer: str, destination: Destination, settings: Mapping[str, Any]) -> Mistakes:
    """What is filled, and would be told us as news, though we wrote it ourselves."""
    untold = {setting: names for setting, names in destination.comes_back.items() if not settings.get(setting)}
    return [
        _mistake(
            f"{pointer}/{_escaped(field)}",
            f"comes back as news {f'unless the setting {setting} is filled in' if setting else 'from there'}",
        )
        for setting, names in untold.items()
        for field in (fields if isinstance(fields, dict) else ())
        if any(_overlap(path(field), path(each)) for each in names)
    ]


def reserved(destination: Destination, name: str, settings: Mapping[str, Any]) -> list[Path]:
    """Paths that stay ours, as the declaration and the settings say."""

    def of_setting(match: re.Match[str]) -> str:
        declared = destination.settings.get(match[1])
        value = settings.get(match[1]) or (declared.default if declared else "") or ""
        return str(value).replace(".", "\\.")

    told = (SETTING.sub(of_setting, each) for each in destination.mapped[name])
    return [path(each) for each in told if each and not each.endswith(".")]


def _check_section(fields: Any, pointer: str, ours: Collection[Path]) -> Mistakes:
    if not isinstance(fields, dict):
        return [_mistake(pointer, "must be an object of their field and expression")]
    mistakes: Mistakes = []
    if len(fields) > MOST_FIELDS:
        mistakes.append(_mistake(pointer, f"at most {MOST_FIELDS} fields"))
    before: list[Path] = []
    for name, expression in list(fields.items())[:MOST_FIELDS]:
        wrong = _wrong_name(name, ours, before) or _wrong_expression(expression)
        if wrong:
            mistakes.append(_mistake(f"{pointer}/{_escaped(name)}", wrong))
        before.append(path(name))
    return mistakes


def _wrong_name(name: str, ours: Collection[Path], before: Collection[Path]) -> str:
    way = path(name)
    if len(name) > LONGEST_NAME or not all(PART.match(part) for part in way):
        return f"must be a name of at most {LONGEST_NAME} characters, or several with dots between"
    if any(_overlap(way, each) for each in ours):
        return "is filled by the hub itself: it is how records are known"
    return "lies in another field of this mapping, or holds one" if any(_overlap(way, each) for each in before) else ""


def _overlap(one: Path, other: Path) -> bool:
    """Whether one holds the other; some systems take a name in any case of letters."""
    return all(mine.casefold() == theirs.casefold() for mine, theirs in zip(one, other, strict=False))


def _wrong_expression(expression: Any) -> str:
    if expression is None or isinstance(expression, bool | int | float):
        return ""
    if not isinstance(expression, str):
        return "must be an expression, a number, true, false or null"
    try:
        compiled(expression)
    except ValueError as wrong:
        return str(wrong)
    return ""


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _mistake(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}
