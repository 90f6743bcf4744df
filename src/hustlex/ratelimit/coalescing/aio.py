"""Checks of one turn of the event loop share calls: one for all callers of a subject, one for several subjects.

Lesson of the profile (64 callers): a script call costs the server 12 us, of which the counting is 4; so who asks while
others wait for the server goes with all who ask in the same turn. That leaves the client as the bound, with 29,000
instructions: packing four keys anew would cost it 10,000, so their bytes are kept; a caller waits for a bare future,
since a coroutine around it costs 1,000. A caller for whom nobody is on the way goes at once: waiting for company would
cost it a turn of the loop, a future and a task.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from hustlex.core.answer.aio import Answer, begun, once
from hustlex.core.keys import slot
from hustlex.core.op import AsyncDriver
from hustlex.core.telemetry import telling
from hustlex.errors import Error
from hustlex.ratelimit.engine import flows, shared
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.ops import PendingCheck
from hustlex.ratelimit.engine.shared import Judged
from hustlex.ratelimit.types import Decision, WrongWindow

Caller = asyncio.Future[Any]
Asked = list[tuple[PendingCheck, Caller]]

_MOST = 32
"""Callers of one call: while half of 64 callers are read, the server works for the others (measured: 8, 32, 64)."""
_FEW = 8
"""As many calls as this go by themselves at a time: a shared call costs the client as much as three, and for 16 callers
as much as it saves."""
_COMPANY = 16
"""After a shared call company is waited for until so many checks, less ``_FEW``, found none: else 64 callers would fall
apart, each time, into some that go at once and the others."""
_PAUSE_S = 1.0
"""After a turn whose checks had little in common (other policies, on a cluster other slots) all go by themselves."""
_PAUSE = 1 << 30
_OPEN = 1 << 40
"""While a call takes callers, nobody overtakes them."""
_PLAINLY = {Decision}


class _Traffic:
    """Of one event loop.

    asked, callers: what the end of this turn sends, and who waits for it, in the same order.
    busy: calls that were not answered yet, and what else is a reason to wait for company.
    """

    __slots__ = ("_company", "asked", "busy", "callers", "loop", "tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self.asked: list[PendingCheck] = []
        self.callers: list[Caller] = []
        self.busy = self._company = 0
        self.tasks: set[asyncio.Task[Any]] = set()

    def sent(self, callers: int) -> None:
        """A call for so many went out."""
        company = _COMPANY if callers > 1 else max(0, self._company - 1)
        self.busy += company - self._company
        self._company = company

    def pause(self) -> None:
        """Nothing is shared for a while."""
        self.busy -= _PAUSE
        asyncio.get_running_loop().call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self.busy += _PAUSE

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that is not forgotten while it runs."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class CoalescedChecks:
    """Checks are sent in the order in which they are awaited, shared or not.

    _bare: nobody is told of calls or decisions, so that a caller needs nothing but its future, which gets its decision.
    Else the future gets what the server answered, and the caller does the rest: hooks are called in its task.
    """

    def __init__(self, driver: AsyncDriver, limiter: Limiter) -> None:
        self._driver = driver
        self._run = driver.run
        self._limiter = limiter
        self._bare = driver.hook is None and not limiter.alert
        self._traffic = _Traffic()

    def answer(self, pending: PendingCheck) -> Answer[Decision]:
        """The server's decision, or what the policies say without it."""
        traffic = self._traffic
        if traffic.busy > _FEW and self._bare and pending.each is not None:
            return once(self._joined, pending)
        return begun(self._judged(pending).__await__)

    # -- of one caller

    async def _judged(self, pending: PendingCheck) -> Decision:
        traffic = self._traffic
        if traffic.busy > _FEW:
            if pending.each is not None:
                return await self._accompanied(pending)
            self._flush(traffic)
        traffic.busy += 1
        answer: Judged | Error
        try:
            run = self._run
            answer = await run(pending.op)
        except Error as error:
            answer = error
        finally:
            traffic.busy -= 1
        if type(answer) is Decision and not self._limiter.alert:
            return answer
        return await self._concluded(pending, answer)

    async def _accompanied(self, pending: PendingCheck) -> Decision:
        if self._bare:
            decision: Decision = await self._joined(pending)
            return decision
        answer: Judged | Error
        try:
            answer = await self._watched(pending)
        except Error as error:
            answer = error
        return await self._concluded(pending, answer)

    async def _watched(self, pending: PendingCheck) -> Judged:
        """Each caller is a call to the hook, as if it went by itself."""
        with telling(self._driver.hook, pending.op.name) if self._driver.hook is not None else nullcontext():
            answer: Judged = await self._joined(pending)
            return answer

    async def _concluded(self, pending: PendingCheck, answer: Judged | Exception) -> Decision:
        """What is not simply decided. Raises what is not the server's failure."""
        limiter = self._limiter
        if isinstance(answer, WrongWindow):
            again = partial(limiter.again, pending.request)
            try:
                answer = await self._driver.follow(flows.aligned(again, limiter.server_time, answer))
            except Error as error:
                answer = error
        return self._settled(pending, answer)

    def _settled(self, pending: PendingCheck, answer: Decision | Exception) -> Decision:
        limiter = self._limiter
        if isinstance(answer, Error):
            answer = limiter.failed(pending.request, answer)
        elif isinstance(answer, Exception):
            raise answer
        return limiter.answered(answer) if limiter.alert else answer

    # -- of all who wait in one turn

    def _joined(self, pending: PendingCheck) -> Caller:
        loop, traffic = asyncio.get_running_loop(), self._traffic
        if traffic.loop is None:
            traffic.loop = loop
        elif loop is not traffic.loop:
            self._traffic = traffic = _Traffic(loop)
        callers, caller = traffic.callers, loop.create_future()
        if not callers:
            traffic.busy += _OPEN
            loop.call_soon(self._flush, traffic)
        traffic.asked.append(pending)
        callers.append(caller)
        if len(callers) >= _MOST:
            self._flush(traffic)
        return caller

    def _flush(self, traffic: _Traffic) -> None:
        """Send for all who still wait: one call for each window, on a cluster for each slot of it."""
        asked, callers = traffic.asked, traffic.callers
        if not callers:
            return
        traffic.asked, traffic.callers = [], []
        traffic.busy -= _OPEN
        if traffic.loop is not asyncio.get_running_loop():
            return  # of a loop that has ended, or of the process that this one was forked from
        if any(map(asyncio.Future.done, callers)):
            asked, callers = _parted([pair for pair in zip(asked, callers, strict=True) if not pair[1].done()])
        crossing = self._driver.crosses_slots
        if crossing and len({pending.request.window for pending in set(asked)}) == 1:
            self._send(asked, callers, traffic)
        else:
            self._send_apart(asked, callers, traffic, crossing)

    def _send_apart(
        self, asked: list[PendingCheck], callers: list[Caller], traffic: _Traffic, crossing: bool | None
    ) -> None:
        keys: dict[PendingCheck, object] = {pending: pending.request.window for pending in set(asked)}
        if not crossing:
            keys = {pending: (window, slot(pending.op.keys[0])) for pending, window in keys.items()}
        groups: dict[object, Asked] = {}
        for pending, caller in zip(asked, callers, strict=True):
            groups.setdefault(keys[pending], []).append((pending, caller))
        for group in groups.values():
            self._send(*_parted(group), traffic)
        if len(groups) > 1 and 2 * len(groups) > len(callers) and crossing is not None:
            traffic.pause()

    def _send(self, asked: list[PendingCheck], callers: list[Caller], traffic: _Traffic) -> None:
        if not callers:
            return
        traffic.sent(len(callers))
        counts = dict.fromkeys(asked, 1)
        if len(counts) < len(asked):
            counts = Counter(asked)
        if 1 < len(counts) < len(asked):
            first = {pending: place for place, pending in enumerate(counts)}
            asked, callers = _parted(sorted(zip(asked, callers, strict=True), key=lambda pair: first[pair[0]]))
        try:
            sent = self._driver.send(shared.together(counts), at_once=len(callers) >= _MOST)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            self._hand_out(asked, callers, [error] * len(callers), traffic)
        else:
            traffic.busy += 1
            delivering = traffic.start(self._deliver(asked, callers, sent, traffic))
            delivering.add_done_callback(partial(_ended, traffic, callers, sent))

    async def _deliver(
        self,
        asked: list[PendingCheck],
        callers: list[Caller],
        sent: Coroutine[Any, Any, list[Judged]],
        traffic: _Traffic,
    ) -> None:
        answers: list[Judged] | list[Exception]
        try:
            answers = await sent
        except Exception as error:  # noqa: BLE001 - as above
            answers = [error] * len(callers)
        if self._limiter.alert or {*map(type, answers)} != _PLAINLY:
            self._hand_out(asked, callers, answers, traffic)
            return
        for caller, decision in zip(callers, answers, strict=True):
            if not caller.done():
                caller.set_result(decision)

    def _hand_out(
        self,
        asked: list[PendingCheck],
        callers: list[Caller],
        answers: Sequence[Judged | Exception],
        traffic: _Traffic,
    ) -> None:
        """What is not simply decided."""
        for pending, caller, answer in zip(asked, callers, answers, strict=True):
            if caller.done():
                continue
            if not self._bare:
                _tell(caller, answer)
            elif isinstance(answer, WrongWindow):
                concluding = traffic.start(self._concluded(pending, answer))
                concluding.add_done_callback(partial(_pass_on, caller))
                caller.add_done_callback(partial(_give_up, concluding))
            else:
                _tell(caller, self._tried(pending, answer))

    def _tried(self, pending: PendingCheck, answer: Decision | Exception) -> Decision | Exception:
        try:
            return self._settled(pending, answer)
        except Exception as error:  # noqa: BLE001 - as above
            return error


def _parted(pairs: Asked) -> tuple[list[PendingCheck], list[Caller]]:
    return [pending for pending, _ in pairs], [caller for _, caller in pairs]


def _tell(caller: Caller, answer: Judged | Exception) -> None:
    if isinstance(answer, Exception):
        caller.set_exception(answer)
        caller.exception()  # a caller that was cancelled meanwhile never looks: no warning for it
    else:
        caller.set_result(answer)


def _ended(
    traffic: _Traffic, callers: list[Caller], sent: Coroutine[Any, Any, list[Judged]], delivering: asyncio.Task[None]
) -> None:
    traffic.busy -= 1
    sent.close()
    if delivering.cancelled() or delivering.exception() is not None:  # the loop ends, perhaps before it began
        for caller in callers:
            caller.cancel()


def _pass_on(caller: Caller, concluding: asyncio.Task[Decision]) -> None:
    if not caller.done():
        if concluding.cancelled():
            caller.cancel()
        else:
            error = concluding.exception()
            _tell(caller, error if isinstance(error, Exception) else concluding.result())


def _give_up(concluding: asyncio.Task[Decision], caller: Caller) -> None:
    if caller.cancelled():
        concluding.cancel()
