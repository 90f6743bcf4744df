"""Events that go with a transaction: a job publishes them, once, however often it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.events import Parameter, ReplayChannel, Unknown
from hustlex.jobs import Job, Task, Tasks, current_job

T = TypeVar("T")


class EventTask(Generic[T]):
    """Made by ``publish_events``: makes the jobs that publish."""

    def __init__(self, task: Task[[str, dict[str, str]], Any]) -> None:
        self.task = task

    def job(self, event: T, /, **parameters: Parameter) -> Job[Any]:
        """A job that publishes this event: ``outbox.add(session, told.job(Paid(5), order_id=42))``.

        parameters: one value per placeholder of the channel's name. Raises Misuse for an event that is no JSON.
        """
        try:
            written = msgspec.json.encode(event).decode()
        except (TypeError, ValueError) as error:
            raise Misuse(f"a {type(event).__name__} cannot be written as JSON") from error
        return self.task.job(written, {name: check.identity(name, value) for name, value in parameters.items()})


def publish_events(
    tasks: Tasks, task_type: str, channel: Callable[[Any], ReplayChannel[T]], *, queue: str = "default"
) -> EventTask[T]:
    """Register a task that publishes what its jobs hold: for events that must be sent if a transaction commits, and
    only then.

    channel: finds the channel, one with history, in what ``tasks``' lifespan made. The job's id is the event's: a
    second run within 5 minutes of the first publishes nothing. Raises Misuse.
    """
    check.instance("tasks", tasks, Tasks)
    check.function("channel", channel)

    @tasks.task(task_type, queue=queue)
    async def publish(event: str, parameters: dict[str, str]) -> None:
        job = current_job()
        family: Any = channel(job.state)
        check.instance("what channel returned", family, ReplayChannel, hint='pass one of kind="replay" or "latest"')
        read = family.declared.codec.read(event.encode())
        if isinstance(read, Unknown):
            raise Misuse("the event is not of the channel's type", hint="workers must know types before they are sent")
        await family.publish(read, idem=job.id, **parameters)

    return EventTask(publish)
