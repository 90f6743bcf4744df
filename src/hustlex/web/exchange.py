"""How tokens reach a client and come back: a login's pair, refresh and logout, in bodies or with a cookie."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from hustlex.app import HustleX
from hustlex.core.logs import logger
from hustlex.tokens import LogoutRefused, RefreshRefused, Refusal, TokenPair, TooManySessions
from hustlex.web.addresses import shown_ip
from hustlex.web.cookie import RefreshCookie
from hustlex.web.depends import Bearer, Front, ProvedKey, shown_token, unauthorized
from hustlex.web.problem import Problem

_SECOND = timedelta(seconds=1)
_OVER = (Refusal.REVOKED, Refusal.REUSE_DETECTED, Refusal.EXPIRED_ABSOLUTE, Refusal.EXPIRED_IDLE)
"""Only these clear a cookie: with the others, another tab may have put the right token there a moment ago."""

_ALARMING = (Refusal.REUSE_DETECTED, Refusal.CLIENT_MISMATCH, Refusal.BINDING_MISMATCH)
_log = logger("hustlex.web")


class RefreshIn(BaseModel):
    refresh_token: str = Field(max_length=512, repr=False)


class LogoutIn(BaseModel):
    refresh_token: str | None = Field(None, max_length=512, repr=False)


class TokensOut(BaseModel):
    """expires_in: of the access token, seconds. refresh_token: left out when it travels as a cookie. device_token: only
    when it was asked for."""

    access_token: str = Field(repr=False)
    refresh_token: Annotated[str | None, Field(repr=False)] = None
    token_type: Literal["Bearer", "DPoP"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: int
    device_token: Annotated[str | None, Field(repr=False)] = None


class TokenExchange:
    """client_id: the application that the sessions belong to. cookie: the name of a refresh cookie; "": bodies."""

    def __init__(self, client_id: str, cookie: str) -> None:
        self._client_id = client_id
        self._cookie = RefreshCookie(cookie) if cookie else None

    async def log_in(
        self,
        front: HustleX,
        request: Request,
        response: Response,
        user_id: str,
        *,
        device: str,
        platform: str,
        jkt: str,
    ) -> TokensOut:
        """Open a session for a user whose phone was proved just now. jkt: of a proved key to bind it to, or ""."""
        pair = await front.tokens.login(
            user_id,
            client_id=self._client_id,
            device=device,
            amr=("sms",),
            platform=platform,
            ip=shown_ip(request),
            jkt=jkt,
        )
        if isinstance(pair, TooManySessions):
            raise Problem(409, detail="Too many devices are logged in. Log out on one of them.")
        return self._tokens(pair, response)

    async def refresh(
        self, front: Front, request: Request, response: Response, jkt: ProvedKey, body: RefreshIn | None = None
    ) -> TokensOut:
        """Swap a refresh token for a new pair. May be repeated when the reply was lost."""
        answer = await front.tokens.refresh(
            self._refresh_token(request, body), client_id=self._client_id, ip=shown_ip(request), jkt=jkt
        )
        if isinstance(answer, RefreshRefused):
            raise self._refused(answer)
        return self._tokens(answer.pair, response)

    def _refused(self, answer: RefreshRefused) -> Problem:
        level = logging.WARNING if answer.reason in _ALARMING else logging.INFO
        _log.log(level, "refresh refused: %s %s", answer.reason, answer.detail)
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

    def _tokens(self, pair: TokenPair, response: Response) -> TokensOut:
        if self._cookie:
            self._cookie.put(response, pair.refresh, pair.session_expires_in)
        return TokensOut(
            access_token=pair.access,
            refresh_token=None if self._cookie else pair.refresh,
            token_type="DPoP" if pair.jkt else "Bearer",
            expires_in=pair.expires_in // _SECOND,
        )
