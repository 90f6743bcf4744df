"""The HTTP routes: profile, gigs, wallet, live notices. Signing in is ``hustlex.web.auth_router``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.gigs import money
from examples.gigs.backend import Backend
from examples.gigs.jobs import escrow_release
from examples.gigs.models import Gig, User, outbox
from examples.gigs.views import Notice, gig_view
from hustlex.ratelimit import Policy
from hustlex.web import CurrentUser, RateLimit, sse_response

router = APIRouter()

TRANSFERS = Policy("transfers", 5, timedelta(minutes=1), algorithm="log")
CATEGORY = r"^[a-z0-9-]{2,40}$"


def backend(request: Request) -> Backend:
    """The application's connections."""
    found: Backend = request.app.state.backend
    return found


Shared = Annotated[Backend, Depends(backend)]
GigId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class NewGig(BaseModel):
    """A gig to post; its price is held in escrow at once."""

    title: str = Field(min_length=3, max_length=200)
    category: str = Field(pattern=CATEGORY)
    price_kobo: int = Field(gt=0, le=1_000_000_000)


class NewTransfer(BaseModel):
    """Money for another user."""

    to_phone: str = Field(max_length=20)
    amount_kobo: int = Field(gt=0, le=1_000_000_000)


def as_json(value: Any, status: int = 200, *, cache: str = "") -> Response:
    """A msgspec value as an answer; cache: where it came from."""
    headers = {"X-Cache": cache} if cache else None
    return Response(msgspec.json.encode(value), status, headers, "application/json")


@router.get("/users/me")
async def me(user: CurrentUser, shared: Shared) -> Response:
    """The signed-in user's profile, cached for 15 minutes."""
    profile, source = await shared.profile(int(user.user_id))
    return as_json(profile, cache=source)


@router.get("/gigs")
async def gigs(shared: Shared, category: Annotated[str, Query(pattern=CATEGORY)]) -> Response:
    """Open gigs of one category, newest first, cached for 5 minutes."""
    found, source = await shared.gigs(category)
    return as_json(found, cache=source)


@router.post("/gigs", status_code=201)
async def post_gig(new: NewGig, user: CurrentUser, shared: Shared) -> Response:
    """Post a gig: hold its price, then forget what is cached of it and tell the poster's open windows."""
    async with shared.database.transaction() as session:
        gig = Gig(owner_id=int(user.user_id), status="open", **new.model_dump())
        session.add(gig)
        await session.flush()
        await money.hold_escrow(session, gig)
    await shared.profiles.delete(gig.owner_id)
    await shared.gig_lists.delete(("category", gig.category))
    await shared.notices.publish(Notice("gig_posted", f"'{gig.title}' is online"), user_id=gig.owner_id)
    return as_json(gig_view(gig), 201)


@router.post("/gigs/{gig_id}/take")
async def take_gig(gig_id: GigId, user: CurrentUser, shared: Shared) -> Response:
    """Become the worker of an open gig."""
    async with shared.database.transaction() as session:
        gig = await _gig(session, gig_id)
        if gig.owner_id == int(user.user_id) or gig.status != "open":
            raise HTTPException(409, "this gig cannot be taken by you")
        gig.worker_id, gig.status = int(user.user_id), "taken"
    await shared.gig_lists.delete(("category", gig.category))
    await shared.notices.publish(Notice("gig_taken", f"'{gig.title}' was taken"), user_id=gig.owner_id)
    return as_json(gig_view(gig))


@router.post("/gigs/{gig_id}/complete", status_code=202)
async def complete_gig(gig_id: GigId, user: CurrentUser, shared: Shared) -> Response:
    """Accept the work. The money moves in a critical job, added in the same transaction; asking again is harmless."""
    async with shared.database.transaction() as session:
        gig = await _gig(session, gig_id)
        if gig.owner_id != int(user.user_id) or gig.status == "open":
            raise HTTPException(409, "only the owner of a taken gig can complete it")
        gig.status = "completed"
        outbox.add(session, escrow_release.job(gig_id=gig.id), task_id=f"escrow:{gig.id}")
    return as_json(gig_view(gig), 202)


@router.post("/wallet/transfers", dependencies=[Depends(RateLimit(TRANSFERS))])
async def transfer(
    new: NewTransfer,
    user: CurrentUser,
    shared: Shared,
    idempotency_key: Annotated[str, Header(min_length=8, max_length=50)],
) -> Response:
    """Send money, once per Idempotency-Key; at most 5 a minute."""
    sender = int(user.user_id)
    async with shared.database.transaction() as session:
        receiver = await session.scalar(select(User.id).where(User.phone == new.to_phone, User.id != sender))
        if receiver is None:
            raise HTTPException(404, "no such receiver")
        moved = await money.transfer(session, f"{sender}:{idempotency_key}", sender, receiver, new.amount_kobo)
    await shared.profiles.delete(sender, receiver)
    return as_json({"transferred": True, "replayed": not moved})


@router.get("/events")
async def events(request: Request, user: CurrentUser, shared: Shared) -> Response:
    """Live notices for the signed-in user, as server-sent events."""
    return await sse_response(request, shared.notices.subscribe(user_id=user.user_id), authorize=None)


async def _gig(session: AsyncSession, gig_id: int) -> Gig:
    gig = await session.get(Gig, gig_id)
    if gig is None:
        raise HTTPException(404, "no such gig")
    return gig
