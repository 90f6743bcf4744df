"""The job queue's figures beside what each must reach; ours beside the Python peers and Go's asynq."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import redis

from bench import latency, throughput
from bench.crash import crash
from bench.harness import QUICK, Budget, Figures, print_goals, print_summary, print_table, serving, turned, versions
from bench.idle import PERIOD_SECONDS, idle
from bench.peers import asynq_go
from bench.throughput import OURS

_COLUMNS = (
    ("enqueue 1 by 1 /s", "enqueue1", 0),
    ("blocking /s", "enqueue1_blocking", 0),
    ("64 at once /s", "enqueue64", 0),
    ("batch /s", "enqueue_batch", 0),
    ("drain /s", "drain", 0),
    ("worker us/job", "worker_cpu", 1),
    ("server us/job", "server_cpu", 1),
    ("scripts/job", "scripts", 3),
    ("MB", "rss", 0),
)
_NAP_COLUMNS = (("drain /s", "drain", 0), ("worker us/job", "worker_cpu", 1), ("server us/job", "server_cpu", 1))
_NAPS = "naps of "
_COPIED = ("pickup_", "open_loop_", "scheduled_", "crash_", "idle_")
_LISTENERS = ("repid", "huey")
"""Peers whose workers wait on the server, so that a job is begun as soon as it is there."""


def main() -> None:
    """Measure, then print the tables and the summary."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        no_go = _waiting(figures, Path(folder))
        with serving() as server, redis.Redis.from_url(server.url) as client:
            _throughput(figures, server.url, client, with_go=not no_go)
            _latency(figures, server.url, client, with_go=not no_go)
    _report(figures, no_go)


def _waiting(figures: Figures, folder: Path) -> str:
    """What mostly waits, all at once, each on its own server. Why there is no Go, or ""."""
    with ThreadPoolExecutor(3) as threads:
        built = threads.submit(asynq_go.build, folder)
        crashes = threads.submit(lambda: [crash() for _ in range(1 if QUICK else 3)])
        idled = threads.submit(idle, PERIOD_SECONDS)
        for measured in crashes.result():
            figures.add(OURS, measured)
        figures.add(OURS, idled.result())
        return built.result()


def _throughput(figures: Figures, url: str, client: redis.Redis, *, with_go: bool) -> None:
    arms = throughput.PYTHON | (throughput.GO if with_go else {})
    naps = throughput.NAPS | (throughput.GO_NAPS if with_go else {})
    for number in Budget(36 if QUICK else 200, 9).rounds():
        for name in turned(list(arms), number):
            figures.add(name, throughput.measure(name, arms[name], url, client))
        for name in turned(list(naps), number):
            figures.add(_NAPS + name, throughput.measure(name, naps[name], url, client))
        figures.add(_NAPS + throughput.BARE_LOOP, throughput.bare_loop())


def _latency(figures: Figures, url: str, client: redis.Redis, *, with_go: bool) -> None:
    for _ in range(1 if QUICK else 3):
        figures.add(OURS, latency.into_idle(url, client, 300 if QUICK else 1_000))
        for name in _LISTENERS:
            figures.add(
                name, latency.into_idle_peer(url, client, 100 if QUICK else 500, name, throughput.PYTHON[name].module)
            )
        if with_go:
            found = latency.into_idle(url, client, 300 if QUICK else 1_000, producer="bench.peers.asynq_go")
            figures.add(OURS, {name.replace("pickup", "pickup_go"): value for name, value in found.items()})
            figures.add("asynq 10", latency.into_idle_go(url, client, 8 if QUICK else 40))
        figures.add(OURS, latency.under_load(url, client, figures.median(OURS, "drain") / 2, 2 if QUICK else 5))
        figures.add(OURS, latency.scheduled(url, client, 600 if QUICK else 2_000, 2 if QUICK else 5))


def _report(figures: Figures, no_go: str) -> None:
    go = {} if no_go else throughput.GO
    _print_arms("Jobs that do nothing", [*throughput.PYTHON, *go], figures, "", _COLUMNS)
    title = f"Handlers that sleep for 5 ms, 200 at once: {throughput.IDEAL:,.0f}/s would be ideal"
    naps = [*throughput.NAPS, *([] if no_go else throughput.GO_NAPS), throughput.BARE_LOOP]
    _print_arms(title, naps, figures, _NAPS, _NAP_COLUMNS)
    for name, arm in (throughput.PYTHON | go).items():
        print(f"{name}: {import_module(arm.module).SETTINGS}")
    found = _summary(
        figures,
        OURS,
        [name for name in throughput.PYTHON if name != OURS],
        go,
        _NAPS,
        throughput.BARE_LOOP,
        () if no_go else throughput.GO_NAPS,
    )
    print_goals("jobs", found)
    if no_go:
        print(f"Go's asynq was not measured: {no_go}. Figures that need it are absent.")
    print_summary(found)


def _summary(
    figures: Figures,
    ours: str,
    python: Iterable[str],
    go: Iterable[str],
    naps: str,
    bare_loop: str,
    go_naps: Iterable[str] = (),
) -> dict[str, float]:
    """Medians and ratios, flat. Ratios are taken against the best of the peers' medians; without Go some are absent."""
    python, go = list(python), list(go)
    found: dict[str, float] = {}
    for name in ("drain", "enqueue1", "enqueue64"):
        mine = figures.median(ours, name)
        found |= {f"{name}_per_s": mine, f"{name}_vs_best_python": mine / figures.best(python, name)}
        if go:
            found[f"{name}_vs_asynq_go"] = mine / figures.best(go, name)
        found |= {f"{name}_{peer.replace(' ', '_')}_per_s": figures.median(peer, name) for peer in [*python, *go]}
    found["enqueue_batch_per_s"] = figures.median(ours, "enqueue_batch")
    if blocking := figures.median(ours, "enqueue1_blocking"):
        best = figures.best(python, "enqueue1")
        found |= {"enqueue1_blocking_per_s": blocking, "enqueue1_blocking_vs_best_python": blocking / best}
    found |= {
        "nap_per_s": figures.median(naps + ours, "drain"),
        "nap_share_of_ideal": figures.median(naps + ours, "ideal"),
        "nap_share_of_bare_loop": figures.median(naps + ours, "drain") / figures.median(naps + bare_loop, "drain"),
        "nap_cpu_us": figures.median(naps + ours, "worker_cpu"),
    }
    found |= {"scripts_per_job": figures.median(ours, "scripts"), "worker_rss_mb": figures.median(ours, "rss")}
    found |= {
        f"worker_cpu_us_{arm.replace(' ', '_')}": figures.median(arm, "worker_cpu") for arm in [ours, *python, *go]
    }
    if go_naps:
        found["nap_vs_asynq_go"] = found["nap_per_s"] / figures.best([naps + arm for arm in go_naps], "drain")
    for arm in (ours, *python, *go):
        found |= {name: figures.median(arm, name) for name in figures.names(arm) if name.startswith(_COPIED)}
    waits = [value for name, value in found.items() if name.endswith("_p50_ms") and name[7:-7] in python]
    if waits and "pickup_p50_ms" in found:
        found["pickup_p50_vs_best_python"] = found["pickup_p50_ms"] / min(waits)
    return found


def _print_arms(
    title: str, arms: Sequence[str], figures: Figures, prefix: str, columns: tuple[tuple[str, str, int], ...]
) -> None:
    print_table(
        f"{title}; one worker process, each done exactly once ({versions('repid', 'dramatiq', 'huey')}): "
        "median (min-max)",
        ["", *(head for head, _, _ in columns)],
        [[name, *(figures.cell(prefix + name, figure, digits) for _, figure, digits in columns)] for name in arms],
    )


if __name__ == "__main__":
    main()
