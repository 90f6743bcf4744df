"""Login by phone: a router over the otp and tokens rooms. It stores nothing and sends nothing itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal, assert_never

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from hustlex.app import HustleX
from hustlex.otp import (
    Cooldown,
    DailyCap,
    DestinationBlocked,
    Gone,
    Granted,
    InvalidPhone,
    Issued,
    IssueResult,
    Locked,
    Malformed,
    ResendResult,
    SendsExhausted,
    SubjectLocked,
    Verified,
    VerifyResult,
    Wrong,
)
from hustlex.ratelimit import Policy
from hustlex.tokens import LogoutRefused, Refreshed, TokenPair, TooManySessions
from hustlex.web.depends import Bearer, Front, unauthorized
from hustlex.web.limits import RateLimit, by_ip
from hustlex.web.problem import QUOTA_EXCEEDED, Problem, unavailable
from hustlex.web.quota import TOO_MANY

Send = Callable[[str], Awaitable[object]]
"""Queues the delivery of a challenge: the job calls ``hx.otp.open(challenge)`` and sends what that answers."""

Identify = Callable[[str], Awaitable[str]]
"""The id of the user with this phone (E.164, proved just now); creates the user when there is none."""

OTP_PER_IP = Policy("otp-ip", 100, timedelta(hours=1), "log")
_SECOND = timedelta(seconds=1)
_log = logging.getLogger("hustlex.web")


class PhoneIn(BaseModel):
    phone: str = Field(max_length=64, repr=False, examples=["0803 123 4567"])


class ChallengeIn(BaseModel):
    challenge: str = Field(max_length=256, repr=False)


class CodeIn(ChallengeIn):
    """nonce: random text; the same request with the same nonce may be repeated when its reply was lost."""

    code: str = Field(max_length=64, repr=False, examples=["123 456"])
    nonce: str | None = Field(None, min_length=16, max_length=128, repr=False)
    device: str = Field("", max_length=64, examples=["Ada's phone"])


class RefreshIn(BaseModel):
    refresh_token: str = Field(max_length=512, repr=False)


class LogoutIn(BaseModel):
    refresh_token: str | None = Field(None, max_length=512, repr=False)


class ChallengeOut(BaseModel):
    """Times in seconds. ref: stands in the message too, so that the user can tell several codes apart."""

    challenge: str = Field(repr=False)
    ref: str
    expires_in: int
    resend_in: int


class TokensOut(BaseModel):
    """expires_in: of the access token, seconds."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: int


def auth_router(
    *,
    send: Send,
    identify: Identify,
    purpose: str = "login",
    client_id: str = "app",
    otp_per_ip: Policy = OTP_PER_IP,
    prefix: str = "/auth",
) -> APIRouter:
    """POST /auth/otp/request, /auth/otp/resend, /auth/otp/verify, /auth/refresh and /auth/logout.

    send, identify: see Send and Identify. purpose: of the codes. client_id: the application that the sessions belong
    to. otp_per_ip: shared by the three otp routes, for each client address.
    """
    login = _Login(send, identify, purpose, client_id)
    router = APIRouter(prefix=prefix, tags=["auth"], dependencies=[Depends(_no_store)])
    guard = [Depends(RateLimit(otp_per_ip, key=by_ip, endpoint=f"{prefix}/otp"))]
    post = ["POST"]
    router.add_api_route("/otp/request", login.request, methods=post, status_code=202, dependencies=guard)
    router.add_api_route("/otp/resend", login.resend, methods=post, status_code=202, dependencies=guard)
    router.add_api_route("/otp/verify", login.verify, methods=post, dependencies=guard)
    router.add_api_route("/refresh", login.refresh, methods=post)
    router.add_api_route("/logout", login.logout, methods=post, status_code=204)
    return router


class _Login:
    def __init__(self, send: Send, identify: Identify, purpose: str, client_id: str) -> None:
        self._send = send
        self._identify = identify
        self._purpose = purpose
        self._client_id = client_id

    async def request(self, body: PhoneIn, front: Front) -> ChallengeOut:
        """Send a one-time code to a phone. The answer is the same whether or not the number has an account."""
        issued = _sendable(await front.otp.issue(body.phone, self._purpose))
        try:
            await self._send(issued.challenge)
        except Exception as error:
            _log.exception("the delivery of a code was not queued")
            await front.otp.cancel(issued.challenge, unsent=True)
            raise unavailable("The code could not be sent. Try again.") from error
        return _challenge(issued)

    async def resend(self, body: ChallengeIn, front: Front) -> ChallengeOut:
        """Send the code of a challenge again; when little of its life is left, a new code in its place."""
        resent = _sendable(await front.otp.resend(body.challenge))
        try:
            await self._send(resent.challenge)
        except Exception as error:
            _log.exception("the delivery of a code was not queued")
            raise unavailable("The code could not be sent. Try again.", _ceil(resent.resend_in)) from error
        return _challenge(resent)

    async def verify(self, body: CodeIn, front: Front) -> TokensOut:
        """Swap a right code for tokens."""
        verified = _verified(await front.otp.verify(body.challenge, body.code, nonce=body.nonce))
        granted = await front.otp.consume_grant(verified.grant, self._purpose)
        if not isinstance(granted, Granted):
            raise _invalid_code("Ask for a new code.")
        return await self._log_in(front, await self._identify(granted.phone), body.device)

    async def _log_in(self, front: HustleX, user_id: str, device: str) -> TokensOut:
        pair = await front.tokens.login(user_id, client_id=self._client_id, device=device, amr=("sms",))
        if isinstance(pair, TooManySessions):
            raise Problem(409, detail="Too many devices are logged in. Log out on one of them.")
        return _tokens(pair)

    async def refresh(self, body: RefreshIn, front: Front) -> TokensOut:
        """Swap a refresh token for a new pair. May be repeated when the reply was lost."""
        answer = await front.tokens.refresh(body.refresh_token, client_id=self._client_id)
        if not isinstance(answer, Refreshed):
            _log.info("refresh refused: %s %s", answer.reason, answer.detail)
            raise Problem(400, detail="Log in again.", members={"error": "invalid_grant"})
        return _tokens(answer.pair)

    async def logout(self, front: Front, bearer: Bearer, body: LogoutIn | None = None) -> None:
        """End the session of the bearer token, the refresh token, or both."""
        access = bearer.credentials if bearer else ""
        answer = await front.tokens.logout(access, body.refresh_token if body else None)
        if isinstance(answer, LogoutRefused):
            _log.info("logout refused: %s", answer.reason)
            raise unauthorized("invalid_token" if bearer else "")


def _sendable(answer: IssueResult | ResendResult) -> Issued:
    """The challenge to deliver, or the problem to answer."""
    match answer:
        case Issued():
            return answer
        case Cooldown():
            raise _too_soon("Wait before asking for another code.", answer.retry_after)
        case SendsExhausted():
            raise _too_soon("This code was sent as often as it can be. Start again.", answer.retry_after)
        case DailyCap() | SubjectLocked():
            # The text of the limit per address too: it does not say whether the number is known.
            raise _too_soon(TOO_MANY, answer.retry_after)
        case InvalidPhone():
            raise _unfit_phone("This is not a phone number.")
        case DestinationBlocked():
            raise _unfit_phone("Numbers of this kind are not supported.")
        case Gone():
            raise _invalid_code("Ask for a new code.")
        case _:
            assert_never(answer)


def _verified(answer: VerifyResult) -> Verified:
    """The proof, or the problem to answer. Gone, Malformed and Locked differ in the number of attempts at most."""
    match answer:
        case Verified():
            return answer
        case Wrong():
            raise _invalid_code("The code is wrong.", answer.left)
        case Locked():
            raise _invalid_code("Ask for a new code.", 0)
        case SubjectLocked():
            raise _too_soon(TOO_MANY, answer.retry_after)
        case Gone() | Malformed():
            raise _invalid_code("Ask for a new code.")
        case _:
            assert_never(answer)


def _too_soon(detail: str, retry_after: timedelta) -> Problem:
    return Problem(429, kind=QUOTA_EXCEEDED, detail=detail, headers={"Retry-After": str(_ceil(retry_after))})


def _unfit_phone(detail: str) -> Problem:
    fault = {"in": "body", "name": "phone", "detail": detail}
    return Problem(422, detail="The request is not valid.", members={"errors": [fault]})


def _invalid_code(detail: str, left: int | None = None) -> Problem:
    """400. left: attempts that remain, not said when it would tell that a challenge exists."""
    members = {"error": "invalid_code"} | ({} if left is None else {"left": left})
    return Problem(400, detail=detail, members=members)


def _challenge(issued: Issued) -> ChallengeOut:
    return ChallengeOut(
        challenge=issued.challenge,
        ref=issued.ref,
        expires_in=issued.expires_in // _SECOND,
        resend_in=_ceil(issued.resend_in),
    )


def _tokens(pair: TokenPair) -> TokensOut:
    return TokensOut(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.expires_in // _SECOND)


def _ceil(duration: timedelta) -> int:
    return math.ceil(duration / _SECOND)


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
