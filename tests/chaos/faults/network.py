"""What a bad network does, between everybody and the one server."""

from __future__ import annotations

import asyncio
from random import Random

from hustlex.core.lua import load
from tests.chaos.faults import fault
from tests.chaos.stage import OneServer, Stage

SCRIPTS = {
    "hustlex.jobs": ("lease/cycle", "lease/done", "lease/retry", "enqueue/enqueue_plain"),
    "hustlex.otp": ("issue", "verify"),
    "hustlex.tokens": ("login", "refresh", "logout", "revoke_all"),
    "hustlex.idempotency": ("begin", "complete"),
    "hustlex.ratelimit": ("check_log",),
    "hustlex.events": ("append", "publish"),
}
"""Calls whose reply, or request, is lost: one or more of each room."""


def _sha(dice: Random) -> bytes:
    room = dice.choice(sorted(SCRIPTS))
    return load(room, dice.choice(SCRIPTS[room])).sha1.encode()


@fault("K-01", weight=4, on=("one",))
async def lose_replies(stage: OneServer, dice: Random) -> None:
    """Executed, and nobody is told."""
    stage.proxy.lose_reply(containing=_sha(dice), times=dice.randint(1, 3))


@fault("K-01", weight=2, on=("one",))
async def lose_requests(stage: OneServer, dice: Random) -> None:
    """Sent, and never there."""
    stage.proxy.lose_request(containing=_sha(dice), times=dice.randint(1, 3))


@fault("K-13", weight=3, on=("one",))
async def cut_every_connection(stage: OneServer, dice: Random) -> None:
    """A reset of each, some times in a row."""
    for _ in range(dice.randint(1, 4)):
        await asyncio.to_thread(stage.proxy.cut)
        await asyncio.sleep(0.1)


@fault("K-04", weight=2, on=("one",))
async def swallow_everything(stage: OneServer, dice: Random) -> None:
    """Nothing passes, nothing is closed; what was on its way is gone, so the connections are of no use afterwards."""
    stage.proxy.black_hole = True
    await asyncio.sleep(dice.uniform(0.1, 4))
    stage.proxy.black_hole = False
    await asyncio.to_thread(stage.proxy.cut)


@fault("K-06", weight=2, on=("one",))
async def split_into_single_bytes(stage: OneServer, dice: Random) -> None:
    """Each byte is a write."""
    stage.proxy.trickle = True
    await asyncio.sleep(dice.uniform(0.1, 0.5))
    stage.proxy.trickle = False


@fault("K-04", weight=2, on=("one",))
async def delay_replies(stage: OneServer, dice: Random) -> None:
    """Each chunk of replies comes later."""
    stage.proxy.delay_seconds = dice.choice((0.02, 0.2, 0.7))
    await asyncio.sleep(dice.uniform(0.5, 2))
    stage.proxy.delay_seconds = 0


@fault("K-16", on=("one",))
async def refuse_connections(stage: OneServer, dice: Random) -> None:
    """Those there are end, and new ones are closed at once."""
    stage.proxy.refuse = True
    await asyncio.to_thread(stage.proxy.cut)
    await asyncio.sleep(dice.uniform(0.1, 1.5))
    stage.proxy.refuse = False


@fault("K-13", weight=2)
async def kill_clients(stage: Stage, dice: Random) -> None:
    """The servers close connections, every 100 ms."""
    for _ in range(dice.randint(1, 10)):
        for server in await asyncio.to_thread(stage.primaries):
            await asyncio.to_thread(stage.ask, server, "CLIENT", "KILL", "TYPE", "NORMAL")
        await asyncio.sleep(0.1)
