"""Flights in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from hustlex.cache.flights import ITSELF, Compute, Course, Landed
from hustlex.core.keeper.blocking import kept
from hustlex.core.op import BlockingDriver, Op
from hustlex.errors import Misuse


class Flights:
    """The table, for threads. Flights are flown by the thread that started them; other threads wait."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver
        self._flights: dict[str, _ThreadFlight] = {}
        self._lock = threading.Lock()

    def find(self, entry: str) -> _ThreadSeat | None:
        with self._lock:
            return self._seat(entry)

    def _seat(self, entry: str) -> _ThreadSeat | None:
        flight = self._flights.get(entry)
        if flight is None:
            return None
        if flight.pilot == threading.get_ident():
            raise Misuse(ITSELF)
        return _ThreadSeat(flight, None)

    def board(self, entry: str, course: Course) -> _ThreadSeat:
        with self._lock:
            seat = self._seat(entry)
            if seat is not None:
                return seat
            flight = self._flights[entry] = _ThreadFlight(self._flights, self._lock, entry)
            return _ThreadSeat(flight, lambda: self._driver.follow(course(flight)))

    def detach(self, entry: str) -> None:
        with self._lock:
            self._flights.pop(entry, None)

    def kept(self, compute: Compute, renew: Op[bool], every_s: float) -> Compute:
        def run() -> Any:
            with kept(self._driver, renew, every_s):
                return compute()

        return run

    def gate(self, places: int) -> Callable[[Compute], Compute]:
        semaphore = threading.BoundedSemaphore(places)

        def guarded(compute: Compute) -> Compute:
            def run() -> Any:
                with semaphore:
                    return compute()

            return run

        return guarded


class _ThreadFlight:
    def __init__(self, table: dict[str, _ThreadFlight], lock: threading.Lock, entry: str) -> None:
        self._table = table
        self._lock = lock
        self._entry = entry
        self.pilot = threading.get_ident()
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

    def end(self) -> None:
        self.seal()
        self.done.set()


class _ThreadSeat:
    def __init__(self, flight: _ThreadFlight, fly: Callable[[], Landed] | None) -> None:
        self._flight = flight
        self._stage = flight.stage
        self._fly = fly
        self.leading = fly is not None

    def wait(self) -> Landed | None:
        flight = self._flight
        if self._fly is not None:
            try:
                flight.landed = self._fly()
            except Exception as error:
                flight.error = error
                raise
            return flight.landed
        flight.done.wait()
        if flight.error is not None:
            raise flight.error
        landed = flight.landed
        return landed if landed and (landed.proven or self._stage < flight.stage) else None

    def leave(self) -> None:
        if self.leading:
            self._flight.end()
