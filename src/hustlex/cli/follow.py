"""``hustlex task follow`` and ``hustlex event tail``: what happens, as it happens, a line each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hustlex.cli.client import Prefix, Url, listening
from hustlex.cli.event import Kind, Name
from hustlex.cli.exits import WAITED
from hustlex.cli.hidden import Reveal, line, visible
from hustlex.cli.output import fields_of, print_json
from hustlex.cli.task import Id, Queue
from hustlex.core.printable import printable
from hustlex.errors import Misuse, NotFound
from hustlex.jobs import Item, Log, Progress, Result, State, StateChange

if TYPE_CHECKING:
    from hustlex.events import Gap, Message

LineJson = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of text")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=0.001, max=86_400, help="Wait no longer than this")]


def follow(
    task_id: Id, queue: Queue = None, seconds: Seconds = None, reveal: Reveal = False, url: Url = None,
    as_json: LineJson = False,
) -> None:  # fmt: skip
    """What a task tells until it ends: progress, log lines, results, where it is.

    Exit codes: 0 it succeeded, or is gone; 1 it is archived; 4 no queue knows it; 8 --seconds are over.
    Example: hustlex task follow report-7 --seconds 60
    """
    raise typer.Exit(asyncio.run(_follow(task_id, queue, seconds, reveal, url, as_json)))


async def _follow(
    task_id: str, queue: str | None, seconds: float | None, reveal: bool, url: str | None, as_json: bool
) -> int:
    last: State | None = None
    async with listening(url) as hx:
        place = queue or (await hx.jobs.explain(task_id)).queue
        if not place:
            raise NotFound(
                f"no queue knows a task {task_id!r}", hint="it ended and is not kept, or there never was one"
            )
        try:
            async with asyncio.timeout(seconds), aclosing(hx.jobs.follow(task_id, queue=place)) as items:
                async for item in items:
                    _print_item(item, reveal, as_json)
                    last = item.state if isinstance(item, StateChange) else last
        except TimeoutError:
            return WAITED
    return 1 if last is State.ARCHIVED else 0


def _print_item(item: Item, reveal: bool, as_json: bool) -> None:
    told, words = _told(item, reveal)
    if as_json:
        print_json("task.item/1", {"kind": told, **fields_of(item), **words})
    else:
        text = " ".join(line(each) for each in words.values() if each not in ("", None))
        _print_line(item.at, told, text)


def _told(item: Item, reveal: bool) -> tuple[str, dict[str, Any]]:
    """What it is, and what of it people read."""
    match item:
        case Progress():
            return "progress", {"fraction": item.fraction, "text": visible("progress", item.text, reveal=reveal)}
        case Log():
            return "log", {"text": visible("log", item.text, reveal=reveal)}
        case Result():
            return "result", {"data": visible("result", item.data, reveal=reveal)}
        case StateChange():
            state = item.state.value if item.state else "gone"
            return "state", {"state": state, "error": visible("error", item.error, reveal=reveal)}


def tail(
    channel: Name,
    kind: Kind = "live",
    since: Annotated[
        str | None, typer.Option(help="Behind this position; - for the beginning. Not of live ones")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many")] = None,
    seconds: Seconds = None,
    reveal: Reveal = False,
    url: Url = None,
    prefix: Prefix = None,
    as_json: LineJson = False,
) -> None:
    """What is published on a channel, from now on or behind a position. What looks secret or personal is hidden.

    Exit codes: 0 so many as --count came; 8 --seconds are over.
    Example: hustlex event tail orders:42 --kind replay --since - --count 10
    """
    raise typer.Exit(asyncio.run(_tail(channel, kind, since, count, seconds, reveal, url, prefix, as_json)))


async def _tail(
    channel: str, kind: str, since: str | None, count: int | None, seconds: float | None, reveal: bool,
    url: str | None, prefix: str | None, as_json: bool,
) -> int:  # fmt: skip
    heard = 0
    async with listening(url, prefix) as hx:
        try:
            async with asyncio.timeout(seconds), aclosing(_heard(hx, channel, kind, since)) as items:
                async for item in items:
                    _print_event(item, reveal, as_json)
                    heard += 1
                    if heard == count:
                        return 0
        except TimeoutError:
            return WAITED
    return 0


async def _heard(hx: Any, channel: str, kind: str, since: str | None) -> AsyncGenerator[Message[Any] | Gap, None]:
    if kind == "live":
        if since is not None:
            raise Misuse("--since is for channels that keep what is sent", hint="pass --kind replay, or leave it out")
        subscription = hx.events.channel(channel, Any).subscribe()
    else:
        start = ".0" if since == "-" else since
        subscription = hx.events.channel(channel, Any, kind=kind).subscribe(since=start)
    async with subscription as messages:
        async for item in messages:
            yield item


def _print_event(item: Message[Any] | Gap, reveal: bool, as_json: bool) -> None:
    from hustlex.events import Gap, Unknown

    if isinstance(item, Gap):
        answer: dict[str, Any] = {"kind": "gap", "at": None, "data": None, "reason": item.reason, "position": None}
        answer["position"] = str(item.position) if item.position else None
    else:
        at = datetime.fromtimestamp(item.ts / 1000, UTC) if item.ts else None
        data = item.data.raw if isinstance(item.data, Unknown) else item.data
        answer = {"kind": "event", "at": at, "data": visible("payload", data, reveal=reveal), "reason": None}
        answer["position"] = str(item.position) if item.position else None
    if as_json:
        print_json("event.item/1", answer)
    else:
        _print_line(answer["at"], answer["position"] or answer["kind"], line(answer["reason"] or answer["data"]))


def _print_line(at: datetime | None, what: str, text: str) -> None:
    moment = f"{at.astimezone(UTC):%H:%M:%S}" if at else "--------"
    print(printable(f"{moment}  {what:<9} {text}"), flush=True)
