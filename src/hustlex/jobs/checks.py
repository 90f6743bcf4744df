"""What each option of a job may be: one check per option, each in the one sentence of ``core.check``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs.keys import named
from hustlex.jobs.types import PayloadError

LARGEST = 64 * 1024 * 1024
"""Bytes of a payload, and of a result: a message holds the one, an outcome both, and a server takes 512 MiB a call."""
MOST_RETRIES = 2**31 - 1
_LONGEST_KEY = 1_024
_LONGEST_HEADER = 8_192
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


def seconds(name: str, value: object) -> timedelta:
    """None, or at least one second: under one, Go would store 0, which means something else."""
    length = check.duration(name, value)
    return check.duration(name, value, _SECOND) if length else length


def texts(name: str, value: object) -> dict[str, str]:
    """Text by name."""
    check.instance(name, value, Mapping, hint="pass a dict of text by name")
    assert isinstance(value, Mapping)
    return {
        check.text(f"a name in {name}", key): check.text(
            f"a value in {name}", found, longest=_LONGEST_HEADER, blank=True
        )
        for key, found in value.items()
    }


JUDGES: Mapping[str, Callable[[str, Any], Any]] = {
    "queue": named,
    "task_id": named,
    "max_retry": lambda name, value: check.whole(name, value, 0, MOST_RETRIES),
    "timeout": seconds,
    "deadline": check.moment,
    "unique_for": lambda name, value: check.duration(name, value, _SECOND),
    "unique_until": lambda name, value: check.one_of(name, value, ("started", "done")),
    "unique_key": lambda name, value: check.text(name, value, longest=_LONGEST_KEY),
    "debounce": lambda name, value: check.duration(name, value, _MILLISECOND),
    "process_in": check.duration,
    "process_at": check.moment,
    "retention": seconds,
    "group": named,
    "headers": texts,
    "expires_in": lambda name, value: check.duration(name, value, _MILLISECOND),
    "expires_at": check.moment,
    "if_finished": lambda name, value: check.one_of(name, value, ("refuse", "replace")),
    "at_front": check.flag,
}


def carriable(place: str, data: bytes) -> bytes:
    """A payload or a result, unless it is too large to be told of. Raises PayloadError."""
    if len(data) > LARGEST:
        hint = f"pass at most {LARGEST:,}; keep what is larger elsewhere, and pass its name"
        raise PayloadError(f"{place} has {len(data):,} bytes", hint=hint)
    return data


def judged(options: object) -> dict[str, Any]:
    """Options as plain values. Raises Misuse for names that are no option, and for values that can never work."""
    check.instance("options", options, Mapping, hint="pass a dict of options by name")
    assert isinstance(options, Mapping)
    if not options.keys() <= JUDGES.keys():
        raise Misuse(f"unknown option: {', '.join(sorted(map(_with_suggestion, options.keys() - JUDGES.keys())))}")
    return {name: JUDGES[name](name, value) for name, value in options.items()}


def declaration(queues: object) -> frozenset[str] | None:
    """Names of all queues there are, as an application declares them; None = any name will do. Raises Misuse."""
    if queues is None:
        return None
    if isinstance(queues, str | bytes) or not isinstance(queues, Collection):
        check.instance(
            "queues", None if isinstance(queues, str | bytes) else queues, Collection, hint="pass a list of names"
        )
    assert isinstance(queues, Collection)
    return frozenset(named("a name in queues", name) for name in queues)


def declared(queue: str, queues: frozenset[str] | None) -> str:
    """The queue, which must be among those declared. Raises Misuse."""
    if queues is not None and queue not in queues:
        near = meant(queue, queues)
        raise Misuse(f"queue {queue!r} is not declared{near}", hint=f"pass one of {', '.join(sorted(queues))}")
    return queue


def _with_suggestion(name: object) -> str:
    return f"{name!r}{meant(name, JUDGES)}" if isinstance(name, str) else check.shown(name)


def meant(name: str, known: Collection[str]) -> str:
    """``" (did you mean 'default'?)"``, or nothing when no known word is near."""
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
