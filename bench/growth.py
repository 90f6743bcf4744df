"""Whether an operation costs the same however much is stored: CPU of client and server, a server for each size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

import uvloop

from bench.harness import QUICK, Figures, new_server, print_goals, print_summary, print_table
from bench.own.growth import STORIES, URL, Story
from hustlex.drivers.embedded import EmbeddedServer

_ROUNDS = 3 if QUICK else 7


def main() -> None:
    """Every story at every size, the sizes in turn; then the tables and the summary."""
    figures = Figures()
    for story in STORIES:
        _measure(story, figures)
    rows = [row for story in STORIES for row in _rows(story, figures)]
    head = ["operation", "of how many", "client us", "server us", "of the smallest"]
    print_table("CPU per operation, client and server: median (min-max)", head, rows)
    worst = {name: ratio for story in STORIES for name, ratio in _ratios(story, figures).items()}
    ratios = [[name, f"{ratio:.2f}"] for name, ratio in worst.items()]
    print_table("The largest over the smallest", ["operation", "ratio"], ratios)
    summary = {f"growth_{name.replace(' ', '_').replace(',', '')}": ratio for name, ratio in worst.items()}
    summary |= {"growth_worst_ratio": max(worst.values())}
    print(f"\nThe worst is: {max(worst, key=worst.__getitem__)}")
    print_goals("growth", summary)
    print_summary(summary)


def _measure(story: Story, figures: Figures) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(new_server()) for _ in story.sizes]
        for size, server in zip(story.sizes, servers, strict=True):
            _named(server)
            uvloop.run(story.fill(server.url, size))
        for number in range(_ROUNDS + 1):
            for size, server in zip(story.sizes, servers, strict=True):
                _named(server)
                found = uvloop.run(story.measure(server.url, size))
                if number:  # the first warms up
                    for name, costs in found.items():
                        figures.add(f"{name} {size}", {"client": costs[0], "server": costs[1], "all": sum(costs)})


def _named(server: EmbeddedServer) -> None:
    os.environ[URL], os.environ["BENCH_SERVER_PID"] = server.url, str(server.pid)


def _rows(story: Story, figures: Figures) -> list[list[str]]:
    rows = []
    for name in story.operations:
        least = figures.median(f"{name} {story.sizes[0]}", "all")
        for size in story.sizes:
            arm = f"{name} {size}"
            ratio = figures.median(arm, "all") / least
            rows.append(
                [name, f"{size:,}", figures.cell(arm, "client", 1), figures.cell(arm, "server", 1), f"{ratio:.2f}"]
            )
    return rows


def _ratios(story: Story, figures: Figures) -> dict[str, float]:
    found = {}
    for name in story.operations:
        costs: Sequence[float] = [figures.median(f"{name} {size}", "all") for size in story.sizes]
        found[name] = max(costs[1:]) / costs[0]
    return found


if __name__ == "__main__":
    main()
