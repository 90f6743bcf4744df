"""What is typed in words on the command line: durations, moments, payloads, and names that exist."""

from __future__ import annotations

import difflib
import getpass
import sys
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from hustlex.errors import Misuse, NotFound

if TYPE_CHECKING:
    from hustlex.sync import HustleX


def duration(name: str, text: str) -> timedelta:
    """``30s``, ``15min``, ``2h``. Raises Misuse that names the option."""
    from hustlex.ratelimit.policy import rule_parser

    try:
        return rule_parser.duration(text)
    except (Misuse, OverflowError):
        raise Misuse(f"{name} cannot be {text[:40]!r}", hint="pass a duration, as 30s, 15min, 2h or 1d") from None


def moment(name: str, text: str) -> datetime:
    """``2026-12-01T09:00:00+01:00``. Raises Misuse that names the option."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        raise Misuse(
            f"{name} cannot be {text[:40]!r}", hint="pass a moment with its zone, as 2026-12-01T09:00:00+01:00"
        )
    return found


def json_value(name: str, text: str) -> Any:
    """A value written as JSON; "-" reads it from standard input. Raises Misuse that shows nothing of it."""
    written = sys.stdin.read() if text == "-" else text
    try:
        return msgspec.json.decode(written)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Misuse(f"{name} is not JSON", hint="""quote it for the shell, as '{"to": 7}'""") from None


def json_text(value: Any) -> str:
    """The same written down; "" for none."""
    return "" if value is None else msgspec.json.encode(value).decode()


def meant(name: str, known: Collection[str]) -> str:
    """``did you mean 'default'?``, or nothing."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else ""


def known_queue(hx: HustleX, name: str) -> str:
    """The same name. Raises NotFound, with the name that may have been meant."""
    queues = hx.jobs.inspector.queues()
    if name not in queues:
        hint = meant(name, queues) or "hustlex queue ls lists them"
        raise NotFound(f"there is no queue {name!r}", hint=hint)
    return name


def queue_of(hx: HustleX, task_id: str, queue: str | None) -> str:
    """The queue that has a task; the one given, where one is. Raises NotFound."""
    if queue is not None:
        return known_queue(hx, queue)
    found = hx.jobs.explain(task_id)
    if not found.queue:
        raise NotFound(f"no queue knows a task {task_id!r}", hint="it ended and is not kept, or there never was one")
    return found.queue


def me() -> str:
    """Who types, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"
