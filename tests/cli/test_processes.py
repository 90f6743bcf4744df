"""``hustlex worker --processes 2``: what dies is started again, one port tells of all, and all end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis

from examples.gigs import tour
from examples.gigs.tour import wait_for
from hustlex.cli.backend import Parts
from hustlex.cli.processes import cores, run_processes
from hustlex.cli.up import _children
from hustlex.drivers.ports import free_port
from hustlex.errors import ConfigurationError, Misuse
from hustlex.settings import Settings
from hustlex.sync import HustleX
from tests.cli import inside
from tests.cli.backend import ROOT
from tests.support import forked

MODULE = """
import asyncio
from hustlex import Tasks

tasks = Tasks()

@tasks.task("slow")
async def slow() -> None:
    await asyncio.sleep(600)
"""


class Workers:
    """The command, and what its port says."""

    def __init__(self, url: str, at: Path, *extra: str, **environment: str) -> None:
        self.port = free_port()
        (at / "shop.py").write_text(MODULE)
        command = [sys.executable, "-m", "hustlex", "worker", "shop", "--url", url, "--health-port", str(self.port)]
        known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self.process = forked.Popen([*command, *extra], cwd=at, env=known, stderr=subprocess.PIPE, text=True)

    def health(self) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        except OSError:
            return {"ok": False, "processes": []}
        finally:
            connection.close()
        assert found["ok"] == (answer.status == 200)
        return found

    def metrics(self) -> dict[str, float]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found = [self.health()]
        assert wait_for(lambda: holds(found[0]) or bool(found.insert(0, self.health()))), found[0]
        return found[0]

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "_PATIENCE_SECONDS", 90.0)


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    begun: list[Workers] = []

    def begin(*extra: str, **environment: str) -> Workers:
        begun.append(Workers(url, tmp_path, *extra, **environment))
        return begun[-1]

    yield begin
    for workers in begun:
        workers.process.kill()  # its children end with it
        workers.process.communicate(timeout=60)


@pytest.mark.parametrize("given", [("--durability", "replica"), ()])
def test_the_command_says_what_outcomes_wait_for(given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """To a worker of its own, and to each of its processes; else the tasks decide."""
    told: list[Any] = []

    def worker(*_: Any, **options: Any) -> None:
        told.append(options.get("durability"))
        raise Misuse("seen")

    def processes(_: int, arguments: list[str], *__: Any, **___: Any) -> int:
        told.append(next((word for at, word in enumerate(arguments) if arguments[at - 1] == "--durability"), None))
        return 0

    monkeypatch.setattr("hustlex.cli.worker.Worker", worker)
    monkeypatch.setattr("hustlex.cli.worker.run_processes", processes)
    command = ("worker", "examples.gigs", "--url", "redis://127.0.0.1:1/0", *given)
    assert inside.hustlex(*command).returncode == 2
    assert inside.hustlex(*command, "--processes", "2").returncode == 0
    assert told == [given[1] if given else None] * 2


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_dies_is_started_again_and_a_second_signal_ends_all(
    start: Callable[..., Workers], url: str, raw: redis.Redis
) -> None:
    workers = start(HUSTLEX_PROCESSES="2", HUSTLEX_SHUTDOWN_TIMEOUT_S="600")
    first, second = (row["pid"] for row in workers.until(lambda found: found["ok"])["processes"])
    os.kill(second, signal.SIGKILL)
    rows = workers.until(lambda found: found["ok"] and found["restarts"] == 1)["processes"]
    assert [row["restarts"] for row in rows] == [0, 1]
    assert [row["report"]["status"] for row in rows] == ["active", "active"]
    pids = [row["pid"] for row in rows]
    assert pids[0] == first and pids[1] != second

    with HustleX(url) as hx:
        hx.jobs.enqueue("slow", {})
    assert wait_for(lambda: raw.llen("asynq:{default}:active") == 1)
    shown = workers.metrics()
    assert shown['hustlex_worker_slots{kind="total"}'] == 200, "of both"
    assert shown['hustlex_calls_total{op="jobs.beat",outcome="ok"}'] >= 2
    workers.process.send_signal(signal.SIGINT)
    stopping = workers.until(lambda found: statuses(found) == {"", "closed"})
    assert not stopping["ok"]
    code, errors = workers.end(signal.SIGTERM)
    assert code == 0
    assert "worker 2 ended (killed by signal 9); starting it again" in errors
    assert not any(alive(pid) for pid in pids)
    assert raw.llen("asynq:{default}:pending") == 1, "given back"


def statuses(found: dict[str, Any]) -> set[str]:
    """One that has ended says nothing."""
    return {row["report"]["status"] if row["report"] else "" for row in found["processes"]}


def test_what_cannot_work_is_told_once_and_ends_it(start: Callable[..., Workers]) -> None:
    workers = start("gone", "--processes", "2")
    _, errors = workers.process.communicate(timeout=60)
    assert workers.process.returncode == 2
    assert errors.count("hustlex: ") == 1 and "gone" in errors, errors


def test_up_starts_as_many_and_stops_them_together() -> None:
    children = _children(Parts(None, ("shop",)), 8000, 0, Settings(processes=3))
    assert [(child.name, child.stage) for child in children] == [
        ("scheduler", 1),
        *((f"worker {number}", 2) for number in (1, 2, 3)),
    ]
    assert [child.name for child in _children(Parts(None, ("shop",)), 8000, 0, Settings(processes=1))][1:] == ["worker"]


def test_none_means_as_many_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores(3) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    assert cores(0) == 3


@pytest.mark.parametrize(("name", "words"), [("x" * 100, "too long for sockets"), ("", "No usable temporary")])
def test_no_place_for_the_processes_sockets_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    (tmp_path / name).mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    if not name:
        gone = FileNotFoundError(2, "No usable temporary directory found")
        monkeypatch.setattr("tempfile.TemporaryDirectory", Mock(side_effect=gone))
    with pytest.raises(ConfigurationError, match=f"{words}.*TMPDIR"):
        run_processes(2, ["shop"], {}, grace_s=1, port=None, host="127.0.0.1")
    assert not list((tmp_path / name).iterdir())
