"""Acts on queues, single tasks and workers."""

from __future__ import annotations

from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.targets import Target, whole_of
from hustlex.errors import Conflict, NotFound
from hustlex.jobs import Enqueued, Server, TooLate
from hustlex.people.notes import changes_of
from hustlex.ratelimit.policy.rule_parser import duration


async def limit_queue(request: PageRequest, target: Target) -> None:
    """Refuse what would make it more than so many unfinished tasks."""
    await request.hx.jobs.limit_queue(target.queue, max_size=whole_of(target.most))


async def lift_limit(request: PageRequest, target: Target) -> None:
    """Take any number again."""
    await request.hx.jobs.limit_queue(target.queue, max_size=None)


async def cancel(request: PageRequest, target: Target) -> None:
    """Cut it off, or see that it never starts."""
    outcome = await request.hx.jobs.cancel(target.task, queue=target.queue)
    if isinstance(outcome, TooLate):
        if outcome.state is None:
            raise NotFound(f"queue {target.queue!r} has no task {target.task!r}")
        raise Conflict("it has ended", hint="nothing was cancelled")


async def merge(request: PageRequest, target: Target) -> None:
    """Change parts of a payload."""
    await request.hx.jobs.inspector.merge_payload(target.queue, target.task, changes_of(target.changes))


async def clone(request: PageRequest, target: Target) -> str:
    """Enqueue the same once more; answers the page of the new task."""
    changes = changes_of(target.changes) if target.changes.strip() else None
    made = await request.hx.jobs.inspector.clone(target.queue, target.task, to=target.to or None, changes=changes)
    if not isinstance(made, Enqueued):
        raise Conflict("nothing was enqueued: the queue is full, or has a limit")
    return request.url("tasks", made.queue, made.id)


async def mute(request: PageRequest, target: Target) -> None:
    """Let a group of failures need no attention."""
    length = duration(target.length) if target.length else None
    await request.hx.jobs.inspector.mute_errors(target.queue, target.signature, length=length)


async def unmute(request: PageRequest, target: Target) -> None:
    """Let it need attention again."""
    await request.hx.jobs.inspector.unmute_errors(target.queue, target.signature)


async def stop_worker(request: PageRequest, target: Target) -> None:
    """Tell one process to stop."""
    found = await worker_of(request, target.worker)
    if not await request.hx.jobs.inspector.stop_worker(found.id):
        raise Conflict("the worker did not hear it", hint="send SIGTERM to its process; Go's workers never hear it")


async def of_worker(request: PageRequest, target: Target) -> list[str]:
    """Which one it is, and what it does."""
    found = await worker_of(request, target.worker)
    busy = f"{found.active_worker_count} of {found.concurrency} slots busy"
    return [f"{found.host}:{found.pid}", busy, f"takes tasks of {', '.join(found.queues)}"]


async def worker_of(request: PageRequest, server_id: str) -> Server:
    """A living one. It exists for whom all queues do: that it could not be stopped would tell of others."""
    living = await request.hx.jobs.inspector.servers(running_of=()) if request.operator.sees_all_queues else []
    found = next((each for each in living if each.id == server_id), None)
    if found is None:
        raise NotFound("there is no such worker", hint="it may be gone: load the page anew")
    return found
