"""Each check of a thread is a call of its own: see decision 0098."""

from __future__ import annotations

from functools import partial

from hustlex.core.op import BlockingDriver
from hustlex.errors import Error
from hustlex.ratelimit.engine import flows
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.ops import PendingCheck
from hustlex.ratelimit.types import Decision


class CoalescedChecks:
    """As its twin; nothing is shared."""

    def __init__(self, driver: BlockingDriver, limiter: Limiter) -> None:
        self._driver = driver
        self._limiter = limiter

    def answer(self, pending: PendingCheck) -> Decision:
        """The server's decision, or what the policies say without it."""
        limiter = self._limiter
        try:
            answer = self._driver.run(pending.op)
            if not isinstance(answer, Decision):
                again = partial(limiter.again, pending.request)
                answer = self._driver.follow(flows.aligned(again, limiter.server_time, answer))
        except Error as error:
            answer = limiter.failed(pending.request, error)
        return limiter.answered(answer) if limiter.alert else answer
