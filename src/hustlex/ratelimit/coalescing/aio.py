"""Checks of one turn of the event loop share calls: one for all callers of a subject, one for several subjects.

Lesson of the profile (64 callers): a script call costs the server 12 us, of which the counting is 4; so who asks while
others wait for the server goes with all who ask in the same turn. That leaves the client as the bound, with 29,000
instructions: packing four keys anew would cost it 10,000, so their bytes are kept; a caller waits for a bare future,
since a coroutine around it costs 1,000. A caller for whom nobody is on the way goes at once: waiting for company would
cost it a turn of the loop and two futures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain, filterfalse
from typing import Any

from hustlex.core import promise
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
Asked = dict[PendingCheck, list[Caller]]
"""Who waits for which check, in the order in which they were first asked for."""

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
_done = asyncio.Future.done


class _Traffic:
    """Of one event loop.

    asked, callers: what the end of this turn sends, and how many wait for it.
    busy: calls that were not answered yet, and what else is a reason to wait for company.
    """

    __slots__ = ("_company", "asked", "busy", "callers", "kept", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self.asked: Asked = {}
        self.callers = self.busy = self._company = 0
        self.kept: set[asyncio.Future[Any]] = set()

    def moved(self, loop: asyncio.AbstractEventLoop) -> _Traffic:
        """The traffic of another loop."""
        if self.loop is not None:
            return _Traffic(loop)
        self.loop = loop
        return self

    def taken(self) -> Asked:
        """All who wait, who are sent for now."""
        asked = self.asked
        if asked:
            self.asked, self.callers = {}, 0
            self.busy -= _OPEN
        return asked

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

    def keep(self, future: asyncio.Future[Any]) -> None:
        """Do not forget it while it is not done."""
        self.kept.add(future)
        future.add_done_callback(self.kept.discard)


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
        self._join = self._joined

    def answer(self, pending: PendingCheck) -> Answer[Decision]:
        """The server's decision, or what the policies say without it."""
        traffic = self._traffic
        if traffic.busy > _FEW and self._bare and pending.each is not None:
            return once(self._join, pending)
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
        if loop is not traffic.loop:
            self._traffic = traffic = traffic.moved(loop)
        asked, caller = traffic.asked, loop.create_future()
        if not asked:
            traffic.busy += _OPEN
            loop.call_soon(self._flush, traffic)
        if pending in asked:
            asked[pending].append(caller)
        else:
            asked[pending] = [caller]
        traffic.callers += 1
        if traffic.callers >= _MOST:
            self._flush(traffic)
        return caller

    def _flush(self, traffic: _Traffic) -> None:
        """Send for all who still wait: one call for each window, on a cluster for each slot of it."""
        asked = traffic.taken()
        if not asked or traffic.loop is not asyncio.get_running_loop():
            return  # of a loop that has ended, or of the process that this one was forked from
        if any(map(_done, chain.from_iterable(asked.values()))):
            waiting = {pending: [*filterfalse(_done, callers)] for pending, callers in asked.items()}
            asked = {pending: callers for pending, callers in waiting.items() if callers}
        crossing = self._driver.crosses_slots
        if crossing and len({pending.request.window for pending in asked}) == 1:
            self._send(asked, traffic)
        else:
            self._send_apart(asked, traffic, crossing)

    def _send_apart(self, asked: Asked, traffic: _Traffic, crossing: bool | None) -> None:
        groups: dict[object, Asked] = {}
        for pending, callers in asked.items():
            window = pending.request.window
            groups.setdefault(window if crossing else (window, slot(pending.op.keys[0])), {})[pending] = callers
        for group in groups.values():
            self._send(group, traffic)
        if len(groups) > 1 and 2 * len(groups) > sum(map(len, asked.values())) and crossing is not None:
            traffic.pause()

    def _send(self, asked: Asked, traffic: _Traffic) -> None:
        callers = [*chain.from_iterable(asked.values())]
        counts = dict(zip(asked, map(len, asked.values()), strict=True))
        traffic.sent(len(callers))
        try:
            sent = self._driver.send(shared.together(counts), at_once=len(callers) >= _MOST)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            self._hand_out(asked, [error] * len(callers), traffic)
        else:
            traffic.busy += 1
            traffic.keep(sent)
            sent.add_done_callback(partial(self._deliver, asked, callers, traffic))

    def _deliver(
        self, asked: Asked, callers: list[Caller], traffic: _Traffic, sent: asyncio.Future[list[Judged]]
    ) -> None:
        traffic.busy -= 1
        if sent.cancelled():  # the loop ends
            for caller in callers:
                caller.cancel()
        elif isinstance(error := sent.exception(), Exception):
            self._hand_out(asked, [error] * len(callers), traffic)
        elif self._limiter.alert or {*map(type, sent.result())} != _PLAINLY:
            self._hand_out(asked, sent.result(), traffic)
        else:
            for caller, decision in zip(callers, sent.result(), strict=True):
                if not caller.done():
                    caller.set_result(decision)

    def _hand_out(self, asked: Asked, answers: Sequence[Judged | Exception], traffic: _Traffic) -> None:
        """What is not simply decided."""
        waiting = [(pending, caller) for pending, callers in asked.items() for caller in callers]
        for (pending, caller), answer in zip(waiting, answers, strict=True):
            if caller.done():
                continue
            if not self._bare:
                promise.answer(caller, answer)
            elif isinstance(answer, WrongWindow):
                traffic.keep(promise.entrust(caller, self._concluded(pending, answer)))
            else:
                promise.answer(caller, self._tried(pending, answer))

    def _tried(self, pending: PendingCheck, answer: Decision | Exception) -> Decision | Exception:
        try:
            return self._settled(pending, answer)
        except Exception as error:  # noqa: BLE001 - as above
            return error
