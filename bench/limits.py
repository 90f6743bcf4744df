"""Rate limit decisions from 1 and from 64 callers over 200 identities: every algorithm of ours beside ``limits``."""

from __future__ import annotations

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

_KINDS = ("counter", "strict", "fixed", "gcra", "log", "three", "prefetch", "denied")
_OURS = {f"hustlex {kind}": ("bench.own.limits", "decide", kind, "uvloop") for kind in _KINDS}
_HOT = {"hustlex counter, one key": ("bench.own.limits", "decide", "counter", "uvloop", "one")} | {
    f"limits sliding_counter, one key, {loop}": ("bench.peers.limits", "decide", "sliding_counter", loop, "one")
    for loop in ("uvloop", "asyncio")
}
_COLD = {"hustlex strict, new callers": ("bench.own.limits", "decide", "strict", "uvloop", "fresh")}
_THEIRS = {
    f"limits {kind}, {loop}": ("bench.peers.limits", "decide", kind, loop)
    for kind in ("sliding_counter", "moving", "fixed", "denied")
    for loop in ("uvloop", "asyncio")
    if kind == "sliding_counter" or loop == "uvloop"
}
_BLOCKING = {
    "hustlex counter, blocking": ("bench.own.limits", "decide_blocking", "counter"),
    "limits sliding_counter, blocking": ("bench.peers.limits", "decide_blocking", "sliding_counter"),
    "limits moving, blocking": ("bench.peers.limits", "decide_blocking", "moving"),
}
_ARMS = _OURS | _HOT | _COLD | _THEIRS | _BLOCKING
_SLIDING = ("limits sliding_counter, uvloop", "limits sliding_counter, asyncio")
_FIGURES = (
    ("1 caller /s", "one", 0),
    ("CPU us", "one_cpu", 1),
    ("64 callers /s", "many", 0),
    ("CPU us", "many_cpu", 1),
    ("server CPU us", "many_server_cpu", 1),
)


def main() -> None:
    """Run the arms in turn, print the table and the summary."""
    figures = Figures()
    with serving() as server:
        for number in Budget(60 if QUICK else 180, 7).rounds():
            for arm in turned(list(_ARMS), number):
                module, action, *arguments = _ARMS[arm]
                figures.add(arm, run_arm(module, action, server.url, "0.4" if QUICK else "1", *arguments))
    _report(figures)


def _report(figures: Figures) -> None:
    print_table(
        f"Decisions, one process ({versions('limits', 'redis', 'hiredis', 'uvloop')}): median (min-max)",
        ["", *(head for head, _, _ in _FIGURES)],
        [[arm, *(figures.cell(arm, name, digits) for _, name, digits in _FIGURES)] for arm in _ARMS],
    )
    summary = {
        "sliding64_vs_limits": figures.median("hustlex counter", "many") / figures.best(_SLIDING, "many"),
        "hot64_vs_limits": figures.median("hustlex counter, one key", "many")
        / figures.best([arm for arm in _HOT if arm.startswith("limits")], "many"),
        "strict64_vs_limits_sliding": figures.median("hustlex strict", "many") / figures.best(_SLIDING, "many"),
        "log64_vs_limits_moving": figures.median("hustlex log", "many")
        / figures.median("limits moving, uvloop", "many"),
        "prefetch64_vs_limits_sliding": figures.median("hustlex prefetch", "many") / figures.best(_SLIDING, "many"),
        "one_vs_limits": figures.median("hustlex counter", "one") / figures.best(_SLIDING, "one"),
        "blocking_vs_limits": figures.median("hustlex counter, blocking", "one")
        / figures.median("limits sliding_counter, blocking", "one"),
        "local_denied_per_s": figures.best(["hustlex denied"], "many"),
        "limits_denied_per_s": figures.median("limits denied, uvloop", "many"),
    }
    for arm in ("hustlex counter", "hustlex strict", "hustlex strict, new callers", *_SLIDING):
        name = arm.replace("hustlex ", "").replace(", ", "_").replace(" ", "_")
        summary |= {
            f"{name}64_per_s": figures.median(arm, "many"),
            f"{name}1_per_s": figures.median(arm, "one"),
            f"{name}64_cpu_us": figures.median(arm, "many_cpu"),
            f"{name}64_server_cpu_us": figures.median(arm, "many_server_cpu"),
        }
    print_goals("limits", summary)
    print_summary(summary)


if __name__ == "__main__":
    main()
