"""``hustlex top``: queues and workers, live in a terminal."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.text import Text

from hustlex.cli import error, fleet, queue
from hustlex.cli.client import Url, opened
from hustlex.cli.output import AsJson, plain, print_json, spoken, table
from hustlex.core.printable import printable
from hustlex.errors import Error
from hustlex.jobs import QueueSummary, Server
from hustlex.jobs.inspect.errors import ErrorGroup
from hustlex.jobs.inspect.standing import state_of

if TYPE_CHECKING:
    from hustlex.sync import HustleX

_HEAD, _FOOT = 3, 2
_MOST_ERRORS = 50
_WIDE = 10_000
"""Where nobody looks, nothing is cut."""
_ORDERS: dict[str, Callable[[QueueSummary], Any]] = {
    "wait": lambda queue: (-queue.latency, -queue.unfinished, queue.name),
    "name": lambda queue: queue.name,
    "pending": lambda queue: (-queue.pending, queue.name),
    "failed": lambda queue: (-queue.failed_today, queue.name),
}
_PANES = {"1": "queues", "2": "workers", "3": "running", "4": "errors"}
_KEYS = "q quit  p pause  s sort  1 queues  2 workers  3 what runs  4 errors"


class Snapshot(msgspec.Struct, frozen=True):
    """What was read in one look."""

    at: datetime
    queues: tuple[QueueSummary, ...] = ()
    servers: tuple[Server, ...] = ()
    errors: tuple[ErrorGroup, ...] = ()
    trouble: str = ""
    """Why nothing could be read, one sentence; "" = it could."""


class TopView(msgspec.Struct, frozen=True):
    """What of it is shown."""

    pane: str = "queues"
    order: str = "wait"
    paused: bool = False


def top(
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks")] = 2,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Queues and workers, live; keys: q quit, p pause, s sort, 1 to 4 what is shown. Without a terminal one look.

    Example: hustlex top --every 5
    """
    with opened(url) as hx:
        if as_json:
            print_json("top/1", _answer(look(hx)))
        elif sys.stdin.isatty() and Console().is_terminal:
            _live(hx, every)
        else:
            Console(width=_WIDE).print(frame(look(hx), TopView(), _WIDE, _WIDE))


def look(hx: HustleX) -> Snapshot:
    """One look: a write for all queues, the registry of workers, what failed last. Raises Error."""
    queues = tuple(hx.jobs.inspector.summaries())
    servers, errors = hx.jobs.inspector.servers(), hx.jobs.inspector.error_groups(size=_MOST_ERRORS)
    return Snapshot(datetime.now(UTC), queues, tuple(servers), tuple(errors))


def pressed(view: TopView, key: str) -> TopView | None:
    """The view after a key; None: it is over."""
    if key in ("q", "\x03", "\x04"):
        return None
    if key == "p":
        return msgspec.structs.replace(view, paused=not view.paused)
    if key == "s":
        names = list(_ORDERS)
        return msgspec.structs.replace(view, order=names[(names.index(view.order) + 1) % len(names)])
    return msgspec.structs.replace(view, pane=_PANES[key]) if key in _PANES else view


def frame(seen: Snapshot, view: TopView, width: int, height: int) -> RenderableType:
    """One picture, as large as the terminal."""
    most = max(1, height - _HEAD - _FOOT)
    heads, rows, colours = _pane(seen, view)
    parts: list[RenderableType] = [Text(_headline(seen), no_wrap=True, overflow="ellipsis"), Text()]
    if seen.trouble:
        parts.append(Text(printable(seen.trouble), style="bold red"))
    else:
        parts.append(table(heads, rows[:most], colours, width=width))
        parts.append(Text(f"and {len(rows) - most} more" if len(rows) > most else ""))
    told = f"{_KEYS}  by {view.order}{'  PAUSED' if view.paused else ''}"
    return Group(*parts, Text(told, style="dim", no_wrap=True, overflow="ellipsis"))


def _headline(seen: Snapshot) -> str:
    queues, servers = seen.queues, seen.servers
    waits = max((each.latency for each in queues), default=timedelta(0))
    figures = {
        "unfinished": sum(each.unfinished for each in queues),
        "archived": sum(each.archived for each in queues),
        "done today": sum(each.processed_today for each in queues),
        "failed": sum(each.failed_today for each in queues),
        "longest wait": waits,
    }
    busy, slots = sum(each.active_worker_count for each in servers), sum(each.concurrency for each in servers)
    words = "  ".join(f"{name} {spoken(value)}" for name, value in figures.items())
    return f"{seen.at:%H:%M:%S} UTC  {words}  busy {busy:,}/{slots:,} in {len(servers)} workers"


def _pane(seen: Snapshot, view: TopView) -> tuple[tuple[str, ...], list[tuple[Any, ...]], dict[str, str]]:
    if view.pane == "workers":
        return fleet.HEADS, [fleet.row(each) for each in seen.servers], {}
    if view.pane == "running":
        return fleet.RUNNING_HEADS, fleet.running(list(seen.servers)), {}
    if view.pane == "errors":
        return error.HEADS, [error.row(each) for each in seen.errors], {}
    ordered = sorted(seen.queues, key=_ORDERS[view.order])
    return queue.HEADS, [queue.row(each, list(seen.servers)) for each in ordered], queue.COLOURS


def _answer(seen: Snapshot) -> dict[str, Any]:
    servers = list(seen.servers)
    queues = [{**plain(each), "state": state_of(each, servers)} for each in seen.queues]
    return {"queues": queues, "workers": [fleet.answer(each) for each in servers]}


def _live(hx: HustleX, every: float) -> None:
    from rich.live import Live

    view: TopView | None = TopView()
    seen, due = Snapshot(datetime.now(UTC)), 0.0
    console = Console()
    with _keyboard() as key_within, Live(console=console, screen=True, auto_refresh=False) as live:
        while view is not None:
            if not view.paused and monotonic() >= due:
                seen, due = _looked(hx), monotonic() + every
            live.update(frame(seen, view, console.width, console.height), refresh=True)
            key = key_within(every if view.paused else max(0.0, due - monotonic()))
            view = pressed(view, key)


def _looked(hx: HustleX) -> Snapshot:
    """A server that is away is a sentence, and looked for again."""
    try:
        return look(hx)
    except Error as fault:
        return Snapshot(datetime.now(UTC), trouble=str(fault))


@contextmanager
def _keyboard() -> Iterator[Callable[[float], str]]:
    """The next key within so many seconds, or ""; the terminal is as it was in the end."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def key_within(seconds: float) -> str:
        ready, _, _ = select.select([number], [], [], seconds)
        return (os.read(number, 1).decode("ascii", "replace") or "q") if ready else ""

    tty.setcbreak(number)
    try:
        yield key_within
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
