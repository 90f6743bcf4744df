"""Opening a connection: socket, TLS and RESP3 handshake, as one bounded step."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from hustlex.drivers.aio.connection import Connection, ReplyError
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.reach import reach
from hustlex.drivers.faults import (
    FOREIGN,
    NOT_EXECUTED,
    Late,
    Lost,
    NotSent,
    alone,
    greeting,
    greets,
    link_failure,
    unfit,
    warn_of_half_a_name,
)
from hustlex.drivers.login import Login, login, loginless
from hustlex.drivers.pack import join
from hustlex.drivers.url import Endpoint
from hustlex.errors import Error, Misuse, Refused, Unavailable

_LIBRARY = "hustlex"


class Where(Protocol):
    """A server that may have moved since the last time: asked before each dial."""

    @property
    def title(self) -> str:
        """For messages: no user, no password."""
        ...

    @property
    def node(self) -> str:
        """As title, but the one server that it was at the last dial."""
        ...

    async def resolve(self) -> Endpoint:
        """Where it is now. Raises as ``dial``."""
        ...


class Fixed:
    """A server that stays at its address (whose host is still looked up at each dial)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.title = self.node = endpoint.where

    async def resolve(self) -> Endpoint:
        return self.endpoint


def passing(error: Error) -> bool:
    """Whether the next attempt may be answered otherwise."""
    return isinstance(error, Unavailable) or (isinstance(error, Refused) and error.server_code in NOT_EXECUTED)


async def dial(
    where: Where,
    options: Options,
    on_lost: Callable[[Connection], None],
    on_push: Callable[[list[Any]], None] | None = None,
) -> Connection:
    """A ready connection to a primary. Raises Unavailable, or Denied, Refused, ConfigurationError; see ``passing``."""
    tally, counted = options.tally, False

    def lost(connection: Connection) -> None:
        if counted:
            tally.add("open", -1)
        on_lost(connection)

    try:
        connection = await _dial_once(where, options, lost, on_push)
    except Error:
        tally.add("failed")
        raise
    tally.add("dialled")
    if not connection.closed:
        counted = True
        tally.add("open")
    return connection


async def _dial_once(
    where: Where,
    options: Options,
    on_lost: Callable[[Connection], None],
    on_push: Callable[[list[Any]], None] | None,
) -> Connection:
    try:
        async with asyncio.timeout(options.connect):
            endpoint = await where.resolve()
            loop = asyncio.get_running_loop()
            connection = await reach(endpoint, lambda: Connection(loop, on_lost, on_push))
            try:
                await _greet(connection, endpoint, options)
            except BaseException as error:
                connection.abort("the handshake failed")
                if isinstance(error, NotSent) and isinstance(connection.stray, ReplyError):  # it spoke first
                    raise greeting(str(connection.stray), endpoint) from None
                raise
            return connection
    except (Late, Lost, NotSent) as failure:
        raise Unavailable(str(failure) or "no answer to the handshake") from None
    except TimeoutError:
        raise Unavailable(f"no answer from {where.title} within {options.connect:g} s") from None
    except OSError as error:
        raise Unavailable(link_failure(error)) from None


async def _greet(connection: Connection, endpoint: Endpoint, options: Options) -> None:
    """HELLO, names and SELECT in one write. Only HELLO and SELECT must succeed."""
    hello: list[str | int] = ["HELLO", 3]
    username, password = await _login(endpoint)
    if username or password:
        hello += ["AUTH", username or "default", password]
    commands: list[list[str | int]] = [[*hello, "SETNAME", options.name], ["CLIENT", "SETINFO", "LIB-NAME", _LIBRARY]]
    if endpoint.database:
        commands.append(["SELECT", endpoint.database])
    if endpoint.replica and endpoint.mode == "cluster":
        commands.append(["READONLY"])
    deadline = asyncio.get_running_loop().time() + options.connect
    sent = [connection.send(join(tuple(command)), deadline) for command in commands]
    replies = await asyncio.gather(*sent, return_exceptions=True)  # a server that is full answers once and hangs up
    _check_hello(replies[0], endpoint)
    connection.standalone = alone(replies[0])
    broken = next((reply for reply in replies if isinstance(reply, (Late, Lost, NotSent))), None)
    if broken is not None:
        raise broken
    if endpoint.database and isinstance(replies[2], ReplyError):
        raise greeting(str(replies[2]), endpoint)


async def _login(endpoint: Endpoint) -> Login:
    if endpoint.credentials is None:
        return endpoint.username, endpoint.password
    try:
        answer = endpoint.credentials()
        return login(await answer if inspect.isawaitable(answer) else answer)
    except Misuse:
        raise
    except Exception as error:
        raise loginless(error) from error


def _check_hello(reply: Any, endpoint: Endpoint) -> None:
    if isinstance(reply, (Late, Lost, NotSent)):
        raise reply
    if isinstance(reply, ReplyError):
        raise greeting(str(reply), endpoint)
    if not greets(reply):
        raise Lost(FOREIGN)
    if (error := unfit(reply, endpoint)) is not None:
        raise error
    warn_of_half_a_name(reply, endpoint)
