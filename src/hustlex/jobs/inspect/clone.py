"""A payload with some of it changed, and a task once more under another id."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hustlex.core import check, codec
from hustlex.core.op import Flow, do
from hustlex.errors import Conflict, Misuse
from hustlex.jobs.enqueue import flows as enqueue
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.enqueue.options import Options
from hustlex.jobs.inspect import change
from hustlex.jobs.types import Outcome
from hustlex.jobs.wire import decode_task

CLONED_FROM = "cloned-from"
"""The header in which a clone names its original."""
_LONGEST_TIMEOUT_S = 3_000_000_000


def patched(payload: bytes | None, changes: dict[str, Any]) -> bytes:
    """A payload that is a JSON object, with these changes merged into it (RFC 7396: null takes a name out).

    Raises Conflict for a payload that is none.
    """
    try:
        known = json.loads(payload or b"{}")
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise Conflict("its payload is no JSON object", hint="give it another one as a whole")
    written = json.dumps(_merged(known, changes), ensure_ascii=False, separators=(",", ":"))
    try:
        return written.encode()
    except UnicodeEncodeError:  # half a character of the payload, which JSON can write
        return json.dumps(json.loads(written), separators=(",", ":")).encode()


def changes(given: object) -> dict[str, Any]:
    """What is to be merged. Raises Misuse for anything but a dict that JSON can carry."""
    check.instance("changes", given, dict, hint="pass a dict")
    assert isinstance(given, dict)
    if not all(isinstance(name, str) for name in given):
        raise Misuse("changes has a key that is no text", hint="name what changes, as in JSON")
    try:
        codec.dumps(given)
        wrong = codec.fault(given, "changes")
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        wrong = codec.refusal(given, fault, "changes")
    if wrong is not None:
        raise Misuse(wrong)
    plain: dict[str, Any] = json.loads(codec.dumps(given))
    return plain


def _merged(known: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    becomes = dict(known) if isinstance(known, dict) else {}
    for name, value in changes.items():
        if value is None:
            becomes.pop(name, None)
        else:
            becomes[name] = _merged(becomes.get(name), value)
    return becomes


def clone(
    queue: str, task_id: str, to: str | None, changes: dict[str, Any] | None, new_id: str, token: str, now_ms: int
) -> Flow[Outcome]:
    """Enqueue what a task is, to be run now. Raises NotFound, Conflict, Misuse."""
    was = decode_task((yield from do(change.message(queue, task_id))))
    payload = was.payload if changes is None else patched(was.payload, changes)
    options = Options(
        queue=queue if to is None else to,
        max_retry=max(was.retry, 0),
        timeout=timedelta(seconds=min(max(was.timeout, 0), _LONGEST_TIMEOUT_S)),
        retention=timedelta(seconds=min(max(was.retention, 0), _LONGEST_TIMEOUT_S)),
        headers={**was.headers, CLONED_FROM: task_id},
    )
    made = draft(Job(was.type, payload, options), {}, new_id)
    return (yield from enqueue.enqueue(made, token, now_ms, KnownQueues()))
