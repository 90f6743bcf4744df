"""A real Chromium without a window, driven by its own protocol over a WebSocket: for the tour and the tests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

# First the engine without the windows around it: it takes a third of the processor's time.
_NAMES = (
    *("chrome-headless-shell", "chromium-headless-shell"),
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
)
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-extensions", "--disable-sync", "--remote-debugging-port=0"),
)


class Tab:
    """One page."""

    def __init__(self, chromium: Chromium, session: str, target: str) -> None:
        self._chromium = chromium
        self._session = session
        self.target = target

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited. Raises AssertionError with what the page threw."""
        given = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self.call("Runtime.evaluate", **given)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(60):
            while not await self._holds(script):  # noqa: ASYNC110 - a page has no event of ours
                await asyncio.sleep(0.02)

    async def _holds(self, script: str) -> bool:
        """Between two pages nothing does."""
        try:
            return bool(await self.run(f"!!({script})"))
        except AssertionError as error:
            if "Inspected target navigated" not in str(error):
                raise
            return False

    async def call(self, method: str, **given: Any) -> Any:
        """A method of the protocol."""
        return await self._chromium.call(method, self._session, **given)

    async def go(self, url: str) -> None:
        """Load another page."""
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    async def fill(self, **fields: str) -> None:
        """Write into fields by their ids, and send their form by its first button."""
        await self.run(
            f"""(() => {{
              let form;
              for (const [id, text] of Object.entries({json.dumps(fields)})) {{
                const field = document.getElementById(id);
                field.value = text;
                form = field.form;
              }}
              setTimeout(() => form.requestSubmit(form.querySelector("button")), 0);
            }})()"""
        )

    async def press(self, selector: str) -> None:
        """A button or a link."""
        await self.run(f"setTimeout(() => document.querySelector({json.dumps(selector)}).click(), 0)")

    async def look(self, width: int, height: int, scheme: str = "light") -> None:
        """As a window of this size, light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def picture(self) -> bytes:
        """The page as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    async def close(self) -> None:
        """Close the page."""
        await self._chromium.call("Target.closeTarget", targetId=self.target)


class Chromium:
    """The browser. context: the profile of the tabs that it opens."""

    def __init__(self, link: ClientConnection) -> None:
        self.context = ""
        self.told: list[dict[str, Any]] = []
        """Events of the domains that somebody has enabled."""
        self._link = link
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._task = asyncio.create_task(self._read())

    async def call(self, method: str, session: str = "", /, **given: Any) -> Any:
        """A method of the protocol; its result."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        said = {"id": number, "method": method, "params": given, **({"sessionId": session} if session else {})}
        await self._link.send(json.dumps(said))
        async with asyncio.timeout(60):
            return await answer

    async def open(self, url: str) -> Tab:
        """A tab with this page, loaded."""
        fresh = await self.call("Target.createTarget", url="about:blank", browserContextId=self.context)
        target = fresh["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = Tab(self, session, target)
        await tab.call("Page.navigate", url=url)
        await tab.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return tab

    async def _read(self) -> None:
        async for text in self._link:
            answer = json.loads(text)
            if "method" in answer:
                self.told.append(answer)
            future = self._waiting.pop(answer.get("id"), None)
            if future is not None and not future.done():
                if "error" in answer:
                    future.set_exception(AssertionError(str(answer["error"])))
                else:
                    future.set_result(answer["result"])

    async def end(self) -> None:
        """Stop reading."""
        self._task.cancel()
        await asyncio.wait([self._task])


def installed() -> str | None:
    """Where a browser is on this machine."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextmanager
def running(binary: str) -> Iterator[str]:
    """A browser with an empty profile; yields its address."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [binary, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # A group of its own: some systems start the browser by a script, which would end without it.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield _address(Path(profile))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Chromium]:
    """Drive a browser; the tabs that are opened share nothing with others before."""
    async with connect(address, max_size=None) as link:
        browser = Chromium(link)
        browser.context = (await browser.call("Target.createBrowserContext"))["browserContextId"]
        try:
            yield browser
        finally:
            with contextlib.suppress(Exception):
                await browser.call("Target.disposeBrowserContext", browserContextId=browser.context)
            await browser.end()


def _address(profile: Path) -> str:
    """The browser writes where it listens."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            port, path = (profile / "DevToolsActivePort").read_text().splitlines()
            return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.02)
    raise TimeoutError("the browser did not start")
