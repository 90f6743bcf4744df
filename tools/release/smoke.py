"""Run by a fresh interpreter that has the wheel and one extra: ``python -I smoke.py EXTRA URL CHECKOUT``."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.resources
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECRET = "a secret of a release, thirty-two bytes or more"  # noqa: S105 - nobody's


def base(url: str) -> None:
    """A job goes through, each room answers, and what is missing says so in one sentence."""
    asyncio.run(_rooms(url))
    assert importlib.resources.files("hustlex").joinpath("py.typed").is_file()
    said = subprocess.run([_command(), "--version"], capture_output=True, text=True, check=False)
    if _there("typer"):
        return
    assert said.returncode == 2, said
    assert "pip install 'hustlex[server]'" in said.stderr, said.stderr


async def _rooms(url: str) -> None:
    from datetime import timedelta

    from hustlex import HustleX, Tasks
    from hustlex.drivers.aio import Driver
    from hustlex.ratelimit import Policy
    from hustlex.worker import Worker

    tasks = Tasks()

    @tasks.task("double", queue="smoke")
    async def double(number: int) -> int:
        return 2 * number

    async with HustleX(url, secret=SECRET) as hx, Driver(url) as driver:
        engine = Worker(driver, tasks, queues={"smoke": 1})
        running = asyncio.create_task(engine.run())
        handle = (await hx.jobs.enqueue(double.job(number=21))).or_raise()
        assert await handle.result(timeout=timedelta(seconds=30)) == 42
        engine.stop()
        await running
        pair = (await hx.tokens.login("smoke")).or_raise()
        assert (await hx.tokens.check(pair.access, mode="strict")).user_id == "smoke"
        limit = Policy("smoke", 1000, timedelta(minutes=1))
        assert (await hx.ratelimit.check(limit, "smoke", endpoint="/")).allowed
        numbers = hx.cache("smoke", int, ttl=timedelta(minutes=1))
        assert await numbers.get_or_compute(1, _seven) == 7


async def _seven() -> int:
    return 7


def otp(url: str) -> None:
    """A code is issued for a phone."""
    asyncio.run(_issue(url))


async def _issue(url: str) -> None:
    from hustlex import HustleX

    async with HustleX(url, secret=SECRET) as hx:
        assert type(await hx.otp.issue("0803 123 4567")).__name__ in ("Issued", "Cooldown")


def web(url: str) -> None:
    """A FastAPI application says that it is well."""
    from fastapi import FastAPI

    from hustlex import HustleX
    from hustlex.web import health_router, install, lifespan

    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, secret=SECRET)))
    install(app)
    app.include_router(health_router())
    assert asyncio.run(_asked(app, "/health")) == 200


async def _asked(app: Any, path: str) -> int:
    """The status of GET, without a client."""
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"host", b"localhost:8100")], "http_version": "1.1", "scheme": "http",
             "server": ("localhost", 8100), "client": ("127.0.0.1", 1), "root_path": "",
             "asgi": {"version": "3.0"}}  # fmt: skip
    told: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.extend([message["status"]] if message["type"] == "http.response.start" else [])

    router = getattr(app, "router", None)
    if router is None:
        await app(scope, receive, send)
    else:
        async with router.lifespan_context(app):
            await app(scope, receive, send)
    return told[0]


def server(url: str) -> None:
    """The command line runs, and looks at a server."""
    assert importlib.metadata.version("hustlex") in _said("--version")
    assert "worker" in _said("--help")
    assert '"schema"' in _said("doctor", "--url", url, "--json", codes=(0, 2))


def dashboard(url: str) -> None:
    """The console answers, and lets nobody in."""
    asyncio.run(_console(url))


async def _console(url: str) -> None:
    from hustlex import HustleX
    from hustlex.dashboard import Dashboard

    async with HustleX(url, secret=SECRET) as hx:
        assert await _asked(Dashboard(hx), "/queues") in (303, 401, 403)
        assert await _asked(Dashboard(hx), "/") < 500


def flask(url: str) -> None:
    """The door opens."""
    import hustlex.flask

    assert hustlex.flask.__all__


def django(url: str) -> None:
    """Settings name it, and it keeps a value."""
    from django.conf import settings

    settings.configure(
        CACHES={"default": {"BACKEND": "hustlex.django.cache.HustlexCache", "LOCATION": url}},
        HUSTLEX_URL=url,
        HUSTLEX_SECRET=SECRET,
        SECRET_KEY=SECRET,
    )
    from django.core.cache import cache

    cache.set("smoke", 7)
    assert cache.get("smoke") == 7


def outbox(url: str) -> None:
    """Its table can be made."""
    import hustlex.outbox

    assert hustlex.outbox.__all__


def gateway(url: str) -> None:
    """A sender over HTTP can be made."""
    from hustlex.delivery import HttpSender

    HttpSender("https://sms.test")


def postgres(url: str) -> None:
    """The driver of SQLAlchemy's URL is there."""
    assert importlib.import_module("asyncpg")


def otel(url: str) -> None:
    """A hook that traces can be made, and a call goes through it."""
    asyncio.run(_traced(url))


async def _traced(url: str) -> None:
    from hustlex import HustleX
    from hustlex.otel import OpenTelemetry

    async with HustleX(url, secret=SECRET, hook=OpenTelemetry()) as hx:
        (await hx.tokens.login("smoke")).or_raise()


def testing(url: str) -> None:
    """The plugin of pytest brings a server of its own."""
    body = "async def test_it(hustlex):\n    assert (await hustlex.tokens.login('ada')).or_raise().access\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text(body)
        Path(folder, "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
        ran = subprocess.run(
            [sys.executable, "-I", "-m", "pytest", "-q"], cwd=folder, capture_output=True, text=True, check=False
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr


USES: dict[str, Callable[[str], None]] = {
    "": base, "otp": otp, "web": web, "server": server, "dashboard": dashboard, "flask": flask, "django": django,
    "outbox": outbox, "gateway": gateway, "postgres": postgres, "otel": otel, "testing": testing,
}  # fmt: skip


def _command() -> str:
    return str(Path(sys.executable).with_name("hustlex"))


def _said(*arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    ran = subprocess.run([_command(), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode in codes, ran
    return ran.stdout


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def main() -> None:
    """Nothing of the checkout can be imported; then the extra is used."""
    extra, url, checkout = sys.argv[1:]
    import hustlex

    assert hustlex.__file__ is not None
    assert Path(hustlex.__file__).is_relative_to(sys.prefix), hustlex.__file__
    assert not [place for place in sys.path if place == checkout or place.startswith(f"{checkout}/src")], sys.path
    base(url)
    USES[extra](url)


if __name__ == "__main__":
    main()
