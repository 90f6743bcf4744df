"""What counting a call costs: ours, beside prometheus_client's plain counter. Nanoseconds of CPU, medians of turns.

A call is told once at its start and once at its end: it raises a counter, a histogram and a gauge twice.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

from bench.harness import QUICK, print_goals, print_summary, print_table, versions
from hustlex.core.telemetry import CallEnd, CallStart, telling
from hustlex.metrics import Metrics

ROUNDS, TIMES = (5, 20_000) if QUICK else (15, 100_000)


def arms() -> dict[str, Callable[[int], None]]:
    """By name: does it so often."""
    from prometheus_client import CollectorRegistry, Counter

    metrics, registry = Metrics(), CollectorRegistry()
    plain = Counter("plain", "plain", registry=registry)
    labelled = Counter("labelled", "labelled", ["op", "outcome"], registry=registry)
    start, end = CallStart(("otp.verify",)), CallEnd(("otp.verify",), seconds=0.0004)
    family = metrics.families["pin_attempts_total"]
    labels = ("pin_ok",)

    def counted(times: int) -> None:
        for _ in range(times):
            family.add(labels)

    def call(times: int) -> None:
        for _ in range(times):
            metrics(start)(end)

    def told(times: int) -> None:
        for _ in range(times):
            with telling(metrics, "otp.verify"):
                pass

    def off(times: int) -> None:
        hook = None
        for _ in range(times):
            with nullcontext() if hook is None else telling(metrics, "otp.verify"):
                pass

    def theirs(times: int) -> None:
        for _ in range(times):
            plain.inc()

    def theirs_labelled(times: int) -> None:
        for _ in range(times):
            labelled.labels("otp.verify", "ok").inc()

    return {
        "prometheus_client: counter": theirs,
        "prometheus_client: labels(...) and counter": theirs_labelled,
        "hustlex: counter with labels": counted,
        "hustlex: all that a call counts": call,
        "hustlex: the same, and being told": told,
        "hustlex: no hook": off,
    }


def main() -> None:
    """Measure and print."""
    found: dict[str, list[float]] = {}
    made = arms()
    for _ in range(ROUNDS):
        for name, run in made.items():
            began = time.process_time()
            run(TIMES)
            found.setdefault(name, []).append((time.process_time() - began) / TIMES * 1e9)
    medians = {name: statistics.median(values) for name, values in found.items()}
    base = medians["prometheus_client: counter"]
    rows = [(name, f"{value:,.0f} ns", f"{value / base:.2f}") for name, value in medians.items()]
    print_table(f"what counting costs, {versions('prometheus-client')}", ("what", "each", "of theirs"), rows)
    summary = {
        "counter_ns": medians["hustlex: counter with labels"],
        "call_ns": medians["hustlex: all that a call counts"],
        "told_ns": medians["hustlex: the same, and being told"],
        "counter_vs_prometheus_client": medians["hustlex: counter with labels"] / base,
        "call_vs_prometheus_client": medians["hustlex: all that a call counts"] / base,
    }
    print_goals("metrics", summary)
    print_summary(summary)


if __name__ == "__main__":
    main()
