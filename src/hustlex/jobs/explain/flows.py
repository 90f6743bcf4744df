"""Finding out why a task is where it is: its queue's facts, the registry of workers, the steps before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.core.op import Batch, Flow, do
from hustlex.errors import Error
from hustlex.jobs import lookup
from hustlex.jobs.explain import ops
from hustlex.jobs.explain.ops import TaskFacts
from hustlex.jobs.explain.types import Cause, Dependency, Explanation
from hustlex.jobs.inspect import flows as inspection
from hustlex.jobs.inspect.types import Server
from hustlex.jobs.types import State
from hustlex.jobs.workflow.plan import StepName

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 100
_MOST_NAMED = 20
_LEASE_EXPIRED = "asynq: task lease expired"
_NO_HANDLER = "handler not found for task"
_SERVING = ("new", "active")
_FAILED = (Cause.ARCHIVED, Cause.NO_TRACE, Cause.STEP_FAILED, Cause.PARKED)

Reasons = Iterator[tuple[Cause, str]]


def explain(task_id: str, queue: str | None, now_ms: int) -> Flow[Explanation]:
    """queue: None = look in all queues, the first that knows the task counts."""
    queues = [queue] if queue is not None else (yield from do(lookup.queues()))
    found = yield from _find(queues, task_id, now_ms)
    if found is None:
        return Explanation(task_id, "", None, (Cause.NO_TRACE,), (_NO_TRACE,))
    name, facts = found
    running_of = None if facts.state is State.ACTIVE else ()
    servers = yield from inspection.servers(now_ms, running_of)
    waits_for = yield from _dependencies(facts, now_ms)
    return _explained(Case(task_id, name, facts, servers, waits_for))


_NO_TRACE = "No queue knows this task: it ended and is not kept, it was revoked or deleted, or there never was one."
_WORDS = {
    Cause.HELD: "A worker holds it and has not reported its start: it just began, or waits for a slot or a permit.",
    Cause.COMPLETED: "It succeeded.",
    Cause.PARKED: "Nobody could read its message, so it was set aside.",
    Cause.NO_TRACE: _NO_TRACE,
}


def _find(queues: Sequence[str], task_id: str, now_ms: int) -> Flow[tuple[str, TaskFacts] | None]:
    if len(queues) > 1:
        queues = (yield from inspection.in_chunks(lambda names: ops.locate(names, task_id), queues))[:1]
    looks = yield from _facts([StepName(queue, task_id) for queue in queues], now_ms)
    return next(((name.queue, facts) for name, facts in looks if facts.found), None)


def _facts(names: Sequence[StepName], now_ms: int) -> Flow[list[tuple[StepName, TaskFacts]]]:
    found: list[tuple[StepName, TaskFacts]] = []
    for start in range(0, len(names), _AT_ONCE):
        chunk = names[start : start + _AT_ONCE]
        answers = yield Batch(tuple(ops.facts(name.queue, name.id, now_ms) for name in chunk))
        for name, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, Error):
                raise answer
            found.append((name, answer))
    return found


def _dependencies(facts: TaskFacts, now_ms: int) -> Flow[tuple[Dependency, ...]]:
    """The steps it waits for: first those that failed or are gone, then those that are on their way."""
    if facts.phase not in ("waits", "broken") or facts.state is not None:
        return ()
    got = facts.got or (False,) * len(facts.after)
    waited = [name for name, succeeded in zip(facts.after, got, strict=False) if not succeeded]
    steps = [_dependency(name, seen) for name, seen in (yield from _facts(waited, now_ms))]
    return tuple(sorted(steps, key=lambda step: step.cause not in _FAILED)[:_MOST_NAMED])


def _dependency(name: StepName, facts: TaskFacts) -> Dependency:
    case = Case(name.id, name.queue, facts, (), ())
    return Dependency(name.queue, name.id, case.where(), case.error)


def _explained(case: Case) -> Explanation:
    facts, message, reasons = case.facts, case.facts.message, list(case.reasons())
    return Explanation(
        case.id,
        case.queue,
        facts.state,
        tuple(cause for cause, _ in reasons),
        (*(words for _, words in reasons), *case.repeats(), *case.lock()),
        next_start=case.next_start(),
        ahead=facts.ahead if facts.state is State.PENDING else None,
        served_by=tuple(_name(server) for server in case.serving),
        running_on=_name(case.runner) if case.runner else None,
        pending_since=_moment(facts.pending_since) if facts.state is State.PENDING else None,
        running_since=case.running_since(),
        retried=message.retried if message else 0,
        max_retry=message.retry if message else 0,
        crashes=facts.crashes,
        repeats=tuple(case.repeats()),
        last_error=case.error,
        lock_holder=facts.lock_holder,
        lock_left=timedelta(milliseconds=facts.lock_ms),
        group=message.group_key if message else "",
        waits_for=case.waits_for,
    )


class Case(msgspec.Struct, frozen=True):
    """All that was found out about one task."""

    id: str
    queue: str
    facts: TaskFacts
    servers: Sequence[Server]
    waits_for: tuple[Dependency, ...]

    @property
    def serving(self) -> list[Server]:
        """Living workers that take tasks of the queue."""
        return [server for server in self.servers if self.queue in server.queues and server.status in _SERVING]

    @property
    def runner(self) -> Server | None:
        """The worker that says it runs the task."""
        return next((server for server in self.servers if self._is_run_by(server)), None)

    def _is_run_by(self, server: Server) -> bool:
        return any(task.id == self.id and task.queue == self.queue for task in server.running)

    def running_since(self) -> datetime | None:
        """When its attempt began, as the worker that runs it says."""
        running = self.runner.running if self.runner else ()
        return next((task.started_at for task in running if task.id == self.id and task.queue == self.queue), None)

    @property
    def _known(self) -> bool:
        """Whether a living worker of the queue has a handler for the type, or may have: Go's do not tell."""
        task_type = self.facts.message.type if self.facts.message else ""
        return any(server.served is None or server.served.serves(task_type) is not False for server in self.serving)

    @property
    def error(self) -> str:
        """Of the last attempt, "" = none."""
        return self.facts.message.error_msg if self.facts.message else ""

    def where(self) -> Cause:
        """The one word for it."""
        facts = self.facts
        if facts.state is State.ACTIVE:
            over = facts.score is not None and facts.score * 1000 <= facts.now_ms
            return Cause.LEASE_OVER if over else Cause.RUNNING if self.runner else Cause.HELD
        if facts.state is not None:
            return _PLACES[facts.state]
        if facts.phase == "waits":
            failed = any(step.cause in _FAILED for step in self.waits_for)
            return Cause.STEP_FAILED if failed else Cause.WAITS_FOR_STEPS
        if facts.phase == "broken":
            return Cause.STEP_FAILED
        return Cause.PARKED if facts.parked else Cause.COMPLETED if facts.phase == "over" else Cause.NO_TRACE

    def reasons(self) -> Reasons:
        """Why it is not running, or that it is; the most telling first."""
        where = self.where()
        waits = where in (Cause.PENDING, Cause.SCHEDULED, Cause.RETRY, Cause.GROUP)
        if waits and self.facts.paused:
            yield Cause.PAUSED, f"Queue {self.queue!r} is paused: nothing of it starts until it is resumed."
        if waits and not self.serving:
            yield Cause.NOBODY_SERVES, f"No living worker takes tasks of queue {self.queue!r}."
        if waits and (self.facts.parked_at or self.error.startswith(_NO_HANDLER)):
            since = f" since {_at(self.facts.parked_at)}" if self.facts.parked_at else ""
            yield Cause.UNKNOWN_TYPE, f"No worker that took it{since} has a handler for its type, so it is put off."
        elif waits and self.serving and not self._known:
            yield Cause.UNKNOWN_TYPE, "No living worker of its queue has a handler for its type."
        yield where, self._words(where)

    def _words(self, where: Cause) -> str:
        match where:
            case Cause.RUNNING:
                return f"It is running on {_name(self.runner)}."
            case Cause.LEASE_OVER:
                return f"Its worker died or hangs: its lease ended at {_at(self.facts.score)}. It will be recovered."
            case Cause.PENDING:
                return self._place()
            case Cause.SCHEDULED:
                return f"It is scheduled for {_at(self.facts.score)}."
            case Cause.RETRY:
                return f"Its last attempt failed ({self.error}); the next one is at {_at(self.facts.score)}."
            case Cause.GROUP:
                return f"It waits in a group of {self.facts.size} until a worker that aggregates takes them together."
            case Cause.ARCHIVED:
                return f"It is archived and will not run by itself: {self.error or 'an operator put it there'}."
            case Cause.STEP_FAILED if self.facts.why:
                return f"It can never start: {self.facts.why}."
            case Cause.STEP_FAILED | Cause.WAITS_FOR_STEPS:
                return self._steps()
        return _WORDS[where]

    def _place(self) -> str:
        ahead = self.facts.ahead
        if ahead == 0:
            return "It is the next one of its queue."
        return f"{ahead if ahead > 0 else '1,000 or more'} pending tasks of its queue are next before it."

    def _steps(self) -> str:
        named = ", ".join(f"{step.id} in queue {step.queue!r} ({_in_words(step)})" for step in self.waits_for)
        return f"It is a step of a workflow and starts when these have succeeded: {named}."

    def next_start(self) -> datetime | None:
        """Not before then; None = not known, or never."""
        if self.facts.state is State.PENDING:
            return _moment(self.facts.now_ms / 1000)
        return _moment(self.facts.score) if self.facts.state in (State.SCHEDULED, State.RETRY) else None

    def repeats(self) -> Iterator[str]:
        """Why it ran more than once."""
        message, crashes = self.facts.message, self.facts.crashes
        if crashes:
            yield f"It was started again {_times(crashes)} because a worker died while it had the task."
        if message and message.retried:
            yield f"It was repeated {_times(message.retried)}, of at most {message.retry}, because it failed."
        if self.error == _LEASE_EXPIRED:
            yield "Its last attempt was given up because its worker, dead, hung or cut off, did not keep the lease."

    def lock(self) -> Iterator[str]:
        """Who keeps others of the same content out."""
        holder = self.facts.lock_holder
        if holder == self.id:
            seconds = self.facts.lock_ms // 1000
            yield f"It holds its uniqueness lock for {seconds} s more: the same content is a duplicate until then."
        elif holder:
            yield f"Its uniqueness lock ran out and is held by task {holder} now."


_PLACES = {
    State.PENDING: Cause.PENDING,
    State.SCHEDULED: Cause.SCHEDULED,
    State.RETRY: Cause.RETRY,
    State.AGGREGATING: Cause.GROUP,
    State.ARCHIVED: Cause.ARCHIVED,
    State.COMPLETED: Cause.COMPLETED,
}


def _in_words(step: Dependency) -> str:
    return f"{step.cause}: {step.error}" if step.error else str(step.cause)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _name(server: Server | None) -> str:
    return f"{server.host}:{server.pid}" if server else "a worker"


def _at(seconds: float | None) -> str:
    moment = _moment(seconds)
    return moment.isoformat(timespec="seconds") if moment else "an unknown time"


def _moment(seconds: float | None) -> datetime | None:
    """None for what a foreign producer wrote beyond Python's calendar."""
    try:
        return _EPOCH + timedelta(seconds=seconds) if seconds is not None else None
    except OverflowError:
        return None
