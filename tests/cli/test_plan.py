"""``hustlex plan``: its constants are what a real server says, and its sums are those of the workload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from hustlex.cli.main import cli
from hustlex.cli.plan import size
from hustlex.diagnostics import Workload, plan
from hustlex.diagnostics.capacity.cost import CPU_TOLERANCE, TOLERANCE
from hustlex.diagnostics.capacity.costs import COSTS, MEASURED_BODY, MEASURED_PAYLOAD
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Misuse
from tools import measure_costs

SMALL = 32
"""Bytes by which a small record may differ whatever its size: a size class of the allocator, or two."""
SHARED = 64
"""Bytes on the wire by which a call may differ: checks that come together share one, more or fewer of them."""


@pytest.fixture(scope="module")
def measured() -> Iterator[EmbeddedServer]:
    with measure_costs.server() as server:
        yield server


@pytest.mark.parametrize("name", measure_costs.ACTS)
async def test_the_constants_are_what_a_server_says(measured: EmbeddedServer, name: str) -> None:
    """After a change of what a room keeps: ``make costs``."""
    said = COSTS[name]
    found = await measure_costs.cost_of(name, measured, 1_000)
    assert found.bytes == pytest.approx(said.bytes, rel=TOLERANCE, abs=SMALL)
    assert found.network == pytest.approx(said.network, rel=TOLERANCE, abs=SHARED)
    assert found.disk == pytest.approx(said.disk, rel=TOLERANCE, abs=SMALL)
    assert found.calls == pytest.approx(said.calls, abs=0.3)
    assert said.cpu_us / CPU_TOLERANCE < found.cpu_us < said.cpu_us * CPU_TOLERANCE


def test_every_constant_is_measured() -> None:
    assert COSTS.keys() == measure_costs.ACTS.keys()
    assert (MEASURED_BODY, MEASURED_PAYLOAD) == (measure_costs.BODY_BYTES, measure_costs.PAYLOAD_BYTES)


def lines(work: Workload) -> dict[str, Any]:
    return {line.what: line for line in plan(work).lines}


def test_memory_is_the_number_of_things_times_what_one_keeps() -> None:
    work = Workload(users=1_000, logins=100, jobs=10_000, retention=timedelta(days=2), logouts=0)
    found = lines(work)
    assert found["open sessions"].count == 700
    assert found["open sessions"].memory_bytes == 700 * COSTS["session"].bytes
    assert found["results of jobs"].memory_bytes == 20_000 * COSTS["job_done"].bytes
    assert found["cached entries"].memory_bytes == 1_000 * COSTS["cached"].bytes
    whole = plan(work)
    kept = sum(line.memory_bytes for line in whole.lines if line.role == "state")
    assert whole.state.memory_bytes == pytest.approx(kept)
    assert (whole.state.shards, whole.cache.shards, whole.servers) == (1, 1, 4)


def test_larger_arguments_and_answers_cost_their_bytes() -> None:
    small, large = (
        lines(Workload(users=1, jobs=1_000, job_bytes=n, retention=timedelta(days=1))) for n in (300, 1_300)
    )
    more = large["results of jobs"].memory_bytes - small["results of jobs"].memory_bytes
    assert more == 1_000 * 2 * 1_000, "arguments and result"


def test_shards_come_with_memory_or_with_time() -> None:
    by_memory = plan(Workload(users=0, jobs=100_000_000, retention=timedelta(days=3)))
    assert by_memory.state.shards > 1 and by_memory.state.bound_by == "memory"
    by_cpu = plan(Workload(users=1_000, requests=10**10))
    assert by_cpu.state.shards > 1 and by_cpu.state.bound_by == "cpu"
    assert by_cpu.state.peak_core / by_cpu.state.shards <= 0.6


def test_only_who_calls_in_a_window_has_a_limit() -> None:
    few = lines(Workload(users=1_000_000, requests=720))["limits (strict)"]
    many = lines(Workload(users=1_000, requests=10**9))["limits (strict)"]
    log = lines(Workload(users=1_000, requests=10**9, algorithm="log", limit=60))["limits (log)"]
    assert (few.count, many.count, log.count) == (pytest.approx(4), 1_000, 60_000)


def test_nothing_costs_nothing() -> None:
    found = plan(Workload(users=0, replicas=0))
    assert (found.state.memory_bytes, found.state.calls_per_s, found.servers) == (0, 0, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": -1},
        {"jobs": 1.5},
        {"peak": 0.5},
        {"logouts": 2},
        {"algorithm": "leaky"},
        {"retention": 24},
        {"cached": -1},
    ],
)
def test_a_workload_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=next(iter(wrong))):
        Workload(**{"users": 1, **wrong})


def test_the_command_prints_the_same() -> None:
    words = ["plan", "--users", "1000000", "--logins", "300000", "--requests", "50000000", "--jobs", "5000000"]
    answer = json.loads(CliRunner().invoke(cli, [*words, "--retention", "24", "--json"]).stdout)
    work = Workload(users=1_000_000, logins=300_000, requests=50_000_000, jobs=5_000_000, retention=timedelta(hours=24))
    assert answer["schema"] == "hustlex.plan/1"
    assert answer["plan"]["state"] == pytest.approx(msgspec.to_builtins(plan(work).state))
    shown = CliRunner().invoke(cli, [*words, "--retention", "24"]).stdout
    assert "open sessions" in shown and "servers, replicas included; memory to 25%" in shown
    wrong = CliRunner().invoke(cli, ["plan", "--users", "1", "--limit", "leaky"])
    assert isinstance(wrong.exception, Misuse)


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 999, 2_048, 5 * 2**30, 3 * 2**40)] == ["0 B", "999 B", "2 KiB", "5 GiB", "3.0 TiB"]
