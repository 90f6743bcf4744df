"""Tables. Money is whole kobo (1/100 naira); every movement is a ledger line with a key that exists once."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hustlex.outbox import Outbox


def now() -> datetime:
    """UTC, without zone, as the columns store it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """All tables."""


outbox = Outbox(Base.metadata)
"""Jobs that go with a transaction."""


class User(Base):
    """A person, known by phone. balance_kobo: what the wallet holds; the sum of its ledger lines."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    phone: Mapped[str] = mapped_column(String(20), unique=True)
    balance_kobo: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Gig(Base):
    """Work for money. status: open -> taken -> completed (released is a ledger line, not a status)."""

    __tablename__ = "gigs"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), default=None)
    title: Mapped[str] = mapped_column(String(200))
    category: Mapped[str] = mapped_column(String(40), index=True)
    price_kobo: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(12), default="open", index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class LedgerLine(Base):
    """One movement of one wallet. key: why, as ``escrow:7:release``; unique, so no movement happens twice."""

    __tablename__ = "ledger"
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    amount_kobo: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)
