"""The check of access tokens: at once from what this process knows, or one question to the server.

Lesson of the profile (a bounded check, 64 callers): the SHA-256 of the token is a third, the rest attribute look-ups.
So a token's answer, its question and its times are made once (``issuer.Genuine``), and there is no generator, no lock
and no new object on the common path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.core.op import Flow, Op, do
from hustlex.core.telemetry import Hook, from_memory
from hustlex.core.time import Clock
from hustlex.errors import Closed, Unavailable
from hustlex.tokens import ops
from hustlex.tokens.issuer import Genuine, TokenIssuer
from hustlex.tokens.options import Mode
from hustlex.tokens.revocation_cache import RevocationCache
from hustlex.tokens.signing import Signing
from hustlex.tokens.types import Access, CheckResult, Rejected, Rejection

_REJECTED = {reason: Rejected(reason) for reason in Rejection}
_AHEAD_MS = 1_000
Read = Callable[[str], Genuine | Rejection]
_NO_PROOF = _REJECTED[Rejection.BINDING_MISMATCH]
_log = logger("hustlex.tokens")


class Guard:
    """away: what bounded checks do without a server, see TokenOptions. start: begins to follow the feed, once. read: a
    token of the kind that is checked here; access tokens by default."""

    def __init__(
        self,
        issuer: TokenIssuer,
        view: RevocationCache,
        signing: Signing,
        clock: Clock,
        away: str,
        start: Callable[[], None],
        read: Read | None = None,
    ) -> None:
        self._issuer = issuer
        self._read = read or issuer.read
        self._view = view
        self._signing = signing
        self._clock = clock
        self._serve_away = away == "stateless"
        self._start = start

    def begin(self, access: str, mode: Mode, jkt: str | None) -> CheckResult | Op[CheckResult] | Flow[CheckResult]:
        """The answer; or the one operation, or the story, that will give it. jkt: None does not look at the binding."""
        moment = time.monotonic()
        if moment >= self._signing.due_at:
            return self._after_reading_keys(access, mode, jkt)
        token = self._read(access)
        if not isinstance(token, Genuine):
            if token is Rejection.UNKNOWN_KID and self._signing.may_ask(moment):
                return self._after_reading_keys(access, mode, jkt)
            return _REJECTED[token]
        if token.jkt != jkt and jkt is not None:
            return _NO_PROOF
        if mode == "bounded":
            view = self._view
            if moment < view.fresh_until and token.ims >= view.floor_ms:
                now_ms = view.at_ms(moment)
                if token.ims <= now_ms + _AHEAD_MS:
                    return self._known(token, token.bounded, now_ms)
                # Issued before the server's clock was set back: what was revoked since is not told by times.
            self._start()
            return self._while_away(token) if self._serve_away else self._question(token)
        if mode == "strict":
            return self._question(token)
        check.one_of("mode", mode, ("stateless", "bounded", "strict"))
        return self._known(token, token.stateless, self._view.at_ms(moment))

    def _known(self, token: Genuine, good: Access, now_ms: int) -> CheckResult:
        if not token.from_ms <= now_ms < token.until_ms:
            return _REJECTED[Rejection.NOT_YET_VALID if now_ms < token.from_ms else Rejection.EXPIRED]
        rejected = self._view.verdict(token)
        return good if rejected is None else rejected

    def _question(self, token: Genuine) -> Op[CheckResult]:
        now_ms = self._clock()
        if now_ms:  # a test's clock: the question is another one each time
            return ops.check(self._issuer, token, now_ms)
        question = token.question
        if question is None:
            question = token.question = ops.check(self._issuer, token, 0)
        return question

    def _while_away(self, token: Genuine) -> Flow[CheckResult]:
        try:
            return (yield from do(self._question(token)))
        except Closed:
            raise
        except Unavailable as error:
            _log.warning("a check was answered without the server: %s", error)
            return self._known(token, token.stateless, self._view.now_ms())

    def _after_reading_keys(self, access: str, mode: Mode, jkt: str | None) -> Flow[CheckResult]:
        """Learn which keys are trusted, then go on; checks that need no server now go on without."""
        try:
            yield from self._signing.read()
        except Unavailable:
            if mode == "strict" or (mode == "bounded" and not self._bounded_without_server()):
                raise
        self._signing.asked()
        step = self.begin(access, mode, jkt)
        if isinstance(step, Op):
            return (yield from do(step))
        return (yield from step) if isinstance(step, Generator) else step

    def _bounded_without_server(self) -> bool:
        return self._serve_away or time.monotonic() < self._view.fresh_until


class WatchedGuard(Guard):
    """Tells the hook of the answers that need no server; the driver tells of the others."""

    def __init__(
        self,
        issuer: TokenIssuer,
        view: RevocationCache,
        signing: Signing,
        clock: Clock,
        away: str,
        start: Callable[[], None],
        hook: Hook,
        read: Read | None = None,
    ) -> None:
        super().__init__(issuer, view, signing, clock, away, start, read)
        self._seen = from_memory(hook, "tokens.check", super().begin, (Access, Rejected))

    def begin(self, access: str, mode: Mode, jkt: str | None) -> CheckResult | Op[CheckResult] | Flow[CheckResult]:
        """As ``Guard.begin``."""
        return self._seen(access, mode, jkt)
