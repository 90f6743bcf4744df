"""Fixtures of the tests: the service as it runs, on a server of its own, and somebody who logs in."""

import importlib
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from hustlex import HustleX
from hustlex.testing import drain, patient

Login = Callable[[str], Awaitable[dict[str, str]]]


@pytest.fixture
def service(
    request: pytest.FixtureRequest, hustlex_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The app.py that stands beside the test."""
    monkeypatch.setenv("HUSTLEX_URL", hustlex_url)
    monkeypatch.setenv("HUSTLEX_SECRET", "32 random bytes or more, from your vault")
    monkeypatch.setenv("AJO_DATABASE", str(tmp_path / "ajo.db"))
    monkeypatch.syspath_prepend(str(request.path.parent))
    monkeypatch.setattr("hustlex.HustleX", partial(HustleX, **patient()))  # for busy machines
    for name in ("app", "store"):  # another folder's
        sys.modules.pop(name, None)
    return importlib.import_module("app")


@pytest.fixture
async def client(service: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks HTTP to it."""
    app = service.app
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


@pytest.fixture
def login(service: ModuleType, client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> Login:
    """Headers for somebody who has typed the code that was sent to this phone."""

    async def logged_in(phone: str) -> dict[str, str]:
        asked = (await client.post("/auth/otp/request", json={"phone": phone})).raise_for_status()
        await drain(service.app.state.hustlex, service.tasks)
        code = re.findall(r"\b\d{6}\b", capsys.readouterr().out)[-1]
        typed = {"challenge": asked.json()["challenge"], "code": code}
        pair = (await client.post("/auth/otp/verify", json=typed)).json()
        return {"Authorization": f"Bearer {pair['access_token']}"}

    return logged_in
