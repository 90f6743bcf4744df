"""A worker on a cluster: its queues lie on several nodes, and none is polled."""

from __future__ import annotations

import asyncio

from hustlex.drivers.aio import Driver
from hustlex.jobs import Jobs, Partitions, Tasks
from tests.drivers.conftest import PATIENCE
from tests.support.clusters import ClusterHands
from tests.support.sentinels import until
from tests.worker.support import running

QUEUES = Partitions("queue", 3).shares()
"""One on each primary."""


def waiting(cluster: ClusterHands) -> list[int]:
    return [int(cluster.ask(node, "INFO", "clients")["blocked_clients"]) for node in cluster.primaries()]


async def test_queues_of_several_nodes_are_worked_and_each_is_waited_for_at_its_own(cluster: ClusterHands) -> None:
    tasks, done, queues = Tasks(), [], QUEUES

    @tasks.task("note")
    async def note(name: str) -> None:
        done.append(name)

    async with Driver(cluster.url, timeout=PATIENCE) as driver, running(driver, tasks, queues=queues):
        jobs = Jobs(driver)
        await asyncio.to_thread(until, lambda: waiting(cluster) == [1, 1, 1])
        for queue in queues:
            await jobs.enqueue(note.job(queue), queue=queue)
        async with asyncio.timeout(60):
            while len(done) < len(queues):
                await asyncio.sleep(0.01)
        await asyncio.to_thread(until, lambda: waiting(cluster) == [1, 1, 1])
    assert sorted(done) == sorted(queues)


async def test_every_job_is_done_though_a_primary_is_killed_under_the_worker(cluster: ClusterHands) -> None:
    """Replication does not wait: of the queue on the dead node, what it took just before may be lost with it."""
    tasks, done, queues = Tasks(), set(), QUEUES

    @tasks.task("note")
    async def note(name: str) -> None:
        done.add(name)

    victim = cluster.primaries()[0]
    async with Driver(cluster.url, timeout=PATIENCE) as driver, running(driver, tasks, queues=queues):
        jobs = Jobs(driver)
        with cluster.healed():
            for number in range(60):
                if number == 20:
                    victim.kill()
                for queue in queues:
                    name = f"{queue}-{number}"
                    await jobs.enqueue(note.job(name), queue=queue, task_id=name)
            dies, *lives = queues
            sure = {f"{queue}-{number}" for queue in lives for number in range(60)}
            sure |= {f"{dies}-{number}" for number in range(20, 60)}
            async with asyncio.timeout(60):
                while not done >= sure:
                    await asyncio.sleep(0.02)
