"""``/idempotency``: which payment is in doubt?"""

from __future__ import annotations

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest


async def idempotency(request: PageRequest) -> PageContent:
    """Claims that run or lapsed: the lapsed ones are stuck until somebody finds out what they did, or, of events, until
    the provider sends them again."""
    look, cursor = request.hx.idempotency.inspector, request.word("cursor")
    events = request.word("kind") == "events"
    page = await (look.unfinished_events(cursor=cursor) if events else look.unfinished(cursor=cursor))
    lapsed = sum(claim.state == "lapsed" for claim in page.claims)
    values = {"page_of": page, "lapsed": lapsed, "events": events, "history": await rooms.view(request, "idempotency")}
    return PageContent("idempotency", "Payments in doubt", values, trouble=lapsed)
