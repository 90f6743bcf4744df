"""Bars as SVG, without anything else."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

_WIDTH, _LABELS, _BAR = 760, 300, 12
_OURS, _PEERS, _TEXT = "#0d9488", "#9aa3ad", "#71767d"
"""Colours that can be read on white and on black."""


class Bar(NamedTuple):
    """who: whose. value: its length. told: the same in words."""

    who: str
    value: float
    told: str
    ours: bool


class Group(NamedTuple):
    """Bars below one title."""

    title: str
    bars: list[Bar]


def drawn(groups: list[Group], title: str, *, together: bool) -> str:
    """together: all to one scale; else each group to its own, because its ratio is what counts."""
    parts, y = [], 8
    most = max((bar.value for group in groups for bar in group.bars), default=1.0)
    for group in groups:
        if group.title:
            y += 18
            parts.append(f'<text x="0" y="{y}" font-weight="600">{escape(group.title)}</text>')
            y += 6
        scale = most if together else max(bar.value for bar in group.bars)
        for bar in group.bars:
            length = max(2, round(bar.value / scale * (_WIDTH - _LABELS - 90)))
            fill = _OURS if bar.ours else _PEERS
            parts.append(f'<text x="{_LABELS - 8}" y="{y + 10}" text-anchor="end">{escape(bar.who)}</text>')
            parts.append(f'<rect x="{_LABELS}" y="{y}" width="{length}" height="{_BAR}" rx="2" fill="{fill}"/>')
            parts.append(f'<text x="{_LABELS + length + 6}" y="{y + 10}">{escape(bar.told)}</text>')
            y += _BAR + 5
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 8}" role="img" aria-label="{title}">'
    return "\n".join([head, f'<g font-family="sans-serif" font-size="12" fill="{_TEXT}">', *parts, "</g></svg>"]) + "\n"
