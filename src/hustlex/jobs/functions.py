"""What a handler is under its wrappings: partials, objects that can be called, decorators, awaitables it returns."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import typing
from collections.abc import Awaitable, Callable, Coroutine
from types import NoneType
from typing import Any

from hustlex.errors import Misuse
from hustlex.jobs.types import PayloadError

_AWAITABLE = (Awaitable, Coroutine, asyncio.Future, asyncio.Task, concurrent.futures.Future)
_NOTHING = (None, NoneType, typing.NoReturn, typing.Never)


def check(name: str, function: object) -> Callable[..., Any]:
    """A function that can serve. Raises Misuse for a class, a generator function, and what cannot be called."""
    if not callable(function) or inspect.isclass(function):
        raise Misuse(f"{name} is a {type(function).__name__}, not a function", hint="define it with def or async def")
    for layer in _layers(function):
        if inspect.isgeneratorfunction(layer) or inspect.isasyncgenfunction(layer):
            raise Misuse(f"{name} is a generator function", hint="nothing would run: return, instead of yield")
    try:
        inspect.signature(function)
    except (TypeError, ValueError):
        raise Misuse(f"{name} does not tell its parameters", hint="wrap it in a def with named parameters") from None
    return function


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine, as far as that can be known without a call."""
    inner = _unpartial(function)
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(_call_of(inner))


def name_of(function: Callable[..., Any]) -> str:
    """How errors call it."""
    inner = _unpartial(function)
    return str(getattr(inner, "__qualname__", type(inner).__name__))


def hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Its annotations by name, resolved. Raises NameError while one is not defined."""
    inner = _unpartial(function)
    plain = inspect.isroutine(inner) or hasattr(inner, "__annotations__") or hasattr(inner, "__wrapped__")
    return typing.get_type_hints(inner if plain else _call_of(inner), include_extras=True)


def unawaited(kind: Any) -> Any:
    """A return annotation without the awaitable around it; None for one that says that nothing comes back."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in _AWAITABLE and arguments:
        return unawaited(arguments[-1])
    return None if kind in _NOTHING else kind


def rest_of(value: Any, name: str) -> Awaitable[Any] | None:
    """What is still to be awaited of a handler's value; None = it is the value.

    Raises PayloadError for a generator: nothing of the handler has run, and nothing would at the next attempt.
    """
    if inspect.isawaitable(value):
        return value
    if isinstance(value, concurrent.futures.Future):
        return asyncio.wrap_future(value)
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise PayloadError(f"the handler of {name!r} returned a generator: nothing of it has run")
    return None


def _layers(function: Any) -> list[Any]:
    """The function, and what lies under its partials and decorators."""
    found: list[Any] = []
    while function is not None and len(found) < 100:
        found += [function, _call_of(function)]
        function = function.func if isinstance(function, functools.partial) else getattr(function, "__wrapped__", None)
    return found


def _unpartial(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _call_of(function: Any) -> Any:
    """``__call__`` of an object whose class defines one."""
    return None if inspect.isroutine(function) else getattr(type(function), "__call__", None)  # noqa: B004
