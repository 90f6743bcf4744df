"""``hustlex cron``: did it fire, when next, and how is that changed?"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import Reveal, line, visible
from hustlex.cli.output import AsJson, Yes, confirm, fields_of, print_done, print_fields, print_json, print_table
from hustlex.cli.values import json_text, json_value, meant
from hustlex.errors import Misuse, NotFound
from hustlex.jobs import Enqueued, Job, PeriodicInfo, ScheduleInfo
from hustlex.jobs.enqueue.job import as_job
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, option_texts
from hustlex.jobs.schedule.periodic import define

if TYPE_CHECKING:
    from hustlex.sync import HustleX

cron = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The entry's name, as `cron ls` prints it")]

_COLOURS = {"paused": "yellow", "broken": "bold red", "silent": "bold red"}


@cron.callback()
def group() -> None:
    """Periodic entries: list, run now, pause, add, edit, remove; when a spec fires."""


@cron.command()
def ls(url: Url = None, as_json: AsJson = False) -> None:
    """Entries that are stored, those in our schedulers' code, and those of living schedulers of other languages.

    Example: hustlex cron ls
    """
    with opened(url) as hx:
        ours = hx.jobs.schedules.all()
        known = {each.id for each in ours}
        others = [each for each in hx.jobs.inspector.scheduler_entries() if each.id not in known]
    items = [*map(_answer, ours), *map(_other, others)]
    if as_json:
        print_json("cron.list/1", {"items": items})
        return
    heads = ("name", "spec", "type", "queue", "where", "state", "next")
    print_table(heads, ([each[name] for name in (*heads[:6], "next_at")] for each in items), _COLOURS)


@cron.command()
def show(
    name: Name,
    firings: Annotated[int, typer.Option(min=1, max=1_000, help="How many of the last firings")] = 10,
    reveal: Reveal = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """One entry, and which tasks its last firings made.

    Example: hustlex cron show report
    """
    with opened(url) as hx:
        found = _found(hx, name)
        events = hx.jobs.inspector.enqueue_events(found.id, size=firings).events
    payload = visible("payload", found.job.payload, reveal=reveal, task_type=found.job.type)
    answer = {**_answer(found), "dst": found.dst, "missed": found.missed, "trouble": found.trouble, "payload": payload}
    if as_json:
        print_json("cron/1", {**answer, "firings": events})
        return
    print_fields({**answer, "payload": None if payload is None else line(payload)})
    print()
    print_table(("fired", "task"), ((each.at, each.task_id) for each in events))


@cron.command()
def run(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Enqueue an entry's job now, also while it is paused; its next instant stays as it is.

    Exit codes: 0; 4 there is no such entry; 5 its job was not taken, as its uniqueness lock is held.
    Example: hustlex cron run report
    """
    with opened(url) as hx:
        found = _found(hx, name)
        with acting(hx, "fire", entry=found.name, place=_queue(found)) as act:
            outcome = hx.jobs.schedules.run(found.name)
            act.ended(outcome, Enqueued)
    if as_json:
        print_json("cron.run/1", {"outcome": type(outcome).__name__, **fields_of(outcome)})
    else:
        print_fields({type(outcome).__name__: getattr(outcome, "id", None) or getattr(outcome, "of", outcome.queue)})
    if not isinstance(outcome, Enqueued):
        raise typer.Exit(5)


@cron.command()
def pause(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Stop firing an entry, stored or in code, until `cron resume`.

    Example: hustlex cron pause report
    """
    with opened(url) as hx:
        found = _found(hx, name)
        with acting(hx, "pause_entry", entry=found.name, place=_queue(found)):
            done = hx.jobs.schedules.pause(found.name)
    print_done(done, "cron.pause/1", as_json=as_json)


@cron.command()
def resume(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Fire an entry again from now on; the pause is not made up for.

    Example: hustlex cron resume report
    """
    with opened(url) as hx:
        found = _found(hx, name)
        with acting(hx, "resume_entry", entry=found.name, place=_queue(found)):
            done = hx.jobs.schedules.resume(found.name)
    print_done(done, "cron.resume/1", as_json=as_json)


@cron.command()
def add(
    name: Annotated[str, typer.Argument(help="A name that no other entry has")],
    spec: Annotated[str, typer.Argument(help="When: five fields, @daily, or '@every 10m'")],
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="The task's type, as report:build")],
    payload: Annotated[str | None, typer.Argument(help="Its arguments as JSON; - reads standard input")] = None,
    queue: Annotated[str, typer.Option("--queue", "-q", help="Where its tasks go")] = DEFAULT_QUEUE,
    timezone: Annotated[str, typer.Option(help="Of the spec, as Africa/Lagos")] = "UTC",
    missed: Annotated[
        Literal["skip", "once", "all"], typer.Option(help="Instants without a scheduler: dropped, the last one, or all")
    ] = "skip",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Store an entry beside those in code; running schedulers follow within 2 seconds. The same again changes nothing.

    Exit codes: 0; 2 for a spec that can never work; 5 when another entry has the name.
    Example: hustlex cron add weekly '0 7 * * 1' report:build '{"week": 1}' --timezone Africa/Lagos
    """
    value = None if payload is None else json_value("PAYLOAD", payload)
    job: Job = as_job(task_type, value)
    told = {"spec": spec, "timezone": timezone, "missed": missed, "type": task_type, "payload": json_text(value)}
    with opened(url) as hx:
        job = job.with_options(queue=queue)
        with acting(hx, "add_entry", entry=name, queue=queue, **told):
            hx.jobs.schedules.add(name, spec, job, timezone=timezone, missed=missed)
        found = hx.jobs.schedules.get(name)
    if as_json:
        print_json("cron.add/1", _answer(found))
    else:
        print_fields({"next": found.next_at})


@cron.command()
def edit(
    name: Name,
    spec: Annotated[str | None, typer.Option(help="When it fires from now on")] = None,
    timezone: Annotated[str | None, typer.Option(help="Of the new spec, as Africa/Lagos; without: UTC")] = None,
    missed: Annotated[
        Literal["skip", "once", "all"] | None, typer.Option(help="Instants without a scheduler: as of `cron add`")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change when a stored entry fires; its job and a pause stay. One in code is changed there.

    Exit codes: 0; 2 for a spec that can never work; 4 there is no such entry; 5 it stands in code.
    Example: hustlex cron edit report --spec '0 8 * * 1' --timezone Africa/Lagos
    """
    given: Any = {"spec": spec, "timezone": timezone, "missed": missed}
    changes = {option: value for option, value in given.items() if value is not None}
    if not changes or (timezone is not None and spec is None):
        raise Misuse("it is not said how", hint="pass --spec, with --timezone where it has one, or --missed")
    with opened(url) as hx:
        found = _found(hx, name)
        with acting(hx, "edit_entry", entry=found.name, place=_queue(found), **changes):
            hx.jobs.schedules.change(found.name, **changes)
        changed = hx.jobs.schedules.get(found.name)
    if as_json:
        print_json("cron.edit/1", _answer(changed))
    else:
        print_fields({"next": changed.next_at})


@cron.command("next")
def next_(
    spec: Annotated[str, typer.Argument(help="When: five fields, @daily, or '@every 10m'")],
    timezone: Annotated[str, typer.Option(help="Of the spec, as Africa/Lagos")] = "UTC",
    count: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many instants")] = 5,
    as_json: AsJson = False,
) -> None:
    """When a spec would fire next, in its own zone and in UTC. Asks no server.

    Exit codes: 0; 2 for a spec that can never work.
    Example: hustlex cron next '0 7 * * 1' --timezone Africa/Lagos
    """
    entry, at_ms = define("next", spec, Job("next"), timezone=timezone), time.time_ns() // 1_000_000
    found = list[datetime]()
    while len(found) < count and (at_ms := entry.next_ms(at_ms)) >= 0:
        found.append(datetime.fromtimestamp(at_ms / 1000, UTC))
    zone = ZoneInfo(timezone)
    items = [{"at": at, "local": at.astimezone(zone).isoformat(" ", "seconds")} for at in found]
    if as_json:
        print_json("cron.next/1", {"spec": spec, "timezone": timezone, "items": items})
    else:
        print_table((f"in {timezone}", "UTC"), ((each["local"], each["at"]) for each in items))


@cron.command()
def rm(name: Name, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Forget a stored entry; what it enqueued stays. One in code is removed there.

    Example: hustlex cron rm report --yes
    """
    with opened(url) as hx:
        found = _found(hx, name)
        confirm(f"the entry {found.name} goes", yes=yes)
        with acting(hx, "remove_entry", entry=found.name, place=_queue(found)):
            done = hx.jobs.schedules.remove(found.name)
    print_done(done, "cron.rm/1", as_json=as_json)


def _found(hx: HustleX, name: str) -> ScheduleInfo:
    """Raises NotFound, with the name that may have been meant."""
    try:
        return hx.jobs.schedules.get(name)
    except NotFound as error:
        names = [each.name for each in hx.jobs.schedules.all()]
        raise NotFound(error.message, hint=meant(name, names) or "hustlex cron ls lists them") from None


def _queue(entry: ScheduleInfo) -> str:
    return entry.job.options.get("queue", DEFAULT_QUEUE)


def _answer(entry: ScheduleInfo) -> dict[str, Any]:
    options = entry.job.options
    return {
        "name": entry.name,
        "spec": entry.spec,
        "type": entry.job.type,
        "queue": _queue(entry),
        "where": "code" if entry.in_code else "stored",
        "state": "broken" if entry.trouble else "paused" if entry.paused else "fires" if entry.next_at else "silent",
        "next_at": entry.next_at,
        "options": option_texts(options),
    }


def _other(entry: PeriodicInfo) -> dict[str, Any]:
    """One of another language: what is known of it."""
    queue = next((each[7:-2] for each in entry.options if each.startswith('Queue("')), DEFAULT_QUEUE)
    told = {"name": entry.id, "spec": entry.spec, "type": entry.type, "queue": queue, "where": "elsewhere"}
    return {**told, "state": "fires", "next_at": entry.next_at, "options": entry.options}
