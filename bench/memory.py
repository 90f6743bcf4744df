"""Bytes that each thing costs on the server: ours beside the peers, and each key of ours by itself."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import redis
import uvloop

from bench.harness import QUICK, Figures, print_goals, print_summary, print_table, serving, versions
from bench.own import memory as own
from bench.peers import asynq_go
from bench.peers import memory as peers

_COUNT = 5_000 if QUICK else 20_000
_WARM = 200
_ROUNDS = 1 if QUICK else 3
_OWN_NAME = re.compile(
    r"(?<=x:sent:)[\w-]{8}|\{[a-z2-7]{26}\}|\{user\d+\}|[0-9a-f]{8}-[0-9a-f-]{27}|[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])|[0-9a-f]{26,64}|\d{2,}"
)


def main() -> None:
    """Measure each thing, on a server of its own, and print the tables and the summary."""
    figures = Figures()
    keys: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        no_go = asynq_go.build(Path(folder))
        made = own.THINGS | peers.THINGS | ({} if no_go else peers.GO_THINGS)
        for number in range(_ROUNDS):
            for name, make in made.items():
                rows = keys if number == 0 and name in own.THINGS else None
                figures.add(name, {"bytes": measured(name, make, rows)})
    _report(figures, made, keys)
    if no_go:
        print(f"Go's asynq was not measured: {no_go}. Its layout was written by hand, command by command.")


def measured(name: str, make: peers.Make, rows: list[list[str]] | None) -> float:
    """Bytes of the server's memory per thing: what ``used_memory`` grew by, tables and allocator included."""
    with serving() as server, redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        uvloop.run(_made(make, server.url, 0, _WARM))
        before = _used(client)
        known = set(client.scan_iter(count=1_000)) if rows is not None else set()
        uvloop.run(_made(make, server.url, _WARM, _COUNT))
        grown = (_used(client) - before) / _COUNT
        if rows is not None:
            rows += _keys(name, client, known)
        return grown


async def _made(make: peers.Make, url: str, first: int, count: int) -> None:
    await make(url, first, count)
    await asyncio.sleep(0)


def _used(client: redis.Redis) -> int:
    """What is allocated, without the buffers of connections."""
    stats = client.memory_stats()
    return int(stats["total.allocated"]) - sum(int(stats.get(f"clients.{kind}", 0)) for kind in ("normal", "slaves"))


def _keys(name: str, client: redis.Redis, known: set[bytes]) -> list[list[str]]:
    """A row for each kind of key that a thing added: how many of them per thing, encoding and bytes of the median."""
    kinds: dict[str, list[bytes]] = {}
    for key in client.scan_iter(count=1_000):
        if key not in known:
            kinds.setdefault(_OWN_NAME.sub(_hidden, key.decode("latin-1")), []).append(key)
    rows = []
    for kind, found in sorted(kinds.items()):
        sample = sorted(found)[:50]
        sizes = sorted(int(client.memory_usage(key, samples=0) or 0) for key in sample)
        encoding = client.object("encoding", sample[0]).decode()
        rows.append([name, kind, f"{len(found) / _COUNT:.4g}", encoding, str(sizes[len(sizes) // 2])])
    return rows


def _hidden(found: re.Match[str]) -> str:
    return "{*}" if found[0].startswith("{") else "*"


def _report(figures: Figures, made: Mapping[str, Callable[..., object]], keys: list[list[str]]) -> None:
    print_table(
        f"Bytes per thing, {_COUNT:,} of each ({versions('huey', 'dramatiq', 'repid', 'limits', 'cashews')})",
        ["", "bytes"],
        [[name, figures.cell(name, "bytes")] for name in made],
    )
    print_table("What each byte is for", ["thing", "key", "per thing", "encoding", "bytes"], keys)
    found = _summary(figures, list(made))
    print_goals("memory", found)
    print_summary(found)


def _summary(figures: Figures, names: list[str]) -> dict[str, float]:
    found = {re.sub(r"[^a-z0-9]+", "_", name.lower()) + "_bytes": figures.median(name, "bytes") for name in names}
    layout = figures.median(peers.PENDING_LAYOUT, "bytes")
    later = figures.median(peers.SCHEDULED_LAYOUT, "bytes")
    return found | {
        "job_bytes_vs_asynq": figures.median(own.PENDING, "bytes") / layout,
        "scheduled_bytes_vs_asynq": figures.median(own.SCHEDULED, "bytes") / later,
        "otp_open_bytes": figures.median(own.CODE, "bytes"),
        "idempotency_added_bytes": figures.median(own.ANSWER, "bytes") - own.BODY_BYTES,
    }


if __name__ == "__main__":
    main()
