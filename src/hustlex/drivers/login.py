"""Who logs in, where a function says so for each connection, because passwords change."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from hustlex.errors import Misuse, Unavailable

Login = tuple[str, str]
"""User and password."""
Credentials = Callable[[], Login | Awaitable[Login]]
"""Asked before each connection is opened."""


def login(answer: object) -> Login:
    """What a function gave. Raises Misuse for what is no user and password."""
    if inspect.isawaitable(answer):
        raise Misuse("credentials gave something to await", hint="pass a plain function to the blocking front")
    if isinstance(answer, tuple) and len(answer) == 2 and all(isinstance(part, str) for part in answer):
        return answer
    raise Misuse("credentials gave no user and password", hint="return two texts, as ('app', token)")


def loginless(error: Exception) -> Unavailable:
    """The function failed: perhaps not the next time."""
    return Unavailable(
        f"credentials could not be had ({type(error).__name__})", hint="look at the function that gives them"
    )
