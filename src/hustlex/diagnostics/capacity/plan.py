"""Memory, calls, network, disk and servers for a workload, from the measured costs of one thing each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import msgspec

from hustlex.core import check
from hustlex.diagnostics.capacity.cost import CPU_TOLERANCE, TOLERANCE
from hustlex.diagnostics.capacity.costs import COSTS, MEASURED_BODY, MEASURED_PAYLOAD
from hustlex.diagnostics.capacity.workload import Workload

_ROOM = 1.5
"""maxmemory for each byte that is kept: buffers, the tables' growth, a rewrite's copies on write."""
_MACHINE = 4 / 3
"""Memory of the machine for each byte of maxmemory."""
_CORE = 0.6
"""Of the one thread that runs commands, in the busiest minute: above it waiting begins to show."""
_REWRITTEN = 2.0
"""The append-only file is rewritten at twice its size, beside the old one."""
_DAY = timedelta(days=1)
_CODE_LIFE = timedelta(minutes=5)


class PlanLine(msgspec.Struct, frozen=True):
    """One kind of thing."""

    role: str
    """state or cache: on which server."""
    what: str
    """As "open sessions"."""
    count: float
    """How many there are at a time."""
    memory_bytes: float
    """Of all of them."""
    calls_per_day: float
    """Round trips for them."""
    cpu_s_per_day: float
    """Seconds of the server's one thread."""
    network_bytes_per_day: float
    """That the server reads and writes."""
    disk_bytes_per_day: float
    """That are appended to its file."""


class RolePlan(msgspec.Struct, frozen=True):
    """What the servers of a role need, all together; replicas come on top."""

    memory_bytes: float
    """That things keep."""
    maxmemory_bytes: float
    """With room for what comes and goes."""
    machine_bytes: float
    """Of each machine, its system included."""
    calls_per_s: float
    """On average."""
    peak_calls_per_s: float
    """In the busiest minute."""
    peak_core: float
    """Cores of the threads that run commands, in the busiest minute."""
    peak_network_bytes_per_s: float
    """Read and written in the busiest minute, copies for replicas included."""
    disk_bytes_per_day: float
    """Appended; rewriting makes it small again."""
    disk_bytes: float
    """The most that the file takes, while it is rewritten."""
    shards: int
    """Servers that share the keys; one is a single server, more are a cluster."""
    bound_by: str
    """"memory" or "cpu": what would need the next shard."""


class Plan(msgspec.Struct, frozen=True):
    """For a workload. tolerance: of memory, as a share; cpu_tolerance: how many times off the time may be."""

    lines: tuple[PlanLine, ...]
    """Each kind of thing, the largest first."""
    state: RolePlan
    """What must not be lost."""
    cache: RolePlan
    """What may be lost."""
    servers: int
    """Of both roles, replicas included."""
    tolerance: float = TOLERANCE
    cpu_tolerance: float = CPU_TOLERANCE


def plan(workload: Workload) -> Plan:
    """Arithmetic alone: nothing is asked. Raises Misuse."""
    check.instance("workload", workload, Workload)
    lines = sorted(_lines(workload), key=lambda line: -line.memory_bytes)
    state, cache = (_role([line for line in lines if line.role == role], workload) for role in ("state", "cache"))
    servers = (state.shards + cache.shards) * (1 + workload.replicas)
    return Plan(tuple(lines), state, cache, servers)


def _lines(w: Workload) -> Iterator[PlanLine]:
    days = w.session_ttl / _DAY
    sessions = w.logins * days
    yield _line("open sessions", sessions * (1 - w.logouts), w.logins, "session")
    ended = w.logins * w.logouts
    yield _line("sessions logged out, tokens revoked", _at_once(ended, w, w.access_ttl), ended, "revocation")
    yield _line("token checks with the server", 0, w.requests * w.strict_checks, "check")
    yield _line("open codes", _at_once(w.logins, w, _CODE_LIFE), w.logins, "code")
    yield _limits(w)
    kept_for = w.answer_ttl / _DAY
    extra = w.answer_bytes - MEASURED_BODY
    yield _line("payments and their answers", w.payments * kept_for, w.payments, "payment", extra)
    more = w.job_bytes - MEASURED_PAYLOAD
    yield _line("jobs that wait", _at_once(w.jobs, w, w.backlog), 0, "job", more)
    yield _line("results of jobs", w.jobs * (w.retention / _DAY), w.jobs, "job_done", 2 * more)
    entries = w.cached if w.cached is not None else w.users
    misses = w.requests * (1 - w.hit_share)
    yield _line("cached entries", entries, misses, "cached", w.cached_bytes - MEASURED_BODY, role="cache")
    yield _line("reads of the cache", 0, w.requests, "cache_read", w.cached_bytes - MEASURED_BODY, role="cache")


def _at_once(per_day: float, w: Workload, life: timedelta) -> float:
    """How many there are in the busiest time of things that live so long; no more than come in a day."""
    return min(per_day * max(1.0, life / _DAY), per_day * w.peak * (life / _DAY))


def _limits(w: Workload) -> PlanLine:
    """Who calls in a window has a record, for up to two windows."""
    calls = _at_once(w.requests, w, 2 * w.window)
    callers = min(w.users, calls)
    entries = min(calls / callers, w.limit) if callers and w.algorithm == "log" else 1
    return _line(f"limits ({w.algorithm})", callers * entries, w.requests, f"limit_{w.algorithm}")


def _line(what: str, count: float, made: float, cost: str, extra: float = 0, *, role: str = "state") -> PlanLine:
    """count: at a time. made: in a day. extra: bytes of each beyond what was measured."""
    each = COSTS[cost]
    wire = max(0.0, each.network + extra)
    disk = max(0.0, each.disk + extra) if each.disk else 0.0
    return PlanLine(
        role,
        what,
        count,
        count * max(0.0, each.bytes + extra),
        made * each.calls,
        made * each.cpu_us / 1e6,
        made * wire,
        made * disk,
    )


def _role(lines: list[PlanLine], w: Workload) -> RolePlan:
    memory = sum(line.memory_bytes for line in lines)
    calls = sum(line.calls_per_day for line in lines) / _DAY.total_seconds()
    core = sum(line.cpu_s_per_day for line in lines) / _DAY.total_seconds() * w.peak
    network = sum(line.network_bytes_per_day for line in lines) / _DAY.total_seconds() * w.peak
    disk = sum(line.disk_bytes_per_day for line in lines)
    by_memory, by_cpu = memory * _ROOM / w.server_memory, core / _CORE
    shards = max(1, math.ceil(max(by_memory, by_cpu)))
    copies = disk / _DAY.total_seconds() * w.peak * w.replicas
    return RolePlan(
        memory,
        memory * _ROOM,
        memory * _ROOM * _MACHINE / shards,
        calls,
        calls * w.peak,
        core,
        network + copies,
        disk,
        memory * (_REWRITTEN + 1),
        shards,
        "memory" if by_memory >= by_cpu else "cpu",
    )
