"""``/audit``: who did what?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from hustlex.dashboard.acts import ACTS
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.operators import Operator
from hustlex.dashboard.request import PageContent, PageRequest

_SIZE = 50


def may_see(operator: Operator, fields: Mapping[str, str]) -> bool:
    """What was done in rooms that exist for this person; of jobs all of it, or what was done to their queues."""
    act, queue = ACTS.get(fields.get("verb", "")), fields.get("queue", "")
    if not operator.sees_room(act.room if act else "jobs"):
        return False
    return operator.sees_all_queues or bool(queue and operator.sees_queue(queue))


_ID = re.compile(r"\d{1,20}-\d{1,20}")


async def audit(request: PageRequest) -> PageContent:
    """What was done through the console, newest first."""
    before = request.word("before")
    log = Audit(request.hx.driver, request.hx.prefix)
    entries = await log.newest(before if _ID.fullmatch(before) else "", _SIZE)
    rows = [
        (datetime.fromtimestamp(int(each.id.split("-")[0]) / 1000, UTC), each.fields)
        for each in entries
        if may_see(request.operator, each.fields)
    ]
    return PageContent("audit", "Audit", {"rows": rows, "next": entries[-1].id if len(entries) == _SIZE else ""})
