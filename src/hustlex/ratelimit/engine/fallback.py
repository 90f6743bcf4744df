"""What happens without the server: when it is left alone, and what each policy's ``on_error`` then decides."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hustlex.core.breaker import Breaker
from hustlex.core.logs import logger
from hustlex.errors import BadReply, Closed, ConfigurationError, Error, Misuse
from hustlex.ratelimit.engine import replies
from hustlex.ratelimit.engine.compiler import NORMAL
from hustlex.ratelimit.engine.local_counts import LocalCounts
from hustlex.ratelimit.engine.memory import SubjectState
from hustlex.ratelimit.engine.ops import CheckRequest
from hustlex.ratelimit.engine.receipts import ChargeReceipt
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.types import Decision, Outcome, Source

_log = logger("hustlex.ratelimit")


class Fallback:
    """breaker: it opens when the server fails. Safe to share by threads."""

    def __init__(self, options: RateLimitOptions, clock: Callable[[], float]) -> None:
        self.breaker = Breaker(options.breaker)
        self._replicas = options.expected_replicas
        self._now = clock
        self._lock = threading.Lock()

    def failed(self, error: Error) -> None:
        """The server did not answer. Raises the error when it is not the server's."""
        if isinstance(error, Misuse | ConfigurationError | BadReply | Closed):
            raise error
        was_open = self.breaker.open
        self.breaker.failed(self._now())
        if self.breaker.open and not was_open:
            _log.error("rate limits are judged without the server: %s", error)

    def succeeded(self) -> None:
        """The server answered."""
        was_open = self.breaker.open
        self.breaker.succeeded(self._now())
        if was_open and not self.breaker.open:
            _log.warning("rate limits are judged by the server again")

    def judge(self, subject: SubjectState, request: CheckRequest) -> Decision:
        """The answer without the server: the strictest ``on_error`` of the policies decides."""
        now = self._now()
        allowed, states = self._local(subject, now).judge(request.cost, now)
        rules = {policy.on_error for policy in request.compiled.policies}
        source = Source.LOCAL_FALLBACK if "local" in rules else Source.FAIL_OPEN
        if "closed" in rules:
            source = Source.FAIL_CLOSED
        outcome = Outcome.ALLOWED_DEGRADED if allowed else Outcome.DENIED_DEGRADED
        return Decision(allowed, outcome, request.cost, source, ChargeReceipt(request, states))

    def _local(self, subject: SubjectState, now: float) -> LocalCounts:
        """What counts for a subject here, one for all threads; from where the server was when it answered last."""
        with self._lock:
            if subject.local is None:
                compiled = subject.compiled
                subject.local = LocalCounts(compiled.policies, compiled.limits(NORMAL), self._replicas)
            if subject.last and subject.last is not subject.seeded and subject.usual is not None:
                subject.seeded = subject.last
                subject.local.seed(replies.read(subject.usual, subject.last), now)
            return subject.local
