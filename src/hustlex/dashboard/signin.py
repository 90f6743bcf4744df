"""Signing in where no application does it: with a token that is good once."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b32encode
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request

from hustlex.dashboard import ops
from hustlex.dashboard.operators import NOBODY, Operator
from hustlex.dashboard.signer import Signer

if TYPE_CHECKING:
    from hustlex.app import HustleX

_TOKEN_LIFE = timedelta(minutes=15)
_SESSION_S = 12 * 3600
_IDLE_S = 30 * 60
_RENEW_S = 60


class Session(msgspec.Struct, frozen=True):
    """What the cookie of somebody who signed in holds. since, seen: Unix seconds."""

    operator: Operator
    since: int
    seen: int

    def lives(self, now: int) -> bool:
        """At most 12 hours, and 30 minutes since the last request."""
        return now - self.since < _SESSION_S and now - self.seen < _IDLE_S


class SignIn:
    """An ``access`` of its own: tokens of one use make sessions in signed cookies; no state but the tokens."""

    def __init__(self, hx: HustleX, signer: Signer) -> None:
        self._driver = hx.driver
        self._prefix = hx.prefix
        self._signer = signer

    async def token(self, operator: Operator, life: timedelta = _TOKEN_LIFE) -> str:
        """A token that signs its bearer in once, as ``K7Q2-...``; 128 bits, good for ``life``."""
        text = b32encode(secrets.token_bytes(20)[:16]).decode().rstrip("=")
        kept = msgspec.json.encode(operator)
        await self._driver.run(ops.keep_token(self._prefix, _digest(text), kept, int(life.total_seconds())))
        return "-".join(text[n : n + 4] for n in range(0, len(text), 4))

    async def enter(self, token: str) -> str | None:
        """The value of a session's cookie, for a token that is good; it is spent by that."""
        kept = await self._driver.run(ops.take_token(self._prefix, _digest(token)))
        if kept is None:
            return None
        now = int(time.time())
        return self._cookie(Session(msgspec.json.decode(kept, type=Operator), now, now))

    async def __call__(self, request: Request) -> Operator:
        """Who sent this request; nobody without a living session."""
        session = self._session(request)
        return session.operator if session else NOBODY

    def renewed(self, request: Request) -> str | None:
        """The cookie anew when its last request is a minute ago, so that who works is not signed out."""
        session, now = self._session(request), int(time.time())
        if session is None or now - session.seen < _RENEW_S:
            return None
        return self._cookie(msgspec.structs.replace(session, seen=now))

    def _session(self, request: Request) -> Session | None:
        text = self._signer.opened(request.cookies.get(cookie_name(request), ""))
        if text is None:
            return None
        try:
            session = msgspec.json.decode(text, type=Session)
        except msgspec.ValidationError:  # of a version that had other sessions
            return None
        return session if session.lives(int(time.time())) else None

    def _cookie(self, session: Session) -> str:
        return self._signer.sealed(msgspec.json.encode(session))


def cookie_name(request: Request) -> str:
    """One name for each place where a console is mounted; bound to the host where there is TLS."""
    mount = hashlib.sha256(request.scope.get("root_path", "").encode()).hexdigest()[:8]
    return f"__Host-hx-{mount}" if request.url.scheme == "https" else f"hx-{mount}"


def _digest(token: str) -> str:
    plain = "".join(letter for letter in token.upper() if letter.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
