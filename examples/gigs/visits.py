"""Who looks at a page, by cookies that no script can read; and the seal that shows a form to be from a page of ours."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from examples.gigs.backend import Backend
from hustlex.events import Position
from hustlex.tokens import Access, Mode, Refreshed, RefreshRefused, Refusal, TokenPair
from hustlex.web import Problem

_LIVES = {"access": None, "refresh": timedelta(days=90), "visit": timedelta(days=365), "challenge": timedelta(hours=1)}
_RENEW_WITHIN = timedelta(seconds=60)
_OVER = (Refusal.REVOKED, Refusal.REUSE_DETECTED, Refusal.EXPIRED_ABSOLUTE, Refusal.EXPIRED_IDLE)
_CLIENT = "pages"
NOWHERE = Position("", 0)


class NotSignedIn(Exception):
    """The page is for members."""


class Visit:
    """One request for a page, and the cookies that its answer sets."""

    def __init__(self, request: Request, shared: Backend) -> None:
        self.request = request
        self.shared = shared
        self.access: Access | None = None
        self.heard: dict[str, str] | None = None
        self._set: dict[str, str] = {}
        if not self.cookie("visit"):
            self.put("visit", secrets.token_urlsafe(16))

    # -- cookies

    def cookie(self, name: str) -> str:
        """What the browser brought, or this answer sets; "" without."""
        return self._set.get(name, self.request.cookies.get(self._named(name), ""))

    def put(self, name: str, value: str) -> None:
        """Set a cookie with the answer; "" removes it."""
        self._set[name] = value

    def _named(self, name: str) -> str:
        return f"__Host-gigs-{name}" if self._secure else f"gigs-{name}"

    @property
    def _secure(self) -> bool:
        return self.request.url.scheme == "https"

    def seen_off(self, response: Response) -> Response:
        """The answer with its cookies. Lax: a link from elsewhere finds the user signed in, a form from there not."""
        for name, value in self._set.items():
            life = _LIVES.get(name) if value else timedelta(0)
            response.set_cookie(
                self._named(name), value, None if life is None else life // timedelta(seconds=1),
                secure=self._secure, httponly=True, samesite="lax",
            )  # fmt: skip
        return response

    # -- who it is

    async def recognise(self, mode: Mode) -> None:
        """By the access token; when that is at its end, by a new one for the refresh token."""
        tokens = self.shared.hx.tokens
        found = await tokens.check(self.cookie("access"), mode=mode) if self.cookie("access") else None
        if isinstance(found, Access) and found.expires_at - tokens.now() > _RENEW_WITHIN:
            self.access = found
        elif refresh := self.cookie("refresh"):
            await self._renew(refresh, mode)

    async def _renew(self, refresh: str, mode: Mode) -> None:
        answer = await self.shared.hx.tokens.refresh(refresh, client_id=_CLIENT)
        if isinstance(answer, Refreshed):
            await self._hold(answer.pair, mode)
        elif isinstance(answer, RefreshRefused) and answer.reason in _OVER:
            self.forget()

    async def _hold(self, pair: TokenPair, mode: Mode) -> None:
        self.put("access", pair.access)
        self.put("refresh", pair.refresh)
        found = await self.shared.hx.tokens.check(pair.access, mode=mode)
        self.access = found if isinstance(found, Access) else None

    async def sign_in(self, user_id: str) -> None:
        """Open a session for a user who has typed a right code."""
        device = self.request.headers.get("user-agent", "")[:64]
        pair = await self.shared.hx.tokens.login(user_id, client_id=_CLIENT, device=device, amr=("sms",))
        if not isinstance(pair, TokenPair):
            raise Problem(409, detail="Too many devices are signed in. Sign out on one of them.")
        await self._hold(pair, "stateless")

    async def sign_out(self) -> None:
        """End the session."""
        await self.shared.hx.tokens.logout(self.cookie("access"), self.cookie("refresh") or None)
        self.forget()

    def forget(self) -> None:
        """Without the cookies of a session."""
        self.access = None
        self.put("access", "")
        self.put("refresh", "")

    @property
    def signed_in(self) -> bool:
        """Whether it is a member."""
        return self.access is not None

    @property
    def user(self) -> int:
        """The member's id. Raises NotSignedIn."""
        if self.access is None:
            raise NotSignedIn
        return int(self.access.user_id)

    async def listen(self) -> None:
        """Note where the channels of a page stand before anything is loaded for it: its script goes on from there, and
        nothing is missed between the two."""
        board, notices = self.shared.board, self.shared.notices
        self.heard = {"board:gigs": str(await board.position() or NOWHERE)}
        if self.signed_in:
            here = await notices.position(user_id=self.user)
            self.heard[f"notices:{self.user}"] = str(here or NOWHERE)

    # -- forms

    @property
    def seal(self) -> str:
        """What each form of this visitor carries: nobody else can make it."""
        session = "" if self.access is None else self.access.session_id
        return self.shared.hx.reference(f"gigs form {self.cookie('visit')} {session}")

    async def form(self) -> Mapping[str, str]:
        """The fields that were sent. Raises Problem: 403 for a form that is not of a page of ours."""
        own_page = self.request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        fields = {name: value for name, value in (await self.request.form()).items() if isinstance(value, str)}
        if not own_page or not hmac.compare_digest(fields.get("seal", "").encode(), self.seal.encode()):
            raise Problem(403, detail="This form is too old, or from elsewhere. Load its page anew and try again.")
        return fields

    def go(self, path: str, said: str = "", **query: Any) -> Response:
        """On to another page, which says this first."""
        if said:
            self.put("said", said)
        url = f"{path}?{urlencode(query)}" if query else path
        return self.seen_off(RedirectResponse(url, 303))


async def visit(request: Request) -> Visit:
    """Whoever it is."""
    found = Visit(request, request.app.state.backend)
    request.state.visit = found
    await found.recognise("bounded")
    if request.method == "GET":
        await found.listen()
    return found


async def member(request: Request) -> Visit:
    """A signed-in user, asked for at the server: for what moves money. Raises NotSignedIn."""
    found = Visit(request, request.app.state.backend)
    request.state.visit = found
    await found.recognise("strict")
    _ = found.user
    return found


Visitor = Annotated[Visit, Depends(visit)]
Member = Annotated[Visit, Depends(member)]
