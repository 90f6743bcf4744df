"""A held place, as a thread of its own keeps it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Self

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
        self._done = threading.Event()
        self.lost = False

    def __bool__(self) -> bool:
        if "decision" not in self.__dict__:
            raise Misuse("a place that was not asked for is not had", hint="write: with hold(...) as place")
        return self.decision.allowed and not self.lost

    def __enter__(self) -> Self:
        self.decision = self._ask()
        if self.decision.lease:
            threading.Thread(target=self._keep, daemon=True, name="hustlex lease").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if not self.decision.lease:
            return
        with contextlib.suppress(Error):  # what cannot be given back now ends by itself, one life later
            op = redeem.release(self._limiter, self.decision)
            if op is not None:
                self._driver.run(op)

    def _keep(self) -> None:
        every_s = redeem.life_ms(self.decision) / 3000
        while not self.lost and not self._done.wait(every_s):
            with contextlib.suppress(Error):
                op = redeem.heartbeat(self._limiter, self.decision)
                self.lost = op is not None and not self._driver.run(op)
