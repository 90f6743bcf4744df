"""Several sets of tasks in one worker, each with what its own handlers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

from hustlex.jobs.define.tasks import Task, Tasks
from hustlex.worker.boundary import contained_context


class StateByTask:
    """What several lifespans made, for the handlers of each."""

    def __init__(self, states: Mapping[Task[..., Any], Any]) -> None:
        self._states = states

    def of(self, task: Task[..., Any] | None) -> Any:
        """``current_job().state``; None where the task's own set has no lifespan."""
        return None if task is None else self._states.get(task)


def together(sets: Sequence[Tasks]) -> Tasks:
    """One set of several. Lifespans are entered in this order, each once, and left in the opposite one.

    One lifespan serves the tasks of all; of several, each serves its own set. Raises Misuse for sets that do not fit.
    """
    lifespans = list(dict.fromkeys(tasks.lifespan for tasks in sets if tasks.lifespan is not nullcontext))

    @asynccontextmanager
    async def entered() -> AsyncIterator[StateByTask]:
        async with AsyncExitStack() as stack:
            made = {each: await stack.enter_async_context(contained_context(each)) for each in lifespans}
            own = [(task, tasks.lifespan) for tasks in reversed(sets) for task in tasks if tasks.lifespan in made]
            yield StateByTask({task: made[lifespan] for task, lifespan in own})

    whole = Tasks(lifespan=entered if len(lifespans) > 1 else next(iter(lifespans), None))
    for tasks in sets:
        whole.include(tasks)
    return whole
