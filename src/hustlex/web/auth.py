"""Login by phone: a router over the otp and tokens rooms. It stores nothing and sends nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from hustlex.app import HustleX
from hustlex.jobs import Task
from hustlex.tokens import LogoutRefused, Refreshed, TokenPair, TooManySessions
from hustlex.web.codes import ChallengeIn, ChallengeOut, CodeIn, HumanCheck, OtpCodes, Send
from hustlex.web.depends import Bearer, Front, unauthorized
from hustlex.web.problem import Problem

Identify = Callable[[str], Awaitable[str]]
"""The id of the user with this phone (E.164, proved just now); creates the user when there is none."""

_SECOND = timedelta(seconds=1)
_log = logging.getLogger("hustlex.web")


class PhoneIn(BaseModel):
    """device_token: of an earlier login on this device, so that strangers cannot lock its owner out."""

    phone: str = Field(max_length=64, repr=False, examples=["0803 123 4567"])
    device_token: str = Field("", max_length=64, repr=False)


class LoginIn(CodeIn):
    """device: its name, for the list of sessions. remember: answer a device_token, to be shown at the next login."""

    device: str = Field("", max_length=64, examples=["Ada's phone"])
    remember: bool = False


class RefreshIn(BaseModel):
    refresh_token: str = Field(max_length=512, repr=False)


class LogoutIn(BaseModel):
    refresh_token: str | None = Field(None, max_length=512, repr=False)


class TokensOut(BaseModel):
    """expires_in: of the access token, seconds. device_token: only when it was asked for."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: int
    device_token: Annotated[str | None, Field(repr=False)] = None


def auth_router(
    *,
    send: Send | Task[[str], Any],
    identify: Identify,
    purpose: str = "login",
    client_id: str = "app",
    human_check: HumanCheck | None = None,
    prefix: str = "/auth",
) -> APIRouter:
    """POST /auth/otp/request, /auth/otp/resend, /auth/otp/verify, /auth/refresh and /auth/logout.

    send: see Send, or the task of ``hustlex.delivery.deliver_codes``. identify: see Identify. purpose: of the codes.
    client_id: the application that the sessions belong to. human_check: see HumanCheck. How much one address, prefix or
    country may ask for is the otp room's business (``OtpOptions.caps``).
    """
    login = _Login(OtpCodes(send=send, purpose=purpose, human_check=human_check), identify, client_id)
    router = APIRouter(prefix=prefix, tags=["auth"], dependencies=[Depends(_no_store)])
    post = ["POST"]
    router.add_api_route("/otp/request", login.request, methods=post, status_code=202)
    router.add_api_route("/otp/resend", login.resend, methods=post, status_code=202)
    router.add_api_route("/otp/verify", login.verify, methods=post, response_model_exclude_none=True)
    router.add_api_route("/refresh", login.refresh, methods=post)
    router.add_api_route("/logout", login.logout, methods=post, status_code=204)
    return router


class _Login:
    def __init__(self, codes: OtpCodes, identify: Identify, client_id: str) -> None:
        self._codes = codes
        self._identify = identify
        self._client_id = client_id

    async def request(self, body: PhoneIn, front: Front, request: Request) -> ChallengeOut:
        """Send a one-time code to a phone. The answer is the same whether or not the number has an account."""
        return await self._codes.ask(front, request, body.phone, device=body.device_token)

    async def resend(self, body: ChallengeIn, front: Front, request: Request) -> ChallengeOut:
        """Send the code of a challenge again; when little of its life is left, a new code in its place."""
        return await self._codes.again(front, request, body.challenge)

    async def verify(self, body: LoginIn, front: Front, request: Request) -> TokensOut:
        """Swap a right code for tokens."""
        proof = await self._codes.check(front, request, body, remember=body.remember)
        tokens = await self._log_in(front, await self._identify(proof.phone), body.device)
        return tokens.model_copy(update={"device_token": proof.device or None})

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


def _tokens(pair: TokenPair) -> TokensOut:
    return TokensOut(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.expires_in // _SECOND)


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
