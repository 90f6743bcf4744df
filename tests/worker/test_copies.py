"""A copy of the worker, forked by the application's code, that comes back from it: it ends, and does nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.worker.support import DEFAULT, message, put, until

ROOT = Path(__file__).parents[2]
COUNTED = 20
ENDS = {"returns": 0, "raises": 1, "exits": 5}


@pytest.fixture
def launch(url: str) -> Iterator[Callable[[str], None]]:
    running: list[subprocess.Popen[bytes]] = []
    yield lambda where: running.append(
        subprocess.Popen([sys.executable, "-m", "tests.worker.copier", url, where], cwd=ROOT, start_new_session=True)
    )
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def told(raw: redis.Redis, launch: Callable[[str], None], where: str, **kinds: bytes) -> list[str]:
    """How the copies ended, when these jobs are done, and others, once each."""
    put(raw, *(message(kind, type=kind.replace("_", " "), payload=payload, retry=0) for kind, payload in kinds.items()))
    put(raw, *(message(f"c{number}", type="counted", payload=b"{}") for number in range(COUNTED)))
    launch(where)
    await until(lambda: int(raw.get(DEFAULT.processed) or 0) == len(kinds) + COUNTED)
    assert raw.llen("test:counted") == COUNTED
    return sorted(each.decode() for each in raw.lrange("test:ended", 0, -1))


@pytest.mark.parametrize("how", ENDS)
async def test_a_copy_ends_where_its_handler_does(raw: redis.Redis, launch: Callable[[str], None], how: str) -> None:
    """Its exit code says whether it returned, raised, or which one it wished for."""
    payload = f'{{"how": "{how}"}}'.encode()
    found = await told(raw, launch, "handler", thread=payload, at_once=payload, waiting=payload)
    assert found == [f"at once: {ENDS[how]}", f"thread: {ENDS[how]}", f"waiting: {ENDS[how]}"]


async def test_a_copy_ends_where_its_handler_waits(raw: redis.Redis, launch: Callable[[str], None]) -> None:
    """It has no event loop of its own to wait in."""
    assert await told(raw, launch, "handler", waits=b"{}", waits_again=b"{}") == ["waits again: 1", "waits: 1"]


@pytest.mark.parametrize("where", ["lifespan", "middleware", "error handler"])
async def test_so_does_one_of_other_functions(raw: redis.Redis, launch: Callable[[str], None], where: str) -> None:
    found = await told(raw, launch, where, fails=b"{}")
    assert set(found) == {f"{where}: 0"}
