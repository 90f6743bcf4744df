"""The way of a call once the short one failed: the only loop that repeats calls, and the route of each attempt.

A failed attempt goes to ``faults.verdict`` (may it be repeated?) and to ``Topology.learn`` (where is it to go?).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hustlex.core.durability.level import Durability, WaitReply
from hustlex.core.op import OnKeys, Op
from hustlex.drivers.aio.connection import ReplyError
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.pubsub import PubSub
from hustlex.drivers.aio.sharded import ShardedPubSub
from hustlex.drivers.aio.topology import Route, Topology
from hustlex.drivers.aio.tracking import Invalidations
from hustlex.drivers.faults import (
    MOST_DETOURS,
    Failure,
    Late,
    Lost,
    NotSent,
    backoff,
    exhausted,
    refusal,
    scriptless,
    verdict,
)
from hustlex.drivers.pack import pack
from hustlex.drivers.patience import Patience, RepeatBudget
from hustlex.errors import Error

_GRACE_S = 1.0
"""To find the way of a command that waits on the server, however short it waits."""

Arrange = Callable[[Options, Callable[[float], None], Callable[[], None]], Topology]
"""Makes the topology of a URL: with the options, whom to tell of doubt, and whom to tell of other servers."""


class Router:
    """Everything that holds connections, and which of them a call gets."""

    def __init__(self, arrange: Arrange, options: Options) -> None:
        self._options = options
        self.topology = arrange(options, self._doubted, self._rearranged)
        self.pubsub = PubSub(self._anywhere, options)
        self.sharded = ShardedPubSub(self.topology, options)
        self._trackings: list[Invalidations] = []
        self._repeats = RepeatBudget()

    def seconds(self, op: Op[Any]) -> float:
        """How long a call of this operation may take."""
        return op.timeout_ms / 1000 if op.timeout_ms else self._options.command

    def patience(
        self, op: Op[Any], deadline: float, wait: float | None, durability: Durability | None, attempts: int = 0
    ) -> Patience:
        """Of a call that ends at the deadline; wait and durability: as in ``insist``."""
        seconds = self.seconds(op) if wait is None else wait
        return Patience(op, deadline, seconds + (durability.patience_ms / 1000 if durability else 0), attempts)

    async def insist(
        self,
        op: Op[Any],
        deadline: float,
        failure: Failure | None = None,
        *,
        wait: float | None = None,
        durability: Durability | None = None,
        patient: bool = True,
    ) -> Any:
        """The reply of a call: repeats what may be repeated until the deadline. Raises Error.

        failure: of an attempt that was made already. wait: the command waits so long on the server, so that it needs
        a connection of its own. patient: whether it goes on beyond the deadline while its server is being replaced.
        durability: the reply is a WaitReply.
        """
        route, node = None, ""
        patience = self.patience(op, deadline, wait, durability, int(failure is not None))
        asked = patience.began
        while True:
            if failure is not None:
                node = self.topology.node(op, route)
                tried, route = route, self.topology.learn(op, route, failure, asked)
                if route is None and wait is None and patient:
                    patience.learn(failure, self.topology.away_since(op, tried) + self._options.failover)
                await self._consider(op, failure, route, node, patience)
                if not scriptless(failure):
                    self._options.tally.add("repeated")
            asked = self._now()
            try:
                until = patience.attempt(asked)
                route = route or await self.topology.route(op, until if wait is None else until + _GRACE_S)
                packed = pack(op, whole_script=patience.whole_script)
                large = op.large or len(packed) > self._options.large
                reply = await _attempt(route, packed, until, wait, durability, large=large)
            except (NotSent, Lost, Late) as lost:
                failure = lost
                continue
            except Error as error:
                raise patience.turned_away(error, self._now(), self.topology.node(op, route)) from None
            said = reply.reply if type(reply) is WaitReply else reply
            if type(said) is not ReplyError:
                return reply
            failure = refusal(str(said))

    async def _consider(
        self, op: Op[Any], failure: Failure, detour: Route | None, node: str, patience: Patience
    ) -> None:
        """Return when the call may be made again, after a pause where one is due; else raise. node: what failed."""
        error, now, attempt = verdict(failure, op.effect), self._now(), patience.attempts
        if error is not None and not (isinstance(failure, Late) and failure.silent and patience.goes_on(now)):
            raise patience.told(error, now, node) from None
        reason = patience.reason(failure, now)
        if patience.sends_text(failure) or (detour is not None and attempt <= MOST_DETOURS):
            return
        delay = backoff(attempt)
        if not isinstance(failure, NotSent):
            delay = max(delay, self._repeats.pause(now))
        if now + delay >= patience.until:
            raise patience.told(error or exhausted(reason, self.topology.title), now, node) from None
        await asyncio.sleep(delay)

    def track(self, prefixes: Sequence[str], on_keys: OnKeys, on_loss: Callable[[], None]) -> Invalidations:
        """See ``Driver.track``."""
        self._trackings = [tracking for tracking in self._trackings if not tracking.closed]
        tracking = Invalidations(prefixes, on_keys, on_loss, self._options, self.topology.look_again)
        self._trackings.append(tracking)
        tracking.attend(self.topology.homes())
        return tracking

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _anywhere(self) -> Where:
        return self.topology.anywhere

    def _doubted(self, since: float) -> None:
        """One connection led to the wrong server: so do the others of its age."""
        self.pubsub.distrust(since)
        self.sharded.distrust(since)
        for tracking in self._trackings:
            tracking.distrust(since)

    def _rearranged(self) -> None:
        """Other servers hold the data now."""
        for tracking in self._trackings:
            if not tracking.closed:
                tracking.attend(self.topology.homes())

    def orphan(self) -> None:
        """This is a child process: the parent has the connections, and hears what changes."""
        for tracking in self._trackings:
            tracking.orphan()

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        self.topology.forsake()
        self.pubsub.forsake()
        self.sharded.forsake()
        for tracking in self._trackings:
            tracking.forsake()

    async def close(self) -> None:
        """Answer what is in flight (bounded), then close every connection."""
        await self.pubsub.close()
        await self.sharded.close()
        for tracking in self._trackings:
            await tracking.close()
        await self.topology.close()


def fitting(connection: ManagedConnection, *, large: bool) -> ManagedConnection:
    """This one, or the one beside it."""
    return connection.beside or connection if large else connection


async def _attempt(
    route: Route, packed: bytes, deadline: float, wait: float | None, durability: Durability | None, *, large: bool
) -> Any:
    if durability is not None:
        return await route.node.commits(durability).exchange(packed, deadline, asking=route.asking)
    if wait is not None:
        return await route.node.blocking.run(packed, wait, asking=route.asking)
    connection = fitting(route.node.connection, large=large)
    return await connection.exchange(packed, deadline, asking=route.asking)
