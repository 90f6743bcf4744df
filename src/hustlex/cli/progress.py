"""How far long work is: a bar with a rate and the time left, on a terminal's standard error and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from hustlex.cli.exits import INTERRUPTED

Told = Callable[[int, int], None]
"""How many are done, and of how many."""


class RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """As ``2,004/s``."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def progress(words: str) -> Iterator[Told]:
    """Show it while the block works. Ctrl-C says how far it came, and that the same command goes on."""
    console = Console(stderr=True)
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    came = (0, 0)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(words, total=None)

        def told(done: int, goal: int) -> None:
            nonlocal came
            came = done, goal
            bar.update(shown, completed=done, total=goal)

        try:
            yield told
        except KeyboardInterrupt:
            bar.stop()
            print(f"hustlex: interrupted: {came[0]:,} of {came[1]:,} done; the same command goes on", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
