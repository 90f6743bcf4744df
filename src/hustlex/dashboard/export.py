"""What a search finds, and the audit, as files for a spreadsheet: as pages show it, and nothing that is taken for a
formula."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from datetime import datetime

from hustlex.dashboard.pages.audit import AuditFilter, AuditRow, look
from hustlex.dashboard.render import excerpt
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.words import visible
from hustlex.jobs import TaskInfo
from hustlex.jobs.search.query import whole

MOST_ROWS = 5_000
_MOST_PAGES = 10
"""Each looks at 2,000 tasks."""
_PER_PAGE = 500
_HEADS = ("queue", "id", "type", "state", "retried", "max_retry", "next_start", "last_failed", "completed", "error",
          "payload")  # fmt: skip
_AUDIT_HEADS = ("when", "who", "via", "outcome", "what", "target", "queue", "before", "after", "id")
_MOST_LOOKED = 20_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of one, also written wide."""


async def csv_of(request: PageRequest, text: str) -> str:
    """At most 5,000 tasks, among 20,000 that are looked at; the last line says so where there are more. Raises Misuse
    for a query that is only half understood."""
    query, inspector = whole(text, time.time()), request.hx.jobs.inspector
    names = [name for name in await inspector.queues() if request.operator.sees_queue(name)]
    found, cursor = list[TaskInfo](), ""
    for _ in range(_MOST_PAGES):
        size = min(_PER_PAGE, MOST_ROWS - len(found))
        page = await inspector.search(query, queues=names, cursor=cursor, size=size, view=request.view())
        found += page.tasks
        cursor = page.cursor
        if not cursor or len(found) >= MOST_ROWS:
            break
    rows = [_row(request, task) for task in found]
    return _written([_HEADS, *rows, *([("there are more",)] if cursor else [])])


async def audit_csv(request: PageRequest, sought: AuditFilter) -> str:
    """At most 5,000 entries, among all that are kept; the last line says so where there are more."""
    rows, more = await look(request, sought, size=MOST_ROWS, most=_MOST_LOOKED)
    return _written([_AUDIT_HEADS, *map(_audit_row, rows), *([("there are more",)] if more else [])])


def _audit_row(row: AuditRow) -> tuple[str, ...]:
    return (
        _moment(row.at), row.who, row.via, row.outcome, row.what, row.target, row.queue, row.before, row.after, row.id
    )  # fmt: skip


def _row(request: PageRequest, task: TaskInfo) -> tuple[str, ...]:
    error = excerpt(request, task.last_error, "error", task.type) if task.last_error else ""
    payload = excerpt(request, task.payload, "payload", task.type) if task.payload else ""
    times = (task.next_process_at, task.last_failed_at, task.completed_at)
    return (
        task.queue, task.id, task.type, task.state.value, str(task.retried), str(task.max_retry),
        *map(_moment, times), error, payload,
    )  # fmt: skip


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds")


def _written(rows: Iterable[Iterable[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([map(cell, row) for row in rows])
    return file.getvalue()


def cell(text: str) -> str:
    """Text that stays text: with an apostrophe before what a spreadsheet would calculate."""
    calculated = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{visible(text)}" if calculated else visible(text)
