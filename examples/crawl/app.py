"""A thousand crawls by one plain script: jobs, their retries, a limit, and a page that shows them live.

python -m examples.run crawl      a server, and this script: its page on port 8000, its worker
python -m examples.visit crawl    begins and watches; or open the page and press the button
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from hustlex import HustleX, Tasks, web
from hustlex.events import ReplayChannel
from hustlex.jobs import Rate, current_job
from hustlex.settings import load_settings
from hustlex.web import Front, Problem, install, sse_response
from hustlex.worker import Worker

PAGES = 1_000
PAGE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Crawling</title>
<style>body{font:1rem/1.6 system-ui;max-width:34rem;margin:3rem auto;padding:0 1rem}progress{width:100%}</style>
<h1>Crawling</h1><progress id="bar" max="1" value="0" aria-label="Pages read"></progress>
<p id="text" role="status">Nothing yet.</p><button id="go">Crawl</button>
<script>
  go.onclick = () => fetch("/crawls", { method: "POST" });
  new EventSource("/progress").onmessage = ({ data }) => {
    const at = JSON.parse(data);
    bar.value = at.done / at.all;
    text.textContent = `${at.done} of ${at.all} pages, ${at.links} links, ${at.again} tried again`;
  };
</script>"""


class Crawl(msgspec.Struct):
    """How far it is."""

    all: int = 0
    done: int = 0
    links: int = 0
    again: int = 0


crawl = Crawl()


class Crawler:
    """What the handlers share."""

    def __init__(self, hx: HustleX, client: httpx.AsyncClient) -> None:
        self.client = client
        self.progress: ReplayChannel[Crawl] = hx.events.channel("crawl:pages", Crawl, kind="latest")


def open_front() -> HustleX:
    settings = load_settings()
    return HustleX(settings.url, **settings.secrets())


@asynccontextmanager
async def crawler() -> AsyncIterator[Crawler]:
    async with open_front() as hx, httpx.AsyncClient(timeout=5) as client:
        yield Crawler(hx, client)


tasks = Tasks(lifespan=crawler, retry_delay=timedelta(milliseconds=200))


@tasks.task("crawl:read", queue="crawl", rate=Rate(500, timedelta(seconds=1)), max_retry=5)
async def read(url: str) -> int:
    """One page; polite, and tried again when the site has a bad moment."""
    job = current_job(Crawler)
    crawl.again += job.retried > 0
    answer = await job.state.client.get(url)
    answer.raise_for_status()
    links = answer.text.count("<a ")
    crawl.done, crawl.links = crawl.done + 1, crawl.links + links
    await job.state.progress.publish(crawl)
    return links


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """The page and the worker in one process; apart they are `hustlex api` and `hustlex worker`."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(web.lifespan(open_front)(app))
        driver = app.state.hustlex.driver
        await stack.enter_async_context(Worker(driver, tasks, queues={"crawl": 1}, concurrency=50))
        yield


app = FastAPI(title="Crawling", lifespan=running)
install(app)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.post("/crawls", status_code=202)
async def begin(request: Request, front: Front, pages: int = PAGES) -> None:
    crawl.all += pages
    await front.jobs.enqueue_many([read.job(f"{request.base_url}site/{number}") for number in range(pages)])


@app.get("/progress")
async def progress(request: Request, front: Front) -> Response:
    channel = front.events.channel("crawl:pages", Crawl, kind="latest")
    return await sse_response(request, channel.subscribe(conflate=lambda message: message.channel), authorize=None)


bad_moments: set[int] = set()


@app.get("/site/{number}", response_class=HTMLResponse)
async def site(number: int) -> str:
    """What is crawled: pages with links, every fiftieth of which fails once."""
    await asyncio.sleep(0.005)
    if number % 50 == 7 and number not in bad_moments:
        bad_moments.add(number)
        raise Problem(503)
    return f"<h1>{number}</h1>" + "".join(f'<a href="/site/{number + n}">on</a> ' for n in range(1, number % 7 + 1))


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]) if sys.argv[1:] else 8000, log_level="warning")
