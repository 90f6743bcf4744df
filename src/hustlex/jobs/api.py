"""Enqueueing. Workers live in ``hustlex.worker``; looking and acting on queues in ``hustlex.jobs.inspector``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.jobs import flows
from hustlex.jobs.ids import new_id, new_token
from hustlex.jobs.known import KnownQueues
from hustlex.jobs.options import Job, Options, as_job, draft
from hustlex.jobs.types import Outcome


class Jobs:
    """The producer's side of Asynq's queues. Go workers run what it enqueues, and the other way round."""

    def __init__(self, driver: AsyncDriver, *, clock: Clock = server_clock) -> None:
        self._driver = driver
        self._clock = clock
        self._known = KnownQueues()

    async def enqueue(self, job: Job | str, payload: Any = None, **options: Unpack[Options]) -> Outcome:
        """Hand a task to the workers, now or later (one round trip).

        job: ``task.job(...)``, or a task type with its payload: None, bytes as they are, anything else as JSON.
        options: see ``Options``; they win over the task's own.
        Returns Enqueued, Duplicate (of: the id that holds the lock) or IdTaken; nothing was enqueued in the last two.
        A call whose reply is lost is repeated under the same token and has one effect.
        Raises Misuse for options that can never work, Timeout when the outcome stayed unknown for 5 seconds: repeat
        it then only with a ``task_id`` or ``unique_for``. Source: lua/enqueue.lua.
        """
        placed = draft(as_job(job, payload), options, new_id())
        return await self._driver.follow(flows.enqueue(placed, new_token(), self._clock(), self._known))

    async def enqueue_many(self, jobs: Iterable[Job]) -> list[Outcome]:
        """Hand over many tasks: one round trip and one atomic step per 500 of a queue; outcomes in the order given.

        Raises Misuse before anything is sent, PartlyEnqueued (results) when only some of the steps failed.
        """
        drafts = [draft(job, {}, new_id()) for job in jobs]
        return await self._driver.follow(flows.enqueue_many(drafts, new_token(), self._clock(), self._known))
