"""Curves and bars as SVG, readable on light and on dark pages: each follows what the reader's system prefers. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 230, 52, 52
BAR, GAP = 20, 12
APART = 17
"""Between two names at the right."""
COLOURS = (
    ("#0b6e99", "#5cc8f2"),
    ("#b3431d", "#ff9f73"),
    ("#2f7d32", "#7fd683"),
    ("#7a3e9d", "#d2a0f0"),
    ("#8a6d00", "#e8c547"),
)
"""On light and on dark; each has four and a half times the page's contrast."""
DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 5")
"""So that curves are told apart without colours."""
Series = Mapping[str, Mapping[int, float]]
"""Name of a curve → x → y."""


def lines(title: str, x: str, y: str, series: Series) -> str:
    """x on a logarithmic scale, y from zero."""
    xs = sorted({each for points in series.values() for each in points})
    top = ceiling(max(value for points in series.values() for value in points.values()))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at(entries: int, value: float) -> tuple[float, float]:
        share = math.log(entries / xs[0]) / math.log(xs[-1] / xs[0]) if len(xs) > 1 else 0.5
        return LEFT + share * (right - LEFT), bottom - value / top * (bottom - TOP)

    parts = [*_grid(top, right, bottom), *(_text(at(each, 0)[0], bottom + 18, f"{each:,}", "middle") for each in xs)]
    parts += [_text((LEFT + right) / 2, HEIGHT - 12, x, "middle"), _text(LEFT - 8, TOP - 12, y, "start", "soft")]
    ends = []
    for number, (name, points) in enumerate(series.items()):
        placed = [at(each, value) for each, value in sorted(points.items())]
        parts += _curve(number, placed)
        ends.append((placed[-1][1], number, f"{name}: {_number(points[max(points)])}"))
    parts += [_text(right + 14, height, text, "start", f"c{number}") for height, number, text in _apart(ends)]
    return _whole(title, HEIGHT, parts)


def bars(title: str, unit: str, rows: Mapping[str, Mapping[str, float]], budget: float | None = None) -> str:
    """One bar a row, of its parts, with the sum behind it."""
    height = TOP + len(rows) * (BAR + GAP) + BOTTOM
    left, names = 250, list(dict.fromkeys(part for parts in rows.values() for part in parts))
    wide = WIDTH - left - 70
    most = ceiling(max(sum(parts.values()) for parts in rows.values()))
    found = [_legend(names)]
    for number, (name, parts) in enumerate(rows.items()):
        y, x = TOP + number * (BAR + GAP), float(left)
        found.append(_text(left - 10, y + BAR - 5, name, "end"))
        for part, value in parts.items():
            length = value / most * wide
            found.append(
                f'<rect class="b{names.index(part)}" x="{x:.1f}" y="{y}" width="{length:.1f}" height="{BAR}"/>'
            )
            x += length
        found.append(_text(x + 8, y + BAR - 5, f"{sum(parts.values()):.2f}", "start"))
    if budget is not None:
        x = left + budget / most * wide
        found.append(f'<line class="budget" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - BOTTOM}"/>')
        found.append(_text(x, height - BOTTOM + 16, f"budget {budget:g}", "middle", "soft"))
    return _whole(title, height, [*found, _text(WIDTH - 10, height - 10, unit, "end", "soft")])


def ceiling(value: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next((step * power for step in (1, 2, 2.5, 5) if step * power >= value), 10 * power)


def _grid(top: float, right: float, bottom: float) -> list[str]:
    found = []
    for step in range(5):
        y = bottom - step / 4 * (bottom - TOP)
        found.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        found.append(_text(LEFT - 8, y + 4, _number(top * step / 4), "end", "soft"))
    return found


def _curve(number: int, placed: Sequence[tuple[float, float]]) -> list[str]:
    points, dash = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed), DASHES[number % len(DASHES)]
    dots = [f'<circle class="b{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in placed]
    return [f'<polyline class="l{number}" stroke-dasharray="{dash or "none"}" points="{points}"/>', *dots]


def _apart(ends: Iterable[tuple[float, int, str]]) -> list[tuple[float, int, str]]:
    """Names beside the ends of their curves, from above, none over another."""
    found: list[tuple[float, int, str]] = []
    for height, number, text in sorted(ends):
        lowest = found[-1][0] + APART if found else 0.0
        found.append((max(height + 4, lowest), number, text))
    return found


def _legend(names: Sequence[str]) -> str:
    found, x = [], 250
    for number, name in enumerate(names):
        found.append(f'<rect class="b{number}" x="{x}" y="{TOP - 24}" width="11" height="11"/>')
        found.append(_text(x + 16, TOP - 14, name, "start", "soft"))
        x += 36 + 7 * len(name)
    return "".join(found)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind or "plain"}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _whole(title: str, height: int, parts: Iterable[str]) -> str:
    rules = [_style(light=True), f"@media (prefers-color-scheme:dark){{{_style(light=False)}}}"]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n<style>{''.join(rules)}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}"/>\n'
        f'<text class="title" x="20" y="24">{escape(title)}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _style(*, light: bool) -> str:
    page, ink, soft, grid = (
        ("#ffffff", "#1b1f24", "#57606a", "#d8dee4") if light else ("#0d1117", "#e6edf3", "#9da7b3", "#30363d")
    )
    found = [
        "text{font:13px system-ui,sans-serif}",
        f".page{{fill:{page}}}.plain{{fill:{ink}}}.soft{{fill:{soft}}}",
        f".title{{fill:{ink};font-size:16px;font-weight:600}}.grid{{stroke:{grid}}}.budget{{stroke:{ink};stroke-dasharray:4 3}}",
    ]
    for number, pair in enumerate(COLOURS):
        colour = pair[0] if light else pair[1]
        found.append(f".b{number},.c{number}{{fill:{colour}}}.l{number}{{fill:none;stroke:{colour};stroke-width:2.5}}")
    return "".join(found)
