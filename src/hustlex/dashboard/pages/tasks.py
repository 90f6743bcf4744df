"""``/tasks`` and ``/tasks/{queue}/{id}``: which tasks, exactly, and why is this one where it is?"""

from __future__ import annotations

from hustlex.dashboard.pages.queues import STATES
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.errors import NotFound
from hustlex.jobs import State, TaskInfo

_SIZE = 50
ACTS: dict[State, tuple[str, ...]] = {
    State.PENDING: ("archive", "delete"),
    State.ACTIVE: ("cancel",),
    State.SCHEDULED: ("run", "archive", "delete"),
    State.RETRY: ("run", "archive", "delete"),
    State.ARCHIVED: ("run", "delete"),
    State.COMPLETED: ("run", "delete"),
    State.AGGREGATING: ("run", "archive", "delete"),
}
"""What can be done to a task in each state."""


async def tasks(request: PageRequest) -> PageContent:
    """One queue's tasks in one state; with ``id``, that task's page."""
    if task_id := request.word("id").strip():
        return await _sought(request, task_id)
    inspector = request.hx.jobs.inspector
    summaries = [each for each in await inspector.summaries() if request.operator.sees_queue(each.name)]
    chosen = next((each for each in summaries if each.name == request.word("queue")), None)
    chosen = chosen or max(summaries, key=lambda each: each.unfinished + each.archived, default=None)
    state = State(request.word("state")) if request.word("state") in [each.value for each in STATES] else State.PENDING
    page, found = request.page_number(), list[TaskInfo]()
    if chosen is not None:
        found = await inspector.tasks(chosen.name, state, page=page, size=_SIZE)
    count = getattr(chosen, state.value) if chosen else 0
    values = {
        "queues": [each.name for each in summaries],
        "queue": chosen,
        "state": state.value,
        "states": [(each.value, getattr(chosen, each.value)) for each in STATES] if chosen else [],
        "tasks": found,
        "acts": ACTS[state],
        "number": page,
        "last": max(1, -(-count // _SIZE)),
    }
    return PageContent("tasks", f"{state.value} tasks", values)


async def _sought(request: PageRequest, task_id: str) -> PageContent:
    found = await request.hx.jobs.explain(task_id)
    if not found.queue or not request.operator.sees_queue(found.queue):
        raise NotFound(f"no queue knows a task {task_id!r}", hint="it ended and is not kept, or there never was one")
    return PageContent("tasks", "Tasks", elsewhere=request.url("tasks", found.queue, task_id))


async def task(request: PageRequest) -> PageContent:
    """One task: where it is in words, what it holds, what can be done."""
    queue, task_id = request.queue(), request.params["id"]
    explanation = await request.hx.jobs.explain(task_id, queue=queue)
    try:
        found = await request.hx.jobs.inspector.task(queue, task_id)
    except NotFound:
        found = None
    values = {
        "queue": queue,
        "id": task_id,
        "task": found,
        "explanation": explanation,
        "waits_for": [step for step in explanation.waits_for if request.operator.sees_queue(step.queue)],
        "acts": ACTS[found.state] if found else (),
    }
    return PageContent("task", f"Task {task_id[:8]}", values, status=200 if found else 404)
