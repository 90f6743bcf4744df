"""An owner killed with -9 at every await: its effect takes place at most once, and its answer is never overwritten."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.idempotency import (
    Executed,
    Finding,
    IdempotencyOptions,
    Orphaned,
    Orphans,
    Replay,
    Response,
    Scope,
    Started,
)
from tests.conftest import SECRET

STOPS = 6
"""Before and after the claim, before and after the effect, before and after the answer is kept."""

_OWNERS = """
import asyncio, os, signal, sys
from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.idempotency import Response, Scope

url, folder, secret, now_ms, stops = sys.argv[1:]

class Stopping(Driver):
    passed, stop, pipe = 0, 0, 0

    async def here(self):
        self.passed += 1
        if self.passed == self.stop:
            os.write(self.pipe, b".")
            await asyncio.sleep(60)

    async def run(self, op):
        await self.here()
        answer = await super().run(op)
        await self.here()
        return answer

async def own(stop, pipe):
    hx = HustleX(url, secret=secret, clock=FixedClock(int(now_ms)))
    hx.driver = driver = Stopping(url)
    driver.stop, driver.pipe = stop, pipe

    async def execute(_):
        await driver.here()
        with open(f"{folder}/k{stop}", "a") as effects:
            effects.write("first\\n")
        await driver.here()
        return Response(200, b"first")

    await hx.idempotency.run(f"k{stop}", Scope("u1", "POST", "/pay"), execute)
    os.write(pipe, b"!")

for stop in range(1, int(stops) + 1):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        asyncio.run(own(stop, writing))
        os._exit(0)
    assert os.read(reading, 1) == b"."
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


@pytest.mark.parametrize("orphans", ["refuse", "reconcile"])
async def test_an_owner_killed_at_any_await_has_had_its_effect_at_most_once(
    url: str, tmp_path: Path, clock: FixedClock, orphans: Orphans
) -> None:
    arguments = [url, str(tmp_path), SECRET.decode(), str(clock.now_ms), str(STOPS)]
    subprocess.run([sys.executable, "-c", _OWNERS, *arguments], check=True, timeout=60)
    clock.advance(timedelta(seconds=31))
    outcomes = []
    async with HustleX(url, secret=SECRET, clock=clock) as hx:
        for stop in range(1, STOPS + 1):
            effects = tmp_path / f"k{stop}"

            async def execute(_: Started, effects: Path = effects) -> Response:
                with effects.open("a") as file:
                    file.write("second\n")
                return Response(200, b"second")

            async def look(_: Orphaned, effects: Path = effects) -> Response | Finding:
                return Response(200, b"first") if effects.exists() else Finding.NOT_DONE

            options = IdempotencyOptions(orphans=orphans)
            for _ in range(2):
                outcome = await hx.idempotency.run(
                    f"k{stop}", Scope("u1", "POST", "/pay"), execute, reconcile=look, options=options
                )
            done = effects.read_text().split() if effects.exists() else []
            assert len(done) <= 1
            if isinstance(outcome, Replay):
                assert done == [outcome.response.body.decode()]
            outcomes.append(type(outcome))
    lost = Orphaned if orphans == "refuse" else Replay
    assert Executed not in outcomes, "the second of two repeats"
    assert outcomes == [Replay, lost, lost, lost, lost, Replay]
