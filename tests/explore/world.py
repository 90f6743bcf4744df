"""Actors and what surrounds them: everything in a schedule but the server."""

from __future__ import annotations

import enum
import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any
from unittest import mock

from hustlex.core.op import Batch, Call, Effect, Op, Sleep, Step
from hustlex.errors import Error, OutcomeUnknown, Timeout

Story = Generator[Step, Any, Any]
START_MS = 1_767_225_600_000


class Kind(enum.Enum):
    """What may become of an actor's next step, or of the world around it."""

    RUN = "runs, and is answered"
    LOST = "runs, and the reply is lost"
    DROPPED = "is lost on its way"
    LATE = "is given up by its caller, and still on its way"
    AGAIN = "runs, the reply is lost, and the driver sends it again"
    CRASH = "dies before it"
    CRASH_AFTER = "dies after it ran"
    ARRIVES = "arrives late"
    TIME = "time passes"


_UNANSWERED = (Kind.LOST, Kind.DROPPED, Kind.LATE)
EXECUTED = (Kind.RUN, Kind.LOST, Kind.AGAIN, Kind.CRASH_AFTER, Kind.ARRIVES)
"""Those in which the server carries the operation out."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision of the explorer."""

    kind: Kind
    actor: str = ""
    number: int = 0
    """ARRIVES: which of those on their way; TIME: ms."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far to go. faults: steps per schedule that do not simply run. ticks: times that time passes."""

    faults: int = 1
    ticks: int = 1
    together: int = 1_000_000
    """Both at most."""
    cast: tuple[str, ...] = ()
    """Who acts; the others only stand there. Empty: all."""
    states: int = 1_000_000


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass
class Actor:
    """One process or client: a story that is carried on step by step."""

    name: str
    stack: list[Story]
    step: Step | None = None
    answers: list[Any] = field(default_factory=list)
    """Of the batch it is in."""
    dead: bool = False
    past: bytes = b""
    """A digest of all that it was told."""
    drawn: int = 0
    """Random values so far."""
    repeating: bool = False
    """Its driver is sending the operation again."""

    @property
    def op(self) -> Op[Any] | None:
        """The operation it waits for."""
        if isinstance(self.step, Batch):
            return self.step.ops[len(self.answers)]
        return self.step if isinstance(self.step, Op) else None

    @property
    def standing(self) -> bytes:
        """Where it is: what it was told decides all else, unless it has come to its end."""
        if self.step is None:
            return b"%s is gone" % self.name.encode()
        return b"%s %d %d %d " % (self.name.encode(), self.dead, self.repeating, len(self.answers)) + self.past

    def note(self, what: str) -> None:
        """It was told something."""
        self.past = hashlib.blake2b(self.past + what.encode(), digest_size=12).digest()


class World:
    """One schedule as far as it has come. ledger: what a protocol judges it by; its repr is part of the state."""

    def __init__(self, bounds: Bounds, tick_ms: tuple[int, ...], kinds: frozenset[Kind]) -> None:
        self.now_ms = START_MS
        self.actors: dict[str, Actor] = {}
        self.air: list[tuple[str, Op[Any]]] = []
        self.ledger: Any = None
        self.faults = bounds.faults
        self.ticks = bounds.ticks
        self.together = bounds.together
        self._cast = bounds.cast
        self._tick_ms = tick_ms
        self._kinds = kinds
        self._running: Actor | None = None

    def add(self, name: str, story: Story) -> Actor:
        """Let an actor begin; it stands at its first step."""
        actor = self.actors[name] = Actor(name, [story])
        self._resume(actor)
        return actor

    # -- what may happen

    def choices(self) -> list[Choice]:
        """In the order that the numbers of a replay refer to, whatever the bounds. Empty: the schedule has ended."""
        found: list[Choice] = []
        for actor in self.actors.values():
            if actor.step is not None:
                found += [Choice(kind, actor.name) for kind in self._of(actor)]
        found += [Choice(Kind.ARRIVES, name, n) for n, (name, _) in enumerate(self.air)]
        if found:
            found += [Choice(Kind.TIME, number=ms) for ms in self._tick_ms]
        return found

    def within_bounds(self, choice: Choice) -> bool:
        """Whether there is budget for it."""
        if self._cast and choice.actor and choice.actor not in self._cast:
            return False
        if choice.kind in (Kind.RUN, Kind.ARRIVES):
            return True
        if not self.together:
            return False
        if choice.kind is Kind.TIME:  # a driver repeats within its deadline of seconds, not after half a minute
            return self.ticks > 0 and not any(actor.repeating for actor in self.actors.values())
        return self.faults > 0

    def _of(self, actor: Actor) -> Iterator[Kind]:
        yield Kind.RUN
        if isinstance(actor.step, Sleep):
            return
        op = actor.op
        if op is not None:
            kinds = [Kind.LOST, Kind.DROPPED]
            if op.effect is not Effect.READ:
                kinds.append(Kind.LATE)
                kinds += [Kind.AGAIN] if op.effect is Effect.IDEMPOTENT else []
            yield from (kind for kind in kinds if kind in self._kinds)
        yield Kind.CRASH
        if op is not None and op.effect is not Effect.READ:
            yield Kind.CRASH_AFTER

    # -- what happened

    def pending(self, choice: Choice) -> Op[Any] | None:
        """The operation that the server is to carry out, if any."""
        if choice.kind not in EXECUTED:
            return None
        if choice.kind is Kind.ARRIVES:
            return self.air[choice.number][1]
        return self.actors[choice.actor].op

    def asked(self) -> list[tuple[Any, ...]]:
        """What the actors want of the server."""
        ops = [actor.op for actor in self.actors.values()]
        return [(op.name, op.keys, op.args) for op in ops if op is not None]

    def apply(self, choice: Choice, reply: Any) -> Any:
        """Go one step on. reply: the server's, where it carried an operation out. Returns what the actor was told."""
        if choice.kind is Kind.TIME:
            self.now_ms += choice.number
            self.ticks -= 1
            self.together -= 1
            return None
        if choice.kind is Kind.ARRIVES:
            del self.air[choice.number]
            return None
        actor = self.actors[choice.actor]
        if choice.kind is not Kind.RUN:
            self.faults -= 1
            self.together -= 1
        if choice.kind in (Kind.CRASH, Kind.CRASH_AFTER):
            actor.step, actor.dead, actor.repeating = None, True, False
            return None
        actor.repeating = choice.kind is Kind.AGAIN
        if actor.repeating:
            return None
        if choice.kind is Kind.LATE:
            assert actor.op is not None
            self.air.append((actor.name, actor.op))
        if choice.kind in _UNANSWERED:
            assert actor.op is not None
            actor.note("?")
            return self._answer(actor, _unanswered(actor.op))
        actor.note(repr(reply))
        return self._step(actor, reply)

    def _step(self, actor: Actor, reply: Any) -> Any:
        step = actor.step
        if isinstance(step, Sleep):
            return self._resume(actor)
        if isinstance(step, Call):
            return self._call(actor, step)
        op = actor.op
        assert op is not None
        if isinstance(reply, Error):
            return self._answer(actor, reply)
        try:
            return self._answer(actor, op.decode(reply))
        except Error as error:
            return self._answer(actor, error)

    def _answer(self, actor: Actor, told: Any) -> Any:
        if isinstance(actor.step, Batch):
            actor.answers.append(told)
            if len(actor.answers) == len(actor.step.ops):
                self._resume(actor, list(actor.answers))
        elif isinstance(told, Error):
            self._resume(actor, error=told)
        else:
            self._resume(actor, told)
        return told

    def _call(self, actor: Actor, step: Call) -> Any:
        with self._as(actor):
            result = step.function()
        if isinstance(result, GeneratorType):
            actor.stack.append(result)
            self._resume(actor)
            return None
        actor.note(repr(result))
        self._resume(actor, result)
        return result

    def _resume(self, actor: Actor, value: Any = None, *, error: Error | None = None) -> None:
        actor.step, actor.answers = None, []
        with self._as(actor):
            while actor.stack:
                try:
                    top = actor.stack[-1]
                    actor.step = top.send(value) if error is None else top.throw(error)
                    return
                except StopIteration as end:
                    value, error = end.value, None
                except Error as raised:
                    value, error = None, raised
                actor.stack.pop()

    # -- chance

    @contextmanager
    def _as(self, actor: Actor) -> Iterator[None]:
        before, self._running = self._running, actor
        try:
            yield
        finally:
            self._running = before

    def draw(self, size: int = 32) -> bytes:
        """Random bytes, the same ones in each replay."""
        actor = self._running
        assert actor is not None
        actor.drawn += 1
        return hashlib.shake_128(f"{actor.name} {actor.drawn}".encode()).digest(size)

    @property
    def left(self) -> tuple[int, int, int]:
        """What the bounds still allow. Who has more of each can do all that who has less can."""
        return self.faults, self.ticks, min(self.together, self.faults + self.ticks)

    def fingerprint(self) -> bytes:
        """What makes a difference for the rest of the schedule, but for the server and for what is ``left``."""
        parts = [f"{self.now_ms} {self.ledger!r}".encode()]
        parts += [each.standing for each in self.actors.values()]
        parts += [f"{name} {op.name} {op.keys} {op.args}".encode() for name, op in self.air]
        return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()


def _unanswered(op: Op[Any]) -> Error:
    """What the drivers raise in the end, see ``drivers/faults.py``."""
    kind = OutcomeUnknown if op.effect is Effect.ONCE else Timeout
    return kind("no reply", op=op.name)


@contextmanager
def chance_of(worlds: Callable[[], World]) -> Iterator[None]:
    """Let ``secrets`` draw from the world that is being carried on."""

    def text(size: int = 16) -> str:
        return urlsafe_b64encode(worlds().draw(size)).rstrip(b"=").decode()

    with (
        mock.patch.object(secrets, "token_bytes", lambda size=32: worlds().draw(size)),
        mock.patch.object(secrets, "token_urlsafe", text),
        mock.patch.object(secrets, "token_hex", lambda size=32: worlds().draw(size).hex()),
    ):
        yield
