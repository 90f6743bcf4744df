"""The HTTP routes: profile, gigs, wallet, live notices. Signing in is ``hustlex.web.auth_router``."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.gigs import money
from examples.gigs.backend import Backend
from examples.gigs.jobs import escrow_release
from examples.gigs.models import Gig, User, outbox
from examples.gigs.views import Notice, gig_view
from hustlex.idempotency import IdempotencyOptions
from hustlex.web import CurrentUser, Idempotent, RateLimit, StrictUser, sse_response

router = APIRouter()

TRANSFERS = RateLimit("5/minute per user using log named transfers")
ONCE = Idempotent(options=IdempotencyOptions(orphans="takeover"))
"""A request whose server died may be carried out again, because the ledger takes each of its lines once."""
CATEGORY = r"^[a-z0-9-]{2,40}$"


async def backend(request: Request) -> Backend:
    """The application's connections."""
    found: Backend = request.app.state.backend
    return found


Shared = Annotated[Backend, Depends(backend)]
GigId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class NewGig(BaseModel):
    """A gig to post; its price is held in escrow at once."""

    title: str = Field(min_length=3, max_length=200)
    category: str = Field(pattern=CATEGORY)
    price_kobo: int = Field(gt=0, le=1_000_000_000, strict=True)


class NewTransfer(BaseModel):
    """Money for another user."""

    to_phone: str = Field(max_length=20)
    amount_kobo: int = Field(gt=0, le=1_000_000_000, strict=True)


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
async def post_gig(new: NewGig, user: StrictUser, shared: Shared) -> Response:
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
async def complete_gig(gig_id: GigId, user: StrictUser, shared: Shared) -> Response:
    """Accept the work. The money moves in a critical job, added in the same transaction; asking again is harmless."""
    async with shared.database.transaction() as session:
        gig = await _gig(session, gig_id)
        if gig.owner_id != int(user.user_id) or gig.status == "open":
            raise HTTPException(409, "only the owner of a taken gig can complete it")
        gig.status = "completed"
        outbox.add(session, escrow_release.job(gig_id=gig.id), task_id=f"escrow:{gig.id}")
    return as_json(gig_view(gig), 202)


@router.post("/wallet/transfers", dependencies=[Depends(TRANSFERS), Depends(ONCE)])
async def transfer(new: NewTransfer, request: Request, user: StrictUser, shared: Shared) -> Response:
    """Send money, once per Idempotency-Key; at most 5 a minute."""
    sender, key = int(user.user_id), hashlib.sha256(request.headers["Idempotency-Key"].encode()).hexdigest()[:32]
    async with shared.database.transaction() as session:
        receiver = await session.scalar(select(User.id).where(User.phone == new.to_phone, User.id != sender))
        if receiver is None:
            raise HTTPException(404, "no such receiver")
        await money.transfer(session, f"{sender}:{key}", sender, receiver, new.amount_kobo)
    await shared.profiles.delete(sender, receiver)
    return as_json({"transferred": True})


@router.get("/events")
async def events(request: Request, user: CurrentUser, shared: Shared) -> Response:
    """Live notices for the signed-in user, as server-sent events."""
    return await sse_response(request, shared.notices.subscribe(user_id=user.user_id), authorize=None)


async def _gig(session: AsyncSession, gig_id: int) -> Gig:
    gig = await session.get(Gig, gig_id)
    if gig is None:
        raise HTTPException(404, "no such gig")
    return gig
