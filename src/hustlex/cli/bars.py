"""What a bar shows beside itself. Loaded when one is shown: every start of a worker would pay for it."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """As ``2,004/s``."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


def columns(words: str) -> tuple[ProgressColumn, ...]:
    """Words, bar, how many of how many, rate, time left."""
    return TextColumn(words), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn()
