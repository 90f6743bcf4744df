"""The async driver's public face: run, run_many, follow, block, subscribe."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from hustlex.core import forks
from hustlex.core.durability.level import MEMORY, Committed, Durability, WaitReply, reached
from hustlex.core.link import LinkFigures, ServerLink
from hustlex.core.op import PING, Batch, Call, Durable, Flow, Message, OnKeys, Op, Part, Sleep, Step, Tracking
from hustlex.core.telemetry import Hook, Watch, telling
from hustlex.drivers.address import Address, parse_address
from hustlex.drivers.aio.arrange import arranged
from hustlex.drivers.aio.connection import ReplyError
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.router import Router, fitting
from hustlex.drivers.aio.sent import answer_of
from hustlex.drivers.aio.stream import heard
from hustlex.drivers.answerer import node_of
from hustlex.drivers.faults import Failure, Late, Lost, NotSent, closed, decoded, exhausted, refusal
from hustlex.drivers.login import Credentials
from hustlex.drivers.pack import pack
from hustlex.drivers.patience import FlowOps
from hustlex.drivers.tally import LinkTally
from hustlex.errors import Error, Misuse

T = TypeVar("T")

_CHUNK = 4_096
"""Operations of one ``run_many`` in flight at once: well under the bound, so that other callers find room."""


_inherited: list[object] = []
"""Connections of a parent process: never used here, nor closed, since closing tells the event loop that both share."""


class Driver:
    """Opens lazily at the first call. One per event loop at a time; share it between all tasks.

    url: redis://, rediss://, valkey:// or unix://; redis+cluster:// or redis+sentinel:// for several servers. timeout:
    as ``Options.command``, failover: as ``Options.failover``. credentials: asked for user and password before each
    connection. outcomes: see ``core.op.AsyncDriver``. Raises ConfigurationError for a bad URL. Once its event loop has
    ended, or in a child process, it opens new connections; used from a second loop while the first runs: Misuse.
    """

    def __init__(
        self,
        url: str | Address,
        options: Options | None = None,
        *,
        hook: Hook | None = None,
        timeout: timedelta | None = None,
        failover: timedelta | None = None,
        credentials: Credentials | None = None,
        outcomes: str = MEMORY,
    ) -> None:
        given = {"command": timeout, "failover": failover}
        seconds = {name: length.total_seconds() for name, length in given.items() if length is not None}
        self._options = replace(options or Options(), tally=LinkTally(), **seconds)
        self.hook, self.outcomes = hook, outcomes
        address = url if isinstance(url, Address) else parse_address(url)
        self._address = address.with_login(credentials) if credentials is not None else address
        self._address.check_certificates()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._fresh()
        forks.watch(self)

    def _fresh(self) -> None:
        self._router = Router(arranged(self._address), self._options)
        self._topology = self._router.topology

    def forked(self) -> None:
        """See ``core.forks``."""
        _inherited.append((self._router, self._loop))
        self._router.orphan()
        self._options = replace(self._options, tally=LinkTally())
        self._loop = None
        self._fresh()

    def _here(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve this event loop from now on. Raises Misuse while another one is served."""
        if self._closed:  # in a child of the process that closed it, too
            raise closed()
        before, self._loop = self._loop, loop
        if before is None:
            return
        if before.is_running():
            self._loop = before
            raise Misuse(
                "this HustleX already serves another event loop, which is running",
                hint="make one for each event loop, or hand the call to that loop",
            )
        self._options.tally.add("open", -self.figures.open)
        self._router.forsake()
        self._fresh()

    def _now(self) -> float:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._here(loop)
        return loop.time()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- one operation

    async def run(self, op: Op[T]) -> T:
        """Send one operation; see ``core.op.AsyncDriver``."""
        if self.hook is not None:
            with telling(self.hook, op.name, self, op):
                deadline = self._deadline(op)
                return await self._settle(op, self._submit(op, deadline), deadline)
        deadline, packed, connection = self._deadline(op), pack(op), self._topology.connection(op)
        if op.large or len(packed) > self._options.large:
            connection = connection.beside or connection
        future = connection.submit(packed, deadline)
        if future is None:
            return await self._settle(op, None, deadline)
        try:  # as in _settle, without a coroutine of its own: a quarter of a microsecond of each call
            reply = await future
        except (NotSent, Lost, Late) as failure:
            reply = await self._router.insist(op, deadline, failure)
        if type(reply) is ReplyError:
            reply = await self._router.insist(op, deadline, refusal(str(reply)))
        return decoded(op, reply)

    def send(self, op: Op[T], *, at_once: bool = False) -> asyncio.Future[T]:
        """As ``run``, but sent before this returns, and not told to the hook; see ``core.op.AsyncDriver``."""
        deadline = self._deadline(op)
        reply = self._submit(op, deadline, at_once=at_once)
        return answer_of(op, reply, partial(self._settle, op, reply, deadline))

    def _submit(self, op: Op[Any], deadline: float, *, at_once: bool = False) -> asyncio.Future[Any] | None:
        packed = pack(op)
        connection = fitting(self._topology.connection(op), large=op.large or len(packed) > self._options.large)
        return connection.submit(packed, deadline, at_once=at_once)

    @property
    def crosses_slots(self) -> bool | None:
        """Whether one call may have keys of several slots; None while that is not known."""
        return self._topology.crosses_slots

    async def _settle(
        self, op: Op[T], future: asyncio.Future[Any] | None, deadline: float, *, patient: bool = True
    ) -> T:
        """The decoded answer of a call that was sent (future) or that found no open line (None)."""
        try:
            reply = await future if future is not None else await self._router.insist(op, deadline, patient=patient)
        except (NotSent, Lost, Late) as failure:
            reply = await self._router.insist(op, deadline, failure, patient=patient)
        if type(reply) is ReplyError:
            reply = await self._router.insist(op, deadline, refusal(str(reply)), patient=patient)
        return decoded(op, reply)

    def _deadline(self, op: Op[Any]) -> float:
        loop = asyncio.get_running_loop()  # as _now, without a call: this is done for each operation
        if loop is not self._loop:
            self._here(loop)
        return loop.time() + (op.timeout_ms / 1000 if op.timeout_ms else self._options.command)

    # -- many operations

    async def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        """All in one write (of up to 4,096 each); answers in order, a failed one as its Error.

        Unless a flow asks for them, none waits beyond its deadline for a server that is being replaced: the others'
        answers would wait with it.
        """
        patient = isinstance(ops, FlowOps)
        if self.hook is None or not ops:
            return await self._many(ops, patient)
        with Watch(self.hook, tuple(op.name for op in ops), way=self, sent=ops) as call:
            answers = await self._many(ops, patient)
            call.results(answers)
            return answers

    async def _many(self, ops: Sequence[Op[T]], patient: bool) -> list[T | Error]:
        if len(ops) == 1:  # without what several need: an idle worker's first lease goes out 10 us sooner
            (op,), deadline = ops, self._deadline(ops[0])
            return [await _outcome(self._settle(op, self._submit(op, deadline), deadline, patient=patient))]
        packed = [pack(op) for op in ops]
        parts = [slice(at, at + _CHUNK) for at in range(0, len(ops), _CHUNK)]
        return [answer for part in parts for answer in await self._chunk(ops[part], packed[part], patient)]

    async def _chunk(self, ops: Sequence[Op[Any]], packed: Sequence[bytes], patient: bool) -> list[Any]:
        large = max(map(len, packed)) > self._options.large or any(op.large for op in ops)
        if large:  # all of them, also those that are sent again: they keep their order
            ops = [replace(op, large=True) for op in ops]
        sent: list[tuple[Op[Any], asyncio.Future[Any] | None, float]] = []
        for op, command in zip(ops, packed, strict=True):
            deadline, connection = self._deadline(op), fitting(self._topology.connection(op), large=large)
            sent.append((op, connection.submit(command, deadline), deadline))
        answers: list[Any] = []
        repeats: list[asyncio.Task[Any]] = []
        try:
            for op, future, deadline in sent:
                served = await _served(future)
                answer = _outcome(self._settle(op, future, deadline, patient=patient))
                if not served:  # repeated beside the others: one after the other they would not be done in time
                    repeats.append(asyncio.create_task(answer))
                answers.append(await answer if served else repeats[-1])
            if repeats:
                await asyncio.wait(repeats)
        finally:
            for _, future, _ in sent[len(answers) :]:
                if future is not None:
                    future.cancel()
            for repeat in repeats:
                repeat.cancel()
        return [answer.result() if isinstance(answer, asyncio.Task) else answer for answer in answers]

    # -- writes that are waited for

    async def commit(self, op: Op[T], durability: Durability) -> Committed[T]:
        """Send one operation, and wait for the disk or replicas; see ``core.op.AsyncDriver``."""
        with telling(self.hook, op.name, self, op) if self.hook is not None else nullcontext():
            return await self._commit(op, durability)

    async def _commit(self, op: Op[T], durability: Durability) -> Committed[T]:
        deadline = self._deadline(op) + durability.patience_ms / 1000
        found = await self._waited(op, deadline, durability)
        value = decoded(op, found.reply)
        return Committed(value, reached(durability, found), found.local, found.replicas)

    async def _waited(self, op: Op[Any], deadline: float, durability: Durability) -> WaitReply:
        """As in ``_settle``: once on the short way, then as the router sees fit."""
        commits = self._topology.commits(op, durability)
        failure: Failure | None = None
        if commits is not None:
            try:
                found = await commits.exchange(pack(op), deadline)
            except (NotSent, Lost, Late) as lost:
                failure = lost
            except Error as error:
                patience = self._router.patience(op, deadline, None, durability, 1)
                raise patience.turned_away(error, self._now(), self._topology.node(op, None)) from None
            else:
                if type(found.reply) is not ReplyError:
                    return found
                failure = refusal(str(found.reply))
        again: WaitReply = await self._router.insist(op, deadline, failure, durability=durability)
        return again

    async def commit_many(self, ops: Sequence[Op[T]], durability: Durability) -> list[Committed[T] | Error]:
        """All at a time, in order where one server has their keys; a failed one as its Error."""
        answers = await asyncio.gather(*(self.commit(op, durability) for op in ops), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Error):
                raise answer
        return answers  # type: ignore[return-value]

    # -- flows

    async def follow(self, flow: Flow[T]) -> T:
        """Carry a flow to its end; every exception, cancellation included, is thrown into it so it can clean up."""
        try:
            step = flow.send(None)
            while True:
                try:
                    answer = await self._step(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def _step(self, step: Step) -> Any:
        if isinstance(step, Op):
            return await self.run(step)
        if isinstance(step, Batch):
            return await self.run_many(FlowOps(step.ops))
        if isinstance(step, Durable):
            return await self.commit_many(step.ops, step.durability)
        if isinstance(step, Part):
            return await self._part(step)
        if isinstance(step, Sleep):
            return await asyncio.sleep(step.seconds)
        assert isinstance(step, Call)
        result = step.function()
        return await result if inspect.isawaitable(result) else result

    async def _part(self, step: Part) -> Any:
        if not self._topology.parts:
            await self.run(PING)
        parts = self._topology.parts
        return await self.run(step.op.at(parts[step.number])) if step.number < len(parts) else None

    # -- connections of their own

    async def block(self, op: Op[T], seconds: float) -> T:
        """Run a command that waits on the server up to ``seconds``; a cancelled one drops its connection.

        What may be repeated is, as long as it has not waited ``seconds`` in all.
        """
        watch = Watch(self.hook, (op.name,), waits=True, way=self, sent=op) if self.hook is not None else nullcontext()
        with watch:
            return await self._wait(op, seconds)

    async def _wait(self, op: Op[T], seconds: float) -> T:
        if self._closed:
            raise closed().during(op.name)
        until = self._now() + seconds
        return decoded(op, await self._router.insist(op, until, wait=seconds))

    async def listen(self, op: Op[T], most: int, seconds: float) -> list[T]:
        """What a command goes on to say after its first reply; see ``core.op.AsyncDriver``."""
        if self._closed:
            raise closed().during(op.name)
        with Watch(self.hook, (op.name,), waits=True) if self.hook is not None else nullcontext():
            patience = self._router.patience(op, self._now() + self._router.seconds(op), None, None)
            try:
                route = await self._topology.route(op, patience.attempt(self._now()))
                replies = await heard(route.node.where, self._options, pack(op), most, seconds)
            except (NotSent, Error) as failure:
                error = failure if isinstance(failure, Error) else exhausted(failure, self._topology.title)
                raise patience.told(error, self._now(), self._topology.node(op, None)) from None
            return [decoded(op, reply) for reply in replies]

    @asynccontextmanager
    async def subscribe(self, *channels: str, sharded: bool = False) -> AsyncIterator[AsyncIterator[Message]]:
        """Messages of these channels; a Message with ``gap=True`` after every reconnect or overflow.

        sharded: what SPUBLISH tells, at the node of each channel, instead of what PUBLISH tells to all nodes.
        """
        self._now()
        if self._closed:
            raise closed().during("subscribe")
        with Watch(self.hook, ("subscribe",), waits=True) if self.hook is not None else nullcontext():
            ear = self._router.sharded if sharded else self._router.pubsub
            async with ear.subscribe(channels) as messages:
                yield messages

    @property
    def deaf(self) -> bool:
        """Whether somebody subscribes, and the link is broken."""
        return self._router.pubsub.deaf or self._router.sharded.deaf

    def track(self, *prefixes: str, on_keys: OnKeys, on_loss: Callable[[], None]) -> Tracking:
        """Be told from now on which keys with these prefixes change; see ``core.op.Tracking``. Returns at once."""
        self._now()
        if self._closed:
            raise closed().during("track")
        return self._router.track(prefixes, on_keys, on_loss)

    @property
    def link(self) -> ServerLink:
        """How the server is reached."""
        return self._address.servers[0].link

    def node_of(self, sent: Any) -> str:
        """See ``core.telemetry.CallWay``."""
        return node_of(self._address, self._topology, sent)

    @property
    def figures(self) -> LinkFigures:
        """What is counted of its connections."""
        return self._options.tally.figures()

    def another(self) -> Driver:
        """One with the same settings, for the event loop of another thread; opened and closed there."""
        return Driver(self._address, self._options, hook=self.hook, outcomes=self.outcomes)

    async def close(self) -> None:
        """Answer what is in flight (bounded by ``Options.drain``), then close all connections."""
        if not self._closed:
            self._now()
        self._closed = True
        await self._router.close()


async def _served(future: asyncio.Future[Any] | None) -> bool:
    """Whether a call was sent and got a reply that is no refusal."""
    try:
        return future is not None and type(await future) is not ReplyError
    except (NotSent, Lost, Late):
        return False


async def _outcome(answer: Coroutine[Any, Any, T]) -> T | Error:
    try:
        return await answer
    except Error as error:
        return error
