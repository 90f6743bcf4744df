"""A held place, as a thread of its own keeps it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Self

from hustlex.core.lease_renewal import Lease
from hustlex.core.lease_renewal.blocking import renewed
from hustlex.core.op import BlockingDriver
from hustlex.errors import Error, Misuse
from hustlex.ratelimit.engine import redeem
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.types import Decision


class Hold:
    """Inside the block: true when a place was had. decision: what the check said. lost: it was given away meanwhile."""

    decision: Decision

    def __init__(self, driver: BlockingDriver, limiter: Limiter, ask: Callable[[], Decision]) -> None:
        self._driver = driver
        self._limiter = limiter
        self._ask = ask
        self._lease = Lease()
        self._kept = contextlib.ExitStack()

    @property
    def lost(self) -> bool:
        return self._lease.lost

    def __bool__(self) -> bool:
        if "decision" not in self.__dict__:
            raise Misuse("a place that was not asked for is not had", hint="write: with hold(...) as place")
        return self.decision.allowed and not self.lost

    def __enter__(self) -> Self:
        self.decision = self._ask()
        renew = redeem.heartbeat(self._limiter, self.decision) if self.decision.lease else None
        if renew is not None:
            every_s = redeem.life_ms(self.decision) / 3000
            self._lease = self._kept.enter_context(renewed(self._driver, renew, every_s))
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()
        if not self.decision.lease:
            return
        with contextlib.suppress(Error):  # what cannot be given back now ends by itself, one life later
            op = redeem.release(self._limiter, self.decision)
            if op is not None:
                self._driver.run(op)
