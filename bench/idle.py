"""A worker with nothing to do: what it asks of the server, and of the processor."""

from __future__ import annotations

import time

import redis

from bench.harness import new_server
from bench.working import new_ledger, working

_QUEUES = {"critical": 6, "default": 3, "low": 1}
_SETTLE_SECONDS = 12.5
"""It looks once a second until 10 s after its last job (or its start), and less often from then on."""
PERIOD_SECONDS = 60
"""After this all that it does has come round: the waits on the server are its longest."""


def idle(seconds: float) -> dict[str, float]:
    """Three queues, for this many seconds after it settled: whole periods, or what comes rarely counts wrong."""
    with (
        new_server() as server,
        redis.Redis.from_url(server.url) as client,
        new_ledger(1) as ledger,
        working("idle", "bench.own.jobs", server.url, ledger, queues=_QUEUES) as worker,
    ):
        worker.until(lambda: client.info("clients")["blocked_clients"] == len(_QUEUES), look_seconds=0.1)
        time.sleep(_SETTLE_SECONDS)
        begun, cpu = time.monotonic(), worker.threads_cpu_s()
        commands = _commands(server.url, seconds)
        lasted, cpu = time.monotonic() - begun, worker.threads_cpu_s() - cpu
        worker.stop()
    return {"idle_commands_per_s": commands / lasted, "idle_cpu_percent": cpu / lasted * 100}


def _commands(url: str, seconds: float) -> int:
    """How many commands reach the server in this time. What scripts call inside is not counted."""
    until = time.monotonic() + seconds
    count = 0
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:
        while time.monotonic() < until:
            if monitor.connection.can_read(timeout=0.1):
                count += monitor.next_command()["client_type"] != "lua"
    return count
