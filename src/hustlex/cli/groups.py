"""``hustlex group``: what waits to become a batch?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import visible
from hustlex.cli.output import AsJson, Yes, confirm, fields_of, print_json, print_table
from hustlex.cli.values import known_queue
from hustlex.jobs import State

if TYPE_CHECKING:
    from hustlex.sync import HustleX

group = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name, as `group ls` prints it")]
InQueue = Annotated[str, typer.Option("--queue", "-q", help="The queue it waits in")]
Act = Callable[..., int]


@group.callback()
def noun() -> None:
    """Groups of tasks that wait to become a batch: list, run each by itself, archive, delete."""


@group.command()
def ls(
    queue: Annotated[str, typer.Option("--queue", "-q", help="The queue they wait in")] = "default",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="About so many")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the answer before ended")] = "",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Groups of a queue, in no order: how many tasks, and when the first and the last of them came.

    Example: hustlex group ls --queue mail
    """
    with opened(url) as hx:
        found = hx.jobs.inspector.scan_groups(known_queue(hx, queue), cursor=cursor, size=limit)
    items = [{**fields_of(each), "name": visible("group", each.name)} for each in found.groups]
    if as_json:
        counts = {"number": found.number, "aggregating": found.aggregating}
        print_json("group.list/1", {"items": items, "next": found.cursor or None, **counts})
        return
    rows = ((each["name"], each["size"], each["oldest_at"], each["newest_at"]) for each in items)
    print_table(("group", "tasks", "first came", "last came"), rows)
    if found.aggregating:
        print(f"\n{found.aggregating:,} batches are being made")
    if found.cursor:
        print(f"\nthere are more: --cursor {found.cursor}")


@group.command()
def run(name: Name, queue: InQueue, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Run the tasks of a group now, each by itself.

    Example: hustlex group run digest --queue mail --yes
    """
    with opened(url) as hx:
        _do(hx, hx.jobs.inspector.run_all, "run", "run each by itself", name, queue, yes, as_json)


@group.command()
def archive(name: Name, queue: InQueue, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Put the tasks of a group into the archive, where they wait for somebody.

    Example: hustlex group archive digest --queue mail --yes
    """
    with opened(url) as hx:
        _do(hx, hx.jobs.inspector.archive_all, "archive", "go into the archive", name, queue, yes, as_json)


@group.command()
def rm(name: Name, queue: InQueue, yes: Yes = False, url: Url = None, as_json: AsJson = False) -> None:
    """Delete the tasks of a group.

    Example: hustlex group rm digest --queue mail --yes
    """
    with opened(url) as hx:
        _do(hx, hx.jobs.inspector.delete_all, "rm", "will be deleted", name, queue, yes, as_json)


def _do(hx: HustleX, act: Act, verb: str, does: str, name: str, queue: str, yes: bool, as_json: bool) -> None:
    place = known_queue(hx, queue)
    confirm(f"all tasks of the group {name} {does}", yes=yes, word=name)
    done = {"run": "run_all", "archive": "archive_all", "rm": "delete_all"}[verb]
    with acting(hx, done, queue=place, state=State.AGGREGATING.value, group=name) as told:
        count = told.count = act(place, State.AGGREGATING, group=name)
    if as_json:
        print_json(f"group.{verb}/1", {"group": name, "queue": place, "tasks": count})
    else:
        print(f"{count:,} task{'' if count == 1 else 's'}" if count else "there was nothing")
