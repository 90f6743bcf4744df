"""Who waits for whom: computations that need each other are found before they would wait for ever.

A computation is followed into the tasks and threads it starts by a context variable. (A plain thread pool drops that;
there the bound of every wait helps.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hustlex.errors import Misuse

ITSELF = "computing this key asks for the same key"


class Circle(Exception):
    """Waiting for this computation would be waiting for oneself."""


class Impatient(Exception):
    """A computation in this process took longer than anybody waits."""


class Node:
    """A computation under way. waits: those it waits for now, once for each waiter. It knows nothing of its task, whose
    context leads here."""

    def __init__(self) -> None:
        self.waits: list[Node] = []


_lock = threading.Lock()
_inside: ContextVar[Node | None] = ContextVar("hustlex_cache_inside", default=None)
_around: ContextVar[frozenset[str]] = ContextVar("hustlex_cache_around", default=frozenset())
_placed: ContextVar[bool] = ContextVar("hustlex_cache_placed", default=False)


def enter(node: Node) -> None:
    """From here on, in this context, everything is done for this computation."""
    _inside.set(node)


@contextmanager
def inside(node: Node) -> Iterator[None]:
    """The same for a block."""
    token = _inside.set(node)
    try:
        yield
    finally:
        _inside.reset(token)


def tie(goal: Node) -> Node | None:
    """The computation that is now known to wait for ``goal``; None outside of any. Raises Circle."""
    here = _inside.get()
    if here is not None:
        with _lock:
            if _leads(goal, here):
                raise Circle
            here.waits.append(goal)
    return here


def untie(here: Node | None, goal: Node) -> None:
    """It does not wait any more."""
    if here is not None:
        with _lock:
            here.waits.remove(goal)


def _leads(start: Node, goal: Node) -> bool:
    seen, ahead = {start}, [start]
    while ahead:
        node = ahead.pop()
        if node is goal:
            return True
        fresh = [each for each in node.waits if each not in seen]
        seen.update(fresh)
        ahead += fresh
    return False


@contextmanager
def around(entry: str) -> Iterator[None]:
    """Compute an entry that is being computed further out, once. Raises Misuse where that asks for it yet again."""
    before = _around.get()
    if entry in before:
        raise Misuse(ITSELF, hint="two cached functions may not each need the other's result")
    token = _around.set(before | {entry})
    try:
        yield
    finally:
        _around.reset(token)


def placed() -> bool:
    """Whether this is done for a computation that holds a place: one that waited for a second could wait for ever."""
    return _placed.get()


@contextmanager
def placing() -> Iterator[None]:
    """Hold a place."""
    token = _placed.set(True)
    try:
        yield
    finally:
        _placed.reset(token)
