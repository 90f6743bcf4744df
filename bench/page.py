"""Writes ``docs/benchmarks.md``, its pictures and the figures of the README from ``bench/results``.

``--check`` fails when they are not what the results say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.picture import Bar, Group, drawn
from bench.results import SUITES, Result, Table, kept
from bench.targets import BOUNDS, GOALS, judged, missed

ROOT = Path(__file__).parents[1]
PAGE, README, PICTURES = ROOT / "docs/benchmarks.md", ROOT / "README.md", ROOT / "docs/pictures"
Results = Mapping[str, Result]

_HEAD = """# Figures

What `make bench` measured last ([where and with what](#machine-versions-and-commands)), written by it: peers at their
best settings beside us in the same run, medians of the rounds, minimum and maximum in parentheses. What carries over to
another machine is the ratio ([method, and what bounds each figure](../bench/README.md)).
"""
_ONCE = re.compile(r"^(\S+) \(\1-\1\)$")
"""The median of one round."""
_WEB = re.compile("slowapi|limiter|sdk|cashews|cache2|PyJWT")


class Comparison(NamedTuple):
    """Ours beside each peer's. table: how its title begins, "" for names of figures. short: its title in the README."""

    title: str
    suite: str
    table: str
    column: str
    bars: Mapping[str, str]
    """Who, ours first, and the name of the row or figure."""
    unit: str = "/s"
    less: bool = False
    """Whether less is better."""
    short: str = ""


def _same(*names: str) -> dict[str, str]:
    return {name.replace("asynq", "Go asynq,").replace("limits sliding_counter", "limits"): name for name in names}


_CLIENTS = _same("hustlex", "redis-py, uvloop", "redis-py, asyncio", "coredis", "valkey-glide")
_QUEUES = _same("hustlex", "repid", "dramatiq", "huey", "asynq 10", "asynq 100")
_COUNTERS = {"hustlex": "hustlex counter"} | _same("limits sliding_counter, uvloop", "limits sliding_counter, asyncio")
_HOT = {"hustlex": "hustlex counter, one key"} | {
    f"limits, {loop}": f"limits sliding_counter, one key, {loop}" for loop in ("uvloop", "asyncio")
}
_BLOCKING = {"hustlex": "hustlex counter, blocking", "limits": "limits sliding_counter, blocking"}
_CHECKS = {f"PyJWT and redis-py, {kind}": f"check, PyJWT + redis-py, {kind}" for kind in ("HS256", "ES256", "EdDSA")}
_WAITS = {"hustlex": "pickup_p50_ms"} | {
    name: f"pickup_{peer}_p50_ms" for name, peer in (("repid", "repid"), ("huey", "huey"), ("Go asynq", "asynq"))
}
_JOBS, _DECISIONS, _AUTH = "Jobs that do nothing", "Decisions, one process", "One process, uvloop"
_PUBLISHED = "Published per second"

_STRICT = {"hustlex": "check, strict"} | _CHECKS
_BOUNDED = {"hustlex": "check, bounded"} | _CHECKS
_NEW = {"hustlex": "check, strict, token never seen", "hustlex, Ed25519": "the same, Ed25519"} | _CHECKS
_CACHES = _same("hustlex", "cashews", "fastapi-cache2", "fastapi-redis-sdk")
_EVENTS = {
    "hustlex": "hustlex, replay channel (history and message in one step)",
    "redis-py": "redis-py, XADD and PUBLISH in a transaction",
}
_CHECKED = "token check, strict, 64 callers"
_DRAIN, _PICKED_UP = "drain of jobs that do nothing, one worker, each done once", "pick-up by an idle worker"

COMPARISONS = (
    Comparison("GET, 64 callers", "redis", "GET of", "64 /s", _CLIENTS, short="GET, 64 callers"),
    Comparison("GET, one caller", "redis", "GET of", "1 /s", _CLIENTS),
    Comparison(
        "rate limit, 64 callers", "limits", _DECISIONS, "64 callers /s", _COUNTERS, short="rate limit, 64 callers"
    ),
    Comparison("rate limit, 64 callers, one identity", "limits", _DECISIONS, "64 callers /s", _HOT),
    Comparison("rate limit, one caller", "limits", _DECISIONS, "1 caller /s", _COUNTERS),
    Comparison("rate limit, one thread", "limits", _DECISIONS, "1 caller /s", _BLOCKING),
    Comparison(
        "token check, strict, 64 callers",
        "auth",
        _AUTH,
        "64 callers /s",
        _STRICT,
        short="token check, strict, 64 callers",
    ),
    Comparison("token check, bounded, 64 callers", "auth", _AUTH, "64 callers /s", _BOUNDED),
    Comparison("token never seen before, strict, 64 callers", "auth", _AUTH, "64 callers /s", _NEW),
    Comparison(_DRAIN, "jobs", _JOBS, "drain /s", _QUEUES, short="jobs drained by one worker"),
    Comparison("enqueue, 64 callers", "jobs", _JOBS, "64 at once /s", _QUEUES),
    Comparison(
        "enqueue, one awaited after another", "jobs", _JOBS, "enqueue 1 by 1 /s", _QUEUES, short="one enqueue at a time"
    ),
    Comparison(f"{_PICKED_UP}, median", "jobs", "", "", _WAITS, " ms", less=True, short=_PICKED_UP),
    Comparison("cached function found in Redis, 64 callers", "cache", "A cached function", "64 callers /s", _CACHES),
    Comparison("publish with history, 64 callers", "events", _PUBLISHED, "/s", _EVENTS),
)
SECTIONS = {
    "redis": ("The connection", "One process; and enqueues that wait for the disk or for a replica."),
    "jobs": ("Jobs", "One worker process drains what was enqueued; each job is done exactly once, or the suite fails."),
    "auth": (
        "Tokens and codes",
        "The peer is written by hand. Our tokens were seen before, unless it says never.",
    ),
    "limits": (
        "Rate limits",
        "200 identities, unless it says one. three: three limits in one call; prefetch: places kept in the process; "
        "denied: refusals from memory.",
    ),
    "cache": ("The cache", "200 keys. A stale read is older than an invalidation that had returned before it began."),
    "web": (
        "HTTP end to end",
        "What a thing adds to a request over the same bare route, 16 connections.",
    ),
    "events": ("Events", "Publishing, a subscription that is cut while messages flow, and streams of one process."),
    "memory": (
        "On the server",
        "What `used_memory` grew by per thing, the server's tables and the allocator's rounding included. "
        "Why records are so small: [0088](decisions/0088-records-stay-compact.md), "
        "[0089](decisions/0089-receipts-share-a-set.md).",
    ),
    "processes": ("Several processes", "Workers and server share the cores."),
    "growth": ("Growth", "An operation beside a thousand things, and beside many more of the same."),
    "metrics": ("Being counted", "In one process; a call is counted in three numbers and a gauge."),
}


def compared(results: Results) -> Iterator[tuple[Comparison, list[tuple[str, float]]]]:
    """Each row that was measured on both sides: who, and how much, ours first."""
    for row in COMPARISONS:
        result = results.get(row.suite)
        if result is None:
            continue
        values = [(who, value) for who, name in row.bars.items() if (value := _value(result, row, name))]
        if len(values) > 1 and values[0][0] == "hustlex":
            yield row, values


def _value(result: Result, row: Comparison, name: str) -> float | None:
    if not row.table:
        return result.figures.get(name)
    table = next((table for table in result.tables if table.title.startswith(row.table)), None)
    return table.cell(name, row.column) if table is not None else None


def told(value: float, unit: str) -> str:
    """Three digits are all that a median of some rounds has."""
    if value >= 1_000:
        digits = len(f"{value:.0f}") - 3
        value = round(value / 10**digits) * 10**digits
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}{unit}"


def _against(row: Comparison, values: Sequence[tuple[str, float]]) -> tuple[str, str]:
    """Ours, and the best peer's with the ratio."""
    (_, mine), *others = [each for each in values if each[0] == "hustlex" or not _ours(each[0])]
    who, theirs = (min if row.less else max)(others, key=lambda each: each[1])
    ratio = theirs / mine if row.less else mine / theirs
    times = f"{ratio:,.{0 if ratio >= 100 else 1 if ratio >= 1.1 else 2}f}x"
    return told(mine, row.unit), f"{who} {told(theirs, row.unit)}: {f'**{times}**' if ratio >= 1 else times}"


def _ours(who: str) -> bool:
    return who.startswith("hustlex")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    right = [all(re.match(r"[-*<>=\d]|$", row[at]) for row in rows) for at in range(len(head))]
    lines = [head, ["---:" if each else "---" for each in right], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _plain(text: str) -> str:
    """As it is, in a cell of Markdown."""
    return re.sub(r"([\\*_<|`\[\]])", r"\\\1", text)


def _shown(table: Table) -> str:
    rows = [[_plain(_ONCE.sub(r"\1", cell)) for cell in row] for row in table.rows]
    return f"{_plain(table.title)}\n\n{_markdown([_plain(cell) for cell in table.head], rows)}"


def _goals(results: Results) -> str:
    rows = []
    for suite, result in results.items():
        for (name, measured, must, _), goal in zip(judged(result.figures, suite), GOALS[suite].values(), strict=True):
            fails = missed(result.figures, name, goal)
            verdict = BOUNDS.get(name, "missed") if fails else "not measured" if measured == "-" else ""
            rows.append([f"`{name}`", f"**{measured}**" if fails else measured, must, verdict])
    return "## Goals\n\n" + _markdown(["figure", "measured", "must reach", "where it is missed, what bounds it"], rows)


def _section(suite: str, result: Result | None) -> str:
    title, says = SECTIONS[suite]
    if result is None:
        return f"## {title}\n\n{says} Not measured yet: `make bench-{suite}`.\n"
    picture = "\n![Microseconds that a route costs more](pictures/web.svg)\n" if suite == "web" else ""
    return f"## {title}\n\n{says}\n{picture}\n" + "\n".join(_shown(table) for table in result.tables)


def _measured(results: Results) -> str:
    rows = [[f"`{result.command}`", result.date, result.machine] for result in results.values()]
    parts = ["## Machine, versions and commands\n", _markdown(["command", "day", "machine"], rows)]
    together: dict[str, list[str]] = {}
    for result in results.values():
        versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
        together.setdefault(versions, []).append(result.suite)
    for versions, suites in together.items():
        parts.append(f"{', '.join(suites)}: {versions}.\n")
    return "\n".join(parts)


def page(results: Results) -> str:
    """The whole of docs/benchmarks.md."""
    rows = [[row.title, *_against(row, values)] for row, values in compared(results)]
    table = _markdown(["one Python process, Valkey on loopback", "hustlex", "the best peer in the same run"], rows)
    picture = "![Beside each peer; each group to its own scale](pictures/rates.svg)\n"
    sections = [_section(suite, results.get(suite)) for suite in SUITES]
    return "\n".join([_HEAD, table, picture, _goals(results), *sections, _measured(results)])


def readme(text: str, results: Results) -> str:
    """The README with the figures of today."""
    rows = [[row.short, *_against(row, values)] for row, values in compared(results) if row.short]
    table = _markdown(["one Python process, Valkey on loopback", "hustlex", "best peer, same run"], rows)
    table = table.replace("---:", "---")
    return re.sub(r"(## Figures\n\n).*?(?=\n\[All figures)", lambda found: found[1] + table, text, flags=re.DOTALL)


def pictures(results: Results) -> dict[Path, str]:
    """Each picture's file and text."""
    rates = [
        Group(row.title, [Bar(who, value, told(value, row.unit), _ours(who)) for who, value in values])
        for row, values in compared(results)
    ]
    found = {PICTURES / "rates.svg": drawn(rates, "Beside each peer", together=False)}
    if "web" in results:
        table = results["web"].tables[0]
        costs = {row[0]: table.cell(row[0], "CPU added us") for row in table.rows}
        bars = [Bar(who, max(us, 0), f"{us:.0f} us", not _WEB.search(who)) for who, us in costs.items() if us]
        found[PICTURES / "web.svg"] = drawn([Group("", bars)], "Microseconds that a route costs more", together=True)
    return found


def files() -> dict[Path, str]:
    """What is written, by where it belongs."""
    results = kept()
    text = README.read_text("utf-8")
    return {PAGE: page(results), README: readme(text, results), **pictures(results)}


def main(arguments: list[str]) -> int:
    """Write, or check."""
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is not what bench/results say: run `make docs`")
        else:
            path.write_text(text, "utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
