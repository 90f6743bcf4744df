"""Where the application's functions are called: whatever escapes from them comes out as an Exception.

What Python raises to end a generator, a task or the process is no different when a handler raises it by itself, and
would end the part of the worker that called.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from types import coroutine
from typing import Any, TypeVar

from hustlex.core import check
from hustlex.core.faults import as_exception
from hustlex.core.forks import end_copy
from hustlex.errors import Misuse

T = TypeVar("T")


def ask(function: Callable[..., T], *args: Any) -> T:
    """Call a plain function."""
    own = os.getpid()
    try:
        found = function(*args)
    except BaseException as fault:  # noqa: BLE001 - see above
        end_copy(own, fault)
        raise as_exception(fault)  # noqa: B904 - it is the same one, mostly
    end_copy(own)
    return found


async def contained(call: Callable[[], Awaitable[T]]) -> T:
    """Call and await. CancelledError comes out only when it is this task that was cancelled."""
    found: T = await _driven(_awaited(call))
    return found


async def _awaited(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


@coroutine
def _driven(steps: Any) -> Generator[Any, Any, Any]:
    """By hand, because only the hand that throws knows whether GeneratorExit came from outside."""
    own, step, value = os.getpid(), steps.send, None
    while True:
        try:
            wanted = step(value)
        except StopIteration as end:
            end_copy(own)
            return end.value
        except BaseException as fault:
            end_copy(own, fault)
            if isinstance(fault, asyncio.CancelledError) and is_cancelled():
                raise
            raise as_exception(fault)  # noqa: B904 - it is the same one, mostly
        end_copy(own, waits=True)
        try:
            step, value = steps.send, (yield wanted)
        except GeneratorExit:
            with suppress(BaseException):
                steps.close()
            raise
        except BaseException as thrown:  # noqa: BLE001 - passed on
            step, value = steps.throw, thrown


def is_cancelled() -> bool:
    """Whether somebody cancelled the task that runs here."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@asynccontextmanager
async def contained_context(make: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncIterator[T]:
    """Enter and leave a context manager of the application's."""
    context = ask(make)
    if not hasattr(type(context), "__aenter__"):
        made = check.shown(context)
        raise Misuse(f"the lifespan made {made}, no async context manager", hint="define it with @asynccontextmanager")
    state = await contained(context.__aenter__)
    try:
        yield state
    except BaseException as fault:
        if not await contained(partial(context.__aexit__, type(fault), fault, fault.__traceback__)):
            raise
    else:
        await contained(partial(context.__aexit__, None, None, None))
