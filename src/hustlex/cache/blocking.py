"""Flights in threads."""

from __future__ import annotations

import contextvars
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any

from hustlex.cache import circles
from hustlex.cache.commit import Pending
from hustlex.cache.flights import Compute, Course, Landed, Tags
from hustlex.cache.near import NearWatch
from hustlex.cache.plan import TagSpace
from hustlex.core import check, forks
from hustlex.core.faults import as_exception
from hustlex.core.lease_renewal.blocking import renewed
from hustlex.core.op import BlockingDriver, Op
from hustlex.errors import Error, Misuse, Overloaded

_log = logging.getLogger("hustlex.cache")


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that can be cached here. Raises Misuse."""
    check.function("the cached function", function)
    called = getattr(type(function), "__call__", None)  # noqa: B004 - its kind is asked for
    if any(inspect.iscoroutinefunction(each) for each in (function, called)):
        raise Misuse("the cached function is async", hint="write def, or use the cache of hustlex.HustleX")
    return function


def watching(driver: BlockingDriver, prefix: str) -> NearWatch:
    """There is none. Raises Misuse."""
    del driver, prefix
    raise Misuse("a blocking front keeps no near cache", hint="leave out near=, or use hustlex.HustleX")


def sender(driver: BlockingDriver, space: TagSpace) -> Callable[[Pending], None]:
    """Invalidates when a session has committed, before ``session.commit()`` returns."""

    def send(what: Pending) -> None:
        try:
            driver.follow(what.flow(space))
        except Error as failure:
            _log.warning("an invalidation after a commit failed, and is tried again: %s", failure)
            threading.Thread(target=lambda: driver.follow(what.again(space)), name="hustlex cache", daemon=True).start()

    return send


def fitting(session: Any) -> Any:
    """A session whose commit can wait for us. Raises Misuse."""
    if hasattr(session, "sync_session") or hasattr(session, "async_session_factory"):
        raise Misuse("after takes a Session here, not an AsyncSession", hint="use the cache of hustlex.HustleX")
    return session


class Flights:
    """The table, for threads. Flights are flown by the thread that started them; other threads wait."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver
        self._gates: weakref.WeakSet[_Gate] = weakref.WeakSet()
        self.forked()
        forks.watch(self)

    def forked(self) -> None:
        self._flights: dict[str, _ThreadFlight] = {}
        self._lock = threading.Lock()
        for gate in self._gates:
            gate.reopen()

    def find(self, entry: str) -> _ThreadSeat | None:
        with self._lock:
            return self._seat(entry)

    def _seat(self, entry: str) -> _ThreadSeat | None:
        flight = self._flights.get(entry)
        return None if flight is None else _ThreadSeat(flight, None)

    def board(self, entry: str, course: Course, tags: Tags = (), *, behind: bool = False) -> _ThreadSeat:
        with self._lock:
            seat = self._seat(entry)
            if seat is not None:
                return seat
            flight = self._enter(entry, tags)
            if not behind:
                return _ThreadSeat(flight, lambda: self._driver.follow(course(flight)))
            seat = _ThreadSeat(flight, None)
        self._fly_behind(flight, course)
        return seat

    def launch(self, entry: str, course: Course, tags: Tags = ()) -> None:
        with self._lock:
            if entry in self._flights:
                return
            flight = self._enter(entry, tags)
            flight.abandoned = True
        self._fly_behind(flight, course)

    def _enter(self, entry: str, tags: Tags) -> _ThreadFlight:
        flight = self._flights[entry] = _ThreadFlight(self._flights, self._lock, entry, tags)
        return flight

    def _fly_behind(self, flight: _ThreadFlight, course: Course) -> None:
        def fly() -> None:
            try:
                flight.fly(lambda: self._driver.follow(course(flight)))
            except Exception:  # noqa: S110, BLE001 - passengers are told; without any, the flow has counted it
                pass
            finally:
                flight.end()

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(fly,), name="hustlex cache", daemon=True).start()

    def detach(self, entry: str) -> None:
        with self._lock:
            self._flights.pop(entry, None)

    def detach_tagged(self, tags: Collection[str]) -> None:
        with self._lock:
            for entry, flight in [*self._flights.items()]:
                if not flight.tags.isdisjoint(tags):
                    self._flights.pop(entry, None)

    def kept(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
        together: Any = _Together(self._driver)
        several: Any = renews

        def run() -> Any:
            with renewed(together, several, every_s):
                return _result(compute)

        return run

    def around(self, entry: str, compute: Compute) -> Compute:
        def run() -> Any:
            with circles.around(entry):
                return _result(compute)

        return run

    def gate(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        gate = _Gate(places, patience_s)
        self._gates.add(gate)
        return gate


class _Together:
    """A driver whose operation is several: leases that are renewed together, while any of them stands."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver

    def run(self, renews: Sequence[Op[bool]]) -> bool:
        return any(answer is not False for answer in self._driver.run_many(renews))


def _result(compute: Compute) -> Any:
    try:
        result = compute()
    except GeneratorExit as escaped:  # would end the flight as if nobody waited for it, and leave its lease behind
        raise as_exception(escaped) from escaped
    if inspect.iscoroutine(result):
        result.close()
        raise Misuse("compute returned a coroutine", hint="pass a plain function, or use the cache of hustlex.HustleX")
    return result


class _Gate:
    def __init__(self, places: int, patience_s: float) -> None:
        self._places = places
        self._patience_s = patience_s
        self.reopen()

    def reopen(self) -> None:
        self._semaphore = threading.BoundedSemaphore(self._places)

    def __call__(self, compute: Compute) -> Compute:
        def run() -> Any:
            if circles.placed():
                return _result(compute)
            semaphore = self._semaphore
            if not semaphore.acquire(timeout=self._patience_s):
                raise Overloaded(f"{self._places} computations run already", hint="raise bulkhead")
            try:
                with circles.placing():
                    return _result(compute)
            finally:
                semaphore.release()

        return run


class _ThreadFlight:
    """abandoned: one in the background, whose errors are nobody's. aboard: seats that were not left."""

    def __init__(self, table: dict[str, _ThreadFlight], lock: threading.Lock, entry: str, tags: Tags) -> None:
        self.node = circles.Node()
        self.tags = frozenset(tags)
        self.abandoned = False
        self.aboard = 0
        self._table = table
        self._lock = lock
        self._entry = entry
        self.stage = 0
        self.done = threading.Event()
        self.landed: Landed | None = None
        self.error: Exception | None = None

    def advance(self) -> None:
        with self._lock:
            self.stage += 1

    def seal(self) -> None:
        with self._lock:
            if self._table.get(self._entry) is self:
                del self._table[self._entry]

    def fly(self, follow: Callable[[], Landed]) -> Landed:
        try:
            with circles.inside(self.node):
                landed = self.landed = follow()
        except Exception as error:
            self.error = error
            raise
        return landed

    def end(self) -> None:
        self.seal()
        self.done.set()
        self.forget()

    def forget(self) -> None:
        """Once it has ended and all have left: its error knows the frames that know the flight."""
        with self._lock:
            if self.done.is_set() and not self.aboard:
                self.error = None

    def leave(self) -> None:
        with self._lock:
            self.aboard -= 1
        self.forget()


class _ThreadSeat:
    def __init__(self, flight: _ThreadFlight, fly: Callable[[], Landed] | None) -> None:
        self._tied = circles.tie(flight.node)
        self._flight = flight
        self._stage = flight.stage
        self._fly = fly
        flight.aboard += 1
        self.leading = fly is not None

    def wait(self, patience_s: float) -> Landed | None:
        flight = self._flight
        if self._fly is not None:
            return flight.fly(self._fly)
        if not flight.done.wait(patience_s):
            raise circles.Impatient
        if flight.error is not None and not flight.abandoned:
            raise flight.error
        landed = flight.landed
        return landed if landed and (landed.proven or self._stage < flight.stage) else None

    def leave(self) -> None:
        circles.untie(self._tied, self._flight.node)
        if self.leading:
            self._flight.end()
        self._flight.leave()
