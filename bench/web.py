"""HTTP end to end: the CPU that each thing adds to a request over the bare route, and p99; beside what others add."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from bench.harness import (
    QUICK,
    Budget,
    Figures,
    percentile,
    print_goals,
    print_summary,
    print_table,
    serving,
    turned,
    versions,
)

BARE = "bare route"
_OWN, _PEERS = "bench.own.web", "bench.peers.web"
_ARMS: dict[str, tuple[str, ...]] = {
    BARE: (f"{_OWN}:bare",),
    "installed": (f"{_OWN}:installed",),
    "RateLimit, per ip": (f"{_OWN}:limit",),
    "RateLimit, own key": (f"{_OWN}:limit_own_key",),
    "RateLimitMiddleware": (f"{_OWN}:limit_middleware",),
    "slowapi": (f"{_PEERS}:slowapi",),
    "fastapi-limiter": (f"{_PEERS}:fastapi_limiter",),
    "fastapi-redis-sdk, limit": (f"{_PEERS}:sdk_limit",),
    "CurrentUser": (f"{_OWN}:current_user",),
    "StrictUser": (f"{_OWN}:strict_user",),
    "PyJWT HS256 + EXISTS": (f"{_PEERS}:pyjwt_hs256",),
    "PyJWT ES256 + EXISTS": (f"{_PEERS}:pyjwt_es256",),
    "fastapi-redis-sdk, session": (f"{_PEERS}:sdk_session",),
    "cached function": (f"{_OWN}:cached",),
    "cashews": (f"{_PEERS}:cashews",),
    "fastapi-cache2": (f"{_PEERS}:fastapi_cache2",),
    "fastapi-redis-sdk, value": (f"{_PEERS}:sdk_cached",),
    "cached page": (f"{_OWN}:page",),
    "fastapi-redis-sdk, page": (f"{_PEERS}:sdk_page",),
    "POST, bare": (f"{_OWN}:bare",),
    "POST, Idempotent": (f"{_OWN}:idempotent",),
    "POST, limit too": (f"{_OWN}:payment",),
    "POST, limit too, frozen": (f"{_OWN}:payment", "frozen"),
}
_NEEDS = {
    "slowapi": "slowapi",
    "fastapi-limiter": "fastapi_limiter",
    "fastapi-redis-sdk": "redis_fastapi",
    "cashews": "cashews",
    "fastapi-cache2": "fastapi_cache",
}
_LIMITS = ("slowapi", "fastapi-limiter", "fastapi-redis-sdk, limit")
_USERS = ("PyJWT HS256 + EXISTS", "fastapi-redis-sdk, session")
_CACHES = ("cashews", "fastapi-cache2", "fastapi-redis-sdk, value")
_OURS = {
    "limits": ("RateLimit, per ip", "RateLimit, own key", "RateLimitMiddleware"),
    "users": ("CurrentUser", "StrictUser", "PyJWT ES256 + EXISTS"),
    "caches": ("cached function", "cached page", "fastapi-redis-sdk, page"),
}
_PARTS = {"posts": tuple(arm for arm in _ARMS if arm.startswith("POST"))} | {
    part: (*ours, *others) for (part, ours), others in zip(_OURS.items(), (_LIMITS, _USERS, _CACHES), strict=True)
}
ONLY = os.environ.get("ONLY", "")
_RATIOS = {
    "limit_added_vs_best": ("RateLimit, per ip", _LIMITS),
    "limit_own_key_added_vs_best": ("RateLimit, own key", _LIMITS),
    "limit_middleware_added_vs_best": ("RateLimitMiddleware", _LIMITS),
    "auth_added_vs_best": ("CurrentUser", _USERS),
    "strict_added_vs_best": ("StrictUser", _USERS),
    "cache_added_vs_best": ("cached function", _CACHES),
    "page_added_vs_best": ("cached page", ("fastapi-redis-sdk, page",)),
}
_PACKAGES = (
    "fastapi",
    "uvicorn",
    "slowapi",
    "fastapi-limiter",
    "fastapi-cache2",
    "cashews",
    "fastapi-redis-sdk",
    "PyJWT",
)
_CONNECTIONS = 16
_USERS = 200
_SLICE_S = 0.35
"""Short: what else the machine does changes in seconds, and must meet all arms alike."""


def _present() -> list[str]:
    """The arms that are asked for (ONLY) and whose packages are installed."""
    wanted = [BARE, "installed", *_PARTS[ONLY]] if ONLY else list(_ARMS)
    missing = {arm for arm in wanted if not find_spec(_NEEDS.get(arm.partition(",")[0], "hustlex"))}
    if missing:
        print("not installed, so not measured:", ", ".join(sorted(missing)))
    return [arm for arm in wanted if arm not in missing]


class Application:
    """An arm's process. method, headers: of its requests."""

    port: int
    headers: dict[str, str]

    def __init__(self, process: subprocess.Popen[str], method: str) -> None:
        self._process = process
        self.method = method

    def wait(self) -> None:
        """Until it serves."""
        told = self._told()
        self.port, self.headers = told["port"], told["headers"]

    def cpu(self) -> float:
        """Seconds it has used, by its own rusage."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        used: float = self._told()["cpu"]
        return used

    def _told(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"an arm of bench-web failed: {self._process.args!r}")
        return json.loads(line)


@contextmanager
def running(arm: str, url: str) -> Iterator[Application]:
    """The arm's process, until the block ends."""
    factory, *options = _ARMS[arm]
    command = [sys.executable, "-m", "bench.web_server", factory, url, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Application(process, "POST" if arm.startswith("POST") else "GET")
        finally:
            assert process.stdin is not None
            process.stdin.close()


class Caller(asyncio.Protocol):
    """One connection: the next request when the last is answered. waits: milliseconds of each."""

    def __init__(self, application: Application, serial: Iterator[int], until: float) -> None:
        self._application, self._serial, self._until = application, serial, until
        self._seen = b""
        self._began = 0.0
        self.waits: list[float] = []
        self.headers = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        number, method = next(self._serial), self._application.method
        fields = (
            {"Host": "bench"}
            | self._application.headers
            | ({"Idempotency-Key": f"{number}"} if method == "POST" else {})
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._seen, self._began = b"", time.perf_counter()
        path = f"/users/{number % _USERS}"
        self._transport.write(f"{method} {path} HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        if not found or len(body) < int(length):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"{self._application} answered {self._seen[:300]!r}"))
            self._transport.close()
            return
        self.waits.append((time.perf_counter() - self._began) * 1000)
        self.headers = head
        if time.perf_counter() < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(application: Application, seconds: float, connections: int = _CONNECTIONS) -> dict[str, float]:
    """Requests from some connections at once: CPU of the process and waits."""
    loop, serial = asyncio.get_running_loop(), itertools.count(time.monotonic_ns())
    until, used = time.perf_counter() + seconds, application.cpu()
    made = [Caller(application, serial, until) for _ in range(connections)]
    for each in made:
        await loop.create_connection(lambda each=each: each, "127.0.0.1", application.port)
    await asyncio.gather(*(each.done for each in made))
    waits = sorted(itertools.chain.from_iterable(each.waits for each in made))
    cpu = (application.cpu() - used) / len(waits) * 1e6
    return {"cpu": cpu, "p50": percentile(waits, 0.5), "p99": percentile(waits, 0.99), "rate": len(waits) / seconds}


async def log_in(application: Application) -> None:
    """A cookie, where the arm has sessions."""
    if application.headers.pop("login", ""):
        application.method = "POST"
        caller = Caller(application, itertools.count(), 0)
        await asyncio.get_running_loop().create_connection(lambda: caller, "127.0.0.1", application.port)
        await caller.done
        cookie = caller.headers.partition(b"set-cookie: ")[2].partition(b";")[0]
        application.headers["Cookie"] = cookie.decode()
        application.method = "GET"


def main() -> None:
    """Run the arms in turn, print the tables and the summary."""
    import uvloop

    figures = Figures()
    with serving() as server, ExitStack() as stack:
        arms = {arm: stack.enter_context(running(arm, server.url)) for arm in _present()}
        for application in arms.values():
            application.wait()
        uvloop.run(_measured(figures, arms))
    _report(figures)


async def _measured(figures: Figures, arms: dict[str, Application]) -> None:
    for application in arms.values():
        await log_in(application)
        await load(application, 0.3)
    for number in Budget(25 if QUICK else 300, 5 if QUICK else 32).rounds():
        found = {arm: await load(arms[arm], _SLICE_S) for arm in turned(list(arms), number)}
        for arm, measured in found.items():
            figures.add(arm, measured | {"added": measured["cpu"] - found[_bare(arm)]["cpu"]})


def _report(figures: Figures) -> None:
    arms = [arm for arm in _ARMS if figures.names(arm)]
    print_table(
        f"One uvicorn process, {_CONNECTIONS} connections ({versions(*_PACKAGES)}): median (min-max)",
        ["", "CPU added us", "CPU us", "p50 ms", "p99 ms"],
        [[arm, *(figures.cell(arm, name, digits) for name, digits in _COLUMNS)] for arm in arms],
    )
    summary = {}
    for name, (ours, peers) in _RATIOS.items():
        others = [peer for peer in peers if peer in arms]
        if ours in arms and others:
            summary[name] = figures.median(ours, "added") / min(figures.median(peer, "added") for peer in others)
            summary[f"{name}_least"] = _least(figures, ours) / min(_least(figures, peer) for peer in others)
    summary |= {f"added_us_{_named(arm)}": figures.median(arm, "added") for arm in arms if arm != BARE}
    summary |= {f"p99_ms_{_named(arm)}": figures.median(arm, "p99") for arm in arms}
    print_goals("web", summary)
    print_summary(summary)


def _least(figures: Figures, arm: str) -> float:
    """CPU added in the best rounds. What else the machine does only ever adds: these are the nearest to a quiet one."""
    return figures.least(arm, "cpu") - figures.least(_bare(arm), "cpu")


def _bare(arm: str) -> str:
    return "POST, bare" if arm.startswith("POST") else BARE


def _named(arm: str) -> str:
    return "_".join("".join(each if each.isalnum() else " " for each in arm.lower()).split())


_COLUMNS = (("added", 0), ("cpu", 0), ("p50", 2), ("p99", 2))


if __name__ == "__main__":
    main()
