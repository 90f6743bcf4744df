"""What happens to a server, or what an operator does to it."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import redis

from tests.chaos.faults import fault
from tests.chaos.stage import OneServer, Stage

_ENDLESS = "while true do end"
_COMMAND_BYTES = 150
"""Of one in the append-only file, about."""
_NAP_US = 60
"""The shortest nap there is."""


@fault("K-02", weight=3, on=("one",))
async def kill_the_server(stage: OneServer, dice: Random) -> None:
    """kill -9; it comes back with what was on disk."""
    await asyncio.to_thread(stage.server.kill)
    await asyncio.sleep(dice.uniform(0, 1.5))
    await asyncio.to_thread(stage.server.start)


@fault("K-02", on=("one",))
async def restart_the_server(stage: OneServer, dice: Random) -> None:
    """In order."""
    await asyncio.to_thread(stage.server.restart)


@fault("K-03", weight=2)
async def stop_a_server(stage: Stage, dice: Random) -> None:
    """SIGSTOP and SIGCONT; short of a failover where there could be one."""
    server = dice.choice(await asyncio.to_thread(stage.primaries))
    with stage.standing_still(server):
        await asyncio.sleep(dice.uniform(0.1, 5 if stage.name == "one" else 0.6))


@fault("K-12", weight=2)
async def flush_scripts(stage: Stage, dice: Random) -> None:
    """All servers forget all scripts, every 50 ms."""
    for _ in range(dice.randint(1, 20)):
        for server in await asyncio.to_thread(stage.primaries):
            await asyncio.to_thread(stage.ask, server, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.05)


@fault("K-07", weight=2)
async def fill_the_memory(stage: Stage, dice: Random) -> None:
    """No write that needs memory is taken."""
    servers = await asyncio.to_thread(stage.primaries)
    try:
        for server in servers:
            await asyncio.to_thread(stage.ask, server, "CONFIG", "SET", "maxmemory", "1mb")
        await asyncio.sleep(dice.uniform(0.2, 2))
    finally:
        for server in servers:
            await asyncio.to_thread(stage.ask, server, "CONFIG", "SET", "maxmemory", "0")


@fault("K-08", on=("one",))
async def keep_it_busy(stage: OneServer, dice: Random) -> None:
    """A script without end answers everybody else BUSY, until it is killed."""
    await asyncio.to_thread(stage.ask, stage.server, "CONFIG", "SET", "busy-reply-threshold", 100)
    running = asyncio.create_task(asyncio.to_thread(_endless, stage))
    await asyncio.sleep(dice.uniform(0.3, 2))
    while not running.done():
        with contextlib.suppress(redis.RedisError):
            await asyncio.to_thread(stage.ask, stage.server, "SCRIPT", "KILL")
        await asyncio.sleep(0.05)
    await running
    await asyncio.to_thread(stage.ask, stage.server, "CONFIG", "SET", "busy-reply-threshold", 5_000)


def _endless(stage: OneServer) -> None:
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(stage.server.url) as client:
        client.eval(_ENDLESS, 0)


@fault("K-09", on=("one",))
async def load_for_a_while(stage: OneServer, dice: Random) -> None:
    """LOADING for everybody, while it reads its file anew and slowly."""
    written = (await asyncio.to_thread(stage.ask, stage.server, "INFO", "persistence"))["aof_current_size"]
    delay = _delay(dice.uniform(0.2, 1.5) * 1e6 / (1 + written / _COMMAND_BYTES))
    await asyncio.to_thread(stage.ask, stage.server, "CONFIG", "SET", "key-load-delay", delay)
    with contextlib.suppress(redis.RedisError):
        await asyncio.to_thread(stage.ask, stage.server, "DEBUG", "LOADAOF")
    await asyncio.to_thread(stage.settle)
    await asyncio.to_thread(stage.ask, stage.server, "CONFIG", "SET", "key-load-delay", 0)


def _delay(us: float) -> int:
    """What the server takes for so long a pause at each command; -n is a nap at every nth."""
    return int(us) if us >= _NAP_US else -int(_NAP_US / us) - 1


@fault("K-15", on=("one",))
async def take_rights_away(stage: OneServer, dice: Random) -> None:
    """The user may run no script for a while."""
    try:
        await asyncio.to_thread(stage.ask, stage.server, "ACL", "SETUSER", "default", "-evalsha", "-eval")
        await asyncio.sleep(dice.uniform(0.1, 1))
    finally:
        await asyncio.to_thread(stage.ask, stage.server, "ACL", "SETUSER", "default", "+evalsha", "+eval")


@fault("K-16", on=("one",))
async def let_nobody_in(stage: OneServer, dice: Random) -> None:
    """All are thrown out, and there is room for two."""
    most = (await asyncio.to_thread(stage.ask, stage.server, "CONFIG", "GET", "maxclients"))[b"maxclients"]
    with redis.Redis.from_url(stage.server.url, single_connection_client=True) as mine:
        await asyncio.to_thread(mine.config_set, "maxclients", 2)
        await asyncio.to_thread(mine.client_kill_filter, _type="normal", skipme=True)
        await asyncio.sleep(dice.uniform(0.1, 1))
        await asyncio.to_thread(mine.config_set, "maxclients", int(most))
