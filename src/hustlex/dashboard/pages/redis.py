"""``/redis``: is the server fit for what it holds?"""

from __future__ import annotations

import msgspec

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.diagnostics import JOB_CHECKS

_ORDER = ("fail", "unknown", "warn", "info", "ok")


async def redis(request: PageRequest) -> PageContent:
    """What the doctor finds, the worst first."""
    checkup = await request.hx.diagnostics.check(brief=True)
    if not (request.operator.sees_all_queues and request.operator.sees_room("jobs")):
        shown = tuple(found for found in checkup.findings if found.check not in JOB_CHECKS)
        checkup = msgspec.structs.replace(checkup, findings=shown)
    findings = sorted(checkup.findings, key=lambda found: _ORDER.index(found.level))
    return PageContent("redis", "Redis", {"findings": findings, "ok": checkup.ok, "clean": checkup.clean})
