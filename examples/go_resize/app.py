"""Go beside Python on one Redis: an API in Python, a worker in Go that resizes, a worker in Python that publishes.

python -m examples.run go_resize      a server, the API on port 8000, both workers (needs Go, 1.24 or newer)
python -m examples.visit go_resize    somebody who sends a photo

The task "photo:resize" has no function here: it is Go's, in main.go. Payloads are JSON on both sides.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import Body, FastAPI

from hustlex import HustleX, Tasks
from hustlex.events import ReplayChannel
from hustlex.jobs import Succeeded, current_job
from hustlex.settings import load_settings
from hustlex.web import Front, Problem, install, lifespan

KEPT = timedelta(hours=1)


class Published(msgspec.Struct, frozen=True):
    number: int
    file: str


def open_front() -> HustleX:
    settings = load_settings()
    return HustleX(settings.url, **settings.secrets())


def album(hx: HustleX) -> ReplayChannel[Published]:
    return hx.events.channel("album:photos", Published, kind="replay", ttl=KEPT)


tasks = Tasks(lifespan=open_front)


@tasks.task("photo:publish")
async def publish(number: int, file: str) -> None:
    """Enqueued by Go, with the fields of its JSON as arguments."""
    await album(current_job(HustleX).state).publish(Published(number, file))


app = FastAPI(title="Photos", lifespan=lifespan(open_front))
install(app)


@app.post("/photos", status_code=202)
async def send(
    number: Annotated[int, Body(strict=True, gt=0)], width: Annotated[int, Body(strict=True, gt=0)], front: Front
) -> dict[str, str]:
    photo = {"number": number, "width": width}
    queued = await front.jobs.enqueue("photo:resize", photo, queue="photos", retention=KEPT)
    return {"job": queued.or_raise().id}


@app.get("/photos/{job}")
async def show(job: str, front: Front) -> Any:
    """What the Go worker wrote as the job's result; waits a little."""
    ending = await front.jobs.result(job, queue="photos", timeout=timedelta(seconds=10))
    if not isinstance(ending, Succeeded) or ending.result is None:
        raise Problem(404, detail="There is no result yet.")
    return msgspec.json.decode(ending.result)


@app.get("/album")
async def look(front: Front) -> list[str]:
    """What the Python worker has published."""
    return [each.data.file for each in await album(front).history() if isinstance(each.data, Published)]
