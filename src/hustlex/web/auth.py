"""Login by phone: a router over the otp and tokens rooms. It stores nothing and sends nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from hustlex.jobs import Task
from hustlex.tokens import LogoutRefused, RefreshRefused, Refusal, TokenPair, TooManySessions
from hustlex.web.codes import ChallengeIn, ChallengeOut, CodeIn, HumanCheck, OtpCodes, Send, client_ip
from hustlex.web.cookie import RefreshCookie
from hustlex.web.depends import Bearer, Front, ProvedKey, shown_token, unauthorized
from hustlex.web.problem import Problem

Identify = Callable[[str], Awaitable[str]]
"""The id of the user with this phone (E.164, proved just now); creates the user when there is none."""

_SECOND = timedelta(seconds=1)
_OVER = (Refusal.REVOKED, Refusal.REUSE_DETECTED, Refusal.EXPIRED_ABSOLUTE, Refusal.EXPIRED_IDLE)
"""Only these clear a cookie: with the others, another tab may have put the right token there a moment ago."""

_log = logging.getLogger("hustlex.web")


class PhoneIn(BaseModel):
    """device_token: of an earlier login on this device, so that strangers cannot lock its owner out."""

    phone: str = Field(max_length=64, repr=False, examples=["0803 123 4567"])
    device_token: str = Field("", max_length=64, repr=False)


class LoginIn(CodeIn):
    """device: its name, for the list of sessions. remember: answer a device_token, to be shown at the next login."""

    device: str = Field("", max_length=64, examples=["Ada's phone"])
    platform: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9._/-]*$", examples=["android"])
    remember: bool = False


class RefreshIn(BaseModel):
    refresh_token: str = Field(max_length=512, repr=False)


class LogoutIn(BaseModel):
    refresh_token: str | None = Field(None, max_length=512, repr=False)


class TokensOut(BaseModel):
    """expires_in: of the access token, seconds. refresh_token: null when it travels as a cookie.

    device_token: only there when it was asked for.
    """

    access_token: str = Field(repr=False)
    refresh_token: str | None = Field(repr=False)
    token_type: Literal["Bearer", "DPoP"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: int
    device_token: Annotated[str | None, Field(repr=False)] = None


def auth_router(
    *,
    send: Send | Task[[str], Any],
    identify: Identify,
    purpose: str = "login",
    client_id: str = "app",
    human_check: HumanCheck | None = None,
    refresh_cookie: str = "",
    prefix: str = "/auth",
) -> APIRouter:
    """POST /auth/otp/request, /auth/otp/resend, /auth/otp/verify, /auth/refresh and /auth/logout.

    send: see Send, or the task of ``hustlex.delivery.deliver_codes``. identify: see Identify. purpose: of the codes.
    client_id: the application that the sessions belong to. human_check: see HumanCheck. refresh_cookie: for browsers,
    as ``__Host-refresh``: the refresh token travels as that cookie and not in bodies; "" for apps.

    How much one address, prefix or country may ask for is the otp room's business (``OtpOptions.caps``).
    A verify request with a DPoP proof (RFC 9449) binds the session to its key.
    """
    codes = OtpCodes(send=send, purpose=purpose, human_check=human_check)
    login = _Login(codes, identify, client_id, RefreshCookie(refresh_cookie) if refresh_cookie else None)
    router = APIRouter(prefix=prefix, tags=["auth"], dependencies=[Depends(_no_store)])
    post = ["POST"]
    router.add_api_route("/otp/request", login.request, methods=post, status_code=202)
    router.add_api_route("/otp/resend", login.resend, methods=post, status_code=202)
    router.add_api_route("/otp/verify", login.verify, methods=post, response_model_exclude_unset=True)
    router.add_api_route("/refresh", login.refresh, methods=post, response_model_exclude_unset=True)
    router.add_api_route("/logout", login.logout, methods=post, status_code=204)
    return router


class _Login:
    def __init__(self, codes: OtpCodes, identify: Identify, client_id: str, cookie: RefreshCookie | None) -> None:
        self._codes = codes
        self._identify = identify
        self._client_id = client_id
        self._cookie = cookie

    async def request(self, body: PhoneIn, front: Front, request: Request) -> ChallengeOut:
        """Send a one-time code to a phone. The answer is the same whether or not the number has an account."""
        return await self._codes.ask(front, request, body.phone, device=body.device_token)

    async def resend(self, body: ChallengeIn, front: Front, request: Request) -> ChallengeOut:
        """Send the code of a challenge again; when little of its life is left, a new code in its place."""
        return await self._codes.again(front, request, body.challenge)

    async def verify(
        self, body: LoginIn, front: Front, request: Request, response: Response, jkt: ProvedKey
    ) -> TokensOut:
        """Swap a right code for tokens."""
        proof = await self._codes.check(front, request, body, remember=body.remember)
        pair = await front.tokens.login(
            await self._identify(proof.phone),
            client_id=self._client_id,
            device=body.device,
            amr=("sms",),
            platform=body.platform,
            address=client_ip(request) or "",
            jkt=jkt,
        )
        if isinstance(pair, TooManySessions):
            raise Problem(409, detail="Too many devices are logged in. Log out on one of them.")
        tokens = self._tokens(pair, response, jkt)
        return tokens.model_copy(update={"device_token": proof.device}) if proof.device else tokens

    async def refresh(
        self, front: Front, request: Request, response: Response, jkt: ProvedKey, body: RefreshIn | None = None
    ) -> TokensOut:
        """Swap a refresh token for a new pair. May be repeated when the reply was lost."""
        answer = await front.tokens.refresh(
            self._refresh_token(request, body), client_id=self._client_id, address=client_ip(request) or "", jkt=jkt
        )
        if isinstance(answer, RefreshRefused):
            raise self._refused(answer)
        return self._tokens(answer.pair, response, jkt)

    def _refused(self, answer: RefreshRefused) -> Problem:
        alarm = answer.reason in (Refusal.REUSE_DETECTED, Refusal.CLIENT_MISMATCH, Refusal.BINDING_MISMATCH)
        _log.log(logging.WARNING if alarm else logging.INFO, "refresh refused: %s %s", answer.reason, answer.detail)
        cleared = self._cookie.cleared() if self._cookie and answer.reason in _OVER else {}
        return Problem(400, detail="Log in again.", headers=cleared, members={"error": "invalid_grant"})

    async def logout(
        self, front: Front, request: Request, response: Response, _: Bearer, body: LogoutIn | None = None
    ) -> None:
        """End the session of the access token, the refresh token, or both."""
        access = shown_token(request)[1]
        answer = await front.tokens.logout(access, self._refresh_token(request, body) or None)
        if isinstance(answer, LogoutRefused):
            _log.info("logout refused: %s", answer.reason)
            raise unauthorized("invalid_token" if access else "")
        if self._cookie:
            response.headers.update(self._cookie.cleared())

    def _refresh_token(self, request: Request, body: RefreshIn | LogoutIn | None) -> str:
        given = body.refresh_token if body else None
        return given or (self._cookie.read(request) if self._cookie else "")

    def _tokens(self, pair: TokenPair, response: Response, jkt: str) -> TokensOut:
        if self._cookie:
            self._cookie.put(response, pair.refresh, pair.session_expires_in)
        return TokensOut(
            access_token=pair.access,
            refresh_token=None if self._cookie else pair.refresh,
            token_type="DPoP" if jkt else "Bearer",
            expires_in=pair.expires_in // _SECOND,
        )


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
