"""The blocking front in async clothes, so that one test body runs against both.

``await hx.otp.verify(...)`` calls the blocking method in a thread. Which methods to await is read off the async
twin of each class. Coroutine functions handed in (loaders, senders) are run on the test's loop, and decorated
functions come back awaitable.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

_THREADS = ThreadPoolExecutor(64, thread_name_prefix="blocking-front")
_END = object()


class Blocking:
    """Proxy of a blocking object. ``style`` is "blocking"; attributes that are rooms are proxied too."""

    style = "blocking"

    def __init__(self, target: object) -> None:
        self._target = target
        self._twin = _twin(type(target))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not inspect.isroutine(value):
            return _dressed(value)
        model = getattr(self._twin, name, value)
        if inspect.iscoroutinefunction(inspect.unwrap(model)) or _answers(model):
            return _awaitable(value)
        if inspect.isasyncgenfunction(model):
            return lambda *args, **options: _stream(value(*args, **options))
        return functools.partial(_call_here, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.__getattr__("__call__")(*args, **options)


class _Context:
    def __init__(self, target: Any) -> None:
        self._target = target

    async def __aenter__(self) -> Any:
        return _dressed(await _in_thread(self._target.__enter__))

    async def __aexit__(self, *error: object) -> Any:
        return await _in_thread(self._target.__exit__, *error)


def _twin(kind: type) -> type:
    """``hustlex._sync.otp.OTP`` -> ``hustlex.otp.api.OTP``; a class with no async twin is its own."""
    module = kind.__module__
    twins = {
        "hustlex.sync": "hustlex.app",
        "hustlex._sync.app": "hustlex.app",
        "hustlex.drivers.blocking": "hustlex.drivers.aio",
    }
    if module.startswith("hustlex._sync.") and module not in twins:
        room, _, part = module.removeprefix("hustlex._sync.").partition("_")
        twins[module] = f"hustlex.{room}.{part or 'api'}"
    if module not in twins:
        return kind
    return getattr(importlib.import_module(twins[module]), kind.__name__, kind)


def _answers(model: Any) -> bool:
    """A door that makes its answer by itself, see ``hustlex.core.answer``."""
    return str(getattr(model, "__annotations__", {}).get("return", "")).startswith("Answer[")


def _dressed(value: Any) -> Any:
    """Rooms and context managers in async clothes; values as they are."""
    if isinstance(value, msgspec.Struct | type):
        return value
    if _twin(type(value)) is not type(value):
        return Blocking(value)
    if hasattr(value, "__enter__"):
        return _Context(value)
    if inspect.isfunction(value):
        return _awaitable(value)
    return _stream(value) if isinstance(value, Iterator) else value


def _call_here(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    args, options = _plain(args, options)
    result = function(*args, **options)
    if inspect.isfunction(result) and not args[:1]:
        return functools.partial(_call_here, result)
    return _dressed(result)


def _awaitable(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **options: Any) -> Any:
        args, options = _plain(args, options)
        return _dressed(await _in_thread(function, *args, **options))

    return call


def _plain(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(_uncoloured(arg) for arg in args), {name: _uncoloured(arg) for name, arg in options.items()}


def _uncoloured(arg: Any) -> Any:
    """A coroutine function as a plain one, run on the test's loop while the calling thread waits."""
    if isinstance(arg, Blocking):
        return arg._target
    if not inspect.iscoroutinefunction(arg):
        return arg
    loop = asyncio.get_running_loop()

    @functools.wraps(arg)  # with defaults, not a closure: what is cached by its arguments must not be one
    def call(*args: Any, _arg: Any = arg, _loop: Any = loop, **options: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_arg(*args, **options), _loop).result(60)

    # inspect.iscoroutinefunction must see a plain function
    del call.__wrapped__
    call.__signature__ = inspect.signature(arg)  # type: ignore[attr-defined]
    return call


async def _stream(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    while (item := await _in_thread(next, iterator, _END)) is not _END:
        yield item


async def _in_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, functools.partial(function, *args, **options))
