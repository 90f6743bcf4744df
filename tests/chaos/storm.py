"""Jobs by the thousand while everything dies around them: ``python -m tests.chaos.storm --jobs 100000 --seed 1``.

Four workers behind a cutting proxy; a server that writes every change to disk before it answers. Again and again a
worker is killed (kill -9), a worker is replaced in order, the server is killed or restarted, every connection is cut, a
reply is lost, or the network swallows everything for a moment. Then the account (``account.py``) must be exact.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import redis

from hustlex.core.lua import load
from hustlex.drivers.aio import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Error
from hustlex.jobs import Enqueued, IdTaken, Job, Jobs, PartlyEnqueued
from hustlex.jobs.keys import queue_keys
from tests.chaos.account import Deeds, Diaries, complaints, read
from tests.chaos.victim import QUEUES, block, wait
from tests.support.proxy import Proxy

_WORKERS = 4
_MOST_WAITING = 2_000
_AFTER_SECONDS = 60
_NAMES = ("lease/cycle", "lease/done", "lease/retry", "enqueue/enqueue_plain")
_SCRIPTS = [load("hustlex.jobs", name).sha1.encode() for name in _NAMES]


class Victims:
    """The worker processes. One of them is killed or replaced at a time."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.diaries: list[Path] = []

    def start(self) -> None:
        """One more."""
        diary = self._folder / f"diary {len(self.diaries)}"
        command = [sys.executable, "-m", "tests.chaos.victim", self._url, str(diary)]
        self._running.append((subprocess.Popen(command), diary))
        self.diaries.append(diary)

    def end(self, number: int, how: signal.Signals) -> str:
        """End one and wait; its worker's id, "" when it had not come so far."""
        process, diary = self._running.pop(number)
        process.send_signal(how)
        process.wait(20)
        return diary.read_text().partition("\n")[0].removeprefix("worker ") if diary.exists() else ""

    def stop(self) -> None:
        """End all in order."""
        while self._running:
            self.end(0, signal.SIGTERM)

    def kill(self) -> None:
        """End all at once."""
        for process, _ in self._running:
            process.kill()
            process.wait()


class Storm:
    """One run. lasting: seconds over which the jobs are handed over. deeds: what was done, for the account."""

    def __init__(
        self, jobs: int, lasting: float, seed: int, server: EmbeddedServer, proxy: Proxy, victims: Victims
    ) -> None:
        self.deeds = Deeds(jobs)
        self._lasting = lasting
        self._random = random.Random(seed)
        self._server = server
        self._proxy = proxy
        self._victims = victims
        self._raw = redis.Redis.from_url(server.url)

    async def rage(self, seconds: float) -> None:
        """Enqueue and destroy, then wait until all is done, at most so long."""
        async with asyncio.timeout(seconds):
            for _ in range(_WORKERS):
                self._victims.start()
            destruction = asyncio.create_task(self._destroy())
            await self._produce()
            destruction.cancel()
            await asyncio.wait([destruction])
            while await asyncio.to_thread(self._waiting):
                await asyncio.sleep(0.1)
            await asyncio.to_thread(self._victims.stop)

    # -- the producer: through the same bad network as the workers

    async def _produce(self) -> None:
        async with Driver(self._proxy.url) as driver:
            jobs = Jobs(driver)
            start, begun = 0, time.monotonic()
            while start < self.deeds.jobs:
                early = begun + self._lasting * start / self.deeds.jobs - time.monotonic()
                if early > 0 or await asyncio.to_thread(self._waiting) > _MOST_WAITING:
                    await asyncio.sleep(max(early, 0.02))
                    continue
                end = min(start + self._random.randint(1, 200), self.deeds.jobs)
                await self._hand_over(jobs, range(start, end))
                start = end

    async def _hand_over(self, jobs: Jobs, numbers: range) -> None:
        """Until each is surely there. Its task id makes a repeat harmless unless the job is done by then."""
        left = {n: self._job(n) for n in numbers}
        while left:
            asked = list(left)
            try:
                outcomes = await jobs.enqueue_many(left.values())
            except PartlyEnqueued as partly:
                outcomes = partly.results
            except Error as error:
                outcomes = [error] * len(asked)
            for n, outcome in zip(asked, outcomes, strict=True):
                if isinstance(outcome, Enqueued | IdTaken):
                    del left[n]
                else:
                    self.deeds.doubtful[n] += 1

    def _job(self, n: int) -> Job:
        """Mostly short and good; some are long, in threads, late, or fail a time or two."""
        dice = self._random.random
        task = block if dice() < 0.1 else wait
        fails = self._random.randint(1, 2) if dice() < 0.05 else 0
        ms = self._random.choice((1, 5, 20, 100, 300)) if dice() < 0.6 else 0
        job = task.job(n=n, ms=ms, fails=fails).with_options(
            task_id=f"job {n}", queue="chaos" if dice() < 0.7 else "calm"
        )
        return job.with_options(process_in=timedelta(seconds=dice() * 2)) if dice() < 0.05 else job

    def _waiting(self) -> int:
        """Tasks in whatever state; a guess while the server is away."""
        try:
            return sum(
                self._raw.llen(keys.pending)
                + self._raw.llen(keys.active)
                + self._raw.zcard(keys.scheduled)
                + self._raw.zcard(keys.retry)
                for keys in map(queue_keys, QUEUES)
            )
        except redis.ConnectionError:
            return _MOST_WAITING + 1

    # -- the destruction: one deed after the other

    async def _destroy(self) -> None:
        deeds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (6, self._kill_worker),
            (1, self._replace_worker),
            (2, self._kill_server),
            (1, self._restart_server),
            (4, self._cut),
            (5, self._lose_something),
            (2, self._swallow),
        ]
        weights, ways = zip(*deeds, strict=True)
        first = [self._kill_worker, self._kill_server, self._cut, self._lose_something, self._kill_worker]
        while True:
            await asyncio.sleep(self._random.uniform(0.2, 1.0))
            way = first.pop() if first else self._random.choices(ways, weights)[0]
            self.deeds.done[way.__name__.strip("_").replace("_", " ")] += 1
            doing = asyncio.create_task(way())
            try:
                await asyncio.shield(doing)
            except asyncio.CancelledError:
                await doing
                raise

    async def _kill_worker(self) -> None:
        """What it held is read while nobody can change it: it is dead, and nobody takes from it for seconds."""
        number = self._random.randrange(_WORKERS)
        self.deeds.held.update(await asyncio.to_thread(self._held_by, number))
        await asyncio.sleep(self._random.uniform(0, 1))
        self._victims.start()

    def _held_by(self, number: int) -> list[int]:
        worker = self._victims.end(number, signal.SIGKILL)
        held = []
        for keys in map(queue_keys, QUEUES):
            for task_id in self._raw.lrange(keys.active, 0, -1):
                owner = self._raw.hget(keys.task(task_id.decode()), "owner") or b""
                if worker and owner.decode().startswith(worker):
                    held.append(int(task_id.split()[1]))
        return held

    async def _replace_worker(self) -> None:
        """A deploy: ended in order, nothing it had may run twice."""
        await asyncio.to_thread(self._victims.end, self._random.randrange(_WORKERS), signal.SIGTERM)
        self._victims.start()

    async def _kill_server(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(self._random.uniform(0, 1))
        await asyncio.to_thread(self._server.start)

    async def _restart_server(self) -> None:
        await asyncio.to_thread(self._server.restart)

    async def _cut(self) -> None:
        await asyncio.to_thread(self._proxy.cut)

    async def _lose_something(self) -> None:
        """The answer of a script that was executed, or a request on its way."""
        lose = self._random.choice((self._proxy.lose_reply, self._proxy.lose_request))
        lose(containing=self._random.choice(_SCRIPTS))

    async def _swallow(self) -> None:
        """Everything on its way is gone, so the connections are of no use afterwards."""
        self._proxy.black_hole = True
        await asyncio.sleep(self._random.uniform(0.1, 1.5))
        self._proxy.black_hole = False
        await self._cut()


def weather(jobs: int, lasting: float, seed: int) -> tuple[Deeds, Diaries, list[str]]:
    """A whole run with its account: what was done, what the workers noted, what is wrong."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(append_only=True, appendfsync="always") as server,
        Proxy(server.url) as proxy,
    ):
        victims = Victims(proxy.url, Path(folder))
        storm = Storm(jobs, lasting, seed, server, proxy, victims)
        try:
            asyncio.run(storm.rage(2 * lasting + _AFTER_SECONDS))
            server.restart()
            diaries = read(diary for diary in victims.diaries if diary.exists())  # some die before the first word
            with redis.Redis.from_url(server.url) as raw:
                return storm.deeds, diaries, complaints(storm.deeds, diaries, raw)
        finally:
            victims.kill()


def told(deeds: Deeds, diaries: Diaries) -> str:
    """The account in words."""
    attempts, ended = sum(diaries.began.values()), sum(diaries.ended.values())
    return "\n".join(
        [
            f"jobs       {deeds.jobs:,}, all done: {len(diaries.ended) == deeds.jobs}",
            f"attempts   {attempts:,}; {sum(diaries.used.values()):,} of them after a failure that was counted",
            f"crashes    {sum(deeds.held.values()):,} jobs were in the hands of a worker that was killed",
            f"repeats    {ended - len(diaries.ended):,} jobs ended well more than once, each in such hands before",
            f"doubtful   {len(deeds.doubtful):,} jobs were enqueued again because an answer did not come for 5 s",
            "deeds      " + ", ".join(f"{name} {times}" for name, times in sorted(deeds.done.items())),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--lasting", type=float, default=120, help="seconds over which they are handed over")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed       {options.seed}")
    deeds, diaries, wrong = weather(options.jobs, options.lasting, options.seed)
    print(told(deeds, diaries))
    if wrong:
        raise SystemExit("\n".join(["THE ACCOUNT IS WRONG:", *wrong[:50], f"({len(wrong)} complaints)"]))
    print("account    exact")


if __name__ == "__main__":
    main()
