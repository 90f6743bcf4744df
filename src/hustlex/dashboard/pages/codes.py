"""``/codes``: do people get their codes, and in which country not?"""

from __future__ import annotations

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest


async def codes(request: PageRequest) -> PageContent:
    """How many were sent, verified and refused, by country; and what is slowed down, because codes are not typed."""
    page = await request.hx.otp.inspector.breakers(cursor=request.word("cursor"))
    values = {"breakers": page, "history": await rooms.view(request, "codes")}
    return PageContent("codes", "Codes", values, trouble=len(page.breakers))
