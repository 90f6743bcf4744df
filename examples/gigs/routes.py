"""The HTTP routes: profile, gigs, wallet, live notices. Signing in is ``hustlex.web.auth_router``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from examples.gigs import market
from examples.gigs.backend import Backend
from examples.gigs.views import gig_view
from hustlex.idempotency import IdempotencyOptions
from hustlex.ratelimit import Policy
from hustlex.web import CurrentUser, Idempotent, RateLimit, StrictUser, sse_response

router = APIRouter()

FIVE_A_MINUTE = Policy("transfers", 5, timedelta(minutes=1), "log")
TRANSFERS = RateLimit(FIVE_A_MINUTE)
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
    """Post a gig; its price is held."""
    return as_json(gig_view(await market.post(shared, int(user.user_id), **new.model_dump())), 201)


@router.post("/gigs/{gig_id}/take")
async def take_gig(gig_id: GigId, user: CurrentUser, shared: Shared) -> Response:
    """Become the worker of an open gig."""
    return as_json(gig_view(await market.take(shared, int(user.user_id), gig_id)))


@router.post("/gigs/{gig_id}/complete", status_code=202)
async def complete_gig(gig_id: GigId, user: StrictUser, shared: Shared) -> Response:
    """Accept the work; a job pays the worker."""
    return as_json(gig_view(await market.complete(shared, int(user.user_id), gig_id)), 202)


@router.post("/wallet/transfers", dependencies=[Depends(TRANSFERS), Depends(ONCE)])
async def transfer(new: NewTransfer, request: Request, user: StrictUser, shared: Shared) -> Response:
    """Send money, once per Idempotency-Key; at most 5 a minute."""
    key = request.headers["Idempotency-Key"]
    await market.send(shared, int(user.user_id), key, new.to_phone, new.amount_kobo)
    return as_json({"transferred": True})


@router.get("/events")
async def events(request: Request, user: CurrentUser, shared: Shared) -> Response:
    """Live notices for the signed-in user, as server-sent events."""
    return await sse_response(request, shared.notices.subscribe(user_id=user.user_id), authorize=None)
