"""The programs before and after a move, as the pages show them, answer the same requests with the same answers."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import hustlex
from hustlex.worker import Worker
from tests.support.go import compiled
from tests.support.old_queue import LIBRARIES
from tests.support.patience import unhurried_fronts

ROOT = Path(__file__).parents[2]
MIGRATING = ROOT / "docs/migrating"
BLOCK = re.compile(r"^```(?:python|go) (before|after)\.(?:py|go)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTES = [("GET", "/quotes", 200, "42 NGN")] * 3 + [("GET", "/quotes", 429, None)]
GIGS = [
    *[("GET", "/gigs/7", 200, {"title": "Paint a fence"})] * 2,
    ("PUT", "/gigs/7?title=Paint+a+wall", 200, None),
    ("GET", "/gigs/7", 200, {"title": "Paint a wall"}),
]
WEB: dict[str, list[tuple[str, str, int, Any]]] = {
    "slowapi-limits": QUOTES,
    "fastapi-limiter": QUOTES,
    "fastapi-cache2": GIGS,
    "fastapi-redis-sdk": QUOTES + GIGS,
}


@pytest.fixture(autouse=True)
def place(hustlex_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", hustlex_url)
    monkeypatch.setenv("SECRET", "32 random bytes or more, from your vault")
    unhurried_fronts(monkeypatch)


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
        await ended(asyncio.all_tasks() - {asyncio.current_task()})
    if GIGS[0] in WEB[page]:
        assert module.asked == [7, 7]


async def ended(tasks: set[Any]) -> None:
    """What the other library leaves running. Its driver may swallow one cancellation: then it runs on for ever."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=1)


@pytest.mark.filterwarnings("ignore:Call to deprecated close")  # by cashews, of redis-py
@pytest.mark.parametrize("side", ["before", "after"])
async def test_both_caches_of_functions_compute_twice(side: str) -> None:
    module = program("cashews", side)
    assert await module.main() == ["Paint a fence", "Paint a fence", "Paint a wall"]
    assert module.asked == [7, 7]


@pytest.fixture
def django_settings() -> Any:
    from django.conf import settings

    if not settings.configured:
        settings.configure(SECRET_KEY="from your vault")
    return settings


@pytest.mark.parametrize("side", ["before", "after"])
def test_both_limits_of_django_refuse_the_fourth(side: str, django_settings: Any) -> None:
    from django.core.exceptions import PermissionDenied
    from django.test import RequestFactory, override_settings

    from hustlex.django import front

    module = program("django", side)
    with override_settings(CACHES=module.CACHES, HUSTLEX_URL=os.environ["REDIS_URL"]):
        answers = [module.quote(RequestFactory().get("/quotes")) for _ in range(3)]
        assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"42 NGN")] * 3
        if side == "before":
            with pytest.raises(PermissionDenied):  # Django answers 403
                module.quote(RequestFactory().get("/quotes"))
        else:
            assert module.quote(RequestFactory().get("/quotes")).status_code == 429
            front().close()
            front.cache_clear()


@pytest.mark.parametrize("side", ["before", "after"])
def test_both_backends_of_django_hold_the_contract(side: str, django_settings: Any) -> None:
    from django.utils.module_loading import import_string

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


PROGRAMS = {*WEB, *LIBRARIES, "asynq", "cashews", "django", "fastapi-users"}
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
    async with hustlex.HustleX(os.environ["REDIS_URL"]) as hx, working(hx, module.tasks):
        told = await asyncio.to_thread(module.main)
        assert (await told if inspect.isawaitable(told) else told) == WELCOME


@asynccontextmanager
async def working(hx: hustlex.HustleX, tasks: hustlex.Tasks) -> AsyncIterator[None]:
    """Our worker, beside what is inside."""
    worker = Worker(hx.driver, tasks, queues={"default": 1})
    work = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await work


@pytest.fixture
def before_go(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program in Go, compiled with the modules of our example."""
    for name in ("go.mod", "go.sum"):
        shutil.copy(ROOT / "examples/go_resize" / name, tmp_path)
    (tmp_path / "before.go").write_text(shown("asynq", "before"), "utf-8")
    return str(compiled(tmp_path_factory, tmp_path, "migrating-asynq"))


@contextmanager
def working_in_go(program: str) -> Iterator[None]:
    with subprocess.Popen([program, "worker"], stderr=subprocess.DEVNULL) as worker:
        try:
            yield
        finally:
            worker.kill()


@pytest.mark.timeout(300, func_only=True)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_what_go_enqueues_is_worked_by_go_and_by_python(side: str, before_go: str) -> None:
    async with hustlex.HustleX(os.environ["REDIS_URL"]) as hx, AsyncExitStack() as stack:
        if side == "before":
            stack.enter_context(working_in_go(before_go))
        else:
            await stack.enter_async_context(working(hx, program("asynq", "after").tasks))
        task_id = (await asyncio.to_thread(subprocess.check_output, [before_go], text=True)).strip()
        ended = (await hx.jobs.result(task_id, timeout=timedelta(seconds=50))).or_raise()
    assert json.loads(ended.result or b"") == WELCOME


def test_every_program_of_the_pages_is_run() -> None:
    pages = {page.stem for page in MIGRATING.glob("*.md") if BLOCK.search(page.read_text("utf-8"))}
    assert pages == PROGRAMS
