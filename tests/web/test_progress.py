"""A job's progress to a browser, while it runs: nothing is lost to a heartbeat, an end stays an end."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from hustlex.jobs import Tasks, current_job
from hustlex.web import Front, progress_response
from hustlex.worker import Worker
from tests.support.sweep import Sample, complaints
from tests.web.conftest import Serve

SHORT = timedelta(milliseconds=20)
HOUR = timedelta(hours=1)


def events(text: str) -> list[tuple[str, Any]]:
    """Names and data, in order; comments left out."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in text.split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


@pytest.fixture
def told(app: FastAPI) -> dict[str, Any]:
    """Keywords for the route that follows, as a test sets them."""
    options: dict[str, Any] = {"authorize": None}

    @app.get("/jobs/{task_id}")
    async def follow(task_id: str, request: Request, hx: Front) -> Response:
        return await progress_response(request, hx, task_id, **options)

    return options


async def test_all_that_a_running_job_tells_arrives_between_heartbeats(
    app: FastAPI, serve: Serve, told: dict[str, Any]
) -> None:
    tasks = Tasks()
    go_on = asyncio.Event()
    told |= {"heartbeat": SHORT, "results": True}

    @tasks.task("bake", retention=HOUR)
    async def bake() -> dict[str, int]:
        await go_on.wait()
        for n in range(1, 4):
            await current_job().progress(n / 4, f"step {n}")
            await asyncio.sleep(0.05)  # longer than a heartbeat
        return {"loaves": 2}

    async with serve(app) as client:
        hx = app.state.hustlex
        handle = (await hx.jobs.enqueue(bake.job())).or_raise()
        worker = Worker(hx.driver, tasks, queues={"default": 1}, concurrency=2)
        running = asyncio.create_task(worker.run())
        reading = asyncio.create_task(client.get(f"/jobs/{handle.id}"))
        go_on.set()
        text = (await reading).text
        worker.stop()
        await running
    heard = events(text)
    assert [data["fraction"] for name, data in heard if name == "progress"] == [0.25, 0.5, 0.75]
    assert ("result", {"loaves": 2}) in heard
    assert heard[-1] == ("state", {"state": "completed"})
    assert "\n:\n" in text


async def test_who_may_not_listen_and_what_is_nothing_to_follow(
    app: FastAPI, serve: Serve, told: dict[str, Any]
) -> None:
    async with serve(app) as client:
        assert (await client.get("/jobs/nobody")).status_code == 404
        assert (await client.get("/jobs/nobody", headers={"Last-Event-ID": "1-0"})).status_code == 204
        assert (await client.get("/jobs/nobody", headers={"Last-Event-ID": "nonsense"})).status_code == 422

        async def nobody(_: Request) -> bool:
            return False

        told["authorize"] = nobody
        assert (await client.get("/jobs/nobody")).status_code == 204


async def test_results_and_errors_stay_inside_unless_they_are_wanted(
    app: FastAPI, serve: Serve, told: dict[str, Any]
) -> None:
    tasks = Tasks()

    @tasks.task("fail", max_retry=0)
    async def fail() -> None:
        await current_job().result.write({"half": 1})
        raise ValueError("the card 4111-1111 was refused")

    async with serve(app) as client:
        hx = app.state.hustlex
        handle = (await hx.jobs.enqueue(fail.job())).or_raise()
        worker = Worker(hx.driver, tasks, queues={"default": 1})
        running = asyncio.create_task(worker.run())
        text = (await client.get(f"/jobs/{handle.id}")).text
        worker.stop()
        await running
    assert events(text)[-1] == ("state", {"state": "archived"})
    assert "4111-1111" not in text
    assert "half" not in text


async def test_bad_input_gets_one_sentence(app: FastAPI, serve: Serve) -> None:
    tasks = Tasks()

    @tasks.task("waits")
    async def waits() -> None: ...

    async def allowed(_: Request) -> bool:
        return True

    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
    async with serve(app):
        hx = app.state.hustlex
        handle = (await hx.jobs.enqueue(waits.job())).or_raise()
        given = {
            "request": request, "front": hx, "task": handle.id, "queue": "default", "authorize": allowed,
            "results": False, "heartbeat": SHORT,
        }  # fmt: skip
        spare = {"authorize": {"function"}}  # asked at once, and this one is not async
        found = await complaints(Sample(progress_response, given, spare=spare))
    # What names no job is told to the client: 404 or 422.
    assert [each for each in found if "Problem: " not in each] == []
