"""GET from 1 and from 64 callers: our driver beside redis-py's asyncio client on either event loop."""

from __future__ import annotations

from bench import durable
from bench.harness import QUICK, Budget, Figures, print_summary, print_table, run_arm, serving, turned, versions

_OURS = ("bench.own.redis", "uvloop")
_ARMS = {
    "hustlex, uvloop": _OURS,
    "redis-py, asyncio": ("bench.peers.redis_py", "asyncio"),
    "redis-py, uvloop": ("bench.peers.redis_py", "uvloop"),
}
_FIGURES = (
    ("1 caller /s", "get1", 0),
    ("CPU us", "get1_cpu", 1),
    ("64 callers /s", "get64", 0),
    ("CPU us", "get64_cpu", 1),
)


def main() -> None:
    """Run the arms in turn, print the table and the summary."""
    figures = Figures()
    with serving() as server:
        _fill(server.url)
        for number in Budget(40 if QUICK else 120, 9).rounds():
            for arm in turned(list(_ARMS), number):
                module, loop = _ARMS[arm]
                figures.add(arm, run_arm(module, "get", server.url, loop, "0.8" if QUICK else "2"))
    _report(figures)


def _fill(url: str) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        client.set("bench:key", b"x" * 100)


def _report(figures: Figures) -> None:
    print_table(
        f"GET of 100 bytes, one process ({versions('redis', 'hiredis', 'uvloop')}): median (min-max)",
        ["", *(head for head, _, _ in _FIGURES)],
        [[arm, *(figures.cell(arm, name, digits) for _, name, digits in _FIGURES)] for arm in _ARMS],
    )
    ours, *theirs = _ARMS
    summary: dict[str, float] = {}
    for name in ("get1", "get64"):
        summary |= {
            f"{name}_vs_redis_py": figures.median(ours, name) / figures.best(theirs, name),
            f"{name}_per_s": figures.median(ours, name),
            f"{name}_cpu_us": figures.median(ours, f"{name}_cpu"),
            f"{name}_redis_py_asyncio_per_s": figures.median("redis-py, asyncio", name),
            f"{name}_redis_py_uvloop_per_s": figures.median("redis-py, uvloop", name),
        }
    print_summary(summary | durable.measured())


if __name__ == "__main__":
    main()
