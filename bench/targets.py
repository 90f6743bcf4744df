"""Figures by name, and what each must reach: those of the job queue, and how any suite's are judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.harness import Figures

_MUST: Mapping[str, tuple[str, float]] = {
    "drain_per_s": (">=", 25_000),
    "drain_vs_best_python": (">=", 2.5),
    "drain_vs_asynq_go": (">=", 2),
    "nap_share_of_ideal": (">=", 0.9),
    "nap_vs_asynq_go": (">=", 4),
    "nap_cpu_us": ("<=", 30),
    "enqueue1_vs_best_python": (">=", 1.5),
    "enqueue1_vs_asynq_go": (">=", 0.8),
    "enqueue64_per_s": (">=", 40_000),
    "enqueue_batch_per_s": (">=", 80_000),
    "pickup_p50_ms": ("<=", 1.5),
    "pickup_p99_ms": ("<=", 5),
    "pickup_p50_vs_best_python": ("<=", 1),
    "pickup_go_p50_ms": ("<=", 1.5),
    "pickup_go_p99_ms": ("<=", 5),
    "open_loop_p99_ms": ("<=", 20),
    "scheduled_late_p99_ms": ("<=", 20),
    "crash_lost": ("<=", 0),
    "crash_repeated_others": ("<=", 0),
    "crash_retries_burnt": ("<=", 0),
    "crash_finished_s": ("<=", 15),
    "idle_commands_per_s": ("<=", 1),
    "idle_cpu_percent": ("<=", 0.5),
    "scripts_per_job": ("<=", 0.2),
    "worker_rss_mb": ("<=", 60),
}
_COPIED = ("pickup_", "open_loop_", "scheduled_", "crash_", "idle_")


def summary(
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


def judged(found: dict[str, float], must: Mapping[str, tuple[str, float]] = _MUST) -> Iterator[list[str]]:
    """Rows: figure, measured, must reach, verdict."""
    for name, (sense, bound) in must.items():
        if name not in found:
            yield [name, "-", f"{sense} {bound:,g}", "not measured"]
            continue
        reached = found[name] >= bound if sense == ">=" else found[name] <= bound
        yield [
            name,
            f"{found[name]:,.{0 if found[name] >= 1_000 else 2}f}",
            f"{sense} {bound:,g}",
            "" if reached else "MISSED",
        ]
