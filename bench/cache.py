"""The cache: hits, a cold key in two processes, tags and the race with invalidations, beside what others offer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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

_PEERS = {
    "cashews": "bench.peers.cashews",
    "fastapi-cache2": "bench.peers.fastapi_cache2",
    "fastapi-redis-sdk": "bench.peers.fastapi_redis_sdk",
}
_ARMS = {"hustlex": "bench.own.cache"} | _PEERS
_RACERS = ("hustlex", "cashews", "fastapi-redis-sdk")
_STAMPEDE = ("hustlex",)


def main() -> None:
    """Run the arms in turn, print the tables and the summary."""
    figures = Figures()
    with serving() as server:
        for number in Budget(30 if QUICK else 120, 7).rounds():
            for arm in turned(list(_ARMS), number):
                figures.add(arm, run_arm(_ARMS[arm], "hits", server.url, "0.4" if QUICK else "1"))
        figures.add("hustlex", run_arm(_ARMS["hustlex"], "cache_extras", server.url))
        for arm in _RACERS:
            figures.add(arm, run_arm(_ARMS[arm], "race", server.url, "4" if QUICK else "20"))
        with ThreadPoolExecutor(2) as pool:
            ran = [pool.submit(run_arm, _ARMS["hustlex"], "stampede", server.url) for _ in range(2)]
            computed = sum(each.result()["computed"] for each in ran)
    _report(figures, computed)


def _report(figures: Figures, computed: float) -> None:
    print_table(
        f"A cached function, found in Redis ({versions('cashews', 'fastapi-cache2', 'fastapi-redis-sdk', 'redis')})",
        ["", "64 callers /s", "CPU us", "stale reads", "of"],
        [[arm, *(figures.cell(arm, name, digits) for name, digits in _COLUMNS)] for arm in _ARMS],
    )
    ours = figures.median("hustlex", "hits64")
    summary = {f"cached64_vs_{arm.replace('-', '_')}": ours / figures.median(arm, "hits64") for arm in _PEERS}
    summary |= {
        f"cached64_cpu_vs_{arm.replace('-', '_')}": figures.median(arm, "hits64_cpu")
        / figures.median("hustlex", "hits64_cpu")
        for arm in _PEERS
    }
    summary |= {name: figures.median("hustlex", name) for name in ("near_hit_us", "near_function_us")}
    summary |= {name: figures.median("hustlex", name) for name in ("tag_cost_ratio", "tag_big_us")}
    summary |= {"stampede_computes": computed, "cached64_per_s": ours}
    summary |= {"stale_reads": figures.median("hustlex", "stale"), "race_gets": figures.median("hustlex", "gets")}
    summary |= {f"stale_reads_{arm.replace('-', '_')}": figures.median(arm, "stale") for arm in _RACERS[1:]}
    print_goals("cache", summary)
    print_summary(summary)


_COLUMNS = (("hits64", 0), ("hits64_cpu", 1), ("stale", 0), ("gets", 0))


if __name__ == "__main__":
    main()
