"""Jobs: each that was accepted is done, and more attempts than retries and killed workers explain are a complaint.

The account of the storm (``tests/chaos/account.py``), beside all other rooms.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from hustlex.errors import Error
from hustlex.jobs import Enqueued, IdTaken, Job, PartlyEnqueued
from hustlex.jobs.keys import queue_keys
from tests.chaos.account import Deeds, complaints, read
from tests.chaos.ledgers import Ledger
from tests.chaos.programs import Program
from tests.chaos.stage import patiently
from tests.chaos.victim import QUEUES, block, wait

_WORKERS = 2
_MOST_WAITING = 300
_DRAIN_S = 120


class JobsLedger(Ledger):
    name = "jobs"

    async def prepare(self) -> None:
        self._deeds = Deeds(0)
        self._victims = [Victim(n, self.stage.url, self.stage.folder, self._note_held) for n in range(_WORKERS)]
        for victim in self._victims:
            victim.log = self.stage.folder / f"{victim.name}.log"
            victim.start()
        self.stage.programs += self._victims

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [self._produce()]

    async def _produce(self) -> None:
        while not self.stage.over:
            if await asyncio.to_thread(self._waiting) < _MOST_WAITING:
                start = self._deeds.jobs
                self._deeds.jobs += self.dice.randint(1, 40)
                await self._hand_over(range(start, self._deeds.jobs))
            await self.pause(0.5)

    async def _hand_over(self, numbers: range) -> None:
        """Until each is surely there; its task id makes a repeat harmless unless the job is done by then."""
        left = {number: self._job(number) for number in numbers}
        end = time.monotonic() + _DRAIN_S
        while left and time.monotonic() < end:
            asked = list(left)
            try:
                outcomes: list[Any] = list(await self.front.jobs.enqueue_many(left.values()))
            except PartlyEnqueued as partly:
                outcomes = list(partly.results)
            except Error as error:
                self.counts[f"unanswered ({type(error).__name__})"] += 1
                outcomes = [error] * len(asked)
                await self.pause(0.1)
            for number, outcome in zip(asked, outcomes, strict=True):
                if isinstance(outcome, Enqueued | IdTaken):
                    del left[number]
                else:
                    self._deeds.doubtful[number] += 1
        self.hold(not left, f"{len(left)} jobs could not be handed over in {_DRAIN_S} s")

    def _job(self, number: int) -> Job:
        dice = self.dice.random
        task = block if dice() < 0.1 else wait
        fails = self.dice.randint(1, 2) if dice() < 0.05 else 0
        ms = self.dice.choice((1, 5, 20, 100, 300)) if dice() < 0.6 else 0
        queue = "chaos" if dice() < 0.7 else "calm"
        job = task.job(n=number, ms=ms, fails=fails).with_options(task_id=f"job {number}", queue=queue)
        return job.with_options(process_in=timedelta(seconds=dice() * 2)) if dice() < 0.05 else job

    def _waiting(self) -> int:
        """Tasks in whatever state."""

        def ask() -> int:
            with self.stage.oracle() as raw:
                return sum(
                    raw.llen(keys.pending) + raw.llen(keys.active) + raw.zcard(keys.scheduled) + raw.zcard(keys.retry)
                    for keys in map(queue_keys, QUEUES)
                )

        found: int = patiently(ask)
        return found

    # -- what a killed worker held

    async def _note_held(self, worker: str) -> None:
        self._deeds.held.update(await asyncio.to_thread(patiently, lambda: self._held_by(worker)))

    def _held_by(self, worker: str) -> list[int]:
        held = []
        with self.stage.oracle() as raw:
            for keys in map(queue_keys, QUEUES):
                for task_id in raw.lrange(keys.active, 0, -1):
                    owner = raw.hget(keys.task(task_id.decode()), "owner") or b""
                    if worker and owner.decode().startswith(worker):
                        held.append(int(task_id.split()[1]))
        return held

    # -- the end

    async def settle(self) -> None:
        """Wait until all is done, then end the workers in order."""
        end = time.monotonic() + _DRAIN_S
        while waiting := await asyncio.to_thread(self._waiting):
            if time.monotonic() > end:
                self.hold(False, f"{waiting} jobs are not done after {_DRAIN_S} s")
                break
            await asyncio.sleep(0.1)
        for victim in self._victims:
            await asyncio.to_thread(victim.stop)
        diaries = read(path for victim in self._victims for path in victim.diaries if path.exists())
        with self.stage.oracle() as raw:
            self.wrong += [f"jobs: {each}" for each in complaints(self._deeds, diaries, raw, alone=False)]
        self.counts["jobs"] = self._deeds.jobs
        self.counts["attempts"] = sum(diaries.began.values())
        self.counts["held by killed workers"] = sum(self._deeds.held.values())
        self.counts["enqueued in doubt"] = len(self._deeds.doubtful)


class Victim(Program):
    """A worker with a diary; each start has a new one."""

    def __init__(self, number: int, url: str, folder: Path, note_held: Callable[[str], Any]) -> None:
        super().__init__(f"worker {number}")
        self.diaries: list[Path] = []
        self._url = url
        self._folder = folder
        self._note_held = note_held

    def command(self) -> list[str]:
        diary = self._folder / f"{self.name} diary {len(self.diaries)}"
        self.diaries.append(diary)
        return [sys.executable, "-m", "tests.chaos.victim", self._url, str(diary)]

    async def died(self) -> None:
        """Read while nobody can change it: it is dead, and nobody takes from it for seconds."""
        diary = self.diaries[-1]
        worker = diary.read_text().partition("\n")[0].removeprefix("worker ") if diary.exists() else ""
        await self._note_held(worker)
