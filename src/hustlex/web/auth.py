"""Login by phone or e-mail: a router over the otp and tokens rooms. It stores nothing and sends nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel, Field

from hustlex.core import check
from hustlex.otp import Email
from hustlex.web.codes import ChallengeIn, ChallengeOut, CodeIn, HumanCheck, OtpCodes, Proof, Send, invalid_code, unfit
from hustlex.web.depends import Front, ProvedKey
from hustlex.web.exchange import TokenExchange, TokensOut
from hustlex.web.problem import no_store
from hustlex.web.routing import path_prefix

if TYPE_CHECKING:
    from hustlex.jobs import Task

Identify = Callable[[str], Awaitable[check.Id]]
"""The id of the user with this phone (E.164, proved just now); creates the user when there is none."""


class PhoneIn(BaseModel):
    """phone, or email where the application logs in by e-mail too. device_token: of an earlier login on this device, so
    that strangers cannot lock its owner out."""

    phone: str | None = Field(None, max_length=64, repr=False, examples=["0803 123 4567"])
    email: str | None = Field(None, max_length=320, repr=False, examples=[None])
    device_token: str = Field("", max_length=64, repr=False)


class LoginIn(CodeIn):
    """device: its name, for the list of sessions. remember: answer a device_token, to be shown at the next login."""

    device: str = Field("", max_length=64, examples=["Ada's phone"])
    platform: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9._/-]*$", examples=["android"])
    remember: bool = False


def auth_router(
    *,
    send: Send | Task[[str], Any],
    identify: Identify,
    identify_email: Identify | None = None,
    purpose: str = "login",
    client_id: str = "app",
    human_check: HumanCheck | None = None,
    refresh_cookie: str = "",
    prefix: str = "/auth",
) -> APIRouter:
    """POST /auth/otp/request, /auth/otp/resend, /auth/otp/verify, /auth/refresh and /auth/logout.

    send: see Send, or the task of ``hustlex.delivery.deliver_codes``. identify: see Identify. identify_email:
    the same of an e-mail address, which ``/otp/request`` takes then too. purpose: of the codes.
    client_id: the application that the sessions belong to. human_check: see HumanCheck. How much one address, prefix or
    country may ask for is the otp room's business (``OtpOptions.caps``); the start warns where it might ask for a human
    check and there is none. refresh_cookie: for browsers, as ``__Host-refresh``: the refresh token travels as that
    cookie and not in bodies; "" for apps.

    A verify request with a DPoP proof (RFC 9449) binds the session to its key.
    """
    check.function("identify", identify)
    if identify_email is not None:
        check.function("identify_email", identify_email)
    exchange = TokenExchange(
        check.text("client_id", client_id), check.text("refresh_cookie", refresh_cookie, blank=True)
    )
    codes = OtpCodes(send=send, purpose=purpose, human_check=human_check)
    login = _Login(codes, identify, identify_email, exchange)

    @asynccontextmanager
    async def started(app: FastAPI) -> AsyncIterator[None]:
        if hasattr(app.state, "hustlex"):
            codes.warn(app.state.hustlex)
        yield

    router = APIRouter(prefix=path_prefix(prefix), tags=["auth"], dependencies=[Depends(no_store)], lifespan=started)
    post = ["POST"]
    router.add_api_route("/otp/request", login.request, methods=post, status_code=202)
    router.add_api_route("/otp/resend", login.resend, methods=post, status_code=202)
    router.add_api_route("/otp/verify", login.verify, methods=post, response_model_exclude_none=True)
    router.add_api_route("/refresh", exchange.refresh, methods=post, response_model_exclude_none=True)
    router.add_api_route("/logout", exchange.logout, methods=post, status_code=204)
    return router


class _Login:
    def __init__(
        self, codes: OtpCodes, identify: Identify, identify_email: Identify | None, exchange: TokenExchange
    ) -> None:
        self._codes = codes
        self._identify = identify
        self._identify_email = identify_email
        self._exchange = exchange

    async def request(self, body: PhoneIn, front: Front, request: Request) -> ChallengeOut:
        """Send a one-time code to a phone, or by e-mail. The answer is the same whether or not there is an account."""
        return await self._codes.ask(front, request, self._destination(body), device=body.device_token)

    def _destination(self, body: PhoneIn) -> str | Email:
        if body.email is None and body.phone is None:
            raise unfit("phone", "Field required")
        if body.email is None:
            return body.phone or ""
        if self._identify_email is None:
            raise unfit("email", "Codes are sent to phones here.")
        if body.phone is not None:
            raise unfit("email", "Give a phone or an address, not both.")
        return Email(body.email)

    async def _user(self, proof: Proof) -> str:
        if not proof.email:
            return check.identity("what identify answers", await self._identify(proof.phone))
        if self._identify_email is None:
            raise invalid_code("Ask for a new code.")
        return check.identity("what identify_email answers", await self._identify_email(proof.email))

    async def resend(self, body: ChallengeIn, front: Front, request: Request) -> ChallengeOut:
        """Send the code of a challenge again; when little of its life is left, a new code in its place."""
        return await self._codes.again(front, request, body.challenge)

    async def verify(
        self, body: LoginIn, front: Front, request: Request, response: Response, jkt: ProvedKey
    ) -> TokensOut:
        """Swap a right code for tokens."""
        proof = await self._codes.check(front, request, body, remember=body.remember)
        user_id = await self._user(proof)
        tokens = await self._exchange.log_in(
            front, request, response, user_id, device=body.device, platform=body.platform, jkt=jkt
        )
        return tokens.model_copy(update={"device_token": proof.device or None})
