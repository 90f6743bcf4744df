"""``hustlex task``: which tasks are there, why is this one where it is, and what shall become of it?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import Reveal, line, view, visible
from hustlex.cli.output import AsJson, fields_of, print_done, print_fields, print_json, print_table
from hustlex.cli.values import duration, json_text, json_value, known_queue, moment, queue_of
from hustlex.core.printable import printable
from hustlex.errors import Misuse
from hustlex.jobs import Dependency, Enqueued, FoundTasks, TaskInfo, UnreadTask
from hustlex.jobs.enqueue.job import as_job

if TYPE_CHECKING:
    from hustlex.sync import HustleX

task = typer.Typer(no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The task's id")]
Queue = Annotated[str | None, typer.Option("--queue", "-q", help="Its queue; default: look in all")]
ProcessIn = Annotated[str | None, typer.Option("--in", help="Another start: after so long, as 10min or 0s")]
ProcessAt = Annotated[str | None, typer.Option("--at", help="Another start: a moment, with its zone")]

_COLOURS = {"active": "green", "retry": "yellow", "archived": "bold red"}
_PAGE, _MOST_LOOKED_AT = 500, 20_000


@task.callback()
def group() -> None:
    """Tasks: list, explain, run, archive, delete, edit, follow."""


@task.command()
def ls(
    query: Annotated[str, typer.Argument(help="What to find, as 'state:retry error~timeout age>1h'; none: all")] = "",
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Only in this queue")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the answer before ended")] = "",
    reveal: Reveal = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Tasks that a search finds: by state, queue, type, id, error, age, payload and more, as the console's.

    Looks at up to 20,000 tasks. What is hidden is not found without --reveal. Words: docs/guides/dashboard.md.
    Example: hustlex task ls 'state:archived type:report:*'
    """
    with opened(url) as hx:
        queues = None if queue is None else [known_queue(hx, queue)]
        found = _found(hx, query, queues, cursor, limit, reveal)
    if as_json:
        items = [_answer(each, reveal) for each in found.tasks]
        answer = {"items": items, "next": found.cursor or None, "looked_at": found.looked_at}
        print_json("task.list/1", {**answer, "complete": not found.cursor, "unread": found.unread})
        return
    heads = ("id", "queue", "state", "type", "tries", "error, or payload")
    print_table(heads, (_row(each, reveal) for each in found.tasks), _COLOURS)
    if found.unread:
        print(f"\n{len(found.unread):,} more may match: they cannot be looked into (--json names them)")
    if found.cursor:
        print(f"\nlooked at {found.looked_at:,} tasks; there may be more: --cursor {found.cursor}")


def _found(hx: HustleX, query: str, queues: list[str] | None, cursor: str, limit: int, reveal: bool) -> FoundTasks:
    """Pages, until there are enough or enough was looked at."""
    found, unread, looked = list[TaskInfo](), list[UnreadTask](), 0
    while True:
        size = min(limit - len(found), _PAGE)
        page = hx.jobs.inspector.search(query, queues=queues, cursor=cursor, size=size, view=view(reveal=reveal))
        found += page.tasks
        unread += page.unread
        looked, cursor = looked + page.looked_at, page.cursor
        if not cursor or len(found) >= limit or looked >= _MOST_LOOKED_AT:
            return FoundTasks(tuple(found), tuple(unread), cursor, looked, page.queues_left)


@task.command()
def show(task_id: Id, queue: Queue = None, reveal: Reveal = False, url: Url = None, as_json: AsJson = False) -> None:
    """One task: state, attempts, error, times, headers, payload, result. What looks secret or personal is hidden.

    Example: hustlex task show 3f9a01c2-77aa-4b1e-9d6f-0f3c5a4f2b11
    """
    with opened(url) as hx:
        found = hx.jobs.inspector.task(queue_of(hx, task_id, queue), task_id)
    answer = _answer(found, reveal)
    if as_json:
        print_json("task/1", answer)
    else:
        told = {name: line(answer[name]) if answer[name] else None for name in ("payload", "result", "headers")}
        print_fields(answer | told)


@task.command()
def explain(task_id: Id, queue: Queue = None, url: Url = None, as_json: AsJson = False) -> None:
    """Why a task is not running, when it will, and why it ran more than once. Also steps that have not started.

    Exit codes: 0; 4 when no queue knows it.
    Example: hustlex task explain 3f9a01c2-77aa-4b1e-9d6f-0f3c5a4f2b11
    """
    with opened(url) as hx:
        found = hx.jobs.explain(task_id, queue=None if queue is None else known_queue(hx, queue))
    hidden = {name: visible("error", getattr(found, name)) for name in ("words", "repeats", "last_error")}
    if as_json:
        print_json("task.explain/1", fields_of(found) | hidden | {"waits_for": _steps(found.waits_for)})
    else:
        where = f"{found.queue}, {found.state.value}" if found.state else found.queue or "no queue"
        print_fields({printable(task_id): where})
        print("\n".join(printable(each) for each in dict.fromkeys((*hidden["words"], *hidden["repeats"]))))
    if not found.queue:
        raise typer.Exit(4)


@task.command()
def enqueue(
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="The task's type, as mail:send")],
    payload: Annotated[
        str | None, typer.Argument(help="Its arguments as JSON; - reads them from standard input")
    ] = None,
    queue: Annotated[str, typer.Option("--queue", "-q", help="Where it goes")] = "default",
    task_id: Annotated[str | None, typer.Option("--id", help="An id that no other task of the queue has")] = None,
    process_in: Annotated[str | None, typer.Option("--in", help="Not before this has passed, as 10min")] = None,
    process_at: Annotated[str | None, typer.Option("--at", help="Not before this moment, with its zone")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue a task by its type.

    Exit codes: 0; 5 when it was not taken: another holds its id or lock, or the queue is full.
    Example: hustlex task enqueue mail:send '{"to": 7}' --queue mail --in 10min
    """
    value = None if payload is None else json_value("PAYLOAD", payload)
    job = as_job(task_type, value)
    options: Any = {"queue": queue, **({"task_id": task_id} if task_id else {}), **start_of(process_in, process_at)}
    target: Any = {"queue": queue, "task": task_id, "type": task_type, "payload": json_text(value)}
    with opened(url) as hx, acting(hx, "enqueue", when=process_in or process_at, **target) as act:
        outcome = hx.jobs.enqueue(job, **options)
        act.ended(outcome, Enqueued)
    taken = isinstance(outcome, Enqueued)
    if as_json:
        print_json("task.enqueue/1", {"outcome": type(outcome).__name__, **fields_of(outcome)})
    else:
        print_fields({type(outcome).__name__: getattr(outcome, "id", None) or getattr(outcome, "of", queue)})
    if not taken:
        raise typer.Exit(5)


@task.command()
def edit(
    task_id: Id,
    payload: Annotated[str | None, typer.Option(help="Its new arguments as JSON; - reads standard input")] = None,
    process_in: ProcessIn = None,
    process_at: ProcessAt = None,
    queue: Queue = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give a scheduled task another payload, or a scheduled or retried one another start.

    Example: hustlex task edit mail-7 --payload '{"to": 8}' --in 10min
    """
    start: Any = start_of(process_in, process_at)
    if payload is None and not start:
        raise Misuse("there is nothing to change", hint="pass --payload, --in or --at")
    value = None if payload is None else json_value("--payload", payload)
    with opened(url) as hx:
        place = queue_of(hx, task_id, queue)
        told: Any = {"queue": place, "task": task_id, "changes": json_text(value), "when": process_in or process_at}
        with acting(hx, "edit", **told):
            if payload is not None:
                hx.jobs.inspector.update_payload(place, task_id, value)
            if start:
                hx.jobs.inspector.reschedule(place, task_id, **start)
    print_done(True, "task.edit/1", as_json=as_json)


def start_of(process_in: str | None, process_at: str | None) -> dict[str, Any]:
    """What `--in` or `--at` says, as options of an enqueue; neither: nothing. Raises Misuse."""
    if process_in is not None and process_at is not None:
        raise Misuse("--in and --at exclude each other", hint="pass one of them")
    if process_at is not None:
        return {"process_at": moment("--at", process_at)}
    return {} if process_in is None else {"process_in": duration("--in", process_in)}


def _answer(task: TaskInfo, reveal: bool) -> dict[str, Any]:
    """Its fields, as far as they may be shown."""
    kinds = {"payload": "payload", "result": "result", "headers": "header", "last_error": "error"}
    shown = {
        name: visible(kind, getattr(task, name), reveal=reveal, task_type=task.type) for name, kind in kinds.items()
    }
    return fields_of(task) | shown


def _row(task: TaskInfo, reveal: bool) -> tuple[Any, ...]:
    answer = _answer(task, reveal)
    note = answer["last_error"] or ("" if task.payload is None else answer["payload"])
    return task.id, task.queue, task.state, task.type, f"{task.retried}/{task.max_retry}", line(note)


def _steps(waits_for: Iterable[Dependency]) -> list[dict[str, Any]]:
    return [{**fields_of(step), "error": visible("error", step.error)} for step in waits_for]
