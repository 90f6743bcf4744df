"""``hustlex error``: what fails, how often, and since when?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli import bulk
from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.hidden import Reveal, line, visible
from hustlex.cli.output import AsJson, Yes, fields_of, print_done, print_fields, print_json, print_table
from hustlex.cli.values import duration, known_queue, meant
from hustlex.errors import NotFound
from hustlex.jobs import BulkVerb, ErrorGroup, Muted
from hustlex.jobs.search.query import quoted

if TYPE_CHECKING:
    from hustlex.sync import HustleX

error = typer.Typer(no_args_is_help=True)

Signature = Annotated[str, typer.Argument(help="Of the group, as `error ls` prints it")]
InQueue = Annotated[str, typer.Option("--queue", "-q", help="The queue in which they failed")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done")]

_MOST = 100
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


@error.command()
def show(signature: Signature, queue: InQueue, url: Url = None, as_json: AsJson = False) -> None:
    """One group: what the last failure said, and the last tasks that failed so.

    Exit codes: 0; 4 there is no such group: they are kept for 30 days after the last failure.
    Example: hustlex error show 6f0c2a9d4b7e1835 --queue mail
    """
    with opened(url) as hx:
        found = _found(hx, queue, signature)
    if as_json:
        print_json("error/1", _answer(found))
        return
    print_fields({**_answer(found), "message": line(visible("error", found.message)), "muted": _words(found.muted)})


@error.command()
def run(signature: Signature, queue: InQueue, dry_run: DryRun = False, reveal: Reveal = False, yes: Yes = False,
    url: Url = None, as_json: AsJson = False) -> None:  # fmt: skip
    """Run all that failed so and wait for another try or are archived: found and shown first, then done in steps.

    Found are tasks of its type whose error has its class and the words of its last failure, wherever it was raised.
    Exit codes: 0; 4 there is no such group; 7 some tasks were left alone.
    Example: hustlex error run 6f0c2a9d4b7e1835 --queue mail --yes
    """
    _act(BulkVerb.RUN, signature, queue, dry_run=dry_run, reveal=reveal, yes=yes, url=url, as_json=as_json)


@error.command()
def archive(signature: Signature, queue: InQueue, dry_run: DryRun = False, reveal: Reveal = False, yes: Yes = False,
    url: Url = None, as_json: AsJson = False) -> None:  # fmt: skip
    """Archive all tasks that wait for another try after such a failure. Within an hour `bulk undo` puts them back.

    Found as for `error run`.
    Exit codes: 0; 4 there is no such group; 7 some tasks were left alone.
    Example: hustlex error archive 6f0c2a9d4b7e1835 --queue mail --yes
    """
    _act(BulkVerb.ARCHIVE, signature, queue, dry_run=dry_run, reveal=reveal, yes=yes, url=url, as_json=as_json)


@error.command()
def mute(
    signature: Signature,
    queue: InQueue,
    length: Annotated[
        str | None, typer.Option("--for", help="As 4h, 30d at most; default: until it fails again")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let a group need no attention, on the console's home and in alerts; it is counted on.

    Exit codes: 0; 4 there is no such group.
    Example: hustlex error mute 6f0c2a9d4b7e1835 --queue mail --for 4h
    """
    span = None if length is None else duration("--for", length)
    with opened(url) as hx:
        place = known_queue(hx, queue)
        with acting(hx, "mute", queue=place, signature=signature, length=length or ""):
            hx.jobs.inspector.mute_errors(place, signature, length=span)
    print_done(True, "error.mute/1", as_json=as_json)


@error.command()
def unmute(signature: Signature, queue: InQueue, url: Url = None, as_json: AsJson = False) -> None:
    """Let a group need attention as any other.

    Exit codes: 0; 4 there is no such group.
    Example: hustlex error unmute 6f0c2a9d4b7e1835 --queue mail
    """
    with opened(url) as hx:
        place = known_queue(hx, queue)
        with acting(hx, "unmute", queue=place, signature=signature):
            hx.jobs.inspector.unmute_errors(place, signature)
    print_done(True, "error.unmute/1", as_json=as_json)


def _act(
    verb: BulkVerb,
    signature: str,
    queue: str,
    *,
    dry_run: bool,
    reveal: bool,
    yes: bool,
    url: str | None,
    as_json: bool,
) -> None:
    with opened(url) as hx:
        found = _found(hx, queue, signature)
        query = f"state:retry,archived sig:{quoted(found.signature)}"
        bulk.act(hx, verb, query, found.queue, dry_run=dry_run, reveal=reveal, yes=yes,
                 as_json=as_json, schema=f"error.{verb.value}/1")  # fmt: skip


def _found(hx: HustleX, queue: str, signature: str) -> ErrorGroup:
    """Raises NotFound."""
    groups = hx.jobs.inspector.error_groups([known_queue(hx, queue)], size=_MOST)
    found = next((each for each in groups if each.signature == signature), None)
    if found is None:
        hint = meant(signature, [each.signature for each in groups]) or "hustlex error ls lists them"
        raise NotFound(f"queue {queue!r} knows no failures {signature!r}", hint=hint)
    return found


def row(found: ErrorGroup) -> tuple[Any, ...]:
    """A line of the table."""
    words = ": ".join(part for part in (found.error, line(visible("error", found.message))) if part)
    return found.signature, found.queue, found.type, found.count, found.last_seen, words


def _words(mute: Muted | None) -> str | None:
    if mute is None:
        return None
    return f"until {mute.until:%Y-%m-%d %H:%M} UTC" if mute.until else "until it fails again"


def _answer(found: ErrorGroup) -> dict[str, Any]:
    return fields_of(found) | {"message": visible("error", found.message)}
