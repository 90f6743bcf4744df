"""Jobs as values, alone and joined to workflows. Pure; ``Jobs.enqueue`` and ``Jobs.start`` send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Unpack

import msgspec

from hustlex.core import check, codec
from hustlex.core.generics import T
from hustlex.errors import Misuse
from hustlex.jobs.enqueue.options import Options, merge
from hustlex.jobs.enqueue.placeholders import Placeholder, Slots
from hustlex.jobs.types import PayloadError

MOST_STEPS = 1_000

_MOST_LINKS = 10_000
_NONE = Options()


class Job(msgspec.Struct, Generic[T], frozen=True, eq=False):
    """A task to be enqueued: type, payload bytes (None is Go's nil) and options. Its repr hides the payload.

    slots: arguments that a workflow fills in with results of the steps before. task: what made it, None = nobody; it
    knows the type T of the result.
    """

    type: str
    payload: bytes | None = None
    options: Options = _NONE
    slots: Slots = ()
    task: Any = None

    def with_options(self, **options: Unpack[Options]) -> Job[T]:
        """The same job with these options on top of its own."""
        return Job(self.type, self.payload, merge(self.options, options), self.slots, self.task)

    def then(self, following: Job[Any] | Workflow) -> Workflow:
        """A workflow: this job, and when it has succeeded, the other. Hand it to ``Jobs.start``."""
        return chain(self, following)

    def taking(self, result: Placeholder) -> Job[T]:
        """The same job with RESULT or RESULTS as its whole payload: for a step whose arguments only a Go worker knows.

        Raises Misuse for anything else.
        """
        if not isinstance(result, Placeholder):
            raise Misuse("a job takes RESULT or RESULTS")
        return Job(self.type, None, self.options, (("", result.every),), self.task)

    def __eq__(self, other: object) -> bool:
        """Whoever made it."""
        if not isinstance(other, Job):
            return NotImplemented
        return self._content == other._content

    __hash__ = None  # type: ignore[assignment]

    @property
    def _content(self) -> tuple[Any, ...]:
        return self.type, self.payload, self.options, self.slots

    def __repr__(self) -> str:
        return f"Job({self.type!r}, {len(self.payload or b'')} bytes)"


def as_job(job: Job | str, payload: Any = None) -> Job:
    """A Job as it is, or one from a type and a payload: None, bytes as they are, anything else as compact JSON.

    Raises Misuse for a payload beside a Job, PayloadError for a value that JSON cannot carry.
    """
    if isinstance(job, Job):
        if payload is not None:
            raise Misuse("a Job carries its own payload", hint="pass either a Job, or a type and a payload")
        return job
    check.instance("job", job, str, hint="pass task.job(...), or a task type and its payload")
    if payload is None or isinstance(payload, bytes):
        return Job(job, payload)
    place = f"the payload of {job!r}"
    try:
        written = codec.dumps(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise PayloadError(codec.refusal(payload, fault, place)) from None
    if (wrong := codec.fault(payload, place)) is not None:
        raise PayloadError(wrong)
    return Job(job, written)


class Step(msgspec.Struct, frozen=True):
    """A job of a workflow. after: positions of the steps that must have succeeded before it starts."""

    job: Job
    after: tuple[int, ...] = ()


class Workflow(msgspec.Struct, frozen=True):
    """Jobs, each started when those before it have succeeded. Make one with ``Job.then`` and ``gather``."""

    steps: tuple[Step, ...]

    def then(self, following: Job | Workflow) -> Workflow:
        """This workflow, and when its last steps have all succeeded, the job, or the first jobs of the other."""
        return chain(self, following)


def chain(first: Job | Workflow, following: Job | Workflow) -> Workflow:
    """One after the other. Raises Misuse when it grows beyond 1,000 steps."""
    before, behind = _steps(first), _steps(following)
    followed = {position for step in before for position in step.after}
    tails = tuple(position for position in range(len(before)) if position not in followed)
    return _workflow((*before, *_shifted(behind, len(before), tails)))


def gather(*parts: Job | Workflow, then: Job | Workflow | None = None) -> Workflow:
    """All at once, and when every one has succeeded, ``then``.

    Raises Misuse for no parts, and beyond 1,000 steps or 10,000 links between them.
    """
    if not parts:
        raise Misuse("gather needs at least one job")
    steps: tuple[Step, ...] = ()
    for part in parts:
        steps += _shifted(_steps(part), len(steps), ())
    together = _workflow(steps)
    return together if then is None else chain(together, then)


def _steps(part: Job | Workflow) -> tuple[Step, ...]:
    if isinstance(part, Workflow):
        return part.steps
    if isinstance(part, Job):
        return (Step(part),)
    raise Misuse(f"a workflow is made of jobs, not of {type(part).__name__}", hint="pass task.job(...)")


def _shifted(steps: Sequence[Step], by: int, heads_after: tuple[int, ...]) -> tuple[Step, ...]:
    return tuple(
        Step(step.job, tuple(position + by for position in step.after) if step.after else heads_after) for step in steps
    )


def _workflow(steps: tuple[Step, ...]) -> Workflow:
    if len(steps) > MOST_STEPS or sum(len(step.after) for step in steps) > _MOST_LINKS:
        raise Misuse(
            f"a workflow has at most {MOST_STEPS} steps and {_MOST_LINKS} links between them",
            hint="put a small job between two wide parts, or enqueue the rest from a handler",
        )
    return Workflow(steps)
