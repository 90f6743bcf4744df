"""``/audit``: who did what?"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hustlex.dashboard.audit import Audit
from hustlex.dashboard.request import PageContent, PageRequest

_SIZE = 50
_ID = re.compile(r"\d{1,20}-\d{1,20}")


async def audit(request: PageRequest) -> PageContent:
    """What was done through the console, newest first."""
    before = request.word("before")
    log = Audit(request.hx.driver, request.hx.prefix)
    entries = await log.newest(before if _ID.fullmatch(before) else "", _SIZE)
    rows = [(datetime.fromtimestamp(int(each.id.split("-")[0]) / 1000, UTC), each.fields) for each in entries]
    return PageContent("audit", "Audit", {"rows": rows, "next": entries[-1].id if len(entries) == _SIZE else ""})
