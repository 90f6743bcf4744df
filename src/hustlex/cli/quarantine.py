"""``hustlex quarantine``: what did workers set aside, and does it go back?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.output import AsJson, Yes, confirm, print_done, print_json, print_table
from hustlex.cli.task import Id, Queue
from hustlex.cli.values import known_queue
from hustlex.errors import Misuse
from hustlex.jobs import ParkedMessage
from hustlex.jobs.wire import decode_task

quarantine = typer.Typer(no_args_is_help=True)

InQueue = Annotated[str, typer.Option("--queue", "-q", help="Its queue, as `quarantine ls` prints it")]


@quarantine.callback()
def group() -> None:
    """Messages that workers could not decode, and set aside: list, put back, delete."""


@quarantine.command()
def ls(
    queue: Queue = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="About so many of each queue")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the answer before ended; with --queue")] = "",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Messages that were set aside, of all queues that have some, or of one. They are kept for 30 days.

    Of what can be decoded the task's type is told, of anything else nothing: nobody knows what in it must be hidden.
    Example: hustlex quarantine ls
    """
    if cursor and not queue:
        raise Misuse("--cursor is of one queue", hint="pass its --queue, too")
    with opened(url) as hx:
        inspector = hx.jobs.inspector
        known = [known_queue(hx, queue)] if queue else [each.name for each in inspector.summaries() if each.quarantined]
        pages = {name: inspector.quarantined(name, cursor=cursor, size=limit) for name in known}
    items = [_answer(name, message) for name, page in pages.items() for message in page.messages]
    more = {name: page.cursor for name, page in pages.items() if page.cursor}
    if as_json:
        total = sum(page.number for page in pages.values())
        print_json("quarantine.list/1", {"items": items, "next": more, "number": total, "complete": not more})
        return
    heads = ("id", "queue", "bytes", "can be put back", "type")
    print_table(heads, ([each[name] for name in ("id", "queue", "size", "readable", "type")] for each in items))
    for name, after in more.items():
        print(f"\nthere are more in {name}: --queue {name} --cursor {after}")


@quarantine.command("put-back")
def put_back(task_id: Id, queue: InQueue, url: Url = None, as_json: AsJson = False) -> None:
    """Make a message pending again, behind what is: once a worker runs that can decode it.

    Exit codes: 0; 4 it is not there; 5 this version cannot decode it, either.
    Example: hustlex quarantine put-back mail-5 --queue mail
    """
    with opened(url) as hx:
        place = known_queue(hx, queue)
        with acting(hx, "put_back", queue=place, task=task_id):
            hx.jobs.inspector.put_back(place, task_id)
    print_done(True, "quarantine.put_back/1", as_json=as_json)


@quarantine.command()
def rm(task_id: Id, queue: InQueue, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Delete a message that was set aside.

    Exit codes: 0; 4 it is not there.
    Example: hustlex quarantine rm mail-6 --queue mail --yes
    """
    with opened(url) as hx:
        place = known_queue(hx, queue)
        confirm(f"the message {task_id} will be deleted", yes=yes)
        with acting(hx, "discard", queue=place, task=task_id):
            hx.jobs.inspector.discard(place, task_id)
    print_done(True, "quarantine.rm/1", as_json=as_json)


def _answer(queue: str, message: ParkedMessage) -> dict[str, Any]:
    task_type = decode_task(message.begin).type if message.readable else None
    return {"id": message.id, "queue": queue, "size": message.size, "readable": message.readable, "type": task_type}
