"""What happens to workers and to the API."""

from __future__ import annotations

import asyncio
from random import Random

from tests.chaos.faults import fault
from tests.chaos.stage import Stage


@fault("K-21", weight=5)
async def kill_a_program(stage: Stage, dice: Random) -> None:
    """kill -9, in the middle of whatever it does."""
    program = dice.choice(stage.programs)
    await program.kill()
    await asyncio.sleep(dice.uniform(0, 1))
    program.start()


@fault("K-21")
async def deploy_a_program(stage: Stage, dice: Random) -> None:
    """Ended in order, nothing it had may run twice."""
    await dice.choice(stage.programs).replace()


@fault("K-19")
async def deploy_with_a_wrong_clock(stage: Stage, dice: Random) -> None:
    """The next one's clock is an hour fast, or slow; until it is killed or replaced."""
    await dice.choice(stage.programs).replace(dice.choice((-3600, 3600)))


@fault("K-03", weight=2)
async def stop_a_program(stage: Stage, dice: Random) -> None:
    """SIGSTOP and SIGCONT, shorter than its leases last."""
    await dice.choice(stage.programs).stand_still(dice.uniform(0.2, 4))
