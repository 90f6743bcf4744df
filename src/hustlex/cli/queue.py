"""``hustlex queue``: which queue is behind, why, and what can be done about it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Prefix, Url, opened
from hustlex.cli.hidden import visible
from hustlex.cli.output import AsJson, Yes, confirm, fields_of, print_done, print_fields, print_json, print_table
from hustlex.cli.progress import progress
from hustlex.cli.values import known_queue
from hustlex.errors import Misuse
from hustlex.jobs import QueueSummary, Server
from hustlex.jobs.inspect.standing import serving, state_of
from hustlex.metrics.durations import read_durations

if TYPE_CHECKING:
    from hustlex.sync import HustleX

queue = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The queue's name, as `queue ls` prints it")]
Names = Annotated[list[str], typer.Argument(help="Queues, as `queue ls` prints them")]

_GROUPS = 50
"""About so many are shown."""
COLOURS = {"unserved": "bold red", "paused": "yellow", "full": "yellow", "running": "green"}
HEADS = ("queue", "state", "workers", "pending", "active", "sched", "retry", "archive", "wait", "done", "failed")


@queue.callback()
def group() -> None:
    """Queues: which is behind, why, and since when; pause, limit, remove."""


@queue.command()
def ls(url: Url = None, as_json: AsJson = False) -> None:
    """All queues: who serves them, what stands in them, how long the next task has waited, today's attempts.

    Example: hustlex queue ls
    """
    with opened(url) as hx:
        found, servers = hx.jobs.inspector.summaries(), hx.jobs.inspector.servers()
    if as_json:
        print_json("queue.list/1", {"items": [_answer(each, servers) for each in found]})
    else:
        print_table(HEADS, (row(each, servers) for each in found), COLOURS)


@queue.command()
def show(
    name: Name,
    days: Annotated[int, typer.Option(min=1, max=90, help="How many days of history")] = 7,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """One queue: counts, memory, groups, who serves it, and the attempts of the last days.

    Example: hustlex queue show default --json | jq .latency_ms
    """
    with opened(url) as hx:
        inspector = hx.jobs.inspector
        found = inspector.queue(known_queue(hx, name))
        [summary] = inspector.summaries([name])
        history, servers = inspector.history(name, days), inspector.servers()
        waiting = inspector.scan_groups(name, size=_GROUPS)
    state, workers = state_of(summary, servers), [f"{each.host}:{each.pid}" for each in serving(name, servers)]
    groups = [{**fields_of(each), "name": visible("group", each.name)} for each in waiting.groups]
    head = {**fields_of(found), "state": state, "orphans": summary.orphans, "workers": workers}
    if as_json:
        print_json("queue/1", {**head, "groups": groups, "groups_next": waiting.cursor or None, "days": history})
        return
    print_fields({**head, "latency": summary.latency})
    if groups:
        print()
        print_table(("group", "tasks"), ((each["name"], each["size"]) for each in groups))
    if waiting.cursor:
        print(f"of {waiting.number:,} groups; hustlex group ls --queue {name} goes on")
    print()
    print_table(("day (UTC)", "done", "failed"), ((each.day, each.processed, each.failed) for each in history))


@queue.command()
def times(
    what: Annotated[Literal["run", "wait"], typer.Argument(help="run: by task type; wait: by queue")] = "run",
    url: Url = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """How long attempts ran, or tasks waited, in the last 24 hours: within which time 50, 95 and 99 % of them stayed.

    Workers in Python that have metrics tell it. A dash stands for longer than the last bound, 15 min or 1 h.
    Example: hustlex queue times wait
    """
    with opened(url, prefix=prefix) as hx:
        found = hx.driver.run(read_durations(hx.prefix, what))
    rows = [(name or "all", each.count, *map(each.percentile, (0.5, 0.95, 0.99))) for name, each in found.items()]
    if as_json:
        names = ("name", "count", "p50", "p95", "p99")
        print_json("queue.times/1", {"what": what, "items": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_table(("queue" if what == "wait" else "task type", "count", "50 %", "95 %", "99 %"), rows)


@queue.command()
def history(
    name: Annotated[str | None, typer.Argument(help="The queue's name; none: all together")] = None,
    days: Annotated[int, typer.Option(min=1, max=30, help="How far back, in hours of UTC")] = 1,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Hour by hour: attempts that ended and failed, the most unfinished tasks, and the longest wait.

    Workers in Python write it down, Go's work included; hours in which none looked are left out.
    Example: hustlex queue history default --days 2
    """
    with opened(url) as hx:
        place = None if name is None else known_queue(hx, name)
        found = hx.jobs.inspector.time_series(place, hours=0, days=days)
    if as_json:
        print_json("queue.history/1", {"queue": place, "items": found.hours})
        return
    rows = ((each.at, each.processed, each.failed, each.unfinished, each.waited) for each in found.hours)
    print_table(("hour (UTC)", "ended", "failed", "unfinished", "longest wait"), rows)


@queue.command()
def pause(name: Names, url: Url = None, as_json: AsJson = False) -> None:
    """Stop workers from taking its tasks; enqueueing goes on, and what runs is finished.

    Example: hustlex queue pause mail
    """
    with opened(url) as hx:
        queues = [known_queue(hx, each) for each in name]
        changed = [_done(hx, "pause", hx.jobs.inspector.pause, each) for each in queues]
    print_done(any(changed), "queue.pause/1", as_json=as_json)


@queue.command()
def resume(name: Names, url: Url = None, as_json: AsJson = False) -> None:
    """Let workers take its tasks again.

    Example: hustlex queue resume mail
    """
    with opened(url) as hx:
        queues = [known_queue(hx, each) for each in name]
        changed = [_done(hx, "resume", hx.jobs.inspector.unpause, each) for each in queues]
    print_done(any(changed), "queue.resume/1", as_json=as_json)


@queue.command()
def limit(
    name: Annotated[str, typer.Argument(help="The queue's name; one that has no tasks yet will do")],
    size: Annotated[str, typer.Argument(help="The most unfinished tasks it may hold; none: no limit")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Refuse new tasks while a queue holds so many unfinished ones. Every producer of this package obeys; Go's do not.

    Example: hustlex queue limit mail 10000
    """
    if size != "none" and not (size.isascii() and size.isdecimal() and len(size) < 16):
        raise Misuse("SIZE is no number of tasks", hint="pass a whole number, or none")
    most = None if size == "none" else int(size)
    verb, told = ("lift_limit", None) if most is None else ("limit_queue", str(most))
    with opened(url) as hx, acting(hx, verb, queue=name, most=told):
        hx.jobs.limit_queue(name, max_size=most)
    if as_json:
        print_json("queue.limit/1", {"queue": name, "limit": most})
    else:
        print("no limit any more" if most is None else f"at most {most:,} unfinished tasks")


@queue.command()
def rm(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="With its tasks that wait or are archived")] = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Remove a queue, its counters and finished tasks. Refused while tasks run, and while any wait without --force.

    Example: hustlex queue rm old --force --yes
    """
    with opened(url) as hx:
        [summary] = hx.jobs.inspector.summaries([known_queue(hx, name)])
        held = summary.unfinished + summary.archived
        confirm(f"the queue {name} goes, with {held:,} tasks", yes=yes, word=name)
        with acting(hx, "delete_queue", queue=name), progress(f"removing {name}") as told:
            told(0, held)
            hx.jobs.inspector.delete_queue(name, force=force)
    print_done(True, "queue.rm/1", as_json=as_json)


def _done(hx: HustleX, verb: str, does: Callable[[str], bool], name: str) -> bool:
    with acting(hx, verb, queue=name):
        return does(name)


def row(queue: QueueSummary, servers: list[Server]) -> tuple[Any, ...]:
    """A line of the table."""
    q = queue
    counts = (q.pending, q.active, q.scheduled, q.retry, q.archived)
    state, workers = state_of(q, servers), len(serving(q.name, servers))
    return (q.name, state, workers, *counts, q.latency, q.processed_today, q.failed_today)


def _answer(queue: QueueSummary, servers: list[Server]) -> dict[str, Any]:
    return {**fields_of(queue), "state": state_of(queue, servers), "workers": len(serving(queue.name, servers))}
