"""``/codes``: do people get their codes, and in which country not?"""

from __future__ import annotations

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest


async def codes(request: PageRequest) -> PageContent:
    """How many were sent, verified and refused, by country."""
    return PageContent("codes", "Codes", {"history": await rooms.view(request, "codes")})
