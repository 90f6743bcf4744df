"""Tasks that run in processes of their own; those processes import this module."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from hustlex.jobs import Tasks, current_job
from hustlex.jobs.define.signals import Retry, RevokeTask, SkipRetry, Snooze
from tests.worker.nasty import throw

tasks = Tasks()


class Peculiar(Exception):
    """Cannot be read back from a pickle."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def note(folder: str, text: object = "") -> None:
    """Leave a file named after this process."""
    with (Path(folder) / str(os.getpid())).open("a") as file:
        file.write(f"{text}\n")


@tasks.task("cpu:add", cpu=True)
def add(folder: str, a: int, b: int) -> int:
    """Counts in a process and gives the sum back."""
    job = current_job()
    note(folder, f"{job.type} {job.id} {job.retried} {a + b}")
    return a + b


@tasks.task("cpu:spin", cpu=True, timeout=timedelta(seconds=1))
def spin(folder: str) -> None:
    """Never ends, and never lets go of the interpreter's lock for long."""
    note(folder)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note(folder, f"child {child.pid}")
    while True:
        pass


@tasks.task("cpu:nap", cpu=True)
def nap(folder: str, seconds: float) -> None:
    """Sleeps."""
    note(folder, f"began {time.monotonic()}")
    time.sleep(seconds)
    note(folder, f"ended {time.monotonic()}")


@tasks.task("cpu:fail", cpu=True)
def fail(how: str) -> object:
    """Ends in many ways."""
    match how:
        case "plain":
            raise ValueError("no such number")
        case "peculiar":
            raise Peculiar(1, 2)
        case "skip":
            raise KeyError("x") from SkipRetry("never again")
        case "revoke":
            raise RevokeTask
        case "snooze":
            raise Snooze(timedelta(hours=1))
        case "snooze from":
            raise Peculiar(1, 2) from Snooze(timedelta(hours=1))
        case "retry":
            raise Retry("busy", in_=timedelta(hours=1))
        case "retry from":
            raise KeyError("x") from Retry(in_=timedelta(hours=1))
        case "retry of an error":
            raise Retry(in_=timedelta(hours=1)) from KeyError("x")
        case "exit":
            sys.exit(3)
        case "crash":
            os.abort()
        case "vanish":
            os._exit(7)
        case "result":
            return lambda: None
    return None


@tasks.task("heavy:throws", cpu=True)
def throws(kind: str) -> None:
    """Raise the worst there is."""
    throw(kind)


@tasks.task("heavy:twice", cpu=True)
def twice(number: int, *, copied: bool) -> list[int]:
    """Return in this process, and in a copy of it, too."""
    copy = copied and os.fork() == 0
    return [number, int(copy)]
