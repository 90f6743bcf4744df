"""The stories of several steps, told without a server: replies are fed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hustlex.core.op import Batch, Flow, Op
from hustlex.errors import Full, Timeout
from hustlex.jobs import Enqueued, Job, PartlyEnqueued, State, ids
from hustlex.jobs.define.context import CURRENT, CurrentJob, current_job
from hustlex.jobs.enqueue import flows
from hustlex.jobs.enqueue.draft import Draft, draft
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.wire import TaskMessage


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def drafts(count: int, queue: str = "q") -> list[Draft]:
    return [draft(Job("t"), {"queue": queue}, f"{queue}{n}") for n in range(count)]


def play(flow: Flow[Any], answer: Callable[[Op[Any]], Any]) -> tuple[Any, list[list[Op[Any]]]]:
    """Follow a flow; answer each operation; also what was sent, step by step."""
    sent: list[list[Op[Any]]] = []
    try:
        step = flow.send(None)
        while True:
            ops = list(step.ops) if isinstance(step, Batch) else [step]
            sent.append(ops)
            answers = [answer(op) for op in ops]
            step = flow.send(answers if isinstance(step, Batch) else answers[0])
    except StopIteration as stop:
        return stop.value, sent


def accept(op: Op[Any]) -> Any:
    if op.name == "jobs.register":
        return None
    if op.name == "jobs.time":
        return op.decode([b"1764547200", b"250000"])
    return op.decode([1] + [1] * ((len(op.args) - 3) // 2))


def names(sent: list[list[Op[Any]]]) -> list[list[str]]:
    return [[op.name for op in step] for step in sent]


def test_a_queue_is_registered_at_first_and_again_after_ten_seconds() -> None:
    time = Time()
    known = KnownQueues(time)
    first = play(flows.enqueue(drafts(1)[0], "token", 0, known), accept)
    again = play(flows.enqueue(drafts(1)[0], "token", 0, known), accept)
    time.now += 10
    later = play(flows.enqueue(drafts(1)[0], "token", 0, known), accept)
    assert first[0] == again[0] == Enqueued("q0", "q", State.PENDING)
    assert [names(sent) for _, sent in (first, again, later)] == [
        [["jobs.register", "jobs.time", "jobs.enqueue_plain"]],
        [["jobs.enqueue_plain"]],
        [["jobs.register", "jobs.time", "jobs.enqueue_plain"]],
    ]


@pytest.mark.parametrize(("took", "known_ns"), [(0.0625, 1_764_547_203_250_000_000), (0.125, 0)])
def test_the_servers_time_is_known_until_the_next_registration_where_it_came_soon(took: float, known_ns: int) -> None:
    time = Time()
    known = KnownQueues(time)

    def answer(op: Op[Any]) -> Any:
        time.now += took if op.name == "jobs.time" else 0
        return accept(op)

    assert known.time_ns("q") is None
    play(flows.enqueue(drafts(1)[0], "token", 0, known), answer)
    time.now += 3
    assert known.time_ns("q") == pytest.approx(known_ns, abs=1_000, rel=0) and not known.missing("q")
    time.now += 8
    assert known.time_ns("q") is None and known.missing("q")


def test_a_server_that_does_not_tell_its_time_is_not_asked_again_at_once() -> None:
    known = KnownQueues()

    def refuse(op: Op[Any]) -> Any:
        return Full("no room", server_code="OOM") if op.name == "jobs.time" else accept(op)

    play(flows.enqueue(drafts(1)[0], "token", 0, known), refuse)
    assert known.time_ns("q") == 0


def test_a_failed_registration_is_repeated_and_does_not_hide_the_outcome() -> None:
    known = KnownQueues()

    def refuse(op: Op[Any]) -> Any:
        return Full("no room", server_code="OOM") if op.name == "jobs.register" else accept(op)

    outcome, _ = play(flows.enqueue(drafts(1)[0], "token", 0, known), refuse)
    assert isinstance(outcome, Enqueued) and known.missing("q")


def test_a_failed_enqueue_is_raised_also_beside_a_registration() -> None:
    flow = flows.enqueue(drafts(1)[0], "token", 0, KnownQueues())
    with pytest.raises(Timeout):
        play(flow, lambda op: Timeout("late"))


def test_many_are_split_by_queue_and_into_chunks_and_answered_in_order() -> None:
    mixed = [task for pair in zip(drafts(501, "a"), drafts(501, "b"), strict=True) for task in pair]
    outcomes, sent = play(flows.enqueue_many(mixed, 0, KnownQueues()), accept)
    assert [outcome.id for outcome in outcomes] == [task.id for task in mixed]
    calls = [op for op in sent[0] if op.name == "jobs.enqueue_plain"]
    assert [(op.keys[0], (len(op.args) - 3) // 2) for op in calls] == [
        ("asynq:{a}:pending", 500),
        ("asynq:{a}:pending", 1),
        ("asynq:{b}:pending", 500),
        ("asynq:{b}:pending", 1),
    ]
    assert len({op.args[2] for op in calls}) == 4  # each call has a token of its own


def test_enqueue_many_goes_in_bounded_steps() -> None:
    outcomes, sent = play(flows.enqueue_many(drafts(9_000), 0, KnownQueues()), accept)
    assert len(outcomes) == 9_000
    assert [sum(op.name == "jobs.enqueue_plain" for op in step) for step in sent] == [16, 2]
    assert len({op.args[2] for step in sent for op in step if op.name == "jobs.enqueue_plain"}) == 18


def test_each_step_of_many_is_named_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server forgets a set of names 20 s after the first of them: one from the beginning would be forgotten."""
    time = Time()
    monkeypatch.setattr(ids, "monotonic", time)
    monkeypatch.setattr(ids, "_tokens", ids._Tokens())

    def slowly(op: Op[Any]) -> Any:
        time.now += 1
        return accept(op)

    _, sent = play(flows.enqueue_many(drafts(9_000), 0, KnownQueues()), slowly)
    sets = [{op.args[2][:8] for op in step if op.name == "jobs.enqueue_plain"} for step in sent]
    assert [len(each) for each in sets] == [1, 1]
    assert not sets[0] & sets[1]


def test_nothing_is_sent_for_no_tasks() -> None:
    assert play(flows.enqueue_many([], 0, KnownQueues()), accept) == ([], [])


def test_a_partial_failure_tells_each_outcome() -> None:
    def answer(op: Op[Any]) -> Any:
        return Timeout("late") if op.keys[:1] == ("asynq:{b}:pending",) else accept(op)

    flow = flows.enqueue_many(drafts(2, "a") + drafts(1, "b"), 0, KnownQueues())
    with pytest.raises(PartlyEnqueued) as failure:
        play(flow, answer)
    assert [type(result) for result in failure.value.results] == [Enqueued, Enqueued, Timeout]
    assert failure.value.maybe_executed


def test_a_complete_failure_is_raised_as_it_is() -> None:
    def refuse(op: Op[Any]) -> Any:
        return Full("no room", server_code="OOM")

    with pytest.raises(Full):
        play(flows.enqueue_many(drafts(2), 0, KnownQueues()), refuse)


async def test_a_handler_sees_its_job() -> None:
    written: list[bytes] = []

    async def send(data: bytes) -> bool:
        written.append(data)
        return True

    message = TaskMessage("t", b"secret", "i", "q", 5, 2, headers={"a": "b"})
    token = CURRENT.set(CurrentJob(message, 1_767_225_600_000, "state", send))
    try:
        job = current_job()
        seen = (job.type, job.payload, job.id, job.queue, job.max_retry, job.retried, job.headers, job.state)
        assert seen == ("t", b"secret", "i", "q", 5, 2, {"a": "b"}, "state")
        assert job.deadline.isoformat() == "2026-01-01T00:00:00+00:00"
        assert await job.result.write({"a": 1}) and await job.result.write(b"\xff")
        assert written == [b'{"a":1}', b"\xff"] and "secret" not in repr(job)
        with pytest.raises(ValueError):
            await job.result.write(object())
    finally:
        CURRENT.reset(token)
    with pytest.raises(ValueError):
        current_job()
