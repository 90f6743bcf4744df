"""Event streams alone: one process to as many browsers as the machine allows, 10,000 at most (`BENCH_BROWSERS`)."""

from __future__ import annotations

from bench.harness import QUICK, Figures, print_summary, print_table, run_arm, serving, versions

_ROWS = (
    ("sse_subscribers", "browsers", ",.0f"),
    ("sse_connects_per_s", "opened per second, answers included", ",.0f"),
    ("sse_memory_kb", "KiB of the process per stream", ",.1f"),
    ("sse_delivery_us", "CPU us of the process per delivery", ",.1f"),
    ("sse_p50_ms", "ms from publish to half of the browsers", ",.0f"),
    ("sse_p99_ms", "ms from publish to 99 % of them", ",.0f"),
    ("sse_lost", "deliveries that are missing", ",.0f"),
    ("sse_files_left", "sockets of the process when all have left", ",.0f"),
)


def main() -> None:
    """Run it once, print a table and the summary."""
    figures = Figures()
    with serving() as server:
        figures.add("streams", run_arm("bench.own.event_streams", "auth", server.url, "5" if QUICK else "10"))
    found = {name: figures.median("streams", name) for name, *_ in _ROWS}
    print_table(
        f"Event streams of one process ({versions('uvicorn', 'uvloop', 'httptools')})",
        ["", ""],
        [[words, format(found[name], form)] for name, words, form in _ROWS],
    )
    print_summary(found)


if __name__ == "__main__":
    main()
