"""``/workflows`` and ``/workflows/{queue}/{id}``: which step holds up the rest?"""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.dashboard.flowchart import drawn
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import StepName, StepStatus, WorkflowGraph, WorkflowStep

_SIZE = 50
_MOST_WITH_ACTS = 20
_MOST_NAMED = 5
DONE = (StepStatus.COMPLETED, StepStatus.ENDED)
FAILED = (StepStatus.ARCHIVED, StepStatus.LOST, StepStatus.ORPHANED)
"""Where somebody must look; those behind them only follow."""
UNDER_WAY = (StepStatus.RETRY, StepStatus.ACTIVE, StepStatus.PENDING, StepStatus.SCHEDULED)
ACTS = {
    StepStatus.ARCHIVED: ("run",),
    StepStatus.RETRY: ("run", "cancel"),
    StepStatus.SCHEDULED: ("run", "cancel"),
    StepStatus.PENDING: ("cancel",),
    StepStatus.ACTIVE: ("cancel",),
    StepStatus.WAITING: ("cancel",),
}
"""What can be done to a step here; more on its task's page."""


async def workflows(request: PageRequest) -> PageContent:
    """Steps that others wait for, and where each is."""
    cursor = request.cursor()
    found = await request.hx.jobs.inspector.open_steps(cursor=cursor, size=_SIZE)
    seen = [
        (step, [each for each in step.followed_by if request.operator.sees_queue(each.queue)])
        for step in found.steps
        if request.operator.sees_queue(step.queue)
    ]
    return PageContent("workflows", "Workflows", {"steps": seen, "cursor": cursor, "next": found.cursor})


async def workflow(request: PageRequest) -> PageContent:
    """One of them, drawn and as a list; of queues that do not exist for this person, nothing."""
    queue, step_id = request.queue(), request.params["id"]
    queues = None
    if not request.operator.sees_all_queues:
        queues = [name for name in await request.hx.jobs.inspector.queues() if request.operator.sees_queue(name)]
    graph = await request.hx.jobs.inspector.workflow(queue, step_id, queues=queues)
    label = f"{len(graph.steps)} steps, and which wait for which; the list below tells the same"
    chart, left_out = drawn(graph.steps, lambda name: request.url("tasks", name.queue, name.id), label)
    position = {step.name: step.position for step in graph.steps}
    values = {
        "graph": graph,
        "here": request.url("workflows", queue, step_id),
        "chart": chart,
        "left_out": left_out,
        "counts": counts(graph.steps),
        "blamed": blamed(graph.steps)[:_MOST_NAMED],
        "rows": [(step, [position[name] for name in step.after]) for step in graph.steps],
        "acts": _acts(graph),
        "beyond": _corners(graph.beyond),
    }
    return PageContent("workflow", f"Workflow {graph.id}", values)


def counts(steps: Sequence[WorkflowStep]) -> list[tuple[str, int]]:
    """How many are where, in the order of the way."""
    return [
        ("Done", sum(step.status in DONE for step in steps)),
        ("Under way", sum(step.status in UNDER_WAY for step in steps)),
        ("Waiting", sum(step.status is StepStatus.WAITING for step in steps)),
        ("Failed", sum(step.status in (*FAILED, StepStatus.NEVER) for step in steps)),
    ]


def blamed(steps: Sequence[WorkflowStep]) -> list[WorkflowStep]:
    """Steps that hold up the rest: those that failed, else those that can never start, else those under way."""
    for kind in (FAILED, (StepStatus.NEVER,), UNDER_WAY):
        if found := [step for step in steps if step.status in kind]:
            return found
    return []


def _acts(graph: WorkflowGraph) -> dict[StepName, tuple[str, ...]]:
    """For so many as a page can hold, those in trouble first."""
    order = (*FAILED, *UNDER_WAY, StepStatus.WAITING)
    able = sorted((step for step in graph.steps if step.status in ACTS), key=lambda step: order.index(step.status))
    return {step.name: ACTS[step.status] for step in able[:_MOST_WITH_ACTS]}


def _corners(beyond: Sequence[StepName]) -> list[StepName]:
    """The first and the last of those that are not shown: from there the pages before and behind are reached."""
    return list(dict.fromkeys((beyond[0], beyond[-1]))) if beyond else []
