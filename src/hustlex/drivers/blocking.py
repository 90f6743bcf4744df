"""The blocking driver, on redis-py: the same operations, the same repeat rule, for threads and scripts.

redis-py only opens the connections: its retries would repeat any command, also one that must run once, and its pool and
its reading took most of a call (``links``). Replies arrive as the server sent them, exactly as on the async driver.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from msgspec.structs import replace

from hustlex.core.durability.level import POLICY, Committed, Durability, WaitReply, answered, exact, forced, reached
from hustlex.core.link import LinkFigures, ServerLink
from hustlex.core.op import PING, Batch, Call, Durable, Flow, Op, Part, Sleep, Step
from hustlex.core.telemetry import Hook, Watch, telling
from hustlex.drivers.address import Address, parse_address
from hustlex.drivers.answerer import node_of
from hustlex.drivers.faults import (
    MOST_DETOURS,
    Failure,
    Late,
    Lost,
    NotSent,
    backoff,
    closed,
    copied,
    decoded,
    exhausted,
    hasty,
    scriptless,
    unable,
    verdict,
)
from hustlex.drivers.login import Credentials
from hustlex.drivers.pack import join, pack
from hustlex.drivers.patience import COMMAND_S, FAILOVER_S, FlowOps, Patience, RepeatBudget
from hustlex.drivers.pools import PoolRoute, pools_of
from hustlex.drivers.tally import LinkTally, together
from hustlex.errors import Error, Refused

if TYPE_CHECKING:
    from hustlex.drivers.redis_py import ServerPool

T = TypeVar("T")


class _Again(msgspec.Struct, frozen=True):
    """In the place of an answer: the call is to be made again."""

    failure: Failure
    reason: Failure  # as ``Patience.reason``
    route: PoolRoute | None


class Driver:
    """A connection per concurrent caller, from a pool. Safe to share between threads.

    url: redis://, rediss://, valkey:// or unix://; redis+cluster:// or redis+sentinel:// for several servers. timeout:
    of a call, connecting included; default 1 s. failover: how long after the primary of a cluster or behind Sentinels
    went away calls wait for the next one, also beyond their timeout; default 10 s. credentials: asked for user and
    password before each connection. Raises ConfigurationError for a bad URL. A child process opens connections of its
    own.
    """

    def __init__(
        self,
        url: str | Address,
        *,
        hook: Hook | None = None,
        timeout: timedelta | None = None,
        failover: timedelta | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._command_s = timeout.total_seconds() if timeout is not None else COMMAND_S
        self._failover_s = failover.total_seconds() if failover is not None else FAILOVER_S
        address = url if isinstance(url, Address) else parse_address(url)
        self._address = address.with_login(credentials) if credentials is not None else address
        self._address.check_certificates()
        self.hook = hook
        self._pools = pools_of(self._address)
        self._exact: dict[ServerPool, bool] = {}
        self._repeats = RepeatBudget()
        self._tally = LinkTally()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, op: Op[T]) -> T:
        """Send one operation; see ``core.op.AsyncDriver``."""
        return self._run(op, waits=False)

    def _run(self, op: Op[T], *, waits: bool) -> T:
        if self.hook is None:
            return decoded(op, self._answer(op))
        how: dict[str, Any] = {"way": self, "sent": op}
        with Watch(self.hook, (op.name,), waits=True, **how) if waits else telling(self.hook, op.name, **how):
            return decoded(op, self._answer(op))

    def _answer(self, op: Op[Any]) -> Any:
        """Once on the short way, then as often as is sensible."""
        deadline, packed = time.monotonic() + self._seconds(op), pack(op)
        if self._closed:
            raise closed().during(op.name)
        try:
            reply = self._pools.route(op, deadline).pool.ask(packed, deadline)
        except (NotSent, Lost, Late, Refused) as failure:
            return self._insist(op, deadline, failure)
        except Error as error:
            patience = Patience(op, deadline, self._seconds(op), 1)
            raise patience.turned_away(error, time.monotonic(), self._pools.node(op, None)) from None
        return self._insist(op, deadline, reply) if isinstance(reply, Refused) else reply

    def _seconds(self, op: Op[Any]) -> float:
        return op.timeout_ms / 1000 if op.timeout_ms else self._command_s

    def _insist(
        self, op: Op[Any], deadline: float, failure: Failure | None = None, durability: Durability | None = None
    ) -> Any:
        """The only loop: repeat what may be repeated, each attempt on its own way, until the deadline.

        durability: the reply is a WaitReply.
        """
        route, node = None, ""
        seconds = self._seconds(op) + (durability.patience_ms / 1000 if durability is not None else 0)
        patience = Patience(op, deadline, seconds, int(failure is not None))
        while True:
            if failure is not None:
                node = self._pools.node(op, route)
                route = self._learn(op, route, failure, patience)
                self._consider(op, failure, route, node, patience)
                if not scriptless(failure):
                    self._tally.add("repeated")
            if self._closed:
                raise closed().during(op.name)
            packed, until = [pack(op, whole_script=patience.whole_script)], patience.attempt(time.monotonic())
            try:
                route = route or self._pools.route(op, until)
                if durability is not None:
                    packed += self._questions(route.pool, durability, until)
                reply, *waited = route.pool.exchange(packed, until, asking=route.asking)
            except (NotSent, Lost, Late, Refused) as error:
                failure = error
                continue
            except Error as error:
                raise patience.turned_away(error, time.monotonic(), self._pools.node(op, route)) from None
            if not isinstance(reply, Refused):
                return reply if durability is None else self._waited(route.pool, durability, reply, waited)
            failure = reply

    def _questions(self, pool: ServerPool, durability: Durability, deadline: float) -> list[bytes]:
        """What waits. Raises ConfigurationError for a server that cannot, before anything is written."""
        if durability.probe is None:
            return [join(durability.question)]
        if pool not in self._exact:
            questions = [join(durability.probe), join(("HELLO",)), join(POLICY)]
            waited, hello, policy = pool.exchange(questions, deadline)
            if isinstance(waited, Refused):
                raise unable(durability.word, waited.message.removeprefix("the server refused: "))
            if not exact(hello) and not forced(policy):
                raise hasty(durability.word)
            self._exact[pool] = exact(hello)
        return [join(durability.question)] if self._exact[pool] else [join(POLICY), join(durability.question)]

    def _waited(self, pool: ServerPool, durability: Durability, reply: Any, replies: list[Any]) -> WaitReply:
        believed = durability.probe is None or self._exact[pool] or forced(replies[0])
        return WaitReply(reply, *answered(durability, replies[-1], believed=believed))

    def _learn(
        self, op: Op[Any], route: PoolRoute | None, failure: Failure, patience: Patience | None
    ) -> PoolRoute | None:
        detour = self._pools.learn(op, route, failure)
        if detour is None and patience is not None:
            patience.learn(failure, self._pools.away_since(op, route) + self._failover_s)
        return detour

    def _consider(self, op: Op[Any], failure: Failure, detour: PoolRoute | None, node: str, patience: Patience) -> None:
        """Return when the call may be made again, after a pause where one is due; else raise. node: what failed."""
        error, now, attempt = verdict(failure, op.effect), time.monotonic(), patience.attempts
        if error is not None and not (isinstance(failure, Late) and failure.silent and patience.goes_on(now)):
            raise patience.told(error, now, node) from None
        reason = patience.reason(failure, now)
        if patience.sends_text(failure) or (detour is not None and attempt <= MOST_DETOURS):
            return
        delay = backoff(attempt)
        if not isinstance(failure, NotSent):
            delay = max(delay, self._repeats.pause(now))
        if now + delay >= patience.until:
            raise patience.told(error or exhausted(reason, self._pools.title), now, node) from None
        time.sleep(delay)

    def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        """All in one write; answers in order, a failed one as its Error. What is repeated is repeated together.

        Unless a flow asks for them, none waits beyond its deadline for a server that is being replaced: the others'
        answers would wait with it.
        """
        patient = isinstance(ops, FlowOps)
        if not ops:
            return []
        if self.hook is None:
            return self._many(ops, patient)
        with Watch(self.hook, tuple(op.name for op in ops), way=self, sent=ops) as call:
            answers = self._many(ops, patient)
            call.results(answers)
            return answers

    def _many(self, ops: Sequence[Op[T]], patient: bool) -> list[T | Error]:
        answers: list[Any] = [None] * len(ops)
        packed = [pack(op) for op in ops]
        seconds = max(map(self._seconds, ops))
        deadline = time.monotonic() + seconds
        patience = [Patience(op, deadline, seconds) for op in ops]
        left, attempt = list(range(len(ops))), 0
        detours: dict[int, PoolRoute] = {}
        while left:
            now = time.monotonic()
            until = max(patience[place].attempt(now) for place in left)
            for place, route, reply in self._together(ops, packed, left, detours, until):
                answers[place] = answer = self._outcome(ops[place], reply, until, patience[place], route)
                waiting = patience[place] if patient else None
                if isinstance(answer, _Again) and (detour := self._learn(ops[place], route, answer.failure, waiting)):
                    detours[place] = detour
            left = [place for place in left if isinstance(answers[place], _Again)]
            attempt += 1
            waits = attempt > MOST_DETOURS or not detours.keys() >= set(left)
            delay = backoff(attempt) if left and waits else 0.0
            if not left or time.monotonic() + delay >= max(patience[place].until for place in left):
                break
            self._tally.add("repeated", len(left))
            time.sleep(delay)
        for place in left:
            error = exhausted(answers[place].reason, self._pools.title)
            answers[place] = self._told(error, ops[place], patience[place], answers[place].route)
        return answers

    def _together(
        self,
        ops: Sequence[Op[Any]],
        packed: Sequence[bytes],
        places: Sequence[int],
        detours: dict[int, PoolRoute],
        deadline: float,
    ) -> Iterator[tuple[int, PoolRoute | None, Any]]:
        """Write to each server what is for it, then read: of each place its reply, or why there is none."""
        ways: dict[PoolRoute, list[int]] = {}
        for place in places:
            try:
                route = detours.pop(place, None) or self._way(ops[place], deadline)
            except (NotSent, Error) as failure:
                yield place, None, copied(failure)
            else:
                ways.setdefault(route, []).append(place)
        sent: list[tuple[PoolRoute, list[int], Any]] = []
        try:
            for route, group in sorted(ways.items(), key=lambda way: way[0].pool.failed):
                try:
                    written = route.pool.send([packed[place] for place in group], deadline, asking=route.asking)
                    sent.append((route, group, written))
                except (NotSent, Lost, Late, Error) as failure:
                    yield from ((place, route, copied(failure)) for place in group)
            while sent:
                route, group, written = sent.pop(0)
                try:
                    replies = route.pool.receive(written)
                except (NotSent, Lost, Late) as failure:
                    replies = [failure] * len(group)
                yield from zip(group, [route] * len(group), replies, strict=True)
        finally:
            for route, _, written in sent:  # what stops the caller leaves these unread
                route.pool.give_up(written.connection)

    def _way(self, op: Op[Any], deadline: float) -> PoolRoute:
        if self._closed:
            raise closed()
        return self._pools.route(op, deadline)

    def _outcome(self, op: Op[Any], reply: Any, deadline: float, patience: Patience, route: PoolRoute | None) -> Any:
        """The answer, the error, or _Again."""
        try:
            if scriptless(reply):
                return decoded(op, self._insist(op, deadline, reply))
            if isinstance(reply, (NotSent, Lost, Late, Refused)):
                error, reason = verdict(reply, op.effect), patience.reason(reply, time.monotonic())
                return _Again(reply, reason, route) if error is None else self._told(error, op, patience, route)
            if not isinstance(reply, Error):
                return decoded(op, reply)
            return patience.turned_away(reply, time.monotonic(), self._pools.node(op, route))
        except Error as error:
            return error

    def _told(self, error: Error, op: Op[Any], patience: Patience, route: PoolRoute | None) -> Error:
        return patience.told(error, time.monotonic(), self._pools.node(op, route))

    def commit(self, op: Op[T], durability: Durability) -> Committed[T]:
        """Send one operation, and wait for the disk or replicas; see ``core.op.AsyncDriver``."""
        deadline = time.monotonic() + self._seconds(op) + durability.patience_ms / 1000
        with telling(self.hook, op.name, self, op) if self.hook is not None else nullcontext():
            found: WaitReply = self._insist(op, deadline, durability=durability)
            return Committed(decoded(op, found.reply), reached(durability, found), found.local, found.replicas)

    def commit_many(self, ops: Sequence[Op[T]], durability: Durability) -> list[Committed[T] | Error]:
        """One after the other; a failed one as its Error."""
        answers: list[Committed[T] | Error] = []
        for op in ops:
            try:
                answers.append(self.commit(op, durability))
            except Error as error:
                answers.append(error)
        return answers

    def follow(self, flow: Flow[T]) -> T:
        """Carry a flow to its end; every exception is thrown into it so that it can clean up."""
        try:
            step = flow.send(None)
            while True:
                try:
                    answer = self._step(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _step(self, step: Step) -> Any:
        if isinstance(step, Op):
            return self.run(step)
        if isinstance(step, Batch):
            return self.run_many(FlowOps(step.ops))
        if isinstance(step, Durable):
            return self.commit_many(step.ops, step.durability)
        if isinstance(step, Part):
            return self._part(step)
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        assert isinstance(step, Call)
        return step.function()

    def _part(self, step: Part) -> Any:
        if not self._pools.parts:
            self.run(PING)
        parts = self._pools.parts
        return self.run(step.op.at(parts[step.number])) if step.number < len(parts) else None

    def block(self, op: Op[T], seconds: float) -> T:
        """Run a command that waits on the server up to ``seconds``, and has the time of a call beside that."""
        if not op.timeout_ms:
            op = replace(op, timeout_ms=int((seconds + self._command_s) * 1000))
        return self._run(op, waits=True)

    def listen(self, op: Op[T], most: int, seconds: float) -> list[T]:
        """What a command goes on to say after its first reply; see ``core.op.AsyncDriver``."""
        if self._closed:
            raise closed().during(op.name)
        patience = Patience(op, time.monotonic() + self._command_s, self._command_s)
        with Watch(self.hook, (op.name,), waits=True) if self.hook is not None else nullcontext():
            try:
                until = patience.attempt(time.monotonic())
                replies = self._pools.route(op, until).pool.listen(pack(op), most, seconds, until)
            except (NotSent, Lost, Late) as failure:
                raise self._told(exhausted(failure, self._pools.title), op, patience, None) from None
            except Error as error:
                raise self._told(error, op, patience, None) from None
            return [decoded(op, reply) for reply in replies]

    @property
    def link(self) -> ServerLink:
        """How the server is reached."""
        return self._address.servers[0].link

    def node_of(self, sent: Any) -> str:
        """See ``core.telemetry.CallWay``."""
        return node_of(self._address, self._pools, sent)

    @property
    def figures(self) -> LinkFigures:
        """What is counted of its connections."""
        pools = self._pools.every()
        return together([self._tally, *(pool.tally for pool in pools)], sum(pool.busy for pool in pools))

    def close(self) -> None:
        """Close every connection; what is in flight fails. Idempotent."""
        self._closed = True
        self._pools.close()
