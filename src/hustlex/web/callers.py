"""Who is limited, or whose a request is: keys for ``RateLimit`` and ``Idempotent``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from hustlex.core import check
from hustlex.ratelimit import caller_of
from hustlex.web.addresses import address_of
from hustlex.web.depends import CurrentUser, Marked, StrictUser, asked, current_user, overridden, strict_user

T = TypeVar("T")

Key = Callable[..., check.Id | Awaitable[check.Id]]
"""A dependency that answers who is limited: a reference that may stand in key names, not personal data."""


async def by_user(user: CurrentUser) -> str:
    """The logged-in user; the route is for logged-in users only."""
    return caller_of("user", user.user_id)


async def by_strict_user(user: StrictUser) -> str:
    """The logged-in user, asked for each time: what was revoked a moment ago does not count."""
    return caller_of("user", user.user_id)


async def by_ip(connection: HTTPConnection) -> str:
    """The peer's address, an IPv6 one as its /64. Behind a proxy, let the ASGI server read the forwarded address
    (uvicorn: ``--proxy-headers --forwarded-allow-ips``); nothing here believes a header."""
    return address_of(connection.client.host if connection.client else None)


async def globally() -> str:
    """Everybody together."""
    return "global"


async def _user(connection: HTTPConnection) -> str:
    return caller_of("user", (await current_user.ask(connection)).user_id)


async def _strict_user(connection: HTTPConnection) -> str:
    return caller_of("user", (await strict_user.ask(connection)).user_id)


def _address(connection: HTTPConnection) -> str:
    client = connection.scope.get("client")
    return address_of(client[0] if client else None)


def _everybody(_: HTTPConnection) -> str:
    return "global"


KEYS: dict[str, Key] = {"user": by_user, "ip": by_ip, "global": globally}
"""Those of rules' lines."""

_KNOWN_HERE: dict[Key, Callable[[HTTPConnection], str]] = {by_ip: _address, globally: _everybody}
_OF_USERS: dict[Key, Callable[[HTTPConnection], Awaitable[str]]] = {by_user: _user, by_strict_user: _strict_user}

ANSWERED = "what key answers"
Act = Callable[[HTTPConnection, str], Awaitable[T]]
"""What is to be done for a caller: the connection, and who its key says it is."""


def for_caller(key: Key, act: Act[T]) -> Callable[..., Awaitable[T]]:
    """A dependency that does this for whom the key names. The keys of this module are asked in place, see ``asked``."""
    known, of_user = _KNOWN_HERE.get(key), _OF_USERS.get(key)

    async def ask(connection: HTTPConnection, identity: Any = Depends(key)) -> T:
        return await act(connection, check.identity(ANSWERED, identity))

    async def ask_here(connection: HTTPConnection) -> T:
        if overridden(connection, key):
            return await act(connection, check.identity(ANSWERED, await asked(connection, key)))
        if known is not None:
            return await act(connection, known(connection))
        assert of_user is not None
        return await act(connection, await of_user(connection))

    if of_user is not None:
        return _OfUser(ask_here)
    return ask if known is None else ask_here


class _OfUser(Marked, Generic[T]):
    """Of the user behind a token, which the OpenAPI document says."""

    def __init__(self, alone: Callable[[HTTPConnection], Awaitable[T]]) -> None:
        super().__init__()
        self._alone = alone

    async def __call__(self, connection: HTTPConnection) -> T:  # type: ignore[override]
        return await self._alone(connection)
