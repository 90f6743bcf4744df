"""``/tasks`` and ``/tasks/{queue}/{id}``: which tasks, exactly, and why is this one where it is?"""

from __future__ import annotations

import time
from typing import Any

from hustlex.core.redact import What
from hustlex.dashboard.attempts import commands_of, gap_of, line_of, spans_of
from hustlex.dashboard.pages.cron import queue_of
from hustlex.dashboard.pages.queues import STATES
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.words import BY_CHANCE, short
from hustlex.errors import NotFound
from hustlex.jobs import BulkVerb, Cause, Explanation, QueueSummary, State, TaskInfo
from hustlex.jobs.search.query import LONGEST, of_place, parse, quoted

_SIZE = 50
_MOST_COMPARED = 20
"""Queues among which the fullest is chosen when none was."""
_WORDS_OF_ERROR = 80
_SIGNS = (":", "~", "=", ">", "<")
"""One of these stands in each term of a search but a bare word."""
_HIDDEN_STEPS = "It is a step of a workflow and starts when others have succeeded."
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
    """What a search finds, or one queue's tasks in one state; with ``id``, that task's page."""
    if task_id := request.word("id").strip():
        return await _sought(request, task_id)
    inspector = request.hx.jobs.inspector
    names = [name for name in await inspector.queues() if request.operator.sees_queue(name)]
    typed = request.word("q").strip()
    chosen = None if typed or not names else await _chosen(request, names)
    state = State(request.word("state")) if request.word("state") in [each.value for each in STATES] else State.PENDING
    query = parse(typed, time.time()) if chosen is None else of_place(chosen.name, state)
    values: dict[str, Any] = {
        "query": query,
        "longest": LONGEST,
        "queues": names,
        "queue": chosen,
        "state": state.value if chosen else "",
        "states": [(each.value, getattr(chosen, each.value)) for each in STATES] if chosen else [],
        "found": None,
        "acts": {each.value: acts for each, acts in ACTS.items()},
        "verbs": [verb.value for verb in BulkVerb],
        "cursor": request.behind(),
    }
    if query.terms:
        values["found"] = await inspector.search(
            query, queues=names, cursor=values["cursor"], size=_SIZE, view=request.view()
        )
    # A search costs more than what may be asked again every few seconds.
    return PageContent("tasks", f"{state.value} tasks" if chosen else "Tasks", values, live=not typed)


async def _chosen(request: PageRequest, names: list[str]) -> QueueSummary:
    """The queue that was asked for, or the fullest of the first."""
    wanted = [name for name in names if name == request.word("queue")] or names[:_MOST_COMPARED]
    summaries = await request.hx.jobs.inspector.summaries(wanted)
    return max(summaries, key=lambda each: each.unfinished + each.archived)


async def _sought(request: PageRequest, typed: str) -> PageContent:
    """What somebody jumps to: a task or a workflow by its id, a queue or an entry by its name, or a search."""
    elsewhere = await _task_named(request, typed) or await _thing_named(request, typed)
    if not elsewhere and any(sign in typed for sign in _SIGNS) and not parse(typed, time.time()).faults:
        elsewhere = request.url("tasks", q=typed)
    if not elsewhere:
        hint = "a task that ended and is not kept is not found; state:retry or type:gig:* is a search"
        raise NotFound(f"no task, queue, workflow or entry is called {typed!r}", hint=hint)
    return PageContent("tasks", "Tasks", elsewhere=elsewhere)


async def _task_named(request: PageRequest, task_id: str) -> str:
    found = await request.hx.jobs.explain(task_id)
    if not found.queue or not request.operator.sees_queue(found.queue):
        return ""
    return request.url("tasks", found.queue, task_id)


async def _thing_named(request: PageRequest, name: str) -> str:
    if name in await request.hx.jobs.inspector.queues() and request.operator.sees_queue(name):
        return request.url("queues", name)
    entries = await request.hx.jobs.schedules.all()
    entry = next((each for each in entries if each.name == name and request.operator.sees_queue(queue_of(each))), None)
    if entry is not None:
        return request.url("cron", entry.id)
    first = await request.hx.jobs.explain(f"{name}:0") if BY_CHANCE.fullmatch(name) else None
    if first is None or not first.queue or not request.operator.sees_queue(first.queue):
        return ""
    return request.url("workflows", first.queue, f"{name}:0")


def _words(request: PageRequest, explanation: Explanation) -> list[str]:
    """Why it is where it is; without the steps that it waits for in queues that do not exist for this person."""
    steps, said = explanation.waits_for, list(explanation.words)
    seen = bool(steps) and all(request.operator.sees_queue(step.queue) for step in steps)
    if not (seen or request.operator.sees_all_queues):
        for n, cause in enumerate(explanation.causes):
            said[n] = _HIDDEN_STEPS if cause in (Cause.STEP_FAILED, Cause.WAITS_FOR_STEPS) else said[n]
    return said


def _alike(request: PageRequest, task: TaskInfo) -> str:
    """A search for those that failed with the same words, as far as they are shown; "" where nobody could type them."""
    words = str(request.show(What("error", task.last_error, task.type)).value).partition("\n")[0][:_WORDS_OF_ERROR]
    if not (words.strip() and words.isprintable() and task.type.isprintable()):
        return ""
    return f"state:retry,archived type={quoted(task.type)} error~{quoted(words)}"


def _workflow(task_id: str) -> str:
    """The workflow of which it may be a step, by its id; "" for none."""
    workflow_id, _, position = task_id.rpartition(":")
    return workflow_id if position.isascii() and position.isdecimal() and len(position) <= 4 else ""


async def task(request: PageRequest) -> PageContent:
    """One task: where it is in words, what it holds, what can be done."""
    queue, task_id = request.queue(), request.params["id"]
    explanation = await request.hx.jobs.explain(task_id, queue=queue)
    try:
        found = await request.hx.jobs.inspector.task(queue, task_id)
    except NotFound:
        found = None
    told = await request.hx.jobs.inspector.told(queue, task_id) if found else []
    values = {
        "queue": queue,
        "id": task_id,
        "task": found,
        "explanation": explanation,
        "words": _words(request, explanation),
        "paused": Cause.PAUSED in explanation.causes,
        "waits_for": [step for step in explanation.waits_for if request.operator.sees_queue(step.queue)],
        "acts": ACTS[found.state] if found else (),
        "alike": _alike(request, found) if found and found.last_error else "",
        "line": line_of(found, explanation, told) if found else [],
        "gap": gap_of(found) if found else "",
        "spans": spans_of(explanation),
        "commands": commands_of(request, queue, task_id, found) if found or explanation.queue else [],
        "workflow": _workflow(task_id),
        "revealed": bool(request.given("reveal")),
    }
    return PageContent("task", f"Task {short(task_id)}", values, status=200 if found else 404)
