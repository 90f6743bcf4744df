"""A user's devices: see them, end one, end all others, end all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from hustlex.tokens import Access, SessionInfo
from hustlex.web.depends import CurrentUser, Front, recently, strict_user
from hustlex.web.problem import Problem, no_store
from hustlex.web.routing import path_prefix


class SessionOut(BaseModel):
    """One logged-in device. network: coarse. current: it is the one that asks."""

    id: str
    device: str
    platform: str
    network: str = Field(examples=["102.89.23.0/24"])
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


class EndedOut(BaseModel):
    """ended: how many sessions were."""

    ended: int


def sessions_router(
    *, fresh_within: timedelta | None = timedelta(minutes=15), prefix: str = "/auth/sessions"
) -> APIRouter:
    """GET /auth/sessions, DELETE /auth/sessions/{id}, POST /auth/sessions/revoke-others and /revoke-all.

    fresh_within: how long ago the user may have logged in to end sessions (OWASP ASVS 7.5.2): whoever finds an open
    phone shall not lock its owner out. None: it does not matter.
    """
    owner = Depends(strict_user if fresh_within is None else recently(fresh_within))
    router = APIRouter(prefix=path_prefix(prefix), tags=["sessions"], dependencies=[Depends(no_store)])

    async def end(session_id: Annotated[str, Path(max_length=64)], front: Front, access: Access = owner) -> None:
        """End one session of one's own. 404 when there is none of that id."""
        if not (await front.tokens.revoke_session(access.user_id, session_id)).ended:
            raise Problem(404, detail="There is no such session.")

    async def end_others(front: Front, access: Access = owner) -> EndedOut:
        """End all sessions but the one that asks."""
        done = await front.tokens.revoke_all(access.user_id, except_session=access.session_id)
        return EndedOut(ended=done.ended)

    async def end_all(front: Front, access: Access = owner) -> EndedOut:
        """End all sessions, the one that asks too."""
        return EndedOut(ended=(await front.tokens.revoke_all(access.user_id)).ended)

    router.add_api_route("", _listed, methods=["GET"])
    router.add_api_route("/{session_id}", end, methods=["DELETE"], status_code=204)
    router.add_api_route("/revoke-others", end_others, methods=["POST"])
    router.add_api_route("/revoke-all", end_all, methods=["POST"])
    return router


async def _listed(front: Front, user: CurrentUser) -> list[SessionOut]:
    """Where the user is logged in, the newest first."""
    return [_out(info) for info in await front.tokens.sessions(user.user_id, current=user.session_id)]


def _out(info: SessionInfo) -> SessionOut:
    return SessionOut(
        id=info.session_id,
        device=info.device,
        platform=info.platform,
        network=info.last_network,
        created_at=info.created_at,
        last_seen_at=info.last_seen_at,
        expires_at=info.expires_at,
        current=info.current,
    )
