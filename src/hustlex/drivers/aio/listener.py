"""A connection for what a server sends by itself: opened, asked for a sign of life, reopened until it is closed."""

from __future__ import annotations

import asyncio
from random import random
from typing import Any, Protocol

from hustlex.core.logs import logger
from hustlex.core.printable import printable
from hustlex.drivers.aio.connection import Connection, ReplyError
from hustlex.drivers.aio.dial import Where, dial, passing
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import SETTLED_S, Late, Lost, NotSent, demoted, refusal
from hustlex.drivers.pack import join
from hustlex.errors import Error

_log = logger("hustlex.drivers")
_HELLO = join(("HELLO",))


class Hearer(Protocol):
    """Who listens."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for pushes."""
        ...

    def where(self) -> Where:
        """The server for the next connection."""
        ...

    async def begin(self, connection: Connection) -> None:
        """Say on a new connection what is wanted. Raises Error when the server refuses."""
        ...

    def hear(self, push: list[Any]) -> None:
        """A push, called from the read callback."""
        ...

    def lost(self) -> None:
        """The connection that ``begin`` was called for has ended; from now on things are missed."""
        ...

    def refused(self, error: Error) -> None:
        """No repetition will help: the listener has ended."""
        ...


class Listener:
    """Runs from ``start`` to ``stop``, or until the hearer wants no more or was refused."""

    def __init__(self, hearer: Hearer, options: Options, name: str) -> None:
        self._hearer = hearer
        self._options = options
        self._name = name
        self._keeper: asyncio.Task[None] | None = None
        self.connection: Connection | None = None
        self.trouble = ""
        """Why the last attempt failed; "" while there is a connection."""

    def start(self) -> None:
        """Does nothing when it runs already."""
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=self._name)

    async def _keep(self) -> None:
        """While wanted: connect, begin, wait for the end, say so, start over."""
        attempt = 0
        while self._hearer.wanted:
            try:
                await self._live()
                attempt = 0
            except (Late, Lost, NotSent) as failure:
                self._complain(str(failure))
                attempt += 1
            except Error as error:
                if not passing(error):
                    self._hearer.refused(error)
                    return
                self._complain(error.message)
                attempt += 1
            await asyncio.sleep(random() * min(2.0, 0.05 * 2 ** min(attempt, 8)))

    def _complain(self, trouble: str) -> None:
        if not self.trouble:
            _log.warning("%s hears nothing: %s", self._name, printable(trouble))
        self.trouble = trouble

    async def _live(self) -> None:
        """One connection's life. Returns when it broke."""
        broken = asyncio.Event()
        connection = await dial(self._hearer.where(), self._options, lambda _: broken.set(), self._hearer.hear)
        if self.trouble:
            _log.warning("%s has its link again", self._name)
        self.connection, self.trouble = connection, ""
        try:
            await self._hearer.begin(connection)
            while not broken.is_set() and self._hearer.wanted:
                await self._probe(connection, broken)
            if isinstance(connection.stray, ReplyError):
                raise refusal(str(connection.stray))
        finally:
            self.connection = None
            connection.abort("the subscription ended")
            self._hearer.lost()

    async def _probe(self, connection: Connection, broken: asyncio.Event) -> None:
        """Wait for the end of the link; every few seconds ask for a sign of life and its role."""
        try:
            async with asyncio.timeout(self._options.look):
                await broken.wait()
        except TimeoutError:
            loop = asyncio.get_running_loop()
            try:
                hello = await connection.send(_HELLO, loop.time() + self._options.stall)
            except (Late, Lost, NotSent):
                connection.abort("no sign of life on the subscription")
            else:
                if demoted(hello):
                    connection.abort("another server is to be asked")

    def distrust(self, since: float) -> None:
        """Dial anew if the connection is older than this."""
        connection = self.connection
        if connection is not None:
            settled = asyncio.get_running_loop().time() - SETTLED_S
            if connection.opened <= min(since, settled):
                connection.abort("another server is to be asked")

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        if self.connection is not None:
            self.connection.forsake()

    async def stop(self) -> None:
        """End, and close the connection."""
        if self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
