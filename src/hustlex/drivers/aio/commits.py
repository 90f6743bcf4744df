"""Writes that are waited for: those that come together are one batch, with one WAIT or WAITAOF behind it.

On a connection of its own, since WAIT holds up whatever comes behind it, and means what its own connection wrote. One
batch is in flight; what comes meanwhile is the next.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import msgspec

from hustlex.core.durability.level import POLICY, Durability, WaitReply, answered, exact, forced
from hustlex.drivers.aio.connection import Connection, ReplyError
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import Late, Lost, NotSent, hasty, unable
from hustlex.drivers.pack import join
from hustlex.errors import Error, Overloaded

_POLICY, _HELLO = join(POLICY), join(("HELLO",))


class Write(msgspec.Struct):
    """A command, and who waits for it. settled: resolves to a WaitReply."""

    packed: bytes
    deadline: float
    asking: bool
    settled: asyncio.Future[WaitReply]


class CommitConnection:
    """To one server, for one kind of waiting."""

    def __init__(self, where: Where, options: Options, durability: Durability) -> None:
        self._durability = durability
        self._most = options.in_flight
        self._drain = options.drain
        self._wait = join(durability.question)
        self._probe = join(durability.probe) if durability.probe is not None else None
        self.connection = ManagedConnection(where, options)
        self._asks_policy = durability.local
        self._exact = False
        self._able: Connection | None = None
        self._next: list[Write] = []
        self._running: asyncio.Task[None] | None = None

    async def exchange(self, packed: bytes, deadline: float, *, asking: bool = False) -> WaitReply:
        """The reply, once the server has said who has it. Raises as ``ManagedConnection.exchange``."""
        if len(self._next) >= self._most:
            raise Overloaded("too many writes wait for the disk or for replicas", hint="call less often")
        loop = asyncio.get_running_loop()
        write = Write(packed, deadline, asking, loop.create_future())
        self._next.append(write)
        if self._running is None:
            self._running = loop.create_task(self._run(), name=f"commit {self.connection.where.title}")
        return await write.settled

    async def _run(self) -> None:
        try:
            while self._next:
                batch, self._next = self._next, []
                await self._commit([write for write in batch if not write.settled.done()])
        finally:
            self._running = None
            _fail(self._next, NotSent("the driver was closed"))
            self._next = []

    async def _commit(self, batch: list[Write]) -> None:
        if not batch:
            return
        deadline = max(write.deadline for write in batch)
        try:
            connection = await self._ready(deadline)
        except (NotSent, Lost, Late, Error) as failure:
            _fail(batch, failure if isinstance(failure, Error) else NotSent(str(failure)))
            return
        sent = [(connection.ask if w.asking else connection.send)(w.packed, w.deadline) for w in batch]
        try:
            local, replicas = await self._who_has_it(connection, deadline)
        except (NotSent, Lost, Late):
            local, replicas = False, 0  # executed or not, nobody says
        for write, future in zip(batch, sent, strict=True):
            _settle(write, future, local, replicas)

    async def _who_has_it(self, connection: Connection, deadline: float) -> tuple[bool, int]:
        """What was sent before on this connection.

        A server that forces each turn's writes to its disk before it answers them (appendfsync always) answers this
        question with them, and WAITAOF only a turn later.
        """
        believed = self._exact
        if self._asks_policy:
            policy = await connection.send(_POLICY, deadline)
            self._asks_policy = type(policy) is not ReplyError
            if forced(policy):
                if not self._durability.copies:
                    return True, 0
                believed = True
        return answered(self._durability, await connection.send(self._wait, deadline), believed=believed)

    async def _ready(self, deadline: float) -> Connection:
        """An open connection to a server that can do it. Raises ConfigurationError for one that cannot."""
        connection = await self.connection.opened(deadline)
        if self._probe is not None and connection is not self._able:
            await self._try(connection, deadline)
            self._able = connection
        return connection

    async def _try(self, connection: Connection, deadline: float) -> None:
        assert self._probe is not None
        sent = [connection.send(question, deadline) for question in (self._probe, _HELLO, _POLICY)]
        waited, hello, policy = await asyncio.gather(*sent)
        if type(waited) is ReplyError:
            raise unable(self._durability.word, str(waited))
        self._exact, self._asks_policy = exact(hello), type(policy) is not ReplyError
        if not self._exact and not forced(policy):
            raise hasty(self._durability.word)

    async def close(self) -> None:
        """Answer what is in flight (bounded), then close for good."""
        await self.connection.close()
        if self._running is not None:
            await asyncio.wait((self._running,), timeout=self._drain)


def _fail(batch: list[Write], failure: Exception) -> None:
    """Each gets an error of its own: it will be told which call it was."""
    for write in batch:
        if not write.settled.done():
            write.settled.set_exception(copy.copy(failure))


def _settle(write: Write, sent: asyncio.Future[Any], local: bool, replicas: int) -> None:
    if not sent.done():
        sent.cancel()
        failure: BaseException | None = Late()
    else:
        failure = sent.exception()
    if write.settled.done():
        return
    if failure is not None:
        write.settled.set_exception(failure)
    else:
        write.settled.set_result(WaitReply(sent.result(), local, replicas))
