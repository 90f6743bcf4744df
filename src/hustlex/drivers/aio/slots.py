"""Asks a cluster for its slots: one task at a time, one answer for all who want it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from hustlex.drivers.aio.connection import ReplyError
from hustlex.drivers.aio.dial import Fixed, dial
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import Late, Lost, NotSent, anew, closed, refusal
from hustlex.drivers.pack import join
from hustlex.drivers.slotmap import ASK_SLOTS, SlotRange, read_slots
from hustlex.drivers.url import Endpoint
from hustlex.errors import ConfigurationError, Denied, Error, Refused, Unavailable

_QUESTION = join(ASK_SLOTS)
_APART_S = 1.0
"""Between two questions."""
_NEXT_S = 0.2
"""A node that has not answered so long has company: the next one is asked, too."""
_PERIOD_S = 60.0


class SlotsTask:
    """take: given each new map. waiting: the nodes known, and whether callers wait for one that cannot be reached."""

    def __init__(
        self,
        seeds: Sequence[Endpoint],
        options: Options,
        take: Callable[[list[SlotRange]], None],
        waiting: Callable[[], tuple[list[Endpoint], bool]],
    ) -> None:
        self._seeds = seeds
        self._options = options
        self._take = take
        self._waiting = waiting
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at = self._due = float("-inf")
        self._failure: Error | None = None
        self._closed = False

    def wanted(self) -> None:
        """Ask as soon as it is due, unless it is being done."""
        if self._closed or (self._task is not None and not self._task.done()):
            return
        loop = asyncio.get_running_loop()
        self._at(max(loop.time(), self._asked_at + _APART_S))

    def _at(self, moment: float) -> None:
        if self._timer is not None:
            if self._due <= moment:
                return
            self._timer.cancel()
        self._due = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._begin)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._refresh(), name="cluster slots")

    async def known(self, deadline: float) -> None:
        """Until there is a first map. Raises NotSent when the deadline passes first, or Error when it is hopeless."""
        if self._closed:
            raise closed()
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            if self._failure is not None and loop.time() < self._asked_at + _APART_S:
                await asyncio.sleep(min(deadline, self._asked_at + _APART_S) - loop.time())
            if not self._closed:
                self._begin()
        task = self._task
        if task is not None:
            await asyncio.wait((task,), timeout=max(0.0, deadline - loop.time()))
        if self._closed:
            raise closed()
        if isinstance(self._failure, ConfigurationError | Denied):
            raise _once_more(self._failure)
        if task is None or not task.done() or self._failure is not None:
            raise NotSent(self._failure.message if self._failure else "no node of the cluster answered yet")

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        self._asked_at = loop.time()
        try:
            ranges = await self._first_answer()
        except Error as error:
            self._failure = error
        else:
            self._failure = None
            self._take(ranges)
        stuck = self._waiting()[1]
        apart = _APART_S if stuck or self._failure is not None else _PERIOD_S * random.uniform(0.8, 1.2)
        self._at(loop.time() + apart)

    async def _first_answer(self) -> list[SlotRange]:
        """Of nodes in random order, the next one when one fails or is slow. Raises the last failure."""
        nodes = self._waiting()[0]
        order = [*random.sample(nodes, len(nodes)), *random.sample(self._seeds, len(self._seeds))]
        running: set[asyncio.Task[list[SlotRange]]] = set()
        failure: Error = Unavailable("no node of the cluster answered")
        try:
            while order or running:
                if order:
                    running.add(asyncio.create_task(self._ask(order.pop(0))))
                done, running = await asyncio.wait(
                    running, timeout=_NEXT_S if order else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        return task.result()
                    except Error as error:
                        failure = error
                    except (Late, Lost, NotSent) as error:
                        failure = Unavailable(str(error) or "no answer")
            raise failure
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _ask(self, endpoint: Endpoint) -> list[SlotRange]:
        connection = await dial(Fixed(endpoint), self._options, lambda _: None)
        try:
            reply = await connection.send(_QUESTION, asyncio.get_running_loop().time() + self._options.command)
        finally:
            connection.abort("the slots are known")
        if isinstance(reply, ReplyError):
            raise refusal(str(reply))
        return read_slots(reply, endpoint.host)

    def stop(self) -> None:
        """Ask no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    async def close(self) -> None:
        """Ask no more, and end what runs."""
        self.stop()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))


def _once_more(error: Error) -> Error:
    """The same for another caller."""
    return anew(error) if isinstance(error, Refused) else type(error)(error.message, hint=error.hint)
