"""A workflow as SVG made here: columns from left to right, arrows to the steps that wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from hustlex.dashboard import words
from hustlex.jobs import StepName, WorkflowStep

Spot = tuple[int, int]
"""Column and row, from 0."""

_WIDE, _TALL = 184, 50
_ACROSS, _DOWN = 232, 64
_EDGE = 4
_MOST_ARROWS = 250
_LONGEST_NAME = 24


def spots(steps: Sequence[WorkflowStep]) -> dict[StepName, Spot]:
    """Each step right of those it waits for, and beside them as far as that goes. steps: by position."""
    columns: dict[StepName, int] = {}
    for step in steps:
        columns[step.name] = 1 + max((columns.get(before, -1) for before in step.after), default=-1)
    found: dict[StepName, Spot] = {}
    for column in range(max(columns.values(), default=-1) + 1):
        here = [step for step in steps if columns[step.name] == column]
        here.sort(key=lambda step: _beside(step, found))
        found.update((step.name, (column, row)) for row, step in enumerate(here))
    return found


def _beside(step: WorkflowStep, found: dict[StepName, Spot]) -> float:
    rows = [found[before][1] for before in step.after if before in found]
    return sum(rows) / len(rows) if rows else 0.0


def drawn(steps: Sequence[WorkflowStep], address: Callable[[StepName], str], label: str) -> tuple[Markup, int]:
    """The chart, and how many arrows it leaves out. Its links are for the hand alone: a list tells the same."""
    found = spots(steps)
    arrows = [(found[before], found[step.name]) for step in steps for before in step.after if before in found]
    wide = _ACROSS * max((column for column, _ in found.values()), default=0) + _WIDE + 2 * _EDGE
    tall = _DOWN * max((row for _, row in found.values()), default=0) + _TALL + 2 * _EDGE
    chart = Markup(
        '<svg class="flow" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true"><title>{label}</title>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0,0L8,4L0,8Z"/></marker>'
        '<clipPath id="inside"><rect width="{box_w}" height="{box_h}"/></clipPath></defs>{lines}{boxes}</svg>'
    )
    lines = Markup("").join(_arrow(*pair) for pair in arrows[:_MOST_ARROWS])
    boxes = Markup("").join(_box(step, found[step.name], address(step.name)) for step in steps)
    filled = chart.format(w=wide, h=tall, label=label, box_w=_WIDE, box_h=_TALL, lines=lines, boxes=boxes)
    return filled, max(0, len(arrows) - _MOST_ARROWS)


def _arrow(start: Spot, end: Spot) -> Markup:
    """From the right side of a box to the left side of another."""
    x, y = _EDGE + start[0] * _ACROSS + _WIDE, _EDGE + start[1] * _DOWN + _TALL // 2
    to_x, to_y = _EDGE + end[0] * _ACROSS - 1, _EDGE + end[1] * _DOWN + _TALL // 2
    bend = (_ACROSS - _WIDE) // 2
    return Markup('<path class="arrow" d="M{},{}C{},{} {},{} {},{}" marker-end="url(#tip)"/>').format(
        x, y, x + bend, y, to_x - bend, to_y, to_x, to_y
    )


def _box(step: WorkflowStep, spot: Spot, address: str) -> Markup:
    state, kind = step.status.value, words.visible(step.type) or "type not known"
    return Markup(
        '<a href="{address}" tabindex="-1"><g class="step {meaning} is-{state}" transform="translate({x} {y})"'
        ' clip-path="url(#inside)"><title>{position}: {kind}, {state}, in {queue}</title>'
        '<rect x="1" y="1" width="{w}" height="{h}" rx="4"/><text x="10" y="20">{glyph} {state}</text>'
        '<text class="number" x="{right}" y="20">{position}</text><text class="kind" x="10" y="39">{cut}</text></g></a>'
    ).format(
        address=address, meaning=words.meaning(state), state=state, glyph=words.glyph(state), position=step.position,
        x=_EDGE + spot[0] * _ACROSS, y=_EDGE + spot[1] * _DOWN, w=_WIDE - 2, h=_TALL - 2, right=_WIDE - 10,
        kind=kind, queue=words.visible(step.name.queue), cut=_cut(kind),
    )  # fmt: skip


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
