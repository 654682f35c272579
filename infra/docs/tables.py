"""Markdown of rows and of settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chalicelib.kit.source import Setting


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Nothing where there are no rows."""
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    names = list(head)
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names), *lines] if lines else []


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or "–"


def settings(fields: Mapping[str, Setting]) -> list[str]:
    rows = ([f"`{name}`", _meaning(each), _kind(each), _need(each)] for name, each in fields.items())
    return table(("name", "what it is", "type", "needed"), rows)


def secrets(fields: Mapping[str, Setting]) -> list[str]:
    rows = ([f"`{name}`", _meaning(each), _need(each)] for name, each in fields.items())
    return table(("name", "what it is", "needed"), rows)


def _meaning(setting: Setting) -> str:
    return f"{setting.title}. {placed(setting.help)}" if setting.help else setting.title


def _kind(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{each}`" for each in setting.choices)
    return f"{setting.type}{f' of {setting.items}s' if setting.items else ''}{_bounds(setting)}"


def _bounds(setting: Setting) -> str:
    least = f", {setting.least} or more" if setting.least is not None else ""
    return f", {setting.least} to {setting.most}" if least and setting.most is not None else least


def _need(setting: Setting) -> str:
    if setting.required:
        return f"yes, or `{setting.instead}`" if setting.instead else "yes"
    if setting.default in (None, ""):
        return "no"
    shown = setting.default if isinstance(setting.default, str) else str(setting.default).lower()
    return f"no: `{shown}`"


def placed(text: str) -> str:
    """A text with stars and names in angle brackets, which a page would take for markup."""
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")
