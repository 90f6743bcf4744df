"""All rooms at once while everything fails around them: ``python -m tests.chaos --seconds 180 --seed 1``.

The ledgers (``ledgers/``) make load and note what they were told; the faults (``faults/``) strike, one after the other
or two at a time; in the end each ledger's account must be exact. One arrangement of servers after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from random import Random

import psutil

from hustlex import HustleX
from hustlex.core.telemetry import CallEnd, CallStart
from hustlex.drivers.patience import FAILOVER_S
from hustlex.otp import OtpOptions
from tests.chaos.faults import Fault, fitting
from tests.chaos.ledgers import Ledger, every_ledger
from tests.chaos.stage import STAGES, Stage, patiently
from tests.conftest import SECRET

_log = logging.getLogger("chaos")
_ENDING_S = 60
_CALM_S = (0.3, 1.5)
_TWO_AT_ONCE = 0.15
_TIMEOUT_S, _SLACK_S = 2.0, 2.0
"""Of a call, and what a crowded machine may add."""
_WAITING = ("subscribe", "tokens.follow")
_UNASKED = "a failover that nobody asked for: what the old primary alone had is lost"
_TIMES_MORE = 5
"""As ``.ci/run`` does with a test: decision 0095."""


class Play:
    """One arrangement, for so long. struck: how often each fault did. explained: complaints of time, which a crowded
    machine may have made."""

    def __init__(self, stage: Stage, seed: int, ledgers: Sequence[type[Ledger]], faults: Sequence[Fault]) -> None:
        self._stage = stage
        self._seed = seed
        self._kinds = ledgers
        self._faults = faults
        self._dice = Random(f"{seed} faults")
        self.ledgers: list[Ledger] = []
        self.struck: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.explained: set[str] = set()
        self.notes: list[str] = []
        self.process: dict[str, tuple[float, float]] = {}
        self._primaries: set[int] = set()
        self._slowest = Slowest()

    async def run(self, seconds: float) -> None:
        """Prepare, play, settle."""
        async with AsyncExitStack() as stack:
            fronts = [await stack.enter_async_context(_front(self._stage.url, self._slowest)) for _ in range(2)]
            self.ledgers = [kind(self._stage, fronts, self._seed) for kind in self._kinds]
            for ledger in self.ledgers:
                await ledger.prepare()
            actors = [asyncio.create_task(actor) for ledger in self.ledgers for actor in ledger.actors()]
            before = _size()
            await self._strike_until(time.monotonic() + seconds, actors)
            self._stage.over = True
            _log.info("the faults are over")
            await self._ended(actors)
            await asyncio.to_thread(self._stage.settle)
            for ledger in self.ledgers:
                await self._settled(ledger)
            self._judge_slowest()
            self._explain()
            self.process = {name: (before[name], now) for name, now in _size().items()}

    async def _strike_until(self, end: float, actors: Sequence[asyncio.Task[None]]) -> None:
        while time.monotonic() < end and not any(actor.done() for actor in actors):
            await asyncio.sleep(self._dice.uniform(*_CALM_S))
            await self._look_around()
            drawn = self._dice.choices(self._faults, [each.weight for each in self._faults])
            if self._dice.random() < _TWO_AT_ONCE:
                drawn += [each for each in (self._dice.choice(self._faults),) if _beside(drawn[0], each)]
            await asyncio.gather(*(self._strike(each) for each in drawn))
            self._primaries = set()
            await self._look_around()

    async def _look_around(self) -> None:
        """What happened by itself: no program may end, and who is a primary changes by a fault alone."""
        ended = [program.name for program in self._stage.programs if program.supervise()]
        self.wrong += [f"{name} ended, and nobody had ended it" for name in ended]
        primaries = {server.port for server in await asyncio.to_thread(patiently, self._stage.primaries)}
        if self._primaries not in (set(), primaries):
            self.notes.append(_UNASKED)
        self._primaries = primaries

    async def _strike(self, fault: Fault) -> None:
        self.struck[f"{fault.name} ({fault.covers})"] += 1
        _log.info("%s", fault.name)
        try:
            async with asyncio.timeout(_ENDING_S):
                await fault.strike(self._stage, self._dice)
        except Exception as error:
            self.wrong.append(f"the fault '{fault.name}' could not be undone: {error!r}")
            if isinstance(error, TimeoutError):
                self.explained.add(self.wrong[-1])

    async def _ended(self, actors: Sequence[asyncio.Task[None]]) -> None:
        done, hanging = await asyncio.wait(actors, timeout=_ENDING_S)
        self.wrong += [f"{task.get_coro()} hangs" for task in hanging]
        for task in hanging:
            task.cancel()
        self.wrong += [f"an actor died of {task.exception()!r}" for task in done if task.exception() is not None]

    def _judge_slowest(self) -> None:
        call = self._slowest.call
        self.notes.append(f"slowest call {call.seconds:.2f} s ({call.op})")
        most = _TIMEOUT_S if self._stage.name == "one" else _TIMEOUT_S + FAILOVER_S
        if call.seconds > most + _SLACK_S:
            self.wrong.append(f"{call.op} took {call.seconds:.2f} s, and may take {most:g}")
            self.explained.add(self.wrong[-1])

    def _explain(self) -> None:
        """What an old primary alone had is lost: after a failover that nobody asked for no account can be exact."""
        if _UNASKED in self.notes:
            self.explained.update(self.wrong)

    @property
    def doubtful(self) -> bool:
        """Whether there are complaints, and the machine may have made all of them."""
        return bool(self.wrong) and self.explained.issuperset(self.wrong)

    async def _settled(self, ledger: Ledger) -> None:
        _log.info("%s settles", ledger.name)
        try:
            async with asyncio.timeout(2 * _ENDING_S):
                await ledger.settle()
        except Exception as error:
            self.wrong.append(f"{ledger.name} did not settle: {error!r}")
        self.wrong += ledger.complaints()


class Slowest:
    """A hook that keeps the longest call; what waits on the server by its nature is left out."""

    def __init__(self) -> None:
        self.call = CallEnd((), seconds=0.0)

    def __call__(self, _: CallStart) -> Callable[[CallEnd], None]:
        return self._ended

    def _ended(self, call: CallEnd) -> None:
        if call.seconds > self.call.seconds and call.op not in _WAITING:
            self.call = call


def _front(url: str, hook: Slowest) -> HustleX:
    return HustleX(url, secret=SECRET, timeout=timedelta(seconds=_TIMEOUT_S), otp=OtpOptions(caps=None), hook=hook)


def _beside(first: Fault, second: Fault) -> bool:
    """A fault of a program goes with any of a network or a server; two of one kind would undo each other's."""
    kinds = {each.strike.__module__.rpartition(".")[2] for each in (first, second)}
    return "processes" in kinds and len(kinds) == 2


def _size() -> dict[str, float]:
    process = psutil.Process()
    return {"rss_mb": process.memory_info().rss / 2**20, "files": process.num_fds(), "tasks": len(asyncio.all_tasks())}


def played(name: str, seconds: float, seed: int, only: str = "", fault: str = "") -> Play:
    """One arrangement from its beginning to its account."""
    ledgers = [each for each in every_ledger() if only in ("", each.name)]
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        stage = STAGES[name](Path(folder))
        try:
            faults = [each for each in fitting(name) if fault in each.name]
            faults = [each for each in faults if "program" not in each.name or only in ("", "jobs", "money")]
            play = Play(stage, seed, ledgers, faults)
            asyncio.run(play.run(seconds))
            return play
        finally:
            stage.close()


def told(play: Play) -> str:
    """The account in words."""
    lines = [f"  {ledger.name:<12} {ledger.told()}" for ledger in play.ledgers]
    lines.append("  faults       " + ", ".join(f"{name} {times}" for name, times in sorted(play.struck.items())))
    lines += [f"  {note}" for note in play.notes]
    lines += [f"  {name:<12} {before:.0f} -> {after:.0f}" for name, (before, after) in play.process.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="of faults, over all arrangements")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--on", choices=[*STAGES, "all"], default="all")
    parser.add_argument("--only", default="", help="one ledger")
    parser.add_argument("--fault", default="", help="faults whose names hold this")
    parser.add_argument("--again", action="store_true", help="an arrangement that complains of time alone, five times")
    parser.add_argument("--tell", action="store_true", help="each fault as it strikes")
    chosen = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO if chosen.tell else logging.CRITICAL)
    for noisy in ("hustlex", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""
    names = list(STAGES) if chosen.on == "all" else [chosen.on]
    chosen.seconds /= len(names)
    print(f"seed {chosen.seed}", flush=True)
    plays = {name: _shown(name, chosen) for name in names}
    doubtful = to_ask_again(plays) if chosen.again else ""
    if doubtful:
        print(
            f"{doubtful} IS ASKED AGAIN, {_TIMES_MORE} times; look why:", *plays[doubtful].wrong, sep="\n", flush=True
        )
        plays = {f"{doubtful} ({number + 1})": _shown(doubtful, chosen) for number in range(_TIMES_MORE)}
    wrong = [f"{name}: {each}" for name, play in plays.items() for each in play.wrong]
    if wrong:
        print("\n".join(["THE ACCOUNT IS WRONG:", *wrong[:50], f"({len(wrong)} complaints)"]))
    else:
        print("account      exact")
    return 1 if wrong else 0


def _shown(name: str, chosen: argparse.Namespace) -> Play:
    begun = time.monotonic()
    play = played(name, chosen.seconds, chosen.seed, chosen.only, chosen.fault)
    print(f"{name}, {time.monotonic() - begun:.0f} s\n{told(play)}", flush=True)
    return play


def to_ask_again(plays: Mapping[str, Play]) -> str:
    """The one arrangement with complaints, when the machine may have made them; an account that is wrong is wrong."""
    complaining = [name for name, play in plays.items() if play.wrong]
    return complaining[0] if len(complaining) == 1 and plays[complaining[0]].doubtful else ""


if __name__ == "__main__":
    sys.exit(main())
