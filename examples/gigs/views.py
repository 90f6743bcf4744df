"""What clients, caches and browsers see: plain values, apart from the tables."""

from __future__ import annotations

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


class Notice(msgspec.Struct, frozen=True, tag_field="type", tag="notice"):
    """Something a user wants to know now. kind: ``gig_posted``, ``gig_taken``, ``escrow_released``."""

    kind: str
    text: str


def gig_view(gig: Gig) -> GigView:
    """From the table."""
    return GigView(gig.id, gig.title, gig.category, gig.price_kobo, gig.status)
