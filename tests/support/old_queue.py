"""Another library's task and worker, in a process of their own: ``python -m tests.support.old_queue PAGE PROGRAM``.

The program is what a page of *Coming from another library* shows; what its ``main`` answers is printed. That ends the
process: how another library's worker stops is not our affair.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
import threading
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import NoReturn


def end_with(answer: object) -> NoReturn:
    print(answer, flush=True)
    os._exit(0)


def celery(program: SimpleNamespace) -> None:
    from celery.contrib.testing.worker import start_worker

    with start_worker(program.app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
        end_with(program.main())


def rq(program: SimpleNamespace) -> None:
    from rq import SimpleWorker

    threading.Thread(target=lambda: end_with(program.main())).start()
    SimpleWorker([program.queue], connection=program.redis).work(logging_level="ERROR")


def arq(program: SimpleNamespace) -> None:
    from arq.worker import create_worker

    async def both() -> None:
        worker = create_worker(program.WorkerSettings, handle_signals=False, poll_delay=0.02)
        await beside(worker.async_run(), program)

    asyncio.run(both())


def taskiq(program: SimpleNamespace) -> None:
    from taskiq.api import run_receiver_task

    asyncio.run(beside(run_receiver_task(program.broker), program))


async def beside(work: Awaitable[object], program: SimpleNamespace) -> None:
    working = asyncio.ensure_future(work)
    answer = await program.main()
    working.cancel()
    end_with(answer)


LIBRARIES = {"celery": celery, "rq": rq, "arq": arq, "taskiq": taskiq}

if __name__ == "__main__":
    sys.modules["before"] = module = type(sys)("before")
    vars(module).update(runpy.run_path(sys.argv[2], run_name="before"))
    LIBRARIES[sys.argv[1]](SimpleNamespace(**vars(module)))
