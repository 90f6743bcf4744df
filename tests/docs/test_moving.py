"""The programs before and after a move, as the pages show them, answer the same requests with the same answers."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import hustlex
from hustlex.ratelimit import RateLimitOptions
from hustlex.worker import Worker
from tests.support.old_queue import LIBRARIES

ROOT = Path(__file__).parents[2]
MIGRATING = ROOT / "docs/migrating"
BLOCK = re.compile(r"^```python (before|after)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# On a busy machine a call waits longer, and a limit does not decide without the server.
PATIENT = partial(
    hustlex.HustleX, timeout=timedelta(seconds=5), ratelimit=RateLimitOptions(timeout=timedelta(seconds=10))
)
QUOTES = [("GET", "/quotes", 200, "42 NGN")] * 3 + [("GET", "/quotes", 429, None)]
GIGS = [
    *[("GET", "/gigs/7", 200, {"title": "Paint a fence"})] * 2,
    ("PUT", "/gigs/7?title=Paint+a+wall", 200, None),
    ("GET", "/gigs/7", 200, {"title": "Paint a wall"}),
]
WEB: dict[str, list[tuple[str, str, int, Any]]] = {
    "fastapi-limiter": QUOTES,
    "fastapi-cache2": GIGS,
    "fastapi-redis-sdk": QUOTES + GIGS,
}


@pytest.fixture(autouse=True)
def place(hustlex_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", hustlex_url)
    monkeypatch.setenv("SECRET", "32 random bytes or more, from your vault")
    monkeypatch.setattr("hustlex.HustleX", PATIENT)


def shown(page: str, side: str) -> str:
    return dict(BLOCK.findall((MIGRATING / f"{page}.md").read_text("utf-8")))[side]


def program(page: str, side: str) -> ModuleType:
    """One of a page's two, imported."""
    code = shown(page, side)
    module = ModuleType(f"{side}_{re.sub('[^a-z0-9]', '_', page)}")
    exec(compile(code, f"{page}/{side}.py", "exec", dont_inherit=True), module.__dict__)
    return module


async def served(stack: AsyncExitStack, app: Any) -> httpx.AsyncClient:
    await stack.enter_async_context(app.router.lifespan_context(app))
    return await stack.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t"))


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("page", WEB)
async def test_both_applications_answer_alike(page: str, side: str) -> None:
    module = program(page, side)
    async with AsyncExitStack() as stack:
        client = await served(stack, module.app)
        for method, path, status, body in WEB[page]:
            answer = await client.request(method, path)
            assert answer.status_code == status, (path, answer.text)
            assert body is None or answer.json() == body
    if GIGS[0] in WEB[page]:
        assert module.asked == [7, 7]


@pytest.mark.filterwarnings("ignore:Call to deprecated close")  # by cashews, of redis-py
@pytest.mark.parametrize("side", ["before", "after"])
async def test_both_caches_of_functions_compute_twice(side: str) -> None:
    module = program("cashews", side)
    assert await module.main() == ["Paint a fence", "Paint a fence", "Paint a wall"]
    assert module.asked == [7, 7]


@pytest.mark.parametrize("side", ["before", "after"])
def test_both_backends_of_django_hold_the_contract(side: str) -> None:
    from django.conf import settings
    from django.utils.module_loading import import_string

    if not settings.configured:
        settings.configure(SECRET_KEY="from your vault")
    chosen = program("django", side).CACHES["default"]
    cache = import_string(chosen["BACKEND"])(chosen["LOCATION"], {"TIMEOUT": 300, "KEY_PREFIX": side})
    cache.set("user:7", {"name": "Ada"})
    assert (cache.get("user:7"), cache.get("user:8", "none")) == ({"name": "Ada"}, "none")
    cache.set("count", 1)
    assert (cache.incr("count", 4), cache.add("count", 9), cache.get_many(["count", "user:8"])) == (
        5,
        False,
        {"count": 5},
    )
    cache.close()


@pytest.mark.parametrize("side", ["before", "after"])
async def test_both_kinds_of_tokens_end_at_logout(side: str) -> None:
    module = program("fastapi-users", side)
    async with AsyncExitStack() as stack:
        client = await served(stack, module.app)
        wrong = await client.post("/auth/login", json={"username": "ada", "password": "wrong"})
        pair = (await client.post("/auth/login", json={"username": "ada", "password": "correct horse"})).json()
        shown = {"Authorization": f"Bearer {pair['access_token']}"}
        answers = [await client.get("/me", headers=shown), await client.post("/auth/logout", headers=shown)]
        answers.append(await client.get("/me", headers=shown))
        if side == "before":
            await module.strategy.redis.aclose()
    assert [wrong.status_code, *(answer.status_code for answer in answers)] == [400, 200, 204, 401]
    assert answers[0].json() == {"id": "ada"}


PROGRAMS = {*WEB, *LIBRARIES, "cashews", "django", "fastapi-users"}
WELCOME = "user 42 is welcome"


@pytest.mark.parametrize("page", LIBRARIES)
def test_before_the_other_librarys_worker_runs_the_task(page: str, tmp_path: Path) -> None:
    """In a process of its own: what it leaves open is nobody else's."""
    before = tmp_path / "before.py"
    before.write_text(shown(page, "before"), "utf-8")
    command = [sys.executable, "-m", "tests.support.old_queue", page, str(before)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.stdout.splitlines()[-1:] == [WELCOME], ran.stderr


@pytest.mark.parametrize("page", LIBRARIES)
async def test_after_ours_runs_it(page: str) -> None:
    module = program(page, "after")
    async with hustlex.HustleX(os.environ["REDIS_URL"]) as hx:
        worker = Worker(hx.driver, module.tasks, queues={"default": 1})
        work = asyncio.create_task(worker.run())
        told = await asyncio.to_thread(module.main)
        assert (await told if inspect.isawaitable(told) else told) == WELCOME
        worker.stop()
        await work


def test_every_program_of_the_pages_is_run() -> None:
    pages = {page.stem for page in MIGRATING.glob("*.md") if BLOCK.search(page.read_text("utf-8"))}
    assert pages == PROGRAMS
