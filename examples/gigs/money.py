"""Every movement of money. Each runs in the caller's transaction and, by its ledger key, takes effect once."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from examples.gigs.models import Gig, LedgerLine, User


class NotEnoughMoney(Exception):
    """The wallet holds less than the amount."""


class KeyReused(Exception):
    """The key of a movement was used before for a different one."""


async def move(session: AsyncSession, key: str, user_id: int, amount_kobo: int) -> bool:
    """Add to (or, negative, take from) a wallet, once per key. False: this key has moved already, nothing was done.

    Raises NotEnoughMoney; the caller's transaction then rolls back.
    """
    try:
        async with session.begin_nested():
            await session.execute(insert(LedgerLine).values(key=key, user_id=user_id, amount_kobo=amount_kobo))
    except IntegrityError:
        return False
    changed = await session.execute(
        update(User)
        .where(User.id == user_id, User.balance_kobo + amount_kobo >= 0)
        .values(balance_kobo=User.balance_kobo + amount_kobo)
        .returning(User.id)
    )
    if changed.scalar_one_or_none() is None:
        raise NotEnoughMoney
    return True


async def hold_escrow(session: AsyncSession, gig: Gig) -> None:
    """Take the price from the owner's wallet when a gig is posted."""
    await move(session, f"escrow:{gig.id}:hold", gig.owner_id, -gig.price_kobo)


async def release_escrow(session: AsyncSession, gig_id: int) -> Gig | None:
    """Pay the worker of a completed gig, now or (nothing is done then) earlier. None when there is none to pay."""
    gig = await session.scalar(select(Gig).where(Gig.id == gig_id, Gig.status == "completed"))
    if gig is not None and gig.worker_id is not None:
        await move(session, f"escrow:{gig.id}:release", gig.worker_id, gig.price_kobo)
    return gig


async def transfer(session: AsyncSession, key: str, sender_id: int, receiver_id: int, amount_kobo: int) -> None:
    """From wallet to wallet, once per key; the same transfer again does nothing.

    Raises NotEnoughMoney, or KeyReused when the key stands for another transfer.
    """
    if await move(session, f"transfer:{key}:out", sender_id, -amount_kobo):
        await move(session, f"transfer:{key}:in", receiver_id, amount_kobo)
        return
    earlier = await session.get(LedgerLine, f"transfer:{key}:in")
    if earlier is None or (earlier.user_id, earlier.amount_kobo) != (receiver_id, amount_kobo):
        raise KeyReused


async def savers(session: AsyncSession) -> list[int]:
    """Users with money in their wallet."""
    return list((await session.scalars(select(User.id).where(User.balance_kobo > 0))).all())
