"""One-time codes over HTTP: every outcome's status, text and headers, and the routes' shared steps.

What must look alike has one text: a phone that is locked, that had its day's messages, and a cap of any kind; a code
that expired, was used, or never was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, assert_never

from fastapi import Request
from pydantic import BaseModel, Field

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.faults import loggable
from hustlex.core.logs import logger
from hustlex.core.outcome import Secretive
from hustlex.otp import (
    BreakerOpen,
    BudgetExhausted,
    CapReached,
    ChallengeRequired,
    Context,
    Cooldown,
    DailyCap,
    DeliveryStatus,
    DestinationBlocked,
    Email,
    Gone,
    Granted,
    InvalidEmail,
    InvalidPhone,
    Issued,
    IssueResult,
    Lane,
    Locked,
    Malformed,
    Obstacle,
    ResendResult,
    Risk,
    SendsExhausted,
    SubjectLocked,
    Verified,
    VerifyResult,
    Wrong,
)
from hustlex.problems import TOO_MANY, whole_seconds
from hustlex.web.addresses import client_ip
from hustlex.web.problem import Problem, too_soon, unavailable

if TYPE_CHECKING:
    from hustlex.jobs import Task

Send = Callable[[str], Awaitable[object]]
"""Queues the delivery of a challenge: the job calls ``hx.otp.open(challenge)`` and sends what that answers."""

HumanCheck = Callable[[Request], Awaitable[bool]]
"""Whether this request carries proof of a human, as a captcha's token. Asked only when it is needed."""

HUMAN_CHECK_REQUIRED = "urn:hustlex:problem:human-check-required"
_SECOND = timedelta(seconds=1)
_ASK_ANEW = "Ask for a new code."
_log = logger("hustlex.web")


class ChallengeIn(BaseModel):
    challenge: str = Field(max_length=256, repr=False)


class CodeIn(ChallengeIn):
    """nonce: random text; the same request with the same nonce may be repeated until it has led to a login. When the
    reply to that was lost, ask for a new code."""

    code: str = Field(max_length=64, repr=False, examples=["123 456"])
    nonce: str | None = Field(None, min_length=16, max_length=128, repr=False)


class ChallengeOut(BaseModel):
    """Times in seconds. ref: stands in the message too, so that the user can tell several codes apart."""

    challenge: str = Field(repr=False)
    ref: str
    expires_in: int
    resend_in: int


class Proof(Secretive, frozen=True, eq=False):
    """Who typed a right code, whose grant is spent."""

    phone: str
    """E.164, or "" where email, an address, was proved."""
    subject: str
    """Keyed stand-in for the phone or the address."""
    user_id: str
    """As given when the code was asked for."""
    device: str
    """Token to remember the device by, or ""."""
    email: str = ""
    """The address that was proved, or ""."""
    hidden: ClassVar[frozenset[str]] = frozenset({"phone", "device", "email"})


@answering
class OtpCodes:
    """Asking for codes of one purpose, and checking them, for routes of your own: a step-up before a transfer.

    send: queues a delivery; a callable of the challenge, or the task of ``hustlex.delivery.deliver_codes``.
    human_check: see HumanCheck; without one, nobody passes. Every refusal is raised as a Problem.
    """

    def __init__(self, *, send: Send | Task[[str], Any], purpose: str, human_check: HumanCheck | None = None) -> None:
        if not hasattr(send, "job"):
            check.function("send", send)
        if human_check is not None:
            check.function("human_check", human_check)
        self.purpose = check.text("purpose", purpose)
        self._send = send
        self._human_check = human_check
        self._warned = human_check is not None

    def warn(self, front: HustleX) -> None:
        """Say once where nobody can show to be human, although breakers may ask for it."""
        if not self._warned and front.otp.options.caps is not None:
            _log.warning(
                "codes for %s have no human_check: while a breaker slows an address, a prefix or a country down, new"
                " callers there wait for their turn; pass human_check=... (docs/guides/otp.md)",
                self.purpose,
            )
        self._warned = True

    async def ask(
        self,
        front: HustleX,
        request: Request,
        phone: str | Email,
        *,
        ctx: Context | None = None,
        about: str = "",
        user_id: str = "",
        lane: Lane = "anon",
        device: str = "",
        deliver: bool = True,
        risk: Risk | None = None,
    ) -> ChallengeOut:
        """Send a code to a phone or an ``Email``, see ``hx.otp.issue``. ctx: computed here, never taken of clients."""
        self.warn(front)

        async def issue(human: bool) -> IssueResult:
            return await front.otp.issue(
                phone,
                self.purpose,
                ctx=ctx,
                about=about,
                ip=client_ip(request),
                lane=lane,
                device=device,
                user_id=user_id,
                deliver=deliver,
                risk=risk,
                human=human,
            )

        issued = _sendable(await self._as_human(request, issue), self._human_check is not None)
        try:
            await self._queue(front, issued.challenge)
        except Exception as error:
            _log.error("the delivery of a code was not queued", exc_info=loggable(error))
            await front.otp.cancel(issued.challenge, unsent=True)
            raise unavailable("The code could not be sent. Try again.") from error
        return _challenge(issued)

    async def again(self, front: HustleX, request: Request, challenge: str) -> ChallengeOut:
        """Send the code of a challenge again; when little of its life is left, a new code in its place."""

        async def resend(human: bool) -> ResendResult:
            return await front.otp.resend(challenge, ip=client_ip(request), human=human)

        resent = _sendable(await self._as_human(request, resend), self._human_check is not None)
        try:
            await self._queue(front, resent.challenge)
        except Exception as error:
            _log.error("the delivery of a code was not queued", exc_info=loggable(error))
            await front.otp.delivery_report(resent.challenge, DeliveryStatus.UNQUEUED)
            raise unavailable("The code could not be sent. Try again.") from error
        return _challenge(resent)

    async def check(
        self,
        front: HustleX,
        request: Request,
        typed: CodeIn,
        *,
        ctx: Context | None = None,
        remember: bool = False,
    ) -> Proof:
        """Swap a right code for what it proves. ctx: as when it was asked for. remember: give a device token."""
        verified = _verified(
            await front.otp.verify(
                typed.challenge, typed.code, ctx=ctx, nonce=typed.nonce, ip=client_ip(request), remember=remember
            )
        )
        granted = await front.otp.consume_grant(verified.grant, self.purpose, ctx)
        if not isinstance(granted, Granted):
            raise invalid_code(_ASK_ANEW)
        return Proof(granted.phone, granted.subject, granted.user_id, verified.device, granted.email)

    async def _as_human(self, request: Request, call: Callable[[bool], Awaitable[Any]]) -> Any:
        """Call; when that asks for a human check which this request passes, call again. Where there is no check to ask
        for, what a check would let through waits for its turn."""
        answer = await call(False)
        needed = isinstance(answer, ChallengeRequired) and answer.obstacle is not Obstacle.SIM_SWAP
        if needed and self._human_check is not None and await self._human_check(request):
            return await call(True)
        return answer

    async def _queue(self, front: HustleX, challenge: str) -> None:
        from hustlex.jobs import Task

        if isinstance(self._send, Task):
            await front.jobs.enqueue(self._send.job(challenge))
        else:
            await self._send(challenge)


def invalid_code(detail: str, left: int | None = None) -> Problem:
    """400. left: attempts that remain, not said when it would tell that a challenge exists."""
    members = {"error": "invalid_code"} | ({} if left is None else {"left": left})
    return Problem(400, detail=detail, members=members)


def _sendable(answer: IssueResult | ResendResult, asks: bool) -> Issued:
    """The challenge to deliver, or the problem to answer. asks: a human check can be asked for."""
    match answer:
        case Issued():
            return answer
        case Cooldown():
            raise too_soon("Wait before asking for another code.", answer.retry_after)
        case SendsExhausted():
            raise too_soon("This code was sent as often as it can be. Start again.", answer.retry_after)
        case DailyCap() | SubjectLocked() | CapReached() | BreakerOpen() | BudgetExhausted():
            # One text: it does not say whether the number is known, nor which of them it was.
            raise too_soon(TOO_MANY, answer.retry_after)
        case ChallengeRequired() if not asks and answer.retry_after is not None:
            raise too_soon(TOO_MANY, answer.retry_after)
        case ChallengeRequired():
            raise Problem(
                403,
                kind=HUMAN_CHECK_REQUIRED,
                title="Another check is needed",
                detail="Show that you are human, or choose another way than a text message.",
                members={"obstacle": str(answer.obstacle)},
            )
        case InvalidPhone():
            raise unfit("phone", "This is not a phone number.")
        case InvalidEmail():
            raise unfit("email", "This is not an e-mail address.")
        case DestinationBlocked(country="", option=option) if option:
            raise unfit("email", "Addresses of this domain are not supported.")
        case DestinationBlocked():
            raise unfit("phone", f"Numbers of this {'country' if answer.option else 'kind'} are not supported.")
        case Gone():
            raise invalid_code(_ASK_ANEW)
        case _:
            assert_never(answer)


def _verified(answer: VerifyResult) -> Verified:
    """The proof, or the problem to answer. Gone, Malformed and Locked differ in the number of attempts at most."""
    match answer:
        case Verified():
            return answer
        case Wrong():
            raise invalid_code("The code is wrong.", answer.left)
        case Locked():
            raise invalid_code(_ASK_ANEW, 0)
        case SubjectLocked():
            raise too_soon(TOO_MANY, answer.retry_after)
        case Gone() | Malformed():
            raise invalid_code(_ASK_ANEW)
        case _:
            assert_never(answer)


def unfit(name: str, detail: str) -> Problem:
    """422: this member of the body will not do."""
    fault = {"in": "body", "name": name, "detail": detail}
    return Problem(422, detail="The request is not valid.", members={"errors": [fault]})


def _challenge(issued: Issued) -> ChallengeOut:
    return ChallengeOut(
        challenge=issued.challenge,
        ref=issued.ref,
        expires_in=issued.expires_in // _SECOND,
        resend_in=whole_seconds(issued.resend_in),
    )
