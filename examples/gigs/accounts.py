"""Who a phone number is."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from examples.gigs import money
from examples.gigs.database import Database
from examples.gigs.models import User


async def find_or_create(database: Database, phone: str, welcome_kobo: int) -> int:
    """The user with this phone (E.164); a new one starts with the welcome money. Safe when two logins race."""
    try:
        return await _find_or_create(database, phone, welcome_kobo)
    except IntegrityError:
        return await _find_or_create(database, phone, welcome_kobo)


async def _find_or_create(database: Database, phone: str, welcome_kobo: int) -> int:
    async with database.transaction() as session:
        known = await session.scalar(select(User.id).where(User.phone == phone))
        if known is not None:
            return known
        user = User(phone=phone, balance_kobo=0)
        session.add(user)
        await session.flush()
        await money.move(session, f"welcome:{user.id}", user.id, welcome_kobo)
        return user.id
