"""``/idempotency``: which payment is in doubt?"""

from __future__ import annotations

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest


async def idempotency(request: PageRequest) -> PageContent:
    """Claims that run or lapsed: the lapsed ones are stuck until somebody finds out what they did."""
    page = await request.hx.idempotency.inspector.unfinished(cursor=request.word("cursor"))
    lapsed = sum(claim.state == "lapsed" for claim in page.claims)
    values = {"page_of": page, "lapsed": lapsed, "history": await rooms.view(request, "idempotency")}
    return PageContent("idempotency", "Payments in doubt", values, trouble=lapsed)
