"""``hustlex worker ls|stop|cancel``: who works, on what, and how one of them is stopped from here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.output import AsJson, Yes, confirm, fields_of, print_json, print_table
from hustlex.cli.values import meant
from hustlex.cli.worker import start
from hustlex.core.words import size
from hustlex.errors import Conflict, NotFound
from hustlex.jobs import Server


class ModulesFirst(TyperGroup):
    """``hustlex worker app.jobs`` is short for ``hustlex worker start app.jobs``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb before a module, and before options; leave what is a verb, or was meant as one."""
        if args and args[0] not in (*self.commands, "--help") and not self._mistyped(args[0]):
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def _mistyped(self, word: str) -> bool:
        here = Path(word)
        return bool(meant(word, self.commands)) and not here.exists() and not here.with_suffix(".py").exists()


worker = typer.Typer(cls=ModulesFirst, no_args_is_help=True, subcommand_metavar="MODULE... | COMMAND [ARGS]...")

Which = Annotated[str, typer.Argument(metavar="WORKER", help="host:pid or id, as `worker ls` prints it")]
TaskId = Annotated[str, typer.Argument(help="The id of a task that runs")]

HEADS = ("worker", "id", "language", "status", "busy", "slots", "queues", "up for", "loop lag", "memory", "wrong")
RUNNING_HEADS = ("task", "type", "queue", "for", "deadline", "on")


@worker.callback()
def group() -> None:
    """Workers: start one, with `hustlex worker MODULE`; list them, stop one, cut an attempt off."""


worker.command("start")(start)


@worker.command()
def ls(
    tasks: Annotated[bool, typer.Option("--tasks", help="And what each runs now, the longest first")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Workers of any language that gave a sign of life in the last seconds.

    Example: hustlex worker ls --tasks
    """
    with opened(url) as hx:
        found = hx.jobs.inspector.servers()
    if as_json:
        print_json("worker.list/1", {"items": [answer(each) for each in found]})
        return
    print_table(HEADS, map(row, found))
    if tasks:
        print()
        print_table(RUNNING_HEADS, running(found))


@worker.command()
def stop(which: Which, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Ask one worker to stop, as SIGTERM does: no more tasks, and its grace for those it runs. Go's do not hear it.

    Whatever keeps it running starts it again: `hustlex up`, `--processes`, an orchestrator.
    Exit codes: 0; 4 there is no such worker; 5 it did not hear.
    Example: hustlex worker stop app-7:4711 --yes
    """
    with opened(url) as hx:
        found = _one(hx.jobs.inspector.servers(), which)
        confirm(f"the worker {_name(found)} stops, with {found.active_worker_count} tasks in hand", yes=yes)
        with acting(hx, "stop_worker", worker=found.id) as act:
            heard = hx.jobs.inspector.stop_worker(found.id)
            act.failed = "" if heard else "NotHeard"
    if not heard:
        raise Conflict(f"the worker {_name(found)} did not hear it", hint="send SIGTERM to its process")
    if as_json:
        print_json("worker.stop/1", {"id": found.id, "worker": _name(found), "heard": heard})
    else:
        print(f"{_name(found)} was told to stop")


@worker.command()
def cancel(task_id: TaskId, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Ask whoever runs a task to cut this attempt off; it is tried again later. `task cancel` ends it for good.

    Exit codes: 0; 4 nobody runs it; 5 nobody heard.
    Example: hustlex worker cancel 3f9a01c2-77aa-4b1e-9d6f-0f3c5a4f2b11 --yes
    """
    with opened(url) as hx:
        found = hx.jobs.explain(task_id)
        if found.state != "active":
            raise NotFound(f"nobody runs a task {task_id!r}", hint="hustlex task explain tells where it is")
        confirm(f"this attempt of the task {task_id} is cut off", yes=yes)
        with acting(hx, "cancel_attempt", queue=found.queue, task=task_id) as act:
            heard = hx.jobs.inspector.cancel(task_id)
            act.failed = "" if heard else "NotHeard"
    if not heard:
        raise Conflict("no worker heard it", hint="is its link to the server broken? hustlex worker ls")
    if as_json:
        print_json("worker.cancel/1", {"id": task_id, "heard": heard})
    else:
        print(f"{found.running_on or 'its worker'} was told")


def row(server: Server) -> tuple[Any, ...]:
    """A line of the table."""
    queues = [f"{name} {weight}" for name, weight in server.queues.items()]
    language = "other" if server.served is None else "python"
    busy, up = server.active_worker_count, datetime.now(UTC) - server.started_at
    told = server.vitals
    stands = (timedelta(seconds=told.lag), size(told.memory), told.wrong) if told else (None, None, None)
    return _name(server), server.id, language, server.status, busy, server.concurrency, queues, up, *stands


def running(servers: list[Server]) -> list[tuple[Any, ...]]:
    """Lines of what runs, the longest first."""
    found = sorted(((task, each) for each in servers for task in each.running), key=lambda one: one[0].started_at)
    now = datetime.now(UTC)
    return [(t.id, t.type, t.queue, now - t.started_at, t.deadline, _name(each)) for t, each in found]


def answer(server: Server) -> dict[str, Any]:
    """Without what the tasks carry."""
    tasks = [{name: value for name, value in fields_of(task).items() if name != "payload"} for task in server.running]
    return {**fields_of(server), "worker": _name(server), "running": tasks}


def _one(servers: list[Server], which: str) -> Server:
    found = [each for each in servers if which in (each.id, _name(each))]
    if len(found) == 1:
        return found[0]
    if found:
        raise Conflict(f"{len(found)} workers are {which!r}", hint="name one by its id")
    names = [name for each in servers for name in (_name(each), each.id)]
    raise NotFound(f"there is no worker {which!r}", hint=meant(which, names) or "hustlex worker ls lists them")


def _name(server: Server) -> str:
    return f"{server.host}:{server.pid}"
