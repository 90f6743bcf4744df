"""What users do, for the routes and the pages alike. What cannot be is raised as a Problem, with words for the user."""

from __future__ import annotations

import hashlib

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.gigs import money
from examples.gigs.backend import Backend
from examples.gigs.jobs import escrow_release
from examples.gigs.models import Gig, User, outbox
from examples.gigs.views import Notice, naira
from hustlex.web import Problem


async def post(shared: Backend, owner: int, title: str, category: str, price_kobo: int) -> Gig:
    """Post a gig: hold its price, then forget what is cached of it and tell the poster's open windows."""
    async with shared.database.transaction() as session:
        gig = Gig(owner_id=owner, status="open", title=title, category=category, price_kobo=price_kobo)
        session.add(gig)
        await session.flush()
        await money.hold_escrow(session, gig)
    await shared.profiles.delete(owner)
    await shared.listed(gig)
    await shared.notices.publish(Notice("gig_posted", f"'{title}' is online", gig.id), user_id=owner)
    return gig


async def take(shared: Backend, user: int, gig_id: int) -> Gig:
    """Become the worker of an open gig."""
    async with shared.database.transaction() as session:
        gig = await find(session, gig_id)
        if gig.owner_id == user or gig.status != "open":
            raise Problem(409, detail="this gig cannot be taken by you")
        gig.worker_id, gig.status = user, "taken"
    await shared.listed(gig)
    await shared.notices.publish(Notice("gig_taken", f"'{gig.title}' was taken", gig.id), user_id=gig.owner_id)
    return gig


async def complete(shared: Backend, user: int, gig_id: int) -> Gig:
    """Accept the work. The money moves in a critical job, added in the same transaction; asking again is harmless."""
    async with shared.database.transaction() as session:
        gig = await find(session, gig_id)
        if gig.owner_id != user or gig.status == "open":
            raise Problem(409, detail="only the owner of a taken gig can complete it")
        gig.status = "completed"
        outbox.add(session, escrow_release.job(gig_id=gig.id), task_id=f"escrow:{gig.id}")
    return gig


async def send(shared: Backend, sender: int, key: str, to_phone: str, amount_kobo: int) -> None:
    """Send money, once per key. Raises money's errors too."""
    key = hashlib.sha256(key.encode()).hexdigest()[:32]
    async with shared.database.transaction() as session:
        receiver = await session.scalar(select(User.id).where(User.phone == to_phone, User.id != sender))
        if receiver is None:
            raise Problem(404, detail="no such receiver")
        await money.transfer(session, f"{sender}:{key}", sender, receiver, amount_kobo)
    await shared.profiles.delete(sender, receiver)
    received = Notice("money_received", f"{naira(amount_kobo)} arrived in your wallet")
    await shared.notices.publish(received, idem=f"transfer:{sender}:{key}", user_id=receiver)


async def find(session: AsyncSession, gig_id: int) -> Gig:
    """A gig by its id."""
    gig = await session.get(Gig, gig_id)
    if gig is None:
        raise Problem(404, detail="no such gig")
    return gig
