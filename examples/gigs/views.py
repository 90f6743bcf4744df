"""What clients, caches and browsers see: plain values, apart from the tables."""

from __future__ import annotations

from datetime import datetime

import msgspec

from examples.gigs.models import Gig


class Profile(msgspec.Struct, frozen=True):
    """A user as shown to that user. phone_end: the last four digits; this is cached, and no number belongs there."""

    id: int
    phone_end: str
    balance_kobo: int


class GigView(msgspec.Struct, frozen=True):
    """A gig as shown to everybody."""

    id: int
    title: str
    category: str
    price_kobo: int
    status: str
    owner_id: int
    created_at: datetime


class Notice(msgspec.Struct, frozen=True, tag_field="type", tag="notice"):
    """Something a user wants to know now. kind: ``gig_posted``, ``gig_taken``, ``escrow_released``, ``gig_paid``,
    ``money_received``. gig_id: what it is about, 0 nothing."""

    kind: str
    text: str
    gig_id: int = 0


class BoardChanged(msgspec.Struct, frozen=True, tag_field="type", tag="board_changed"):
    """The list of open gigs is another one."""

    category: str


def gig_view(gig: Gig) -> GigView:
    """From the table."""
    return GigView(gig.id, gig.title, gig.category, gig.price_kobo, gig.status, gig.owner_id, gig.created_at)


def naira(kobo: int) -> str:
    """``1500000`` as ``₦15,000``; kobo only where there are some."""
    whole, rest = divmod(abs(kobo), 100)
    return f"{'-' if kobo < 0 else ''}₦{whole:,}" + (f".{rest:02}" if rest else "")
