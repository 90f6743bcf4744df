"""An operation is a value.

``Op[T]`` says what to send and how to read the answer. Rooms build it in pure functions (``ops.py``), a driver
sends it, nothing else touches the network. What takes several
steps is a generator (``Flow[T]``) that yields them and is followed by either driver, so its logic exists once and can
be tested by feeding replies by hand.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from hustlex.core.durability.level import Committed, Durability
from hustlex.core.keys import key_in
from hustlex.core.link import ServerLink
from hustlex.core.telemetry import Hook
from hustlex.errors import Error

T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes of a call, or of its reply, from which on it is not sent with all others."""

Arg = str | bytes | int | float
Reply = Any


class Effect(enum.Enum):
    """What happens when a call is sent twice; decides what a driver may repeat after a broken link."""

    READ = "read"
    """Changes nothing. Repeated freely."""
    IDEMPOTENT = "idempotent"
    """Twice is the same as once (by construction, or because it carries an id). Repeated freely."""
    ONCE = "once"
    """A second run would change the result. Never repeated once it may have been executed."""


class Script(msgspec.Struct, frozen=True, eq=False):
    """A Lua script and its contract, as read from one file by ``core.lua``.

    keys, args: declared names in order. A last name that ends in ``...`` stands for any number of values.
    """

    name: str
    text: str
    sha1: str
    effect: Effect
    keys: tuple[str, ...]
    args: tuple[str, ...]

    def op(
        self,
        keys: tuple[str, ...],
        args: tuple[Arg, ...],
        decode: Callable[[Reply], T],
        *,
        timeout_ms: int = 0,
        kept: list[bytes] | None = None,
    ) -> Op[T]:
        """One call of this script. keys and args follow the order of the contract."""
        return Op(self.name, self.effect, keys, args, decode, self, timeout_ms, kept)


class Op(msgspec.Struct, Generic[T], frozen=True, eq=False):
    """One round trip: a script call, or a plain command."""

    name: str
    """``room.verb``, for errors and telemetry."""
    effect: Effect
    """What happens when it is sent twice."""
    keys: tuple[str, ...]
    """Every key touched, all in one hash slot."""
    args: tuple[Arg, ...]
    """The script's ARGV, or the whole command when ``script`` is None."""
    decode: Callable[[Reply], T]
    """Makes the answer of the server's reply."""
    script: Script | None = None
    """What to run; None for a plain command."""
    timeout_ms: int = 0
    """How long the call may wait for the server; 0: the driver's default."""
    kept: list[bytes] | None = None
    """For an operation that will be run again as it is, an empty list, in which the driver keeps the packed bytes."""
    parts: tuple[Op[Any], ...] = ()
    """Kept operations whose keys are, one after the other, this one's, and whose arguments its own begin with: their
    bytes are used again."""
    large: bool = False
    """Whether a reply of more than LARGE bytes is expected, which would hold up whatever comes behind it."""

    def at(self, slot: int) -> Op[T]:
        """One that names no key, for the server which has this slot."""
        return replace(self, keys=(key_in(slot),))


def command(
    name: str,
    effect: Effect,
    *args: Arg,
    decode: Callable[[Reply], T],
    keys: tuple[str, ...] = (),
    timeout_ms: int = 0,
    large: bool = False,
) -> Op[T]:
    """A plain command as an operation: ``command("cache.get", Effect.READ, "GET", key, keys=(key,), decode=...)``."""
    return Op(name, effect, keys, args, decode, None, timeout_ms, large=large)


PING = command("server.ping", Effect.READ, "PING", decode=bytes)


class Sleep(msgspec.Struct, frozen=True):
    """A flow's step: wait this long."""

    seconds: float


class Batch(msgspec.Struct, frozen=True):
    """A flow's step: several operations in one write. The answer is a list; a failed one holds its Error."""

    ops: tuple[Op[Any], ...]


class Part(msgspec.Struct, frozen=True):
    """A flow's step: run an operation that names no key at one of the servers which hold the data.

    number: from 0, in an order that stays while slots do; the answer is None past the last one.
    """

    op: Op[Any]
    number: int


class Durable(msgspec.Struct, frozen=True):
    """A flow's step: as Batch, and wait for the disk or for replicas. The answer is a list of Committed or Error."""

    ops: tuple[Op[Any], ...]
    durability: Durability


class Call(msgspec.Struct, frozen=True):
    """A flow's step: run the user's function (plain, or async under the async driver) and answer its result."""

    function: Callable[[], Any]


Step = Op[Any] | Batch | Durable | Part | Sleep | Call
Flow = Generator[Step, Any, T]


def do(op: Op[T]) -> Generator[Step, Any, T]:
    """``value = yield from do(op)`` inside a flow: runs one operation and keeps its type."""
    result: T = yield op
    return result


def parts(op: Op[T]) -> Generator[Step, Any, list[T]]:
    """``counts = yield from parts(op)`` inside a flow: the answers of all servers that hold the data."""
    answers: list[T] = []
    while (answer := (yield Part(op, len(answers)))) is not None:
        answers.append(answer)
    return answers


def subscribers(name: str, channel: str, *, sharded: bool = False) -> Op[int]:
    """How many connections at one server listen to a channel; of a sharded one, at the server of its slot."""

    def decode(reply: Reply) -> int:
        return int(next(iter(reply.values())) if isinstance(reply, dict) else reply[1])

    if sharded:
        return command(name, Effect.READ, "PUBSUB", "SHARDNUMSUB", channel, keys=(channel,), decode=decode)
    return command(name, Effect.READ, "PUBSUB", "NUMSUB", channel, decode=decode)


class Message(msgspec.Struct, frozen=True):
    """What arrives on a subscription. gap=True: the link broke or the queue overflowed; messages may be missing."""

    channel: str
    data: bytes
    gap: bool = False


OnKeys = Callable[[Sequence[bytes] | None], None]
"""Told the keys that changed, or None for all keys of a server."""


class Tracking(Protocol):
    """Hears of changes, on connections of its own. Its callbacks must neither block nor raise.

    A value may be kept in memory when the call that read it began while ``live`` was true, and since then neither
    ``epoch`` changed nor its key was told. Whoever keeps values drops them all when ``on_loss`` is called.
    """

    @property
    def live(self) -> bool:
        """Every change is told, from when this became true."""
        ...

    @property
    def closed(self) -> bool:
        """It will never be live again: closed, or of another event loop or process. Call ``track`` for a new one."""
        ...

    @property
    def epoch(self) -> int:
        """Another number after each loss."""
        ...

    @property
    def error(self) -> Error | None:
        """Why the server will not tell, once it said so: ``live`` stays false."""
        ...

    async def settled(self, seconds: float) -> bool:
        """Wait until ``live`` is true or never will be, at most this long; returns ``live``."""
        ...

    async def close(self) -> None:
        """Hear no more. Idempotent; the driver's ``close`` does it, too."""
        ...


class AsyncDriver(Protocol):
    """What a room needs from the async driver; implemented in ``drivers.aio``. hook: told of every call. outcomes: what
    a worker on it waits for before it forgets an outcome, unless it is told otherwise (``core.durability``)."""

    hook: Hook | None
    outcomes: str

    async def run(self, op: Op[T]) -> T:
        """Send one operation and decode its answer. Raises the package's errors."""
        ...

    def send(self, op: Op[T], *, at_once: bool = False) -> asyncio.Future[T]:
        """As ``run``, but sent before this returns. The hook is not told: it was told of the callers that share it.

        at_once: written before this returns, too, and not with all that is sent in this turn of the event loop.
        """
        ...

    @property
    def crosses_slots(self) -> bool | None:
        """Whether one call may have keys of several slots: one server has them all. None while that is not known."""
        ...

    async def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        """Send all in one write; answers in order. A failed one is its Error, not raised."""
        ...

    async def commit(self, op: Op[T], durability: Durability) -> Committed[T]:
        """Send one operation and wait for the disk, or for replicas, on a connection that others wait on, too.

        Raises ConfigurationError, before anything is written, when the server cannot do that.
        """
        ...

    async def commit_many(self, ops: Sequence[Op[T]], durability: Durability) -> list[Committed[T] | Error]:
        """All at a time; answers in order, a failed one as its Error."""
        ...

    async def follow(self, flow: Flow[T]) -> T:
        """Carry a flow to its end."""
        ...

    async def block(self, op: Op[T], seconds: float) -> T:
        """Run a blocking command (it waits up to ``seconds`` on the server) on a connection of its own."""
        ...

    async def listen(self, op: Op[T], most: int, seconds: float) -> list[T]:
        """What a command that answers without end says after its first reply, decoded one by one.

        So many at most, for so long at most, on a connection of its own. Never repeated.
        """
        ...

    def subscribe(self, *channels: str, sharded: bool = False) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Messages of these pub/sub channels from the moment the block is entered. sharded: what SPUBLISH tells."""
        ...

    @property
    def deaf(self) -> bool:
        """Whether somebody subscribes, and the link is broken."""
        ...

    def track(self, *prefixes: str, on_keys: OnKeys, on_loss: Callable[[], None]) -> Tracking:
        """Be told from now on which keys with these prefixes change (all keys without one), whoever changes them.

        on_keys: called with each change. on_loss: called when changes may have been missed. Returns at once.
        """
        ...

    @property
    def link(self) -> ServerLink:
        """How the server is reached."""
        ...

    def another(self) -> AsyncDriver:
        """A driver to the same server with the same settings, for the event loop of another thread."""
        ...

    async def close(self) -> None:
        """Finish what is in flight (bounded) and close every connection. Idempotent."""
        ...


class BlockingDriver(Protocol):
    """The same words without await; implemented in ``drivers.blocking``."""

    hook: Hook | None

    def run(self, op: Op[T]) -> T: ...

    def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]: ...

    def commit(self, op: Op[T], durability: Durability) -> Committed[T]: ...

    def commit_many(self, ops: Sequence[Op[T]], durability: Durability) -> list[Committed[T] | Error]: ...

    def follow(self, flow: Flow[T]) -> T: ...

    def block(self, op: Op[T], seconds: float) -> T: ...

    def listen(self, op: Op[T], most: int, seconds: float) -> list[T]: ...

    @property
    def link(self) -> ServerLink: ...

    def close(self) -> None: ...
