"""How a check's reply becomes a Decision, and what is remembered of it."""

from __future__ import annotations

import weakref

from hustlex.core.op import Reply
from hustlex.ratelimit.engine import replies
from hustlex.ratelimit.engine.memory import SubjectState
from hustlex.ratelimit.engine.ops import CheckRequest
from hustlex.ratelimit.engine.receipts import ChargeReceipt
from hustlex.ratelimit.types import Decision, Outcome, Source, WrongWindow

_PLAINLY, _REDIS = Outcome.ALLOWED, Source.REDIS
_ALLOWED, _BANNED, _ELSEWHERE = b"1"[0], b"3"[0], b"0"[0]


class ReplyDecoder:
    """Of one request. The one of cost 1 and class normal is kept and serves many checks (see SubjectState).

    extra: units taken in advance (prefetch). The subject is known weakly: it keeps its decoder, and strangers decide
    how many subjects there are, so each must be freed without waiting for a collector of cycles.
    """

    __slots__ = ("_extra", "_request", "_subject")

    def __init__(self, subject: SubjectState, request: CheckRequest, extra: int = 0) -> None:
        self._subject = weakref.ref(subject)
        self._request = request
        self._extra = extra

    def decode(self, line: Reply) -> Decision | WrongWindow:
        """A check's reply; the subject remembers it."""
        known = self._subject
        subject = known()
        if line[0] == _ALLOWED and subject is not None and not subject.watching:
            subject.last = line
            return Decision(True, _PLAINLY, self._request.cost, _REDIS, ChargeReceipt(self._request, line))
        return self._decode_rest(line, subject)

    def decode_each(self, first: bytes, passing: int) -> list[Decision]:
        """So many callers pass. first: the line of the first of them."""
        request, subject = self._request, self._subject()
        if subject is not None:
            subject.last = replies.later(request, first, passing - 1)
        return [
            Decision(True, _PLAINLY, 1, _REDIS, ChargeReceipt(request, first, True, "", before))
            for before in range(passing)
        ]

    def _decode_rest(self, line: Reply, subject: SubjectState | None) -> Decision | WrongWindow:
        """Whatever is not simply allowed."""
        decision = self._decided(line, charged=True)
        if isinstance(decision, WrongWindow):
            return decision
        if self._extra and not decision:
            return WrongWindow(replies.server_ms(replies.numbers_of(line)))
        if subject is not None:
            if self._extra:
                subject.stock_up(self._extra, line)
            if decision.outcome is not Outcome.BANNED:
                subject.last = line
            subject.remember(decision, self._request.tier)
        return decision

    def decode_peek(self, line: Reply) -> Decision | WrongWindow:
        """What a check would answer: nothing was charged, and nothing is remembered."""
        return self._decided(line, charged=False)

    def _decided(self, line: bytes, *, charged: bool) -> Decision | WrongWindow:
        if line[0] == _ELSEWHERE:
            return WrongWindow(replies.server_ms(replies.numbers_of(line)))
        outcome = self._outcome(line)
        receipt = ChargeReceipt(self._request, line, charged)
        return Decision(line[0] == _ALLOWED, outcome, self._request.cost, Source.REDIS, receipt)

    def _outcome(self, line: bytes) -> Outcome:
        request = self._request
        if line[0] == _BANNED:
            return Outcome.BANNED
        if line[0] == _ALLOWED:
            watched = request.compiled.shadows and replies.refusing(request, line)
            return Outcome.SHADOW_DENIED if watched else Outcome.ALLOWED
        never = any(each.hopeless and not each.policy.shadow for each in replies.refusing(request, line))
        return Outcome.COST_TOO_LARGE if never else Outcome.DENIED
