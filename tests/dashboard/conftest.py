"""A console on a real server, and browsers without a window that speak to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hustlex.app import HustleX
from hustlex.dashboard import Dashboard, Operator

PLACE = "http://localhost:8100"


class Person:
    """Somebody with a browser: follows forms as one does, without a script."""

    def __init__(self, console: Dashboard) -> None:
        transport = httpx.ASGITransport(console, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=PLACE, headers={"Sec-Fetch-Site": "same-origin"})
        self.shown = ""
        self.token = ""
        """Of the last page that had a form."""

    async def open(self, path: str) -> httpx.Response:
        """A page."""
        answer = await self.client.get(path)
        self._keep(answer)
        return answer

    def _keep(self, answer: httpx.Response) -> None:
        self.shown = answer.text
        if found := re.search(r'name="form_token" value="([^"]+)"', self.shown):
            self.token = found[1]

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """A form, with the token of the page that is open."""
        given = {"form_token": self.token} | fields
        answer = await self.client.post(path, data=given)
        if answer.is_redirect:
            return await self.open(answer.headers["location"])
        self._keep(answer)
        return answer

    async def press(self, verb: str, **fields: str) -> httpx.Response:
        """A button of the console."""
        return await self.post("/act", verb=verb, **fields)


@pytest.fixture
async def hx(url: str) -> AsyncIterator[Any]:
    """The front of the application that is looked at."""
    async with HustleX(url, secret=b"a test secret of thirty-two bytes or more", timeout=timedelta(seconds=5)) as front:
        yield front


@pytest.fixture
def person(hx: HustleX) -> Callable[..., Person]:
    """``person("act")``: somebody whom the application lets in; with options of ``Operator``."""

    def made(level: Any = "act", **more: Any) -> Person:
        async def who(_: Any) -> Operator:
            return Operator(level, "ada", **more)

        return Person(Dashboard(hx, access=who))

    return made
