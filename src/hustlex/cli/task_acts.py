"""``hustlex task run|archive|rm|cancel``: what is done to tasks, one by one or to all of a state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer

from hustlex.cli.client import Url, opened
from hustlex.cli.exits import PARTLY, exit_code
from hustlex.cli.output import AsJson, Yes, confirm, print_json
from hustlex.cli.progress import progress
from hustlex.cli.task import Queue
from hustlex.cli.values import known_queue, queue_of
from hustlex.core.printable import printable
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.jobs import State, TooLate
from hustlex.sync import HustleX

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of tasks; none with --all")]
SomeIds = Annotated[list[str], typer.Argument(help="Ids of tasks")]
All = Annotated[bool, typer.Option("--all", help="All tasks of --state in --queue")]
OfState = Annotated[State | None, typer.Option("--state", "-s", help="With --all: of which state")]
OfGroup = Annotated[str, typer.Option("--group", help="With --state aggregating: of which group")]


class ManyTasks(msgspec.Struct, frozen=True):
    """Whom an act is for."""

    ids: list[str] | None
    every: bool
    queue: str | None
    state: State | None
    group: str

    def judged(self) -> ManyTasks:
        """The same. Raises Misuse when it is neither some tasks nor all of a state."""
        if bool(self.ids) == self.every:
            raise Misuse("it is not said which tasks", hint="name their ids, or pass --all with --queue and --state")
        if self.every and (self.queue is None or self.state is None):
            raise Misuse("--all needs --queue and --state", hint="as: --all --queue mail --state archived")
        if not self.every and (self.state is not None or self.group):
            raise Misuse("--state and --group go with --all", hint="leave them out for tasks that are named")
        return self


def run(
    task_id: Ids = None, every: All = False, queue: Queue = None, state: OfState = None, group: OfGroup = "",
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run tasks now, behind what is pending: scheduled, retried, archived, completed or aggregating ones.

    Exit codes: 0; 4, 5 for one that is not there or not in such a state; 7 when some of several were not done.
    Example: hustlex task run --all --queue mail --state archived
    """
    whom = ManyTasks(task_id, every, queue, state, group).judged()
    with opened(url) as hx:
        inspector = hx.jobs.inspector
        if whom.every:
            _all(hx, whom, "run", inspector.run_all, yes=yes, as_json=as_json)
        else:
            _each(hx, whom, "run", inspector.run, as_json=as_json)


def archive(
    task_id: Ids = None, every: All = False, queue: Queue = None, state: OfState = None, group: OfGroup = "",
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Put tasks into the archive, where they wait for somebody: pending, scheduled, retried or aggregating ones.

    Exit codes as for `task run`.
    Example: hustlex task archive mail-7 mail-8
    """
    whom = ManyTasks(task_id, every, queue, state, group).judged()
    with opened(url) as hx:
        inspector = hx.jobs.inspector
        if whom.every:
            _all(hx, whom, "archive", inspector.archive_all, yes=yes, as_json=as_json)
        else:
            _each(hx, whom, "archive", inspector.archive, as_json=as_json)


def rm(
    task_id: Ids = None, every: All = False, queue: Queue = None, state: OfState = None, group: OfGroup = "",
    yes: Yes = False, url: Url = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Delete tasks that are not active, and give their uniqueness locks back.

    Exit codes as for `task run`.
    Example: hustlex task rm --all --queue mail --state completed --yes
    """
    whom = ManyTasks(task_id, every, queue, state, group).judged()
    with opened(url) as hx:
        inspector = hx.jobs.inspector
        if whom.every:
            _all(hx, whom, "rm", inspector.delete_all, yes=yes, as_json=as_json)
        else:
            confirm(f"{_tasks(len(whom.ids or ()))} will be deleted", yes=yes)
            _each(hx, whom, "rm", inspector.delete, as_json=as_json)


def cancel(task_id: SomeIds, queue: Queue = None, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """See to it that tasks never run, or are stopped and not tried again. `worker cancel` stops one attempt.

    Exit codes as for `task run`; 5 for one that has ended.
    Example: hustlex task cancel mail-7 --yes
    """
    with opened(url) as hx:
        confirm(f"{_tasks(len(task_id))} will never run", yes=yes)

        def stop(place: str, name: str) -> None:
            if isinstance(hx.jobs.cancel(name, queue=place), TooLate):
                raise Conflict(f"task {name!r} has ended", hint="nothing was cancelled")

        _each(hx, ManyTasks(task_id, False, queue, None, ""), "cancel", stop, as_json=as_json)


def _each(hx: HustleX, whom: ManyTasks, verb: str, act: Callable[[str, str], Any], *, as_json: bool) -> None:
    """One by one. A single one that fails is its error; of several the answer says what was not done."""
    ids, items, failed = whom.ids or [], list[dict[str, Any]](), 0
    for task_id in ids:
        place = whom.queue or ""
        try:
            place = queue_of(hx, task_id, whom.queue)
            act(place, task_id)
            items.append({"id": task_id, "queue": place, "done": True, "error": None})
        except (NotFound, Conflict) as error:
            if len(ids) == 1:
                raise
            failed = exit_code(error)
            items.append({"id": task_id, "queue": place, "done": False, "error": str(error)})
            print(f"hustlex: {printable(str(error))}", file=sys.stderr)
    done = sum(item["done"] for item in items)
    if as_json:
        print_json(f"task.{verb}/1", {"items": items, "done": done, "skipped": len(items) - done})
    else:
        print("done" if done == len(items) else f"{done:,} of {_tasks(len(items))} done")
    if failed:
        raise typer.Exit(PARTLY if done else failed)


def _all(hx: HustleX, whom: ManyTasks, verb: str, act: Callable[..., int], *, yes: bool, as_json: bool) -> None:
    """All of a state, with a bar, once somebody has typed how many that is."""
    assert whom.queue is not None
    assert whom.state is not None
    count = _count(hx, known_queue(hx, whom.queue), whom.state, whom.group)
    what = {"run": "run now", "archive": "go into the archive", "rm": "be deleted"}[verb]
    if count:
        confirm(f"{_tasks(count, whom.state.value)} of {whom.queue} will {what}", yes=yes, word=str(count))
    with progress(f"{verb} {whom.state.value}") as told:
        done = act(whom.queue, whom.state, group=whom.group, progress=told)
    if as_json:
        print_json(f"task.{verb}/1", {"items": [], "done": done, "skipped": max(0, count - done)})
    else:
        print(f"{_tasks(done)} done" if done else "there was nothing")


def _count(hx: HustleX, queue: str, state: State, group: str) -> int:
    if state is State.AGGREGATING:
        return sum(each.size for each in hx.jobs.inspector.groups(queue) if each.name == group)
    [summary] = hx.jobs.inspector.summaries([queue])
    return int(getattr(summary, state.value))


def _tasks(count: int, state: str = "") -> str:
    return f"{count:,} {f'{state} ' if state else ''}task{'' if count == 1 else 's'}"
