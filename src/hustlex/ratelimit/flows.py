"""Guessing the server's window, and correcting the guess."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hustlex.core.op import Flow, Op, do
from hustlex.core.time import Clock
from hustlex.errors import Unavailable
from hustlex.ratelimit.types import Elsewhere

T = TypeVar("T")

_TRIES = 3


def system_clock() -> int:
    """This machine's clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class ServerTime:
    """What this process believes the server's clock says. Only used to name keys; the server decides by its own."""

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._ahead_ms = 0

    def guess(self) -> int:
        """Milliseconds since 1970."""
        return max(0, self._local() + self._ahead_ms)

    def learn(self, now_ms: int) -> None:
        """Take over the server's time."""
        self._ahead_ms = now_ms - self._local()


def aligned(make: Callable[[int], Op[T | Elsewhere]], belief: ServerTime) -> Flow[T]:
    """Run ``make(guess)``; when the guess was wrong, correct it and repeat. Normally one round trip."""
    for _ in range(_TRIES):
        answer = yield from do(make(belief.guess()))
        if not isinstance(answer, Elsewhere):
            return answer
        belief.learn(answer.now_ms)
    raise Unavailable("each reply came more than a window late", hint="the server is overloaded or far away")
