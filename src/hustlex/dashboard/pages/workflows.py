"""``/workflows``: which step holds up the rest?"""

from __future__ import annotations

from hustlex.dashboard.request import PageContent, PageRequest

_SIZE = 50


async def workflows(request: PageRequest) -> PageContent:
    """Steps that others wait for, and where each is."""
    page = request.page_number()
    steps = await request.hx.jobs.inspector.open_steps(page=page, size=_SIZE)
    seen = [
        (step, [each for each in step.followed_by if request.operator.sees_queue(each.queue)])
        for step in steps
        if request.operator.sees_queue(step.queue)
    ]
    return PageContent("workflows", "Workflows", {"steps": seen, "number": page, "more": len(steps) == _SIZE})
