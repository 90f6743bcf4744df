"""``hustlex task clone|reschedule``: the same again, or at another time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import Reveal
from hustlex.cli.output import AsJson, Yes, fields_of, print_fields, print_json
from hustlex.cli.task import Id, ProcessAt, ProcessIn, Queue, start_of
from hustlex.cli.task_acts import ActRequest, DryRun, Ids, Where, do
from hustlex.cli.values import json_text, json_value, known_queue, queue_of
from hustlex.errors import Misuse
from hustlex.jobs import BulkVerb, Enqueued


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
