"""How far long work is: a bar with a rate and the time left, on a terminal's standard error and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from hustlex.cli.exits import INTERRUPTED

Told = Callable[[int, int], None]
"""How many are done, and of how many."""


@contextmanager
def progress(words: str, again: str = "the same command goes on") -> Iterator[Told]:
    """Show it while the block works. Ctrl-C says how far it came, and what goes on from there."""
    from rich.console import Console
    from rich.progress import Progress

    from hustlex.cli.bars import columns

    console, came = Console(stderr=True), (0, 0)
    with Progress(*columns(words), console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(words, total=None)

        def told(done: int, goal: int) -> None:
            nonlocal came
            came = done, goal
            bar.update(shown, completed=done, total=goal)

        try:
            yield told
        except KeyboardInterrupt:
            bar.stop()
            print(f"hustlex: interrupted: {came[0]:,} of {came[1]:,} done; {again}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
