"""Futures that others answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


def answer(waiting: asyncio.Future[T], outcome: T | Exception) -> None:
    """Tell who waits, unless nobody does any more. An exception is raised there."""
    if waiting.done():
        return
    if isinstance(outcome, Exception):
        waiting.set_exception(outcome)
        waiting.exception()  # a caller that is cancelled meanwhile never looks: no warning for it
    else:
        waiting.set_result(outcome)


def entrust(waiting: asyncio.Future[T], work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that does this for who waits; it ends with the wait."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(partial(_pass_on, waiting))
    waiting.add_done_callback(partial(_give_up, task))
    return task


def _pass_on(waiting: asyncio.Future[T], task: asyncio.Task[T]) -> None:
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        answer(waiting, task.result())
    elif isinstance(error, Exception):
        answer(waiting, error)
    else:  # the loop ends
        waiting.cancel()


def _give_up(task: asyncio.Task[T], waiting: asyncio.Future[T]) -> None:
    if waiting.cancelled():
        task.cancel()
