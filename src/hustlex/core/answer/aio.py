"""Answers that are on their way."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import msgspec

from hustlex.core.answer.told import about, wrapped
from hustlex.core.telemetry import DoorWatch, Hook, Telemetry
from hustlex.errors import Misuse

P = TypeVar("P")
T = TypeVar("T")
R = TypeVar("R")
Door = TypeVar("Door", bound=Callable[..., Any])

Answer = Coroutine[Any, Any, T]
"""To type checkers a door gives a coroutine, as ``async def`` would: they report one that is not awaited."""


class _Unawaited:
    """What is done to an answer by whoever takes it for what it will be."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        """Who only asks whether there is such an attribute, as asyncio does, may go on."""
        raise AttributeError(f"an answer has no {name!r} before it was awaited (write await before the call)")

    def __eq__(self, other: object) -> bool:
        return True if self is other else self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        self.close()
        raise Misuse("an answer was looked at before it was awaited, so it is none", hint="write await before the call")

    __hash__ = object.__hash__
    __bool__ = __iter__ = __len__ = __getitem__ = _refuse

    def close(self) -> None:
        """It is not asked for any more."""
        raise NotImplementedError


class _Later(_Unawaited, msgspec.Struct, eq=False):
    """A coroutine, but for its truth. Awaiting goes to the coroutine without a detour through Python."""

    __await__: Callable[[], Generator[Any, Any, Any]]

    def send(self, value: Any) -> Any:
        return self.__await__.__self__.send(value)  # type: ignore[attr-defined]

    def throw(self, *error: Any) -> Any:
        return self.__await__.__self__.throw(*error)  # type: ignore[attr-defined]

    def close(self) -> None:
        self.__await__.__self__.close()  # type: ignore[attr-defined]


class _Once(_Unawaited, msgspec.Struct, eq=False):
    """An answer that is asked for when it is awaited: without a coroutine of its own."""

    ask: Callable[[Any], asyncio.Future[Any]]
    question: Any
    waiting: Generator[Any, Any, Any] | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        ask, self.ask = self.ask, _asked_before
        return ask(self.question).__await__()

    def send(self, value: Any) -> Any:
        if self.waiting is None:
            self.waiting = self.__await__()
        return self.waiting.send(value)

    def throw(self, error: Any, *_: Any) -> Any:
        if self.waiting is None:
            raise error
        return self.waiting.throw(error)

    def close(self) -> None:
        if self.waiting is not None:
            self.waiting.close()


class _Now(_Unawaited, msgspec.Struct, eq=False, gc=False):
    """An answer that is known already; may be awaited more than once."""

    value: Any

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.value
        yield  # type: ignore[unreachable]

    def send(self, _: Any) -> Any:
        raise StopIteration(self.value)

    def throw(self, error: Any, *_: Any) -> Any:
        raise error

    def close(self) -> None:
        return None


def later(coroutine: Coroutine[Any, Any, T]) -> Answer[T]:
    """The answer that this coroutine will give."""
    return _Later(coroutine.__await__)


if TYPE_CHECKING:

    def once(ask: Callable[[P], asyncio.Future[T]], question: P) -> Answer[T]:
        """The answer that this future will have, made when somebody waits."""
        raise NotImplementedError

    def begun(step: Callable[[], Generator[Any, Any, T]]) -> Answer[T]:
        """The answer of the coroutine whose ``__await__`` this is."""
        raise NotImplementedError

    def now(value: T) -> Answer[T]:
        """An answer for which nobody has to be asked."""
        raise NotImplementedError

else:
    begun, now, once = _Later, _Now, _Once  # the classes themselves: a call less on the way of each check


def answering(room: Door) -> Door:
    """A class whose asynchronous doors give answers, or one such function. The two or three that are called most do so
    by themselves, which saves a call: they are plain functions that return ``now(...)`` or ``later(...)``."""
    if inspect.iscoroutinefunction(room):
        return cast("Door", _door(room))
    for name, door in list(vars(room).items()):
        if not name.startswith("_") and inspect.iscoroutinefunction(door):
            setattr(room, name, _door(door))
    return room


def _door(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def door(*args: Any, **options: Any) -> Any:
        return _Later(function(*args, **options).__await__)

    return door


def _asked_before(_: object) -> NoReturn:
    raise RuntimeError("cannot reuse already awaited answer")


class OneStyle:
    """Of an async front: a plain ``with`` says what to write. Type checkers refuse it by themselves."""

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise Misuse("this HustleX is async", hint="write 'async with', or import HustleX from hustlex.sync")

        def __exit__(self, *_: object) -> None:
            return None


def told(room: R, hook: Hook | None) -> R:
    """The room; each of its doors is told to a hook that listens for them."""
    return wrapped(room, hook, _telling)


def _telling(ask: Callable[..., Any], name: str, hook: Telemetry) -> Callable[..., Any]:
    plain = not inspect.iscoroutinefunction(inspect.unwrap(ask))

    @functools.wraps(ask)
    def door(*args: Any, **options: Any) -> Any:
        begin = functools.partial(ask, *args, **options)
        if plain:  # it judges what it is given when it is called
            begin = functools.partial(_as_it_is, begin())
        return later(_told(begin, DoorWatch(hook, name, about(name, args))))

    return door


def _as_it_is(answer: T) -> T:
    return answer


async def _told(begin: Callable[[], Answer[T]], watch: DoorWatch) -> T:
    with watch:
        watch.answer = answer = await begin()
    return answer
