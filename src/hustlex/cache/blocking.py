"""Computations in threads."""

from __future__ import annotations

import contextvars
import inspect
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any

from hustlex.cache import circles
from hustlex.cache.commit import Pending
from hustlex.cache.computations import Compute, MakeFlow, SharedResult, Tags
from hustlex.cache.near import NearWatch
from hustlex.cache.plan import CachePlan, TagSpace
from hustlex.cache.reading import Looked
from hustlex.cache.shared_reads import SharedReads
from hustlex.core import check, forks
from hustlex.core.faults import as_exception
from hustlex.core.lease_renewal.blocking import renewed
from hustlex.core.logs import logger
from hustlex.core.op import BlockingDriver, Flow, Op
from hustlex.errors import Error, Misuse, Overloaded

_log = logger("hustlex.cache")


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


def found(
    driver: BlockingDriver,
    plan: CachePlan[Any],
    entry: str,
    tags: tuple[str, ...],
    flow: Callable[[Looked | None], Flow[Any]],
) -> Any:
    """What the flow answers. The short way would save little beside a thread's round trip."""
    del plan, entry, tags
    return driver.follow(flow(None))


class Computations:
    """The table, for threads. The thread that starts a computation runs it; other threads wait."""

    def __init__(self, driver: BlockingDriver) -> None:
        self.reads: SharedReads | None = None
        self._driver = driver
        self._bulkheads: weakref.WeakSet[_Bulkhead] = weakref.WeakSet()
        self.forked()
        forks.watch(self)

    def forked(self) -> None:
        self._computations: dict[str, _ThreadComputation] = {}
        self._lock = threading.Lock()
        for bulkhead in self._bulkheads:
            bulkhead.reopen()

    def under_way(self, entry: str) -> bool:
        return entry in self._computations

    def join(self, entry: str) -> _ThreadParticipant | None:
        with self._lock:
            return self._joined(entry)

    def _joined(self, entry: str) -> _ThreadParticipant | None:
        computation = self._computations.get(entry)
        return None if computation is None else _ThreadParticipant(computation, None)

    def join_or_start(
        self, entry: str, make_flow: MakeFlow, tags: Tags = (), *, background: bool = False
    ) -> _ThreadParticipant:
        with self._lock:
            participant = self._joined(entry)
            if participant is not None:
                return participant
            computation = self._enter(entry, tags)
            if not background:
                return _ThreadParticipant(computation, lambda: self._driver.follow(make_flow(computation)))
            participant = _ThreadParticipant(computation, None)
        self._run_in_background(computation, make_flow)
        return participant

    def start_in_background(self, entry: str, make_flow: MakeFlow, tags: Tags = ()) -> None:
        with self._lock:
            if entry in self._computations:
                return
            computation = self._enter(entry, tags)
            computation.abandoned = True
        self._run_in_background(computation, make_flow)

    def _enter(self, entry: str, tags: Tags) -> _ThreadComputation:
        computation = self._computations[entry] = _ThreadComputation(self._computations, self._lock, entry, tags)
        return computation

    def _run_in_background(self, computation: _ThreadComputation, make_flow: MakeFlow) -> None:
        def run() -> None:
            try:
                computation.run(lambda: self._driver.follow(make_flow(computation)))
            except Exception:  # noqa: S110, BLE001 - who joined is told; without any, the flow has counted it
                pass
            finally:
                computation.end()

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(run,), name="hustlex cache", daemon=True).start()

    def detach(self, entry: str) -> None:
        with self._lock:
            self._computations.pop(entry, None)

    def detach_tagged(self, tags: Collection[str]) -> None:
        with self._lock:
            for entry, computation in [*self._computations.items()]:
                if not computation.tags.isdisjoint(tags):
                    self._computations.pop(entry, None)

    def renewing(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
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

    def bulkhead(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        bulkhead = _Bulkhead(places, patience_s)
        self._bulkheads.add(bulkhead)
        return bulkhead


class _Together:
    """A driver whose operation is several: leases that are renewed together, while any of them stands."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver

    def run(self, renews: Sequence[Op[bool]]) -> bool:
        return any(answer is not False for answer in self._driver.run_many(renews))


def _result(compute: Compute) -> Any:
    try:
        result = compute()
    except GeneratorExit as escaped:  # would end this as if nobody waited, and leave the lease behind
        raise as_exception(escaped) from escaped
    if inspect.iscoroutine(result):
        result.close()
        raise Misuse("compute returned a coroutine", hint="pass a plain function, or use the cache of hustlex.HustleX")
    return result


class _Bulkhead:
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


class _ThreadComputation:
    """abandoned: one in the background, whose errors are nobody's. callers: how many have not left it."""

    def __init__(self, table: dict[str, _ThreadComputation], lock: threading.Lock, entry: str, tags: Tags) -> None:
        self.node = circles.Node()
        self.tags = frozenset(tags)
        self.abandoned = False
        self.callers = 0
        self._table = table
        self._lock = lock
        self._entry = entry
        self.stage = 0
        self.done = threading.Event()
        self.result: SharedResult | None = None
        self.error: Exception | None = None

    def advance(self) -> None:
        with self._lock:
            self.stage += 1

    def close(self) -> None:
        with self._lock:
            if self._table.get(self._entry) is self:
                del self._table[self._entry]

    def run(self, follow: Callable[[], SharedResult]) -> SharedResult:
        try:
            with circles.inside(self.node):
                result = self.result = follow()
        except Exception as error:
            self.error = error
            raise
        return result

    def end(self) -> None:
        self.close()
        self.done.set()
        self.forget()

    def forget(self) -> None:
        """Once it has ended and all have left: its error knows the frames that know the computation."""
        with self._lock:
            if self.done.is_set() and not self.callers:
                self.error = None

    def leave(self) -> None:
        with self._lock:
            self.callers -= 1
        self.forget()


class _ThreadParticipant:
    def __init__(self, computation: _ThreadComputation, run: Callable[[], SharedResult] | None) -> None:
        self._tied = circles.tie(computation.node)
        self._computation = computation
        self._stage = computation.stage
        self._run = run
        computation.callers += 1
        self.leading = run is not None

    def wait(self, patience_s: float) -> SharedResult | None:
        computation = self._computation
        if self._run is not None:
            return computation.run(self._run)
        if not computation.done.wait(patience_s):
            raise circles.Impatient
        if computation.error is not None and not computation.abandoned:
            raise computation.error
        result = computation.result
        return result if result and (result.proven or self._stage < computation.stage) else None

    def leave(self) -> None:
        circles.untie(self._tied, self._computation.node)
        if self.leading:
            self._computation.end()
        self._computation.leave()
