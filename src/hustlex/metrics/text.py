"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from hustlex.metrics.board import Figures
from hustlex.metrics.declared import METRICS, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(figures: Figures) -> bytes:
    """Each metric that has a series, in the order of their declaration."""
    by_metric: dict[str, list[tuple[tuple[str, ...], list[float]]]] = {}
    for (name, labels), numbers in figures.items():
        by_metric.setdefault(name, []).append((labels, numbers))
    lines: list[str] = []
    for metric in METRICS.values():
        if metric.name in by_metric:
            lines += [f"# HELP {metric.name} {metric.about}.", f"# TYPE {metric.name} {metric.kind}"]
            for labels, numbers in sorted(by_metric[metric.name]):
                lines += _series(metric, labels, numbers)
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _series(metric: Metric, labels: tuple[str, ...], numbers: list[float]) -> Iterator[str]:
    shown = [f'{name}="{_escaped(value)}"' for name, value in zip(metric.labels, labels, strict=True)]
    if metric.kind != "histogram":
        yield f"{metric.name}{_braced(shown)} {_number(numbers[0])}"
        return
    total = 0.0
    for bound, number in zip((*metric.bounds, math.inf), numbers, strict=False):
        total += number
        within = f'le="{_number(bound)}"'
        yield f"{metric.name}_bucket{_braced([*shown, within])} {_number(total)}"
    yield f"{metric.name}_sum{_braced(shown)} {_number(numbers[-1])}"
    yield f"{metric.name}_count{_braced(shown)} {_number(total)}"


def _braced(labels: Iterable[str]) -> str:
    inside = ",".join(labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
