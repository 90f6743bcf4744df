"""Small faults, each a function that does one bad thing to the stage and undoes it.

``@fault("K-02", weight=2, on=("one",))`` lists one; ids are those of the table in docs/internals/chaos.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.chaos.stage import STAGES

Strike = Callable[[Any, Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """covers: the row of the table. weight: how often it is drawn. on: the arrangements that it fits."""

    name: str
    covers: str
    weight: int
    on: tuple[str, ...]
    strike: Strike


FAULTS: list[Fault] = []


def fault(covers: str, *, weight: int = 1, on: tuple[str, ...] = tuple(STAGES)) -> Callable[[Strike], Strike]:
    """List a function as a fault."""

    def listed(strike: Strike) -> Strike:
        name = strike.__name__.replace("_", " ")  # type: ignore[attr-defined]
        FAULTS.append(Fault(name, covers, weight, on, strike))
        return strike

    return listed


def fitting(stage: str) -> list[Fault]:
    """Those that can be done to this arrangement."""
    from tests.chaos.faults import failover, network, processes, server  # noqa: F401 - they list themselves

    return [each for each in FAULTS if stage in each.on]
