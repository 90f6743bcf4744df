"""Another server becomes the primary, and slots move."""

from __future__ import annotations

import asyncio
import math
import time
from random import Random

from hustlex.core.keys import slot
from tests.chaos.faults import fault
from tests.chaos.stage import SixNodes, WatchedPair
from tests.support.sentinels import until

_WAIT_S = 30.0


@fault("K-20", weight=3, on=("sentinel",))
async def promote_the_replica(stage: WatchedPair, dice: Random) -> None:
    """A failover without a failure."""
    await asyncio.to_thread(stage.settle)
    before = stage.watched.primary
    await asyncio.to_thread(stage.quiesce, before)
    await asyncio.to_thread(stage.watched.promote)
    await asyncio.to_thread(stage.ask, before, "CLIENT", "UNPAUSE")
    await asyncio.to_thread(stage.settle)


@fault("K-20", weight=2, on=("sentinel",))
async def kill_the_watched_primary(stage: WatchedPair, dice: Random) -> None:
    """kill -9; the Sentinels promote the other one, and it comes back as a replica."""
    await asyncio.to_thread(stage.settle)
    dead = stage.watched.primary
    await asyncio.to_thread(stage.quiesce, dead)
    await asyncio.to_thread(dead.kill)
    await asyncio.to_thread(until, lambda: stage.watched.primary is not dead, _WAIT_S)
    await asyncio.to_thread(stage.watched.revive, dead)


@fault("K-10", on=("sentinel",))
async def stop_the_watched_primary(stage: WatchedPair, dice: Random) -> None:
    """It stands still until it was replaced, and wakes up as one who thinks it is the primary."""
    await asyncio.to_thread(stage.settle)
    asleep = stage.watched.primary
    await asyncio.to_thread(stage.quiesce, asleep)
    stage.asleep_at, stage.demoted_at = time.monotonic(), math.inf
    with stage.standing_still(asleep):
        await asyncio.to_thread(until, lambda: stage.watched.primary is not asleep, _WAIT_S)
    await asyncio.to_thread(stage.watched.revive, asleep)
    stage.demoted_at = time.monotonic()
    await asyncio.to_thread(stage.ask, asleep, "CLIENT", "UNPAUSE")


@fault("K-11", weight=3, on=("cluster",))
async def kill_a_primary(stage: SixNodes, dice: Random) -> None:
    """kill -9; its replica takes the slots, and it comes back as a replica."""
    await asyncio.to_thread(stage.settle)
    dead = dice.choice(await asyncio.to_thread(stage.primaries))
    await asyncio.to_thread(stage.quiesce, dead)
    await asyncio.to_thread(dead.kill)
    await asyncio.to_thread(until, lambda: dead not in stage.primaries(), _WAIT_S)
    await asyncio.to_thread(dead.start)
    await asyncio.to_thread(stage.settle)


@fault("K-11", weight=2, on=("cluster",))
async def change_places(stage: SixNodes, dice: Random) -> None:
    """A replica takes its primary's place, in agreement with it."""
    await asyncio.to_thread(stage.settle)
    primaries = await asyncio.to_thread(stage.primaries)
    replica = dice.choice([node for node in stage.cluster.nodes if node not in primaries])
    await asyncio.to_thread(stage.ask, replica, "CLUSTER", "FAILOVER")
    await asyncio.to_thread(until, lambda: replica in stage.primaries(), _WAIT_S)
    await asyncio.to_thread(stage.settle)


@fault("K-11", weight=4, on=("cluster",))
async def move_slots(stage: SixNodes, dice: Random) -> None:
    """Slots with keys in them go to another primary, under load."""
    await asyncio.to_thread(stage.settle)
    primaries = await asyncio.to_thread(stage.primaries)
    for _ in range(dice.randint(1, 3)):
        source = dice.choice(primaries)
        key = await asyncio.to_thread(stage.ask, source, "RANDOMKEY")
        if key is not None:
            target = dice.choice([each for each in primaries if each is not source])
            await asyncio.to_thread(stage.hands.move, slot(key.decode()), target)
