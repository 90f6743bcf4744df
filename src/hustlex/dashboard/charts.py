"""Charts as SVG made here: themes, print and screen readers get them without a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

_WIDTH, _HEIGHT = 120, 24


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """A small line from the oldest value to the newest, from zero; None is a gap. label: the sentence it stands for."""
    top = max([1.0, *(value for value in values if value is not None)])
    pieces = _pieces(values, _WIDTH, _HEIGHT - 1, top)
    path = "".join(f"M{_joined(piece if len(piece) > 1 else piece * 2)}" for piece in pieces)
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"><title>{label}</title>'
        '<path d="{path}"/></svg>'
    ).format(w=_WIDTH, h=_HEIGHT, label=label, path=path)


def timeline(
    lines: Sequence[tuple[str, Sequence[float | None]]], label: str, *, width: int = 720, height: int = 120
) -> Markup:
    """Lines over time from zero, each (class, values); None is a gap, which stays one. The first is filled below.

    The chart is as wide as its place; what is written beside it stands in the page.
    """
    top = max([1.0, *(value for _, values in lines for value in values if value is not None)])
    drawn = Markup("")
    for n, (name, values) in enumerate(lines):
        pieces = list(_pieces(values, width, height, top))
        if not n:
            ground = "".join(f"M{piece[0][0]:.1f},{height}L{_joined(piece)}V{height}Z" for piece in pieces)
            drawn += Markup('<path class="ground {}" d="{}"/>').format(name, ground)
        path = "".join(f"M{_joined(piece)}" for piece in pieces if len(piece) > 1)
        drawn += Markup('<path class="line {}" d="{}"/>').format(name, path)
        alone = "".join(f"M{_joined(piece * 2)}" for piece in pieces if len(piece) == 1)
        drawn += Markup('<path class="line dot {}" d="{}"/>').format(name, alone) if alone else ""
    return Markup(
        '<svg class="timeline" viewBox="0 0 {w} {h}" role="img" preserveAspectRatio="none"><title>{label}</title>'
        "{drawn}</svg>"
    ).format(w=width, h=height, label=label, drawn=drawn)


Point = tuple[float, float]


def _pieces(values: Sequence[float | None], width: int, height: int, top: float) -> Iterator[list[Point]]:
    """What lies between gaps."""
    step = width / max(len(values) - 1, 1)
    points = [
        (n * step, None if value is None else height - (height - 3) * value / top) for n, value in enumerate(values)
    ]
    for known, piece in groupby(points, lambda point: point[1] is not None):
        if known:
            yield [(x, y) for x, y in piece if y is not None]


def _joined(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def bars(rows: Sequence[tuple[str, float, float]], label: str, *, width: int = 720, height: int = 140) -> Markup:
    """Bars from left to right: name, whole, and the bad part of it, which is hatched."""
    top = max([*(whole for _, whole, _ in rows), 1])
    slot = width / max(len(rows), 1)
    drawn = Markup("").join(_bar(row, n, slot, height, top) for n, row in enumerate(rows))
    return Markup(
        '<svg class="bars" viewBox="0 0 {w} {full}" role="img" preserveAspectRatio="none"><title>{label}</title>'
        '<defs><pattern id="bad" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="bad-ground" width="6" height="6"/><line class="bad-line" x1="0" y1="0" x2="0" y2="6"/>'
        "</pattern></defs>"
        "{drawn}</svg>"
    ).format(w=width, full=height, label=label, drawn=drawn)


def _bar(row: tuple[str, float, float], n: int, slot: float, height: int, top: float) -> Markup:
    name, whole, bad = row
    tall, failed = (height - 4) * whole / top, (height - 4) * bad / top
    left, wide = n * slot + slot * 0.15, slot * 0.7
    return Markup(
        '<g><title>{name}: {whole:,.0f} ended, {bad:,.0f} failed</title>'
        '<rect class="whole" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'
        '<rect class="part" x="{x:.1f}" y="{yb:.1f}" width="{w:.1f}" height="{hb:.1f}" fill="url(#bad)"/></g>'
    ).format(
        name=name, whole=whole, bad=bad, x=left, y=height - tall, w=wide, h=max(tall, 1), yb=height - failed, hb=failed
    )  # fmt: skip
