"""``hustlex error``: what fails, how often, and since when?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import line, visible
from hustlex.cli.output import AsJson, fields_of, print_json, print_table
from hustlex.cli.values import known_queue
from hustlex.jobs.inspect.errors import ErrorGroup

error = typer.Typer(no_args_is_help=True)

HEADS = ("signature", "queue", "type", "count", "last seen", "error")


@error.callback()
def group() -> None:
    """Errors of tasks, by what they have in common."""


@error.command()
def ls(
    queue: Annotated[list[str] | None, typer.Option("--queue", "-q", help="Only of this queue, repeatable")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Failures that Python workers saw, grouped by type, error and place, the last seen first.

    Without --queue of the 20 queues in which something failed last.
    Example: hustlex error ls --queue mail
    """
    with opened(url) as hx:
        queues = None if not queue else [known_queue(hx, each) for each in queue]
        found = hx.jobs.inspector.error_groups(queues, size=limit)
    if as_json:
        print_json("error.list/1", {"items": [_answer(each) for each in found]})
    else:
        print_table(HEADS, map(row, found))


def row(found: ErrorGroup) -> tuple[Any, ...]:
    """A line of the table."""
    words = ": ".join(part for part in (found.error, line(visible("error", found.message))) if part)
    return found.signature, found.queue, found.type, found.count, found.last_seen, words


def _answer(found: ErrorGroup) -> dict[str, Any]:
    return fields_of(found) | {"message": visible("error", found.message)}
