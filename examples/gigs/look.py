"""What the pages show of gigs, money and notices, read from the database and the channels."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.gigs import market
from examples.gigs.models import Gig, LedgerLine, User
from examples.gigs.views import Notice
from examples.gigs.visits import Visit

_SHOWN = 50


class Movement(msgspec.Struct, frozen=True):
    """A line of the ledger as its owner reads it. about: a gig's id, 0 for none."""

    text: str
    amount_kobo: int
    when: datetime
    about: int = 0


class NoticeLine(msgspec.Struct, frozen=True):
    """A notice that is kept."""

    notice: Notice
    ts: int


async def gig_of(visit: Visit, gig_id: int) -> dict[str, Any]:
    """A gig, whose it is, and how far it is. Raises Problem: 404."""
    async with visit.shared.database.transaction() as session:
        gig = await market.find(session, gig_id)
        paid = bool(await _paid(session, [gig]))
        owner = await session.get(User, gig.owner_id)
    mine = visit.signed_in and visit.user == gig.owner_id
    return {
        "gig": gig,
        "paid": paid,
        "mine": mine,
        "doing": visit.signed_in and visit.user == gig.worker_id,
        "owner_end": owner.phone[-4:] if owner else "",
    }


async def work_of(visit: Visit) -> dict[str, Any]:
    """The member's own gigs: posted, and taken."""
    user = visit.user
    async with visit.shared.database.transaction() as session:
        wanted = select(Gig).where(or_(Gig.owner_id == user, Gig.worker_id == user))
        gigs = list((await session.scalars(wanted.order_by(Gig.id.desc()).limit(2 * _SHOWN))).all())
        paid = await _paid(session, gigs)
    return {
        "posted": [gig for gig in gigs if gig.owner_id == user],
        "taken": [gig for gig in gigs if gig.worker_id == user],
        "paid": paid,
    }


async def _paid(session: AsyncSession, gigs: Iterable[Gig]) -> set[int]:
    """Those whose money has reached its worker."""
    keys = {f"escrow:{gig.id}:release": gig.id for gig in gigs if gig.status == "completed"}
    if not keys:
        return set()
    found = await session.scalars(select(LedgerLine.key).where(LedgerLine.key.in_(keys)))
    return {keys[key] for key in found.all()}


async def movements_of(visit: Visit) -> dict[str, Any]:
    """The member's ledger, and what is held for gigs."""
    user = visit.user
    async with visit.shared.database.transaction() as session:
        wanted = select(LedgerLine).where(LedgerLine.user_id == user)
        newest = wanted.order_by(LedgerLine.created_at.desc(), LedgerLine.key).limit(_SHOWN)
        lines = list((await session.scalars(newest)).all())
        titles, others = await _titles(session, lines), await _others(session, lines)
        held = await session.scalar(
            select(func.coalesce(func.sum(Gig.price_kobo), 0)).where(Gig.owner_id == user, Gig.status != "completed")
        )
    return {"movements": [_movement(line, titles, others) for line in lines], "held": held or 0}


async def _titles(session: AsyncSession, lines: Iterable[LedgerLine]) -> dict[int, str]:
    ids = {_gig_id(line.key) for line in lines} - {0}
    found = await session.execute(select(Gig.id, Gig.title).where(Gig.id.in_(ids)))
    return {row.id: row.title for row in found.all()}


async def _others(session: AsyncSession, lines: Iterable[LedgerLine]) -> dict[str, str]:
    """Of each transfer the end of the other's number, by the line's key."""
    twins = {_twin(line.key): line.key for line in lines if line.key.startswith("transfer:")}
    wanted = select(LedgerLine.key, User.phone).join(User, User.id == LedgerLine.user_id)
    found = await session.execute(wanted.where(LedgerLine.key.in_(twins)))
    return {twins[key]: phone[-4:] for key, phone in found.all()}


def _twin(key: str) -> str:
    """The other line of a transfer."""
    return f"{key.removesuffix(':out')}:in" if key.endswith(":out") else f"{key.removesuffix(':in')}:out"


def _gig_id(key: str) -> int:
    kind, _, rest = key.partition(":")
    return int(rest.partition(":")[0]) if kind == "escrow" else 0


def _movement(line: LedgerLine, titles: dict[int, str], others: dict[str, str]) -> Movement:
    kind, about = line.key.partition(":")[0], _gig_id(line.key)
    if kind == "escrow":
        words = "Held for" if line.amount_kobo < 0 else "Paid for"
        return Movement(f"{words} {titles.get(about, 'a gig')}", line.amount_kobo, line.created_at, about)
    if kind == "transfer":
        words = "Sent to" if line.amount_kobo < 0 else "Received from"
        return Movement(f"{words} …{others.get(line.key, '')}", line.amount_kobo, line.created_at)
    return Movement("Welcome money", line.amount_kobo, line.created_at)


async def notices_of(visit: Visit) -> list[NoticeLine]:
    """What the member's channel keeps, the newest first."""
    kept = await visit.shared.notices.history(limit=_SHOWN, reverse=True, user_id=visit.user)
    return [NoticeLine(each.data, each.ts) for each in kept if isinstance(each.data, Notice)]
