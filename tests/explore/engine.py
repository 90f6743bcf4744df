"""Every schedule of a protocol, shortest first: which step comes next, and what becomes of it.

A schedule is carried on from any state without the steps before it: the server is put back to what it held, and the
actors' stories run again with the answers they were given. Two schedules that led to the same server, the same answers
and the same ledger go on as one; so does one that has used up more of the bounds on its way there than another.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from operator import ge
from typing import Any

from hustlex.core.op import Op, Script
from hustlex.errors import Error
from tests.explore.server import EMPTY, ExploredServer, Look, State, digest, older, texts
from tests.explore.world import Bounds, Broken, Choice, Kind, Story, World, chance_of

_ALL = frozenset(Kind)
_MOST_CLOSING = 200


@dataclass(frozen=True)
class Mutation:
    """A fault put in on purpose. script and swaps: passages of a Lua text and what stands there instead; patch: or a
    context in which something else is wrong."""

    name: str
    script: Script | None = None
    swaps: tuple[tuple[str, str], ...] = ()
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext


class Protocol:
    """What is explored: actors, and what must hold. A subclass writes its invariants in ``check`` and ``final``."""

    name = ""
    ticks: tuple[int, ...] = ()
    """How far time may jump, ms."""
    kinds: frozenset[Kind] = _ALL
    short: tuple[Bounds, ...] = (Bounds(1, 1),)
    """Seconds, in the test suite."""
    long: tuple[Bounds, ...] = (Bounds(2, 2),)
    """Minutes."""

    def mutations(self) -> Sequence[Mutation]:
        """The faults that must be seen."""
        raise NotImplementedError

    def patched(self) -> AbstractContextManager[Any]:
        """What is left out of the exploration."""
        return nullcontext()

    def ledger(self) -> Any:
        """A new account of what happened; its repr must tell all of it."""
        raise NotImplementedError

    def setup(self, world: World) -> Story:
        """What came before; no fault in it."""
        raise NotImplementedError

    def actors(self, world: World) -> None:
        """Let the actors begin."""
        raise NotImplementedError

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        """The server carried this out, whether its reply arrived or not. Raises Broken."""

    def check(self, world: World, look: Look) -> None:
        """Holds in every state. Raises Broken."""

    def closing(self, world: World) -> Story:
        """What somebody without faults does in the end, much later."""
        raise NotImplementedError

    def final(self, world: World, look: Look) -> None:
        """Holds after that. Raises Broken."""


def argument(op: Op[Any], name: str) -> Any:
    """What a script is given under a name of its contract."""
    assert op.script is not None
    return op.args[op.script.args.index(name)]


@dataclass(frozen=True, slots=True)
class Taken:
    """A step of a schedule: the decision, its number among those there were, and the server's reply."""

    choice: Choice
    number: int
    reply: Any


@dataclass(slots=True)
class Place:
    """A state that was reached, and by which steps."""

    path: tuple[Taken, ...]
    state: State


class Seen:
    """The states that were reached, and what was left of the bounds then."""

    def __init__(self) -> None:
        self._left: dict[bytes, list[tuple[int, ...]]] = {}

    def is_new(self, name: bytes, left: tuple[int, ...]) -> bool:
        """Take note of one. False: a schedule came there before with at least as much of each."""
        known = self._left.setdefault(name, [])
        if any(all(map(ge, other, left)) for other in known):
            return False
        known[:] = [other for other in known if not all(map(ge, left, other))]
        known.append(left)
        return True


@dataclass
class Report:
    """What an exploration saw. numbers: of the schedule that broke an invariant."""

    protocol: str
    states: int = 0
    steps: int = 0
    schedules: int = 0
    deepest: int = 0
    whole: bool = True
    broken: str = ""
    numbers: str = ""
    story: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Count another exploration of the same protocol in."""
        self.states, self.steps = self.states + other.states, self.steps + other.steps
        self.schedules, self.deepest = self.schedules + other.schedules, max(self.deepest, other.deepest)
        self.whole = self.whole and other.whole
        self.broken, self.numbers, self.story = other.broken, other.numbers, other.story


class Explorer:
    """One protocol on one server. mutation: the fault that is in it."""

    def __init__(
        self, protocol: Protocol, server: ExploredServer, bounds: Bounds, mutation: Mutation | None = None
    ) -> None:
        self._protocol = protocol
        self._server = server
        self._bounds = bounds
        self._mutation = mutation
        self._prelude: list[Taken] = []
        self._start: State = EMPTY
        self._world: World | None = None
        self._closing = ""
        self.report = Report(protocol.name + (f"/{mutation.name}" if mutation else ""))

    def explore(self) -> Report:
        """Until all is seen, an invariant breaks, or the bound of states is reached."""
        with self._ready():
            frontier, seen = deque([Place((), self._start)]), Seen()
            while frontier:
                if self.report.states >= self._bounds.states:
                    self.report.whole = False
                    break
                place = frontier.popleft()
                try:
                    self._expand(place, frontier, seen)
                except _Found as found:
                    self._tell(found)
                    break
        return self.report

    def replay(self, numbers: Sequence[int]) -> Report:
        """One schedule, told. Behind its last step all actors are gone, and the closing comes."""
        with self._ready():
            place, world = Place((), self._start), self._rebuild(())
            try:
                for number in numbers:
                    place, world = self._take(place, world, world.choices()[number], number, {})
                    self._judge(place, world)
                self._close(place)
                self.report.story = self._story(place.path)
                self.report.numbers = ".".join(map(str, numbers))
            except _Found as found:
                self._tell(found)
        return self.report

    # -- one state

    def _expand(self, place: Place, frontier: deque[Place], seen: Seen) -> None:
        world, ran = self._rebuild(place.path), dict[tuple[Any, ...], tuple[Any, State]]()
        choices = world.choices()
        allowed = [number for number, choice in enumerate(choices) if world.within_bounds(choice)]
        if all(choices[number].kind is Kind.TIME for number in allowed):
            allowed = []  # nothing is left to happen but that time passes
        self.report.deepest = max(self.report.deepest, len(place.path))
        if not allowed:
            self.report.schedules += 1
            self._close(place)
        asked = world.asked()
        for number in allowed:
            here = world if number == allowed[0] else self._rebuild(place.path)
            assert here is world or here.asked() == asked, "chance or time that is not the explored world's"
            reached, after = self._take(place, here, choices[number], number, ran)
            self.report.steps += 1
            if not seen.is_new(digest(reached.state) + after.fingerprint(), after.left):
                continue
            self.report.states += 1
            self._judge(reached, after)
            frontier.append(reached)

    def _take(
        self, place: Place, world: World, choice: Choice, number: int, ran: dict[tuple[Any, ...], tuple[Any, State]]
    ) -> tuple[Place, World]:
        """ran: what became of the calls that the server carried out from here; whether the reply arrives is another
        matter."""
        self._world = world
        op, reply, state = world.pending(choice), None, place.state
        if op is not None:
            call = choice.actor, choice.number, choice.kind is Kind.ARRIVES
            if call not in ran:
                ran[call] = self._server.run(op, state, world.now_ms)
            reply, state = ran[call]
        elif choice.kind is Kind.TIME:
            state = older(state, choice.number)
        reached = Place((*place.path, Taken(choice, number, reply)), state)
        try:
            self._carry(world, choice, op, reply)
        except Broken as broken:
            raise _Found(reached.path, str(broken)) from broken
        return reached, world

    def _carry(self, world: World, choice: Choice, op: Op[Any] | None, reply: Any) -> Any:
        if op is not None and not isinstance(reply, Error):
            self._protocol.saw(world, choice.actor, op, reply)
        return world.apply(choice, reply)

    def _judge(self, place: Place, world: World) -> None:
        try:
            self._protocol.check(world, Look(place.state))
        except Broken as broken:
            raise _Found(place.path, str(broken)) from broken

    def _close(self, place: Place) -> None:
        """What comes after the schedule, and whether all is well then."""
        world = self._rebuild(place.path)
        try:
            _, state = self._alone(world, "closing", self._protocol.closing(world), place.state)
            self._protocol.final(world, Look(state))
        except Broken as broken:
            raise _Found(place.path, f"in the end: {broken}") from broken

    def _alone(self, world: World, name: str, story: Story, state: State) -> tuple[list[Taken], State]:
        """An actor with the server for itself. A number in place of a step lets so many ms pass."""
        self._world, taken = world, []
        actor = world.add(name, story)
        while actor.step is not None:
            assert len(taken) < _MOST_CLOSING, f"{name} does not end"
            choice = Choice(Kind.RUN, name)
            if isinstance(actor.step, int):
                choice = Choice(Kind.TIME, name, actor.step)
                world.now_ms += actor.step
                state = older(state, actor.step)
                world._resume(actor)
                continue
            op, reply = world.pending(choice), None
            if op is not None:
                reply, state = self._server.run(op, state, world.now_ms)
            taken.append(Taken(choice, 0, reply))
            self._carry(world, choice, op, reply)
        return taken, state

    def _rebuild(self, path: tuple[Taken, ...]) -> World:
        """The actors as they stand after these steps, without the server."""
        world = self._new_world()
        setup = world.add("setup", self._protocol.setup(world))
        for taken in self._prelude:
            self._carry(world, taken.choice, world.pending(taken.choice), taken.reply)
        assert setup.step is None
        del world.actors["setup"]
        self._protocol.actors(world)
        for taken in path:
            self._carry(world, taken.choice, world.pending(taken.choice), taken.reply)
        return world

    def _new_world(self) -> World:
        world = self._world = World(self._bounds, self._protocol.ticks, self._protocol.kinds)
        world.ledger = self._protocol.ledger()
        return world

    @contextmanager
    def _ready(self) -> Iterator[None]:
        mutation = self._mutation
        with ExitStack() as stack:
            stack.enter_context(chance_of(self._now))
            stack.enter_context(_quiet())
            stack.enter_context(self._protocol.patched())
            self._server.patched.clear()
            if mutation is not None:
                stack.enter_context(mutation.patch())
                if mutation.script is not None:
                    self._server.patched[mutation.script.name] = texts(mutation.script, mutation.swaps)
            world = self._new_world()
            self._prelude, self._start = self._alone(world, "setup", self._protocol.setup(world), EMPTY)
            yield
            self._server.patched.clear()

    def _now(self) -> World:
        assert self._world is not None
        return self._world

    # -- telling

    def _tell(self, found: _Found) -> None:
        self.report.broken = found.why
        self.report.numbers = ".".join(str(taken.number) for taken in found.path)
        self.report.story = self._story(found.path)

    def _story(self, path: tuple[Taken, ...]) -> list[str]:
        world, lines = self._rebuild(()), []
        for n, taken in enumerate(path, 1):
            choice, line = taken.choice, ""
            if choice.kind is Kind.TIME:
                line = f"{choice.number / 1000:g} s pass"
            else:
                what = world.air[choice.number][1].name if choice.kind is Kind.ARRIVES else _named(world, choice)
                line = f"{choice.actor}: {what} {choice.kind.value}"
            try:
                told = self._carry(world, choice, world.pending(choice), taken.reply)
            except Broken:
                told = taken.reply
            lines.append(f"{n:>3}. {line}" + (f" -> {_short(told)}" if choice.kind is Kind.RUN else ""))
        return lines


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log: most schedules have something to complain of."""
    log = logging.getLogger("hustlex")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


class _Found(Exception):
    """A schedule that breaks an invariant."""

    def __init__(self, path: tuple[Taken, ...], why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


def _named(world: World, choice: Choice) -> str:
    actor = world.actors[choice.actor]
    return actor.op.name if actor.op is not None else type(actor.step).__name__.lower()


def _short(told: Any) -> str:
    text = repr(told)
    return text if len(text) <= 100 else text[:97] + "..."


def explored(
    protocol: Protocol, server: ExploredServer, bounds: Sequence[Bounds], mutation: Mutation | None = None
) -> Report:
    """One after the other, until something is broken; the numbers of all together."""
    whole = Report(protocol.name + (f"/{mutation.name}" if mutation else ""))
    for each in bounds:
        report = Explorer(protocol, server, each, mutation).explore()
        whole.add(report)
        if report.broken:
            break
    return whole


def describe(report: Report) -> str:
    """A few lines for people."""
    head = (
        f"{report.protocol}: {report.states:,} states, {report.steps:,} steps, {report.schedules:,} ended schedules, "
        f"{report.deepest} deep{'' if report.whole else ', cut short'}"
    )
    if not report.broken:
        return "\n".join([head, *report.story])
    again = f"replay: make explore REPLAY={report.protocol}:{report.numbers}"
    return "\n".join([head, f"  BROKEN: {report.broken}", *report.story, f"  {again}"])
