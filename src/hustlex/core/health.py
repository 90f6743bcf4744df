"""How a process is: the one place that decides what that means. Fronts tell what they know, doors only show it."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Protocol

import msgspec

from hustlex.core.logs import logger
from hustlex.core.op import Effect, Op, command
from hustlex.errors import Error

_log = logger("hustlex.health")
_PATIENCE_MS = 1_000

stopping = threading.Event()
"""This process was told to stop and still serves: whoever spreads requests is to look elsewhere."""

_WHY = {
    "Unavailable": "cannot be reached",
    "Timeout": "does not answer within a second",
    "Denied": "refuses us: a wrong password, or rights that are missing",
    "ConfigurationError": "may evict what rights depend on, so rooms that hold rights refuse it",
}


class FrontHealth(msgspec.Struct, frozen=True):
    """How a front is in this process, right now."""

    trouble: dict[str, str]
    """What keeps it from its work, one sentence for each server that cannot be used."""
    degraded: dict[str, str]
    """What works by second best, one sentence for each room."""

    @property
    def ok(self) -> bool:
        """Whether it does its work, if only by second best."""
        return not self.trouble


class Teller(Protocol):
    """A front."""

    @property
    def degraded(self) -> dict[str, str]:
        """As ``FrontHealth.degraded``."""
        ...


_tellers: weakref.WeakSet[Teller] = weakref.WeakSet()


def join(teller: Teller) -> None:
    """It tells of this process until it leaves, or is gone."""
    _tellers.add(teller)


def leave(teller: Teller) -> None:
    """It tells no more. Idempotent."""
    _tellers.discard(teller)


def degraded() -> dict[str, str]:
    """What any front of this process says."""
    return {room: why for teller in list(_tellers) for room, why in teller.degraded.items()}


def sign_of_life() -> Op[bool]:
    """Asks a server whether it is there, for no longer than a second."""
    return command("server.ping", Effect.READ, "PING", decode=bool, timeout_ms=_PATIENCE_MS)


def why(name: str, error: Error) -> str:
    """One sentence without addresses, which a probe may show to anybody; the log has the error."""
    _log.info("the %s cannot be used: %s", name, error)
    said = _WHY.get(type(error).__name__, f"cannot be used ({type(error).__name__})")
    return f"the {name} {said}"


class Journal:
    """Writes to the log what begins and what ends, once each."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def note(self, found: FrontHealth) -> FrontHealth:
        """The same, told."""
        now = found.degraded | found.trouble
        for name in now.keys() - self._known.keys():
            level = logging.ERROR if name in found.trouble else logging.WARNING
            _log.log(level, "%s: %s", name, now[name])
        for name in self._known.keys() - now.keys():
            _log.warning("%s: as it should be again", name)
        self._known = now
        return found
