"""Writes that are waited for: those that come together are one batch, with one WAIT or WAITAOF behind it.

On a connection of its own, since WAIT holds up whatever comes behind it, and means what its own connection wrote. One
batch is in flight; what comes meanwhile is the next. Where the server forces every turn to its disk there is nothing to
wait for, and batches follow each other: it takes those that come in one turn together.
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

_MOST_FLYING = 16
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
        self._flying: set[asyncio.Task[None]] = set()
        self._planned = self._streams = False

    def exchange(self, packed: bytes, deadline: float, *, asking: bool = False) -> asyncio.Future[WaitReply]:
        """The reply, once the server has said who has it. Raises as ``ManagedConnection.exchange``, when awaited."""
        if len(self._next) >= self._most:
            raise Overloaded("too many writes wait for the disk or for replicas", hint="call less often")
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[WaitReply] = loop.create_future()
        self._next.append(Write(packed, deadline, asking, settled))
        if not self._planned:
            self._planned = True
            loop.call_soon(self._launch)
        return settled

    def _launch(self) -> None:
        self._planned = False
        if not self._next or (self._flying and not (self._streams and len(self._flying) < _MOST_FLYING)):
            return  # the next one is launched when this one has landed
        batch, self._next = self._next, []
        task = asyncio.get_running_loop().create_task(self._commit(batch), name=f"commit {self.connection.where.title}")
        self._flying.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        self._launch()

    async def _commit(self, batch: list[Write]) -> None:
        try:
            await self._sent([write for write in batch if not write.settled.done()])
        finally:
            _fail(batch, NotSent("the driver was closed"))

    async def _sent(self, batch: list[Write]) -> None:
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
            self._streams = forced(policy) and not self._durability.copies
            if self._streams:
                return True, 0
            if forced(policy):
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
        if self._flying:
            await asyncio.wait(self._flying, timeout=self._drain)


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
