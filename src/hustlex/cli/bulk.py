"""``hustlex bulk``, and ``--where`` of acts on tasks: found and shown first, then done in steps. Anybody can go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.acts import acting
from hustlex.cli.client import Url, opened
from hustlex.cli.exits import PARTLY
from hustlex.cli.hidden import view, visible
from hustlex.cli.output import AsJson, confirm, fields_of, print_fields, print_json, print_table
from hustlex.cli.progress import Told, progress
from hustlex.cli.values import me
from hustlex.jobs import Bulk, BulkPhase, BulkVerb

if TYPE_CHECKING:
    from hustlex.sync import HustleX

bulk = typer.Typer(no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="BULK", help="Its id, as `bulk ls` prints it")]

_DOES = {
    BulkVerb.RUN: "will run now",
    BulkVerb.RETRY: "will be tried again now",
    BulkVerb.ARCHIVE: "will go into the archive",
    BulkVerb.DELETE: "will be deleted",
    BulkVerb.CANCEL: "will never run",
    BulkVerb.RESCHEDULE: "will start at another time",
}
_HEADS = ("bulk", "verb", "phase", "planned", "done", "skipped", "undone", "by", "what")


@bulk.callback()
def group() -> None:
    """Acts on many tasks: what was done in the last day, going on, undoing."""


@bulk.command()
def ls(
    count: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Acts on many tasks of the last day, here and in the console, the newest first.

    Example: hustlex bulk ls
    """
    with opened(url) as hx:
        found = hx.jobs.inspector.bulk.newest(count)
    if as_json:
        print_json("bulk.list/1", {"items": [_answer(each) for each in found]})
    else:
        rows = ((b.id, b.verb, b.phase, b.planned, b.done, b.skipped, b.undone, b.by, b.label) for b in found)
        print_table(_HEADS, rows)


@bulk.command()
def show(
    bulk_id: Id,
    page: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of its tasks, 50 a page")] = 1,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """How far an act is, and what became of each of its tasks.

    Example: hustlex bulk show 3f9a01c2
    """
    with opened(url) as hx:
        found, report = hx.jobs.inspector.bulk.get(bulk_id), hx.jobs.inspector.bulk.report(bulk_id, page=page)
    items = [{**fields_of(item), "outcome": outcome.name.lower()} for item, outcome in report.items]
    if as_json:
        print_json("bulk/1", {**_answer(found), "items": items, "page": page, "pages": report.last})
        return
    print_fields({name: value for name, value in _answer(found).items() if name not in ("counts", "sample")})
    print()
    rows = ((each["id"], each["queue"], each["type"], each["state"], each["outcome"]) for each in items)
    print_table(("id", "queue", "type", "was", "outcome"), rows)


@bulk.command()
def resume(bulk_id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Go on with an act that was interrupted or paused, from where it is.

    Exit codes: 0; 4 there is no such act; 5 it has ended or was never started; 7 some tasks were left alone.
    Example: hustlex bulk resume 3f9a01c2
    """
    with opened(url) as hx:
        found = hx.jobs.inspector.bulk.get(bulk_id)
        with acting(hx, "continue_bulk", bulk=bulk_id, place=_queue(found)) as told:
            found = found if found.moving else hx.jobs.inspector.bulk.start(bulk_id)
            found = _driven(hx, found)
            told.count = found.done
        _end(found, "bulk.resume/1", as_json=as_json)


@bulk.command()
def pause(bulk_id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Hold an act that runs, here or in a console, until `bulk resume`.

    Exit codes: 0; 4 there is no such act; 5 it does not run.
    Example: hustlex bulk pause 3f9a01c2
    """
    with opened(url) as hx, acting(hx, "pause_bulk", bulk=bulk_id):
        found = hx.jobs.inspector.bulk.pause(bulk_id)
    _turned(found, "bulk.pause/1", as_json=as_json)


@bulk.command()
def stop(bulk_id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """End an act where it is: nothing is done to the rest. What was archived or deleted can be undone.

    Exit codes: 0; 4 there is no such act; 5 it has ended.
    Example: hustlex bulk stop 3f9a01c2
    """
    with opened(url) as hx, acting(hx, "stop_bulk", bulk=bulk_id):
        found = hx.jobs.inspector.bulk.stop(bulk_id)
    _turned(found, "bulk.stop/1", as_json=as_json)


@bulk.command()
def undo(bulk_id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Put back what an act archived or deleted, within an hour: where it was, unless somebody moved it since.

    Exit codes: 0; 4 there is no such act; 5 it cannot be undone; 7 some tasks could not be put back.
    Example: hustlex bulk undo 3f9a01c2
    """
    with opened(url) as hx, acting(hx, "undo_bulk", bulk=bulk_id) as told:
        found = _driven(hx, hx.jobs.inspector.bulk.undo(bulk_id))
        told.count = found.undone
    if as_json:
        print_json("bulk.undo/1", _answer(found))
    else:
        print(f"{found.undone:,} of {found.done:,} put back")
    if found.undone < found.done:
        raise typer.Exit(PARTLY)


def _turned(found: Bulk, schema: str, *, as_json: bool) -> None:
    if as_json:
        print_json(schema, _answer(found))
    else:
        print(f"{found.phase.value}, {found.done:,} of {found.planned:,} tasks done")


def act(
    hx: HustleX, verb: BulkVerb, query: str, queue: str | None, *, dry_run: bool, reveal: bool, yes: bool,
    as_json: bool, start_at: datetime | None = None, schema: str = "",
) -> None:  # fmt: skip
    """Find, show, ask, do."""
    acts, queues = hx.jobs.inspector.bulk, None if queue is None else [queue]
    label = str(visible("name", query))[:1_000]
    found = acts.plan(verb, query, queues=queues, by=me(), label=label, start_at=start_at)
    while found.phase is BulkPhase.SEARCHING:
        found = acts.step(found.id, view=view(reveal=reveal))
    with ExitStack() as acted:
        with _stopped_unless_started(hx, found):
            if found.planned and not (as_json and (yes or dry_run)):
                _preview(found)
            if not found.planned or dry_run:
                acts.stop(found.id)
                _end(found, schema or f"task.{verb.value}_where/1", as_json=as_json)
                return
            confirm(f"{found.planned:,} tasks {_DOES[verb]}", yes=yes, word=str(found.planned))
            target = {"bulk": found.id, "do": verb.value, "query": query}
            told = acted.enter_context(acting(hx, f"bulk_{verb.value}", place=_queue(found), **target))
            found = acts.start(found.id)
        found = _driven(hx, found)
        told.count = found.done
    _end(found, schema or f"task.{verb.value}_where/1", as_json=as_json)


def _queue(found: Bulk) -> str:
    return found.queues[0] if len(found.queues) == 1 else ""


@contextmanager
def _stopped_unless_started(hx: HustleX, found: Bulk) -> Iterator[None]:
    """What was refused is not left standing as if it could still be started."""
    try:
        yield
    except BaseException:
        hx.jobs.inspector.bulk.stop(found.id)
        raise


def _driven(hx: HustleX, found: Bulk) -> Bulk:
    """Step by step, with a bar. Ctrl-C leaves it where it is."""
    with progress(found.verb.value, again=f"hustlex bulk resume {found.id} goes on") as told:
        return _stepped(hx, found, told)


def _stepped(hx: HustleX, found: Bulk, told: Told) -> Bulk:
    while found.moving:
        found = hx.jobs.inspector.bulk.step(found.id)
        told(found.at, found.planned)
    return found


def _preview(found: Bulk) -> None:
    """To standard error: it is not the answer."""
    rows = ((each.queue, each.state, each.type, each.count) for each in found.counts)
    print_table(("queue", "state", "type", "tasks"), rows, to=sys.stderr)
    if not found.complete:
        print("more match: these are the first; do the same again for the others", file=sys.stderr)
    if found.unread:
        print(f"{found.unread:,} that may match are left out: they cannot be looked into", file=sys.stderr)


def _end(found: Bulk, schema: str, *, as_json: bool) -> None:
    if as_json:
        print_json(schema, _answer(found))
    elif not found.planned:
        print("there was nothing")
    elif found.phase is BulkPhase.READY:
        print(f"{found.planned:,} tasks {_DOES[found.verb]}; nothing was done")
    else:
        skipped = f", {found.skipped:,} left alone (hustlex bulk show {found.id})" if found.skipped else ""
        print(f"bulk {found.id}: {found.done:,} of {found.planned:,} tasks done{skipped}")
    if found.skipped:
        raise typer.Exit(PARTLY)


def _answer(found: Bulk) -> dict[str, Any]:
    return fields_of(found) | {"label": visible("name", found.label)}
