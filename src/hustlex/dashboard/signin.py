"""Signing in where no application does it: with a token that is good once."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b32encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hustlex.dashboard import ops
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.operators import NOBODY, Operator
from hustlex.dashboard.signer import Signer
from hustlex.errors import Error
from hustlex.ratelimit import Policy

if TYPE_CHECKING:
    from hustlex.app import HustleX

_TOKEN_LIFE = timedelta(minutes=15)
_SESSION_S = 12 * 3600
_IDLE_S = 30 * 60
_RENEW_S = 60
_MARKED_S = _SESSION_S + int(_TOKEN_LIFE.total_seconds())
"""Whatever was begun before a mark is over by then."""
_ENTRIES = Policy("console_enter", 5, timedelta(minutes=1), on_error="closed")


class Session(msgspec.Struct, frozen=True):
    """What the cookie of somebody who signed in holds. since, seen: Unix seconds."""

    operator: Operator
    since: int
    seen: int
    mark: str = ""
    """Of this name when the token was made: another one stands there once the name's sessions were ended."""

    def lives(self, now: int) -> bool:
        """At most 12 hours, and 30 minutes since the last request."""
        return now - self.since < _SESSION_S and now - self.seen < _IDLE_S


class SignIn:
    """An ``access`` of its own: tokens of one use make sessions in signed cookies; no state but the tokens, and a mark
    for each name whose sessions were ended."""

    def __init__(self, hx: HustleX, signer: Signer, audit: Audit) -> None:
        self._hx = hx
        self._driver = hx.driver
        self._prefix = hx.prefix
        self._signer = signer
        self._audit = audit

    async def token(self, operator: Operator, life: timedelta = _TOKEN_LIFE) -> str:
        """A token that signs its bearer in once, as ``K7Q2-...``; 128 bits, good for ``life``."""
        text, now = b32encode(secrets.token_bytes(20)[:16]).decode().rstrip("="), int(time.time())
        kept = msgspec.json.encode(Session(operator, now, now, await self._mark(operator.name)))
        await self._driver.run(ops.keep_token(self._prefix, _digest(text), kept, int(life.total_seconds())))
        return "-".join(text[n : n + 4] for n in range(0, len(text), 4))

    async def end(self, name: str) -> None:
        """End every session of a name, and spend the tokens that were made for it."""
        fresh = secrets.token_hex(8)
        await self._driver.run(ops.put_mark(self._prefix, _digest_of(name), fresh, _MARKED_S))

    async def enter(self, request: Request, form: Mapping[str, str]) -> Session | str:
        """A session for a token that is good, which is spent by that; else a sentence for who typed it."""
        network = request.client.host if request.client else "unknown"
        if not (await self._hx.ratelimit.check(_ENTRIES, network, endpoint="console")).allowed:
            return "Too many attempts: try again in a minute."
        token = form.get("token", "").rpartition("#")[2]
        kept = _session(await self._driver.run(ops.take_token(self._prefix, _digest(token))))
        if kept is None or not await self._stands(kept):
            return "This token is mistyped, older than 15 minutes, or was entered with already: get another."
        await self._audit.note(kept.operator, "signed in", "sign in", kept.operator.level)
        now = int(time.time())
        return msgspec.structs.replace(kept, since=now, seen=now)

    async def __call__(self, request: Request) -> Operator:
        """Who sent this request; nobody without a living session."""
        session = self.session(request)
        return session.operator if session and await self._stands(session) else NOBODY

    def session(self, request: Request) -> Session | None:
        """What the cookie says, unless it is over."""
        session = _session(self._signer.opened(request.cookies.get(_cookie_name(request), "")))
        return session if session is not None and session.lives(int(time.time())) else None

    def keep(self, request: Request, response: Response, session: Session | None = None) -> None:
        """Put a session into a cookie; without one that of the request, whose last look is a minute ago, anew: who
        works is not signed out."""
        now = int(time.time())
        if session is None:
            session = self.session(request)
            if session is None or now - session.seen < _RENEW_S:
                return
            session = msgspec.structs.replace(session, seen=now)
        response.set_cookie(
            _cookie_name(request), self._signer.sealed(msgspec.json.encode(session)), **_attributes(request)
        )

    async def leave(self, request: Request, response: Response) -> None:
        """Take the cookie back: a browser heeds that only with the attributes it was given with."""
        with suppress(Error):  # who wants to be signed out is, also where nobody can tell who that was
            await self._signer.ready()
        if session := self.session(request):
            await self._audit.over(session.operator, "done", "sign out", "")
        response.delete_cookie(_cookie_name(request), **_attributes(request))

    async def _mark(self, name: str) -> str:
        return await self._driver.run(ops.mark(self._prefix, _digest_of(name)))

    async def _stands(self, session: Session) -> bool:
        """Whether the sessions of this name were not ended since it began; a mark that is gone ended what is over."""
        return await self._mark(session.operator.name) in ("", session.mark)


def _cookie_name(request: Request) -> str:
    """One name for each place where a console is mounted; bound to the host where there is TLS."""
    mount = hashlib.sha256(request.scope.get("root_path", "").encode()).hexdigest()[:8]
    return f"__Host-hx-{mount}" if request.url.scheme == "https" else f"hx-{mount}"


def _attributes(request: Request) -> dict[str, Any]:
    return {"path": "/", "httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}


def _session(text: bytes | None) -> Session | None:
    """None also for what another version wrote."""
    try:
        return msgspec.json.decode(text, type=Session) if text else None
    except msgspec.MsgspecError:
        return None


def _digest(token: str) -> str:
    return _digest_of("".join(letter for letter in token.upper() if letter.isalnum()))


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
