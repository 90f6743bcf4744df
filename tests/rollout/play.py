"""A rollout, acted out: processes of the old and of the new code side by side, requests and jobs flowing, SIGTERM to
one after the other, and an exact account."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import msgspec

from hustlex.drivers.launch import tied
from hustlex.drivers.ports import free_port
from tests.rollout.balancer import Balancer

ROOT = Path(__file__).parents[2]
SECRET = "a secret of a rollout, thirty-two bytes or more"
_PATIENCE_S = 50.0
_MIXED = 10
"""Orders that are taken in each state of a rollout before it goes on."""


_ENDS = ("worker", "api", "scheduler")
"""In this order: an old worker has work as long as old APIs make jobs that it knows."""


class Size(msgspec.Struct, frozen=True):
    """Of the backend: how many processes of each kind, and how many customers."""

    apis: int = 1
    workers: int = 1
    schedulers: int = 0
    customers: int = 2
    pause_s: float = 0.3
    """Between two orders of one customer, while nothing waits for orders."""


class Account(msgspec.Struct, frozen=True):
    """What came of it. wrong: nothing, if all is well."""

    orders: int
    by_version: dict[int, int]
    handed_back: int
    ticks: int
    seconds: float
    wrong: tuple[str, ...]


class Program:
    """One process of the backend. port: where it answers ``/health``, 0 for a scheduler. options: more words."""

    def __init__(
        self, kind: str, version: int, url: str, ledger: Path, options: Sequence[str] = (), port: int = 0
    ) -> None:
        self.kind = kind
        self.port = 0 if kind == "scheduler" else port or free_port()
        command = [sys.executable, "-m", "hustlex", kind, "tests.rollout.shop"]
        if kind == "api":
            command += ["--port", str(self.port), *(options or ("--drain", "60", "--keep-alive", "60"))]
        if kind == "worker":
            command += ["--health-port", str(self.port), "--queue", "default=1"]
        environment = {
            "HUSTLEX_URL": url,
            "HUSTLEX_SECRET": SECRET,
            "HUSTLEX_SHUTDOWN_TIMEOUT_S": "0.1",
            "SHOP_VERSION": str(version),
            "SHOP_LEDGER": str(ledger),
            "SHOP_LONG_S": "2",
            "PYTHONPATH": os.pathsep.join(("src", ".")) if (ROOT / "src").is_dir() else ".",
        }
        with ledger.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                tied(command), cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, _PATIENCE_S)


class Play:
    """One backend, from its first version on. A new one takes over with each ``replace``."""

    def __init__(self, url: str, folder: Path, size: Size) -> None:
        self._url, self._size = url, size
        self._ledger = folder / "ledger"
        self._ledger.touch()
        self._balancer = Balancer()
        self._programs: list[Program] = []
        self._taken: set[str] = set()
        self._closed = False
        self._wanted = asyncio.Event()
        self._numbers = count(1)
        self._wrong: list[str] = []
        self._version = 0

    async def run(self, rounds: int) -> Account:
        """So many new versions after the first one, then everything that was begun comes to its end."""
        begun = time.monotonic()
        try:
            fresh = await self._start(1)
            self._balancer.ports += [each.port for each in fresh if each.kind == "api"]
            customers = [asyncio.create_task(self._customer()) for _ in range(self._size.customers)]
            await self._orders(lambda: bool(self._noted("sold")))
            for version in range(2, rounds + 2):
                await self._replace(version)
            self._closed = True
            await asyncio.gather(*customers)
            await self._until(lambda: not self._taken - {order for order, _ in self._noted("sold")}, "no receipt")
            return self._account(time.monotonic() - begun)
        finally:
            self._balancer.close()
            for each in self._programs:
                each.process.kill()
                each.process.wait()

    async def _customer(self) -> None:
        """Buys again and again."""
        while not self._closed:
            order = str(next(self._numbers))
            if await self._balancer.post(f"/orders/{order}") is not None:
                self._taken.add(order)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._size.pause_s):
                    await self._wanted.wait()

    async def _start(self, version: int) -> list[Program]:
        kinds = {"api": self._size.apis, "worker": self._size.workers, "scheduler": self._size.schedulers}
        fresh = [Program(kind, version, self._url, self._ledger) for kind, many in kinds.items() for _ in range(many)]
        self._programs += fresh
        self._version = version
        for each in fresh:
            if each.port:
                await self._ready(each)
        return fresh

    async def _ready(self, program: Program) -> None:
        """In service only when it says so itself: that is what a readiness probe is for."""

        async def well() -> bool:
            with suppress(OSError, asyncio.IncompleteReadError):
                return (await self._balancer.ask(program.port, "GET", "/health"))[0] == 200
            return False

        end = time.monotonic() + _PATIENCE_S
        while not await well():
            assert program.process.poll() is None, f"the {program.kind} ended: {self._log()}"
            assert time.monotonic() < end, f"the {program.kind} is not ready: {self._log()}"
            await asyncio.sleep(0.02)

    async def _replace(self, version: int) -> None:
        """New ones beside the old ones, then the old ones go, one after the other."""
        old = list(self._programs)
        fresh = await self._start(version)
        self._balancer.ports += [each.port for each in fresh if each.port and each.kind == "api"]
        await self._orders(self._newest_sold)
        for each in sorted(old, key=lambda program: _ENDS.index(program.kind)):
            await {"api": self._end_api, "worker": self._end_worker, "scheduler": self._end}[each.kind](each)
        self._programs = fresh
        await self._orders(lambda: True)

    def _newest_sold(self) -> bool:
        return any(version == self._version for _, version in self._noted("sold"))

    async def _end_api(self, api: Program) -> None:
        """SIGTERM while requests still come, as where the news of an end takes its time. Then they come no more."""
        api.process.send_signal(signal.SIGTERM)
        await self._orders(lambda: self._balancer.closed.get(api.port, 0) > 0)
        status, body = await self._balancer.ask(api.port, "GET", "/health")
        if status != 503 or b"told to stop" not in body:
            self._wrong.append(f"an API that ends says of itself: {status} {body!r}")
        self._balancer.leave_out(api.port)
        await self._orders(lambda: True)  # what was under way is answered
        await self._end(api)

    async def _end_worker(self, worker: Program) -> None:
        """SIGTERM while it has something in hand that takes longer than it waits: that is handed back."""
        self._wanted.set()
        await self._until(self._old_in_hand, "the old ones have nothing in hand")
        self._wanted.clear()
        await self._end(worker)

    def _old_in_hand(self) -> bool:
        sold = {order for order, _ in self._noted("sold")}
        return any(version < self._version and order not in sold for order, version in self._noted("began"))

    async def _end(self, program: Program) -> None:
        """SIGTERM, and it ends as it should."""
        program.process.send_signal(signal.SIGTERM)
        code = await program.ended()
        if code not in (0, -signal.SIGTERM):
            self._wrong.append(f"a {program.kind} ended with {code}: {self._log()}")

    async def _orders(self, holds: Callable[[], bool]) -> None:
        """Until so many more were taken, and this holds."""
        seen = len(self._taken)
        self._wanted.set()
        await self._until(lambda: len(self._taken) >= seen + _MIXED, "no more orders")
        self._wanted.clear()
        await self._until(holds, "it does not come")

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < end, f"{what}: {self._balancer.wrong[:5]} {self._log()}"
            await asyncio.sleep(0.02)

    def _noted(self, kind: str) -> list[tuple[str, int]]:
        """What the handlers wrote: the order and the version of the code, in its order."""
        lines = [line.split() for line in self._ledger.read_text().splitlines()]
        return [(order, int(version)) for what, order, version in lines if what == kind]

    def _log(self) -> str:
        return self._ledger.with_suffix(".log").read_text()[-2000:]

    def _account(self, seconds: float) -> Account:
        sold = Counter(order for order, _ in self._noted("sold"))
        began = Counter(order for order, _ in self._noted("began"))
        wrong = [*self._wrong, *self._balancer.wrong]
        wrong += [f"order {order} has {times} receipts" for order, times in sold.items() if times != 1]
        wrong += [f"order {order} was taken, and has no receipt" for order in sorted(self._taken - sold.keys())]
        handed_back = sum(times - 1 for times in began.values())
        versions = Counter(version for _, version in self._noted("sold"))
        return Account(len(self._taken), dict(versions), handed_back, len(self._noted("tick")), seconds, tuple(wrong))
