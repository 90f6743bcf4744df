"""Events: every one that was acknowledged is seen, in order and once, or a Gap stands where it is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hustlex.errors import Error
from hustlex.events import Gap, Message
from tests.chaos.ledgers import Ledger

_PATIENCE_S = 60


class Reader:
    """What one subscriber was given since its last Gap."""

    def __init__(self) -> None:
        self.position: Any = None
        self.since_gap: set[int] = set()
        self.newest = 0


class EventsLedger(Ledger):
    name = "events"

    async def prepare(self) -> None:
        self._sent = {"kept": 0, "live": 0}
        self._acknowledged: dict[str, list[int]] = {"kept": [], "live": []}
        self._kept = [front.events.channel("chaos:kept", int, kind="replay", size=10_000) for front in self.fronts]
        self._live = [front.events.channel("chaoslive:all", int) for front in self.fronts]
        self._readers = [Reader() for _ in range(4)]
        self._listeners = 0
        self._ready = asyncio.Event()
        self._listening: list[asyncio.Task[None]] = []

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        kept, live = self._readers[:2], self._readers[2:]
        listen = [self._listen("kept", *each) for each in zip(self._kept, kept, strict=True)]
        listen += [self._listen("live", *each) for each in zip(self._live, live, strict=True)]
        self._listening = [asyncio.create_task(each) for each in listen]
        return [self._publish_kept(), self._publish_live()]

    # -- publishing

    async def _publish_kept(self) -> None:
        await self._ready.wait()
        while not self.stage.over:
            await self._keep()
            await self.pause(0.04)

    async def _keep(self) -> None:
        """Until it is acknowledged: its id makes a repeat harmless."""
        number = self._sent["kept"] = self._sent["kept"] + 1
        channel = self.dice.choice(self._kept)
        await self.answered(lambda: channel.publish(number, idem=f"event {number}"))
        self._acknowledged["kept"].append(number)

    async def _publish_live(self) -> None:
        """Once; an unknown outcome is no promise."""
        await self._ready.wait()
        while not self.stage.over:
            await self._send_live()
            await self.pause(0.04)

    async def _send_live(self) -> bool:
        number = self._sent["live"] = self._sent["live"] + 1
        taken = await self.tried(self.dice.choice(self._live).publish(number))
        if not isinstance(taken, Error):
            self._acknowledged["live"].append(number)
        return not isinstance(taken, Error)

    # -- listening

    async def _listen(self, kind: str, channel: Any, reader: Reader) -> None:
        async with channel.subscribe() as items:
            self._listeners += 1
            if self._listeners == len(self._readers):
                self._ready.set()
            async for item in items:
                if isinstance(item, Gap):
                    self.counts[f"gaps ({item.reason})"] += 1
                    self._judge(kind, reader)
                    reader.since_gap.clear()
                    reader.position = None
                    reader.newest = self._sent[kind] if item.reason == "reconnected" else reader.newest
                else:
                    self._take(kind, reader, item)

    def _take(self, kind: str, reader: Reader, item: Message[Any]) -> None:
        number = item.data
        self.counts[f"{kind} received"] += 1
        self.hold(number not in reader.since_gap, f"{kind} event {number} came twice")
        before, now = reader.position, item.position
        if kind == "kept" and before is not None:
            whole = now.epoch == before.epoch and now.offset == before.offset + 1
            self.hold(whole, f"{now} came after {before}, and no Gap between")
        reader.position = now
        reader.since_gap.add(number)
        reader.newest = max(reader.newest, number)

    def _judge(self, kind: str, reader: Reader) -> None:
        """Of those acknowledged, none between the first and the last that came without a Gap is missing.

        One whose outcome was unknown may come at any later time.
        """
        acknowledged = set(self._acknowledged[kind])
        if seen := reader.since_gap & acknowledged:
            missing = sorted(each for each in acknowledged - seen if min(seen) < each < max(seen))
            self.hold(not missing, f"{kind} events {missing[:5]} are gone without a Gap ({len(missing)})")

    # -- the end

    async def settle(self) -> None:
        """One more of each kind reaches everybody, or everybody was told of a Gap."""
        kept, live = self._readers[:2], self._readers[2:]
        await self._keep()
        last = self._sent["kept"]
        await self._until(lambda: all(each.newest >= last for each in kept), lambda: None)
        begin = self._sent["live"]
        await self._until(lambda: all(each.newest > begin for each in live), self._send_live)
        for kind, readers in (("kept", kept), ("live", live)):
            for reader in readers:
                self._judge(kind, reader)
        for task in self._listening:
            task.cancel()
        for outcome in await asyncio.gather(*self._listening, return_exceptions=True):
            self.hold(isinstance(outcome, asyncio.CancelledError), f"a subscription ended by itself: {outcome!r}")

    async def _until(self, true: Any, meanwhile: Any) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not true():
                    if (doing := meanwhile()) is not None:
                        await doing
                    await asyncio.sleep(0.05)
        except TimeoutError:
            self.hold(False, f"a subscriber hears nothing any more: {[each.newest for each in self._readers]}")
