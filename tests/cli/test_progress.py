"""What a bar says of long work: how much is done, how fast it goes, how long it will take yet."""

from __future__ import annotations

import io

from rich.console import Console
from rich.progress import Progress

from hustlex.cli.bars import columns


def test_a_bar_tells_how_many_how_fast_and_how_long_yet() -> None:
    now, out = [0.0], io.StringIO()
    console = Console(file=out, width=100)
    bar = Progress(*columns("running"), console=console, get_time=lambda: now[0])
    task = bar.add_task("running", total=1000)
    for second in range(1, 6):
        now[0] = float(second)
        bar.update(task, completed=100 * second)
    console.print(bar.get_renderable())
    words = out.getvalue().split()
    assert words[0] == "running"
    assert words[-3:] == ["500/1000", "100/s", "0:00:05"]
