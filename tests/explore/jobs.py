"""Enqueue, lease, heartbeat, acknowledge, recover, shut down: a producer and two workers on one queue.

Invariants:

- A job that was accepted is in exactly one place (pending, or active with a lease) until it is acknowledged; then it is
  gone. In the end, when somebody works the queue off, each was acknowledged.
- A job is acknowledged once, by the holder of its last lease, and never leased again after that. (A call to enqueue it
  that arrives when its receipt's ten seconds are over makes a new one.)
- Of two jobs with one lock, one at most is unfinished at any time; a lock is held by an unfinished job.
- The queue's count of processed jobs is the number of acknowledgements.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hustlex.core.op import Call, Op, do
from hustlex.errors import Error, OutcomeUnknown
from hustlex.jobs.enqueue import flows
from hustlex.jobs.enqueue import ops as enqueue_ops
from hustlex.jobs.enqueue.draft import Draft, draft
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, maintain
from hustlex.jobs.lease import ops as lease_ops
from tests.explore.engine import Mutation, Protocol
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

QUEUE = queue_keys("explored")
DAY = "2026-01-01"
DEAD_MS = 32_000
"""A worker that is not heard of for so long is dead, and its leases are over."""
RECEIPT_MS = 20_000
"""How long an enqueue that is repeated is recognised (decision 0005)."""


def _draft(task_id: str) -> Draft:
    options: Any = {"queue": QUEUE.name, "task_id": task_id, "unique_for": timedelta(hours=1), "unique_key": "one"}
    return draft(Job("explored:job", b"{}"), options, task_id)


DRAFTS = {task_id: _draft(task_id) for task_id in ("j1", "j2")}
LOCK = DRAFTS["j1"].lock


@dataclass
class Account:
    accepted: dict[str, int] = field(default_factory=dict)
    """When the server first said so."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    total: int = 0
    holders: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)


class Jobs(Protocol):
    name = "jobs"
    ticks = (DEAD_MS,)
    short = (Bounds(0, 1), Bounds(1, 0, cast=("producer", "worker A")), Bounds(1, 0, cast=("producer", "worker B")))
    long = (
        Bounds(1, 1),
        Bounds(2, 1, cast=("producer", "worker A")),
        Bounds(2, 1, cast=("producer", "worker B")),
    )

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation(
                "acknowledges-for-others",
                lease_ops._CYCLE,
                (("field(tasks .. id, 'owner') == rows[i + 1] and ", ""),),
            ),
            Mutation(
                "forgets-the-receipt",
                enqueue_ops._ENQUEUE,
                (("return added > 0", "return true"),),
            ),
            Mutation(
                "recovers-into-nowhere",
                maintain._RECOVER,
                (("redis.call('RPUSH', pending, id)", ""),),
            ),
            Mutation(
                "two-of-one-lock",
                enqueue_ops._ENQUEUE,
                (("if holder and not (over and holder == id) then return holder end", ""),),
            ),
        )

    def ledger(self) -> Account:
        return Account()

    def setup(self, world: World) -> Story:
        """Nothing: the queue is new."""
        yield from ()

    def actors(self, world: World) -> None:
        world.add("producer", _produce())
        world.add("worker A", _work(world, "a"))
        world.add("worker B", _look_after(world, "b"))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        account: Account = world.ledger
        if op.name in ("jobs.enqueue", "jobs.enqueue_plain"):
            if reply == 1 or reply[1] == 1:
                self._accepted(account, str(op.args[3]), world.now_ms)
        elif op.name == "jobs.cycle":
            self._ended(account, op.args[4:], reply[1])
            for task_id in reply[2][::2] if reply[0] == 0 else ():
                self._leased(account, task_id.decode(), str(op.args[2]))
        elif op.name == "jobs.claim":
            for task_id in reply[::2]:
                self._leased(account, task_id.decode(), str(op.args[2]))
        elif op.name == "jobs.done":
            self._ended(account, op.args[2:], reply)

    def _accepted(self, account: Account, task_id: str, now_ms: int) -> None:
        """A repeat within the receipt's life is the same call; one that arrives after it is a new one."""
        if now_ms - account.accepted.setdefault(task_id, now_ms) > RECEIPT_MS:
            account.accepted[task_id] = now_ms
            account.acknowledged.pop(task_id, None)

    def _leased(self, account: Account, task_id: str, holder: str) -> None:
        if account.acknowledged.get(task_id):
            raise Broken(f"{task_id} was leased after it had been acknowledged")
        account.holders[task_id] = holder

    def _ended(self, account: Account, rows: Sequence[Any], codes: bytes) -> None:
        for n, code in enumerate(codes.decode()):
            task_id, holder = rows[3 * n], rows[3 * n + 1]
            if code == "1":
                if account.holders.get(task_id) != holder:
                    raise Broken(f"{task_id} was acknowledged for {holder}, and {account.holders.get(task_id)} has it")
                account.total += 1
                account.acknowledged[task_id] = account.acknowledged.get(task_id, 0) + 1
                if account.acknowledged[task_id] > 1:
                    raise Broken(f"{task_id} was acknowledged twice")

    def check(self, world: World, look: Look) -> None:
        account: Account = world.ledger
        pending, active, leases = look.items(QUEUE.pending), look.items(QUEUE.active), look.pairs(QUEUE.lease)
        unfinished = [each for each in account.accepted if not account.acknowledged.get(each)]
        for task_id in account.accepted:
            places = pending.count(task_id) + active.count(task_id)
            if places != (task_id in unfinished):
                raise Broken(f"{task_id} is in {places} places: pending {pending}, active {active}")
        if sorted(leases) != sorted(active):
            raise Broken(f"active are {active}, leased are {leases}")
        if len(unfinished) > 1:
            raise Broken(f"{unfinished} have one lock, and all are unfinished")
        held = look.string(LOCK)
        if held is not None and held not in unfinished:
            raise Broken(f"the lock is {held}'s, which is over")
        processed = look.string(QUEUE.processed)
        if int(processed or 0) != account.total:
            raise Broken(f"{account.total} were acknowledged, {processed} are counted")

    def closing(self, world: World) -> Story:
        """Another worker, when all others are dead."""
        yield DEAD_MS  # type: ignore[misc]
        yield from do(maintain.recover(QUEUE, 0))
        yield DEAD_MS  # type: ignore[misc]
        stray = yield from do(maintain.claim(QUEUE, "c:0", 0))
        yield from do(finish.done(QUEUE, DAY, [part for each in stray for part in _row(each[0], "c:0")], 0))
        for number in range(1, 4):
            held = yield from _lease("c", number, ())
            if held:
                yield from do(finish.done(QUEUE, DAY, held, 0))

    def final(self, world: World, look: Look) -> None:
        account: Account = world.ledger
        for task_id in account.accepted:
            if account.acknowledged.get(task_id) != 1:
                raise Broken(f"{task_id} was accepted and acknowledged {account.acknowledged.get(task_id, 0)} times")
        self.check(world, look)


def _row(task_id: bytes, holder: str) -> tuple[str, str, str]:
    return task_id.decode(), holder, LOCK


def _produce() -> Story:
    """Two jobs of the same lock; the first call registers the queue, in the same write."""
    known = KnownQueues(monotonic=lambda: 0.0)
    for task_id, draft_ in DRAFTS.items():
        with suppress(Error):
            yield from flows.enqueue(draft_, f"call for {task_id}", 0, known)


def _lease(server: str, number: int, done: Sequence[Any]) -> Story:
    """One call acknowledges and leases; when its reply is lost, Redis is asked what this worker holds."""
    holder = f"{server}:{number}"
    try:
        cycle = yield from do(lease_ops.cycle(QUEUE, DAY, holder, 1, done, 0))
    except OutcomeUnknown:
        if done:
            yield from do(finish.done(QUEUE, DAY, done, 0))
        found = yield from do(lease_ops.adopt(QUEUE, server, 0))
        return [
            part for each in found if each.holder.decode() not in done for part in _row(each.id, each.holder.decode())
        ]
    return [part for task_id in cycle.leased[::2] for part in _row(task_id, holder)]


def _work(world: World, server: str) -> Story:
    """Lease, run, say that it lives, acknowledge with the next lease, run that one, acknowledge."""
    held = yield from _lease(server, 1, ())
    if held:
        yield from _run(world, held)
        codes = yield from do(lease_ops.extend(QUEUE, server, held[:2], 0))
        if codes[:1] != b"1":
            return
        held = yield from _lease(server, 2, held)
    if held:
        yield from _run(world, held)
        yield from do(finish.done(QUEUE, DAY, held, 0))


def _look_after(world: World, server: str) -> Story:
    """Give back what dead workers held, lease, then be told to end: give it back and go."""
    yield from do(maintain.recover(QUEUE, 0))
    held = yield from _lease(server, 1, ())
    if held:
        yield from do(finish.requeue(QUEUE, [held[0], held[1]]))
    with suppress(Error):
        yield from do(lease_ops.let_go(QUEUE, server))


def _run(world: World, held: Sequence[Any]) -> Story:
    def run() -> None:
        runs = world.ledger.runs
        runs[held[0]] = runs.get(held[0], 0) + 1

    yield Call(run)
