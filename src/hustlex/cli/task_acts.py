"""``hustlex task run|archive|rm|cancel|clone|reschedule``: what is done to tasks, one by one or to all of a search."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from hustlex.cli import bulk
from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.exits import PARTLY, exit_code
from hustlex.cli.hidden import Reveal
from hustlex.cli.output import AsJson, Yes, confirm, fields_of, print_fields, print_json
from hustlex.cli.task import Id, ProcessAt, ProcessIn, Queue, start_of
from hustlex.cli.values import json_text, json_value, known_queue, queue_of
from hustlex.core.printable import printable
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.jobs import BulkVerb, Enqueued, TooLate

if TYPE_CHECKING:
    from hustlex.sync import HustleX

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of tasks; none with --where")]
Where = Annotated[str | None, typer.Option("--where", "-w", help="All that this finds, as 'state:archived type:gig:*'")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --where: only show what would be done")]


class ActRequest(msgspec.Struct, frozen=True):
    """What is to be done, and to whom. Raises Misuse when it is neither some tasks nor a search."""

    verb: BulkVerb
    ids: list[str] | None
    where: str | None
    queue: str | None
    dry_run: bool
    reveal: bool
    yes: bool
    as_json: bool

    def __post_init__(self) -> None:
        if bool(self.ids) == (self.where is not None):
            raise Misuse("it is not said which tasks", hint="name their ids, or pass --where 'state:archived'")
        if self.ids and self.dry_run:
            raise Misuse("--dry-run goes with --where", hint="leave it out")


def run(
    task_id: Ids = None, where: Where = None, queue: Queue = None, dry_run: DryRun = False, reveal: Reveal = False,
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run tasks now, behind what is pending: scheduled, retried, archived, completed or aggregating ones.

    Exit codes: 0; 4, 5 for one that is not there or not in such a state; 7 when some of several were not done.
    Example: hustlex task run --where 'state:archived type:report:*' --yes
    """
    asked = ActRequest(BulkVerb.RUN, task_id, where, queue, dry_run, reveal, yes, as_json)
    with opened(url) as hx:
        do(hx, asked, hx.jobs.inspector.run)


def archive(
    task_id: Ids = None, where: Where = None, queue: Queue = None, dry_run: DryRun = False, reveal: Reveal = False,
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Put tasks into the archive, where they wait for somebody: pending, scheduled, retried or aggregating ones.

    Exit codes as for `task run`.
    Example: hustlex task archive mail-7 mail-8
    """
    asked = ActRequest(BulkVerb.ARCHIVE, task_id, where, queue, dry_run, reveal, yes, as_json)
    with opened(url) as hx:
        do(hx, asked, hx.jobs.inspector.archive)


def rm(
    task_id: Ids = None, where: Where = None, queue: Queue = None, dry_run: DryRun = False, reveal: Reveal = False,
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Delete tasks that are not active, and give their uniqueness locks back.

    Exit codes as for `task run`.
    Example: hustlex task rm --where 'state:completed ended<7d' --queue mail --dry-run
    """
    asked = ActRequest(BulkVerb.DELETE, task_id, where, queue, dry_run, reveal, yes, as_json)
    with opened(url) as hx:
        if task_id:
            confirm(f"{_tasks(len(task_id))} will be deleted", yes=yes)
        do(hx, asked, hx.jobs.inspector.delete)


def cancel(
    task_id: Ids = None, where: Where = None, queue: Queue = None, dry_run: DryRun = False, reveal: Reveal = False,
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """See to it that tasks never run, or are stopped and not tried again. `worker cancel` stops one attempt.

    Exit codes as for `task run`; 5 for one that has ended.
    Example: hustlex task cancel mail-7 --yes
    """
    asked = ActRequest(BulkVerb.CANCEL, task_id, where, queue, dry_run, reveal, yes, as_json)
    with opened(url) as hx:
        if task_id:
            confirm(f"{_tasks(len(task_id))} will never run", yes=yes)

        def stop(place: str, name: str) -> None:
            if isinstance(hx.jobs.cancel(name, queue=place), TooLate):
                raise Conflict(f"task {name!r} has ended", hint="nothing was cancelled")

        do(hx, asked, stop)


def clone(
    task_id: Id,
    changes: Annotated[
        str | None, typer.Option(help="What changes in its payload, as JSON; null takes a name out; - reads it")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Another queue")] = None,
    queue: Queue = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue a task once more, to run now, under a new id; the header cloned-from names this one.

    Exit codes: 0; 4 it is not there; 5 its payload cannot be changed so, or the queue is full.
    Example: hustlex task clone report-7 --changes '{"week": 2}'
    """
    changed: Any = None if changes is None else json_value("--changes", changes)
    with opened(url) as hx:
        place = queue_of(hx, task_id, queue)
        with acting(hx, "clone", queue=place, task=task_id, changes=json_text(changed), to=to) as act:
            outcome = hx.jobs.inspector.clone(place, task_id, to=to, changes=changed)
            act.ended(outcome, Enqueued)
    if as_json:
        print_json("task.clone/1", {"outcome": type(outcome).__name__, **fields_of(outcome)})
    else:
        print_fields({type(outcome).__name__: getattr(outcome, "id", None) or getattr(outcome, "of", to or place)})
    if not isinstance(outcome, Enqueued):
        raise typer.Exit(5)


def reschedule(
    task_id: Ids = None, process_in: ProcessIn = None, process_at: ProcessAt = None, where: Where = None,
    queue: Queue = None, dry_run: DryRun = False, reveal: Reveal = False, yes: Yes = False, url: Url = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give scheduled and retried tasks another start, one by one or all that a search finds; in the past means now.

    Exit codes as for `task run`.
    Example: hustlex task reschedule mail-7 mail-8 --in 2h
    """
    asked = ActRequest(BulkVerb.RESCHEDULE, task_id, where, queue, dry_run, reveal, yes, as_json)
    start = start_of(process_in, process_at)
    if not start:
        raise Misuse("it is not said when", hint="pass --in 2h or --at")
    moment = start.get("process_at") or datetime.now(UTC) + start["process_in"]
    with opened(url) as hx:
        if queue is not None:
            known_queue(hx, queue)
        do(hx, asked, lambda place, name: hx.jobs.inspector.reschedule(place, name, **start), start_at=moment)


def do(hx: HustleX, asked: ActRequest, one: Callable[[str, str], Any], *, start_at: datetime | None = None) -> None:
    """To some tasks one by one, or to all that a search finds. start_at: the new start, of that search's."""
    if asked.where is None:
        _each(hx, asked, one)
        return
    queue = None if asked.queue is None else known_queue(hx, asked.queue)
    bulk.act(
        hx, asked.verb, asked.where, queue,
        dry_run=asked.dry_run, reveal=asked.reveal, yes=asked.yes, as_json=asked.as_json, start_at=start_at,
    )  # fmt: skip


def _each(hx: HustleX, asked: ActRequest, one: Callable[[str, str], Any]) -> None:
    """One by one. A single one that fails is its error; of several the answer says what was not done."""
    ids, items, failed = asked.ids or [], list[dict[str, Any]](), 0
    for task_id in ids:
        place = asked.queue or ""
        try:
            place = queue_of(hx, task_id, asked.queue)
            with acting(hx, asked.verb.value, queue=place, task=task_id):
                one(place, task_id)
            items.append({"id": task_id, "queue": place, "done": True, "error": None})
        except (NotFound, Conflict) as error:
            if len(ids) == 1:
                raise
            failed = exit_code(error)
            items.append({"id": task_id, "queue": place, "done": False, "error": str(error)})
            print(f"hustlex: {printable(str(error))}", file=sys.stderr)
    done = sum(item["done"] for item in items)
    if asked.as_json:
        print_json(f"task.{asked.verb.value}/1", {"items": items, "done": done, "skipped": len(items) - done})
    else:
        print("done" if done == len(items) else f"{done:,} of {_tasks(len(items))} done")
    if failed:
        raise typer.Exit(PARTLY if done else failed)


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"
