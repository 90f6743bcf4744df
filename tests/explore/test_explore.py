"""The short exploration of every protocol, and every fault put in on purpose is seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.explore.engine import Explorer, describe, explored
from tests.explore.protocols import PROTOCOLS
from tests.explore.server import ExploredServer, digest, explored_server
from tests.explore.world import Bounds, World

_FAULTS = [(name, mutation.name) for name, each in PROTOCOLS.items() for mutation in each.mutations()]


@pytest.fixture(scope="module")
def explored_on() -> Iterator[ExploredServer]:
    with explored_server() as server:
        yield server


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_invariant_holds(name: str, explored_on: ExploredServer) -> None:
    report = explored(PROTOCOLS[name], explored_on, PROTOCOLS[name].short)
    assert not report.broken, describe(report)
    assert report.states >= 300
    assert report.schedules > 10


def test_what_reads_the_same_is_one_state(explored_on: ExploredServer) -> None:
    """How a table is serialised depends on what it held before."""
    names = [f"{n} {'x' * 64}" for n in range(300)]
    found = set()
    for order in (names, names[::-1]):
        explored_on.command("FLUSHALL")
        for name in order:
            explored_on.command("SADD", "some", name)
            explored_on.command("HSET", "fields", name, name)
        found.add(digest(explored_on.held()))
    assert len(found) == 1
    explored_on.command("HSET", "fields", names[0], "another")
    assert digest(explored_on.held()) not in found
    explored_on.command("FLUSHALL")


def test_an_actor_asks_the_same_each_time_or_it_is_told(explored_on: ExploredServer) -> None:
    with mock.patch.object(World, "draw", side_effect=os.urandom), pytest.raises(AssertionError, match="chance"):
        explored(PROTOCOLS["limits"], explored_on, PROTOCOLS["limits"].short)


@pytest.mark.parametrize(("name", "fault"), _FAULTS)
def test_a_fault_put_in_is_caught_and_can_be_replayed(name: str, fault: str, explored_on: ExploredServer) -> None:
    protocol = PROTOCOLS[name]
    mutation = next(each for each in protocol.mutations() if each.name == fault)
    report = explored(protocol, explored_on, protocol.short, mutation)
    assert report.broken, describe(report)
    assert len(report.story) == len(report.numbers.split("."))
    numbers = [int(number) for number in report.numbers.split(".")]
    again = Explorer(protocol, explored_on, Bounds(), mutation).replay(numbers)
    assert (again.broken, again.story) == (report.broken, report.story)
    assert not Explorer(protocol, explored_on, Bounds()).replay(numbers[:-1]).broken
