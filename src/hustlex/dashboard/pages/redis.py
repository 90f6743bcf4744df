"""``/redis``: is the server fit for what it holds?"""

from __future__ import annotations

from hustlex.dashboard.request import PageContent, PageRequest

_ORDER = ("fail", "unknown", "warn", "info", "ok")


async def redis(request: PageRequest) -> PageContent:
    """What the doctor finds, the worst first."""
    checkup = await request.hx.diagnostics.check()
    findings = sorted(checkup.findings, key=lambda found: _ORDER.index(found.level))
    return PageContent("redis", "Redis", {"findings": findings, "ok": checkup.ok, "clean": checkup.clean})
