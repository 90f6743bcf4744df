"""A worker process ends when it is told to, whatever its handlers do, and its jobs are back in the queue, once each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import redis

from hustlex.drivers.blocking import Driver
from hustlex.jobs.lease import maintain
from tests.worker.support import DEFAULT, message, put

ROOT = Path(__file__).parents[2]
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch(url: str) -> Iterator[Launch]:
    """``hustlex worker tests.worker.stubborn`` on the test's server, gone after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(grace_s: float = 0.2) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hustlex", "worker", "tests.worker.stubborn", "--url", url, "--queue=default"]
        environment = os.environ | {"HUSTLEX_SHUTDOWN_TIMEOUT_S": str(grace_s)}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def wait(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def tell_first(process: subprocess.Popen[str]) -> None:
    """Send the first signal and wait until it was heard: its handler starts the thread of the last deadline."""
    threads = psutil.Process(process.pid).num_threads
    before = threads()
    process.send_signal(signal.SIGTERM)
    wait(lambda: threads() > before)


def begun(raw: redis.Redis, kind: str) -> Callable[[], Any]:
    if kind == "plain":
        return lambda: raw.hget(DEFAULT.task("j"), "state") == b"active"
    return lambda: raw.exists("asynq:{default}:x:stream:j")


@pytest.mark.parametrize("kind", ["deaf", "thread", "plain"])
def test_one_signal_ends_a_process_whose_handler_does_not_end(launch: Launch, raw: redis.Redis, kind: str) -> None:
    put(raw, message("j", type=kind))
    process = launch()
    wait(begun(raw, kind))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=45)
    assert process.returncode == 0
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"j"]
    assert raw.hget(DEFAULT.task("j"), "state") == b"pending"
    assert not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.retry)


@pytest.mark.parametrize("deaf", [False, True])
def test_one_signal_ends_a_process_that_can_start_no_thread(launch: Launch, raw: redis.Redis, deaf: bool) -> None:
    put(raw, message("j", type="crowds", payload=msgspec.json.encode({"deaf": deaf})))
    process = launch()
    wait(begun(raw, "crowds"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=45)
    assert process.returncode == (-signal.SIGALRM if deaf else 0)
    assert raw.lrange(DEFAULT.pending, 0, -1) == ([b"j"] if deaf else [])
    assert not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.retry)


@pytest.mark.parametrize("kind", ["stops", "cancels"])
def test_a_handler_that_ends_the_event_loop_ends_the_process_in_order(
    launch: Launch, raw: redis.Redis, kind: str
) -> None:
    put(raw, message("j", type=kind))
    process = launch()
    _, said = process.communicate(timeout=45)
    assert process.returncode == 1
    assert "stopped: 0 attempts succeeded, 1 did not" in said
    assert said.splitlines()[-1].startswith("hustlex: the event loop was ended from within (a handler stopped it, or")
    assert "in run_until_signal" not in said
    assert not raw.exists(DEFAULT.active, DEFAULT.lease)


def test_a_handler_that_closes_the_output_spoils_no_end(launch: Launch, raw: redis.Redis) -> None:
    put(raw, message("j", type="closes"))
    process = launch()
    wait(lambda: raw.get(DEFAULT.processed) == b"1")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=45)
    assert process.returncode == 0 and "Traceback" not in said


def test_a_closed_terminal_ends_it_in_order(launch: Launch, raw: redis.Redis) -> None:
    """Told by the kernel and by the shell: that is no second signal, which would hurry it."""
    put(raw, message("f", type="fine"))
    process = launch()
    wait(lambda: raw.get(DEFAULT.processed) == b"1")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=45)
    assert process.returncode == 0
    assert "stopped: 1 attempts succeeded" in said


def test_nohup_is_heeded(launch: Launch, raw: redis.Redis) -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = launch()
    finally:
        signal.signal(signal.SIGHUP, usual)
    put(raw, message("f", type="fine"))
    wait(lambda: raw.get(DEFAULT.processed) == b"1")
    process.send_signal(signal.SIGHUP)
    put(raw, message("g", type="fine"))
    wait(lambda: raw.get(DEFAULT.processed) == b"2")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=45) and process.returncode == 0


def test_a_second_signal_gives_back_at_once(launch: Launch, raw: redis.Redis) -> None:
    put(raw, message("j", type="deaf"))
    process = launch(grace_s=600)
    wait(begun(raw, "deaf"))
    tell_first(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=45)
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"j"]
    assert not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.retry)


def test_a_loop_that_stands_still_does_not_outlive_a_second_signal(
    launch: Launch, raw: redis.Redis, blocking_driver: Driver
) -> None:
    """Nothing can be given back then; the job is recovered as that of a dead worker, once."""
    put(raw, message("j", type="stands"))
    process = launch(grace_s=600)
    wait(begun(raw, "stands"))
    tell_first(process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=45)
    assert process.returncode == 1 and "the process ends now" in said
    assert raw.lrange(DEFAULT.active, 0, -1) == [b"j"]
    later_ms = int(time.time() * 1000) + 12_000
    assert blocking_driver.run(maintain.recover(DEFAULT, later_ms)) == [b"j"]
    assert blocking_driver.run(maintain.recover(DEFAULT, later_ms)) == []
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"j"]


def test_the_command_line_says_what_it_runs_and_what_failed(launch: Launch, raw: redis.Redis) -> None:
    put(raw, message("f", type="fails", retry=0), message("g", type="fine"))
    process = launch()
    wait(lambda: raw.get(DEFAULT.processed) == b"2")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=45)
    assert process.returncode == 0
    assert (
        "started: queues default=1; " in said
        and "task types cancels, closes, crowds, deaf, fails, fine, plain, stands, stops, thread" in said
    )
    assert "ERROR hustlex.worker: task fails failed and is archived: ValueError: as usual (id f, queue default" in said
    assert "Traceback" in said and 'raise ValueError("as usual")' in said
    assert "stopped: 1 attempts succeeded, 1 did not" in said
    assert "frozen: True" in said
