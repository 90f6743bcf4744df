"""``hustlex plan``: memory, calls, network, disk and servers that an application needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from hustlex.cli.output import AsJson, print_fields, print_json, print_table
from hustlex.diagnostics.capacity import Plan, Workload, plan
from hustlex.diagnostics.capacity.plan import RolePlan

_DEFAULTS = Workload(users=0)
_GIB, _KIB = 2**30, 2**10


def capacity(
    users: Annotated[int, typer.Option(min=0, help="Who use it in a day")],
    logins: Annotated[int, typer.Option(min=0, help="A day, each with a code")] = 0,
    requests: Annotated[int, typer.Option(min=0, help="A day: authenticated, limited, one read of the cache each")] = 0,
    payments: Annotated[int, typer.Option(min=0, help="A day: requests with an idempotency key")] = 0,
    jobs: Annotated[int, typer.Option(min=0, help="A day")] = 0,
    retention: Annotated[float, typer.Option(min=0, help="Hours for which results of jobs are kept")] = 0,
    backlog: Annotated[float, typer.Option(min=0, help="Minutes for which jobs may pile up")] = 10,
    job_bytes: Annotated[int, typer.Option(min=0, help="Arguments of a job")] = _DEFAULTS.job_bytes,
    session_days: Annotated[float, typer.Option(min=0, help="How long a session lasts")] = 7,
    limit: Annotated[
        str, typer.Option(help="Algorithm of rate limits: strict, counter, fixed, gcra or log")
    ] = "strict",
    cached: Annotated[int | None, typer.Option(min=0, help="Entries in the cache; default one for each user")] = None,
    cached_bytes: Annotated[int, typer.Option(min=0, help="Of an entry")] = _DEFAULTS.cached_bytes,
    peak: Annotated[float, typer.Option(min=1, help="The busiest minute, in times of the mean")] = _DEFAULTS.peak,
    replicas: Annotated[int, typer.Option(min=0, max=10, help="Of each server")] = _DEFAULTS.replicas,
    server_gib: Annotated[float, typer.Option(min=0.1, help="The most memory one server should hold")] = 16,
    as_json: AsJson = False,
) -> None:
    """What the servers must have for so many users, logins, requests and jobs a day; asks no server.

    Memory is good to a quarter; time depends on the machine, and may be several times off. What is not named has the
    default of hustlex.diagnostics.Workload, which a program can pass whole.
    Example: hustlex plan --users 1000000 --logins 300000 --requests 50000000 --jobs 5000000 --retention 24
    """
    work = Workload(
        users=users,
        logins=logins,
        requests=requests,
        payments=payments,
        jobs=jobs,
        retention=timedelta(hours=retention),
        backlog=timedelta(minutes=backlog),
        job_bytes=job_bytes,
        session_ttl=timedelta(days=session_days),
        algorithm=limit,
        cached=cached,
        cached_bytes=cached_bytes,
        peak=peak,
        replicas=replicas,
        server_memory=int(server_gib * _GIB),
    )
    found = plan(work)
    if as_json:
        print_json("plan/1", {"workload": work, "plan": found})
    else:
        _print(found)


def _print(found: Plan) -> None:
    head = ("server", "what", "at a time", "memory", "calls a day", "disk a day")
    rows = [
        (each.role, each.what, f"{each.count:,.0f}", size(each.memory_bytes), f"{each.calls_per_day:,.0f}",
         size(each.disk_bytes_per_day))
        for each in found.lines
    ]  # fmt: skip
    print_table(head, rows)
    for name, role in (("state", found.state), ("cache", found.cache)):
        print(f"\n{name}")
        print_fields(_figures(role))
    good_to = f"memory to {found.tolerance:.0%}, time to x{found.cpu_tolerance:g}"
    print(f"\n{found.servers} servers, replicas included; {good_to}")


def _figures(role: RolePlan) -> dict[str, Any]:
    return {
        "memory kept": size(role.memory_bytes),
        "maxmemory": f"{size(role.maxmemory_bytes)}, on {role.shards} server{'s' if role.shards > 1 else ''}",
        "each machine": size(role.machine_bytes),
        "calls": f"{role.calls_per_s:,.0f}/s, at the peak {role.peak_calls_per_s:,.0f}/s",
        "cores": f"{role.peak_core:.2f} at the peak; the next shard would be for {role.bound_by}",
        "network": f"{size(role.peak_network_bytes_per_s)}/s at the peak",
        "disk": f"{size(role.disk_bytes_per_day)} a day written, {size(role.disk_bytes)} taken at most",
    }


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < _KIB:
            return f"{number:,.3g} {unit}" if number < 100 else f"{number:,.0f} {unit}"
        number /= _KIB
    return f"{number:,.1f} TiB"
