"""Events: publishing with history, event streams to many browsers, and links that are cut while messages flow."""

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

_ARMS = {"hustlex": "bench.own.events", "redis-py": "bench.peers.events"}
_ROWS = (
    ("hustlex, replay channel (history and message in one step)", "hustlex", "history64"),
    ("hustlex, live channel", "hustlex", "live64"),
    ("redis-py, XADD and PUBLISH in a transaction", "redis-py", "history64"),
    ("redis-py, PUBLISH", "redis-py", "live64"),
)


def main() -> None:
    """Run the arms in turn, then what is measured once; print tables and the summary."""
    figures = Figures()
    with serving() as server:
        for number in Budget(15 if QUICK else 60, 5).rounds():
            for arm in turned(list(_ARMS), number):
                figures.add(arm, run_arm(_ARMS[arm], "auth", server.url, "0.5" if QUICK else "2"))
    with serving() as server:
        figures.add("breaks", run_arm("bench.own.event_breaks", "auth", server.url, "0"))
    with serving() as server:
        figures.add("streams", run_arm("bench.own.event_streams", "auth", server.url, "5" if QUICK else "10"))
    _report(figures)


def _report(figures: Figures) -> None:
    print_table(
        f"Published per second by 64 callers ({versions('redis', 'hiredis', 'uvloop')}): median (min-max)",
        ["", "/s", "CPU us"],
        [[text, figures.cell(arm, name), figures.cell(arm, f"{name}_cpu", 1)] for text, arm, name in _ROWS],
    )
    once = [(arm, name) for arm in ("breaks", "streams") for name in figures.names(arm)]
    print_table("Measured once", ["", ""], [[name, f"{figures.median(arm, name):,.1f}"] for arm, name in once])
    mine = figures.median("hustlex", "history64")
    found = {
        "publish_history64_per_s": mine,
        "publish_history64_vs_redis_py": mine / figures.median("redis-py", "history64"),
    } | {name: figures.median(arm, name) for arm, name in once}
    print_goals("events", found)
    print_summary(found)


if __name__ == "__main__":
    main()
