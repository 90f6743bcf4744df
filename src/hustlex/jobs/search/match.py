"""Whether a task is what was asked for. Judges what was read; asks nobody."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from hustlex.jobs.inspect.types import TaskInfo
from hustlex.jobs.search.query import ErrorLike, Query, TaskName, Term, TextTest
from hustlex.jobs.types import State

LARGE = 65_536
"""Bytes of a message over which it is not looked into by a list."""

View = Callable[[str, Any, str], Any]
"""``view(kind, value, task_type)``: what the person who asks may see of a value; kind: payload, result, header, error
or group. What cannot be seen cannot be found: a search would tell what it is, bit by bit."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    ":": operator.eq,
    "=": operator.eq,
}
_OF_MESSAGE = (
    "text",
    "type",
    "error",
    "sig",
    "retried",
    "left",
    "group",
    "payload",
    "result",
    "header",
    "age",
    "ended",
)


class Placed(msgspec.Struct, frozen=True):
    """What is known of a task beside its message."""

    queue: str
    id: str
    state: State
    score: float
    """Of its sorted set, 0 in a list."""
    since: float | None
    """Unix second since which it is pending."""
    orphaned: bool
    unique: bool
    parked: bool
    crashes: int
    size: int
    """Bytes of its message."""


class Subject:
    """One task as a query sees it. info: None for one whose message is large or no message."""

    def __init__(self, placed: Placed, info: TaskInfo | None, view: View | None) -> None:
        self.placed = placed
        self.info = info
        self._view = view

    def seen(self, kind: str, value: Any) -> Any:
        """A value as the person may see it."""
        return value if self._view is None or self.info is None else self._view(kind, value, self.info.type)

    @cached_property
    def payload(self) -> Any:
        """Parsed, where it is JSON."""
        return self.seen("payload", parsed(self.info.payload if self.info else None))

    @cached_property
    def result(self) -> Any:
        """Parsed, where it is JSON."""
        return self.seen("result", parsed(self.info.result if self.info else None))

    @cached_property
    def header(self) -> Any:
        """By name."""
        return self.seen("header", dict(self.info.headers) if self.info else {})

    @cached_property
    def error(self) -> str:
        """The last one."""
        return text_of(self.seen("error", self.info.last_error if self.info else ""))


def matches(query: Query, subject: Subject) -> bool:
    """Whether every term holds; without its message, every term that can be judged by the rest."""
    terms = query.terms if subject.info else [term for term in query.terms if term.field not in _OF_MESSAGE]
    try:
        return all(_holds(term, subject, query.now_s) != term.negated for term in terms)
    except RecursionError:  # a payload nested so deep that it can be read, but not looked into
        return False


def parsed(raw: bytes | None) -> Any:
    """Bytes as JSON or text; None for none."""
    if raw is None:
        return None
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def text_of(value: Any) -> str:
    """A value as text: JSON without blanks."""
    return (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    )


def _holds(term: Term, subject: Subject, now_s: float) -> bool:
    if term.field in ("payload", "result", "header"):
        return _within(term, getattr(subject, term.field))
    if term.field == "is":
        return any(_is(str(value), subject.placed) for value in term.values)
    if term.field in ("worker", "cron"):
        return any(isinstance(value, TaskName) and _is_named(term, value, subject.placed) for value in term.values)
    if term.field == "sig":
        return any(isinstance(value, ErrorLike) and _failed_so(value, subject) for value in term.values)
    if term.field in _NUMBERS:
        number = _NUMBERS[term.field](subject, now_s)
        return number is not None and _compared(term, number)
    return any(_any_text(value, _texts(term.field, subject)) for value in term.values)


def _is_named(term: Term, name: TaskName, placed: Placed) -> bool:
    """What a worker told may be over by now."""
    return name.names(placed.queue, placed.id) and (term.field != "worker" or placed.state is State.ACTIVE)


def _failed_so(like: ErrorLike, subject: Subject) -> bool:
    info = subject.info
    return info is not None and like.holds(subject.placed.queue, info.type, subject.error)


def _any_text(value: Any, texts: Iterator[str]) -> bool:
    if isinstance(value, TextTest):
        return any(value.holds(text) for text in texts)
    return any(value == text for text in texts)


def _texts(field: str, subject: Subject) -> Iterator[str]:
    placed, info = subject.placed, subject.info
    if field == "text":
        yield info.type if info else ""
        yield subject.error
    elif field in ("queue", "id", "state"):
        yield getattr(placed, field)
    elif field == "workflow":
        yield placed.id.rpartition(":")[0]
    elif field == "error":
        yield subject.error
    elif info is not None:
        yield text_of(subject.seen("group", info.group)) if field == "group" else getattr(info, field)


def _compared(term: Term, number: float) -> bool:
    return any(_COMPARE[term.op](number, value) for value in term.values)


def _is(word: str, placed: Placed) -> bool:
    return {"orphan": placed.orphaned, "unique": placed.unique, "parked": placed.parked, "big": placed.size > LARGE}[
        word
    ]


def _age(subject: Subject, now_s: float) -> float | None:
    """Since it became what it is, as far as Asynq keeps it: nobody knows it of active and scheduled tasks."""
    placed, info = subject.placed, subject.info
    if placed.state is State.PENDING:
        began = placed.since
    elif placed.state is State.RETRY:
        began = info.last_failed_at.timestamp() if info and info.last_failed_at else None
    else:
        began = _ended(subject, now_s)
    return None if began is None else now_s - began


def _ended(subject: Subject, _: float) -> float | None:
    if subject.placed.state is State.ARCHIVED:
        return subject.placed.score
    done = subject.info.completed_at if subject.info else None
    return done.timestamp() if done else None


def _next(subject: Subject, _: float) -> float | None:
    return subject.placed.score if subject.placed.state in (State.SCHEDULED, State.RETRY) else None


_NUMBERS: dict[str, Callable[[Subject, float], float | None]] = {
    "age": _age,
    "next": _next,
    "ended": _ended,
    "retried": lambda subject, _: subject.info.retried if subject.info else None,
    "left": lambda subject, _: subject.info.max_retry - subject.info.retried if subject.info else None,
    "crashes": lambda subject, _: subject.placed.crashes,
    "size": lambda subject, _: subject.placed.size,
}


def _within(term: Term, value: Any) -> bool:
    found = list(_at(value, term.path))
    if term.op in (">", ">=", "<", "<="):
        return any(
            _compared(term, each) for each in found if isinstance(each, int | float) and not isinstance(each, bool)
        )
    return any(isinstance(test, TextTest) and _same(test, each) for test in term.values for each in found)


def _same(test: TextTest, value: Any) -> bool:
    """Numbers are equal as numbers; other words of JSON, true and null, are compared as they are written."""
    if isinstance(value, int | float) and not isinstance(value, bool) and test.how == "equal":
        return _number(test.text) == value
    return test.holds(text_of(value))


def _number(text: str) -> float | int | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """What stands at a path; of a list each element, or the one of a number."""
    if not path:
        yield value
        yield from value if isinstance(value, list) else ()
    elif isinstance(value, dict):
        if path[0] in value:
            yield from _at(value[path[0]], path[1:])
    elif isinstance(value, list):
        if path[0].isascii() and path[0].isdecimal():
            if int(path[0][:9]) < len(value):
                yield from _at(value[int(path[0][:9])], path[1:])
        else:
            for each in value:
                yield from _at(each, path)
